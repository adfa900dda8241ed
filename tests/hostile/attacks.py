"""Sdists that attack, as data: the backend's code, what comes of it, and the one wall that a control takes down.

Every program is bounded by itself, too: the control runs without its wall, on the machine of whoever runs the tests.
`{gateway}`, `{port}` and the like are filled with addresses of the test's own listeners.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from docker.types import Ulimit

from fakes.sdists import SCRATCH
from hostile.arena import ALL_UP, INNER, Walls

WHEEL = "attack-1.0-py3-none-any.whl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """A program that says so when it gets through: it must not with every wall up, and must with `down`."""

    name: str
    program: str
    outcome: str
    """With every wall up."""
    down: Walls
    up: Walls = ALL_UP
    down_outcome: str = "built"


def backend(attack: str) -> str:
    """A backend whose build_wheel first attacks; `attack` is the body of a function that returns whether it could."""
    body = "".join(f"    {line}\n" for line in attack.strip("\n").splitlines())
    return (
        "import os, socket, subprocess, sys, time\n"
        "from wheelwright import SUCCEEDED, leave, wire_frames\n"
        f"def attack(folder):\n{body}"
        "def build_wheel(folder, *_):\n"
        "    if attack(folder):\n"
        "        print(SUCCEEDED, flush=True)\n"
        "    return leave(folder)\n"
    )


def hook(attack: str) -> str:
    """The same with a body that leaves the wheel, or whatever it wants to be taken for it, itself."""
    body = "".join(f"    {line}\n" for line in attack.strip("\n").splitlines())
    return (
        "import json, os, signal, socket, subprocess, sys, time\n"
        "from wheelwright import SUCCEEDED, leave, wire_frames\n"
        f"def build_wheel(folder, *_):\n{body}"
    )


def options(**changes: Any) -> Walls:
    return Walls(options=changes)


def reach(family: str, address: str) -> str:
    return f"""
with socket.socket(socket.{family}) as s:
    s.settimeout(3)
    try:
        s.connect({address})
        return s.recv(6) == b"canary"
    except OSError:
        return False
"""


FIND_IN_ENVIRONMENTS = """
found = str(dict(os.environ))
for process in filter(str.isdigit, os.listdir("/proc")):
    try:
        found += open("/proc/" + process + "/environ").read()
    except OSError:
        pass
return "canary" in found
"""
READ_SHADOW = """
try:
    return "root:" in open("/etc/shadow").read()
except OSError:
    return False
"""
INCLUDE_SHADOW = """
open("x.c", "w").write('#include "/etc/shadow"')
said = subprocess.run(["cc", "-fsyntax-only", "x.c"], capture_output=True, text=True).stderr
return "root:" in said
"""
WRITE_OUTSIDE = """
written = []
for folder in ("/tmp", "/usr/local/bin", "/etc", "/opt/mirror/bin", "/var/tmp", "/dev", "/run", "/"):
    try:
        open(folder + "/attack", "w").close()
        written.append(folder)
    except OSError:
        pass
return written
"""
FORK_BOMB = """
import signal
children = []
try:
    for _ in range(150):
        child = os.fork()
        if not child:
            signal.pause()
        children.append(child)
except OSError:
    pass
for child in children:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
return len(children) > 64
"""
THREAD_BOMB = """
import threading
over = threading.Event()
threads = []
try:
    for _ in range(150):
        threads.append(threading.Thread(target=over.wait))
        threads[-1].start()
except RuntimeError:
    threads.pop()
over.set()
for thread in threads:
    thread.join()
return len(threads) > 64
"""
EAT_MEMORY = """
import mmap
kept = []
for _ in range(300):
    kept.append(mmap.mmap(-1, 1 << 20))
    for page in range(0, 1 << 20, 4096):
        kept[-1][page] = 1
return True
"""
EAT_MEMORY_IN_A_CHILD = f"""
if not os.fork():
    for _ in (1,):
{"".join(f"        {line}{chr(10)}" for line in EAT_MEMORY.strip().splitlines()[:-1])}
    os._exit(0)
if os.wait()[1]:
    raise SystemExit("the child died")
return True
"""
FILL_DISK = """
written = 0
try:
    with open("/scratch/tmp/f", "wb", 0) as f:
        for _ in range(48):
            written += f.write(bytes(1 << 20))
except OSError:
    pass
os.truncate("/scratch/tmp/f", 0)
return written > 32 << 20
"""
FILL_INODES = """
n = 0
os.mkdir("/scratch/tmp/many")
try:
    for n in range(10_000):
        os.symlink("x", "/scratch/tmp/many/" + str(n))
except OSError:
    pass
subprocess.run(["rm", "-r", "/scratch/tmp/many"])
return n > 8192
"""
DIG_DEEP = """
started = os.getcwd()
os.chdir("/scratch/tmp")
depth = 0
try:
    while depth < 9000:
        os.mkdir("d")
        os.chdir("d")
        depth += 1
except OSError:
    pass
for _ in range(depth):
    os.chdir("..")
    os.rmdir("d")
os.chdir(started)
return depth > 8192
"""
FILL_SHARED_MEMORY = """
written = 0
try:
    with open("/dev/shm/f", "wb", 0) as f:
        for _ in range(96):
            written += f.write(bytes(1 << 20))
except OSError:
    pass
os.unlink("/dev/shm/f")
return written > 64 << 20
"""
EAT_MEMORY_WITHOUT_A_NAME = """
file = os.memfd_create("x")
for _ in range(300):
    os.write(file, bytes(1 << 20))
return True
"""
RAISE_CORES = """
import resource
try:
    resource.setrlimit(resource.RLIMIT_CORE, (1 << 20, 1 << 20))
except (OSError, ValueError):
    return False
return True
"""
OPEN_EVERYTHING = """
kept = []
try:
    for _ in range(400):
        kept.append(os.open("/dev/null", os.O_RDONLY))
except OSError:
    pass
for descriptor in kept:
    os.close(descriptor)
return len(kept) > 256
"""
IGNORE_SIGNALS = """
import signal
for number in range(1, 65):
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
"""
HANG = f"""
{IGNORE_SIGNALS}
started = time.monotonic()
while time.monotonic() - started < 9:
    print("busy", flush=True)
    time.sleep(0.5)
return True
"""
SILENT = f"""
{IGNORE_SIGNALS}
time.sleep(7)
return True
"""
FLOOD = """
line = "x" * 1023 + chr(10)
for number in range(2048):
    sys.stdout.write(line)
    if number == 1024:
        print(SUCCEEDED)
sys.stdout.flush()
return False
"""
SOCKET_FILE = reach("AF_UNIX", "'/var/run/docker.sock'")

ATTACKS = (
    Attack(
        name="read the tool's environment",
        program=backend(FIND_IN_ENVIRONMENTS),
        outcome="built",
        down=options(environment={"HOME": "/scratch/home", "MIRROR_PASSWORD": "canary"}),
    ),
    Attack(
        name="read the proxy of the docker configuration",
        program=backend(FIND_IN_ENVIRONMENTS),
        outcome="built",
        down=options(use_config_proxy=True),
    ),
    Attack(
        name="reach the engine's socket",
        program=backend(SOCKET_FILE),
        outcome="built",
        down=options(volumes=["{socket}:/var/run/docker.sock"]),
    ),
    Attack(
        name="read /etc/shadow",
        program=backend(READ_SHADOW),
        outcome="built",
        down=options(group_add=["0", "42"]),
    ),
    Attack(
        name="include /etc/shadow",
        program=backend(INCLUDE_SHADOW),
        outcome="built",
        down=options(group_add=["0", "42"]),
    ),
    Attack(
        name="write outside",
        program=backend(WRITE_OUTSIDE),
        outcome="built",
        down=options(read_only=False),
    ),
    Attack(
        name="fork bomb",
        program=backend(FORK_BOMB),
        outcome="built",
        down=options(pids_limit=250),
    ),
    Attack(
        name="thread bomb",
        program=backend(THREAD_BOMB),
        outcome="built",
        down=options(pids_limit=250),
    ),
    Attack(
        name="eat memory",
        program=backend(EAT_MEMORY),
        outcome="out-of-memory",
        down=options(mem_limit=512 << 20, memswap_limit=512 << 20),
    ),
    Attack(
        name="eat memory in a child",
        program=backend(EAT_MEMORY_IN_A_CHILD),
        outcome="out-of-memory",
        down=options(mem_limit=512 << 20, memswap_limit=512 << 20),
    ),
    Attack(
        name="eat memory in a file without a name",
        program=backend(EAT_MEMORY_WITHOUT_A_NAME),
        outcome="out-of-memory",
        down=options(mem_limit=512 << 20, memswap_limit=512 << 20),
    ),
    Attack(
        name="fill the shared memory",
        program=backend(FILL_SHARED_MEMORY),
        outcome="built",
        down=options(shm_size=128 << 20),
    ),
    Attack(
        name="dump core",
        program=backend(RAISE_CORES),
        outcome="built",
        down=options(ulimits=[Ulimit(name="core", soft=0, hard=1 << 20)]),
    ),
    Attack(
        name="dig deep folders",
        program=backend(DIG_DEEP),
        outcome="built",
        down=options(tmpfs={"/scratch": f"{SCRATCH},size={32 << 20},nr_inodes=20000"}),
    ),
    Attack(
        name="fill the disk",
        program=backend(FILL_DISK),
        outcome="built",
        down=options(tmpfs={"/scratch": f"{SCRATCH},size={64 << 20}"}),
    ),
    Attack(
        name="use up the inodes",
        program=backend(FILL_INODES),
        outcome="built",
        down=options(tmpfs={"/scratch": f"{SCRATCH},size={32 << 20},nr_inodes=20000"}),
    ),
    Attack(
        name="use up the descriptors",
        program=backend(OPEN_EVERYTHING),
        outcome="built",
        down=options(ulimits=[Ulimit(name="nofile", soft=500, hard=500)]),
    ),
    Attack(
        name="flood the log",
        program=backend(FLOOD),
        outcome="built",
        down=Walls(limits=replace(INNER, log_bytes=4 << 20)),
    ),
    Attack(
        name="hang, talk and ignore every signal",
        program=backend(HANG),
        outcome="timed-out",
        up=Walls(limits=replace(INNER, wall_clock_s=8)),
        down=Walls(),
    ),
    Attack(
        name="hang, say nothing and ignore every signal",
        program=backend(SILENT),
        outcome="silent",
        up=Walls(limits=replace(INNER, silence_s=5)),
        down=Walls(),
    ),
)
