"""Small attacks that share a sandbox, each with a verdict of its own: none gets through, and each does behind `down`.

Some stand before several walls at once (who has no capability and no way to one is refused by the seccomp profile,
too): their control takes those down together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hostile.arena import SUCCEEDED, Walls
from hostile.attacks import options, reach

NEIGHBOUR_USER = 10001
AS_NEIGHBOUR = options(
    pid_mode="container:{neighbour}",
    user=f"{NEIGHBOUR_USER}:{NEIGHBOUR_USER}",
    tmpfs={"/scratch": f"rw,exec,nosuid,nodev,mode=0700,uid={NEIGHBOUR_USER},gid={NEIGHBOUR_USER},size={32 << 20}"},
)


@dataclass(frozen=True, slots=True)
class Probes:
    """One sdist of several attacks: name to the body of a function that returns whether it got through."""

    name: str
    bodies: Mapping[str, str]
    down: Walls

    @property
    def program(self) -> str:
        """A backend that makes each attack in a process of its own, and says which got through."""
        functions = "".join(
            f"def attack_{number}():\n" + "".join(f"    {line}\n" for line in body.strip("\n").splitlines())
            for number, body in enumerate(self.bodies.values())
        )
        attacks = ", ".join(f"{name!r}: attack_{number}" for number, name in enumerate(self.bodies))
        return f"{_PREAMBLE}{functions}ATTACKS = {{{attacks}}}\n{_BACKEND}"


_PREAMBLE = """
import ctypes, os, signal, socket, stat, struct, sys, time
from wheelwright import leave
libc = ctypes.CDLL(None, use_errno=True)
NUMBERS = {
    "x86_64": {"add_key": 248, "perf_event_open": 298, "process_vm_readv": 310, "process_vm_writev": 311, "kcmp": 312,
               "bpf": 321, "userfaultfd": 323},
    "aarch64": {"add_key": 217, "perf_event_open": 241, "process_vm_readv": 270, "process_vm_writev": 271, "kcmp": 272,
                "bpf": 280, "userfaultfd": 282},
}[os.uname().machine] | {"pidfd_getfd": 438}
NEWNS, NEWUSER, NEWNET = 0x20000, 0x10000000, 0x40000000
def call(name, *arguments):
    return libc.syscall(NUMBERS.get(name, name), *arguments)
"""
_BACKEND = f"""
def tried(attack):
    child = os.fork()
    if not child:
        got_through = False
        try:
            got_through = bool(attack())
        except OSError:
            pass
        finally:
            os._exit(42 if got_through else 0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

def build_wheel(folder, *_):
    for name, attack in ATTACKS.items():
        said = tried(attack)
        print("{SUCCEEDED}" if said == 42 else "attack failed" if not said else "attack broke", "<" + name + ">")
    return leave(folder)
"""

HOME = ("netrc", "config/pip/pip.conf", "docker/config.json", "pypirc", "ssh/id_ed25519", "aws/credentials")
HOME_FILES = tuple(f".{name}" for name in (*HOME, "git-credentials", "config/uv/credentials.toml"))
FIND_FILE = """
for folder in ("/root", "/home", "/mnt", os.path.expanduser("~"), "/"):
    try:
        if "canary" in open(os.path.join(folder, "{file}")).read():
            return True
    except OSError:
        pass
return False
"""
MOUNT = """return not libc.mount(b"x", b"/scratch/tmp", b"tmpfs", 0, None)"""
HOLD_A_CHILD = """
child = os.fork()
if not child:
    time.sleep(5)
    os._exit(0)
is_held = libc.ptrace(16, child, None, None) == 0
os.kill(child, signal.SIGKILL)
os.waitpid(child, 0)
return is_held
"""
REMOUNT = "(lambda path: libc.mount(None, path.encode(), None, 0x1020, None))"
"""Make writable what is mounted read-only: MS_REMOUNT and MS_BIND."""
GATEWAY = reach("AF_INET", "('{gateway}', {port})")
BY_ROUTE = f"""
for line in open("/proc/net/route"):
    fields = line.split()
    if fields[1] == "00000000":
        gateway = socket.inet_ntoa(struct.pack("<I", int(fields[2], 16)))
{"".join(f"        {line}{chr(10)}" for line in reach("AF_INET", "(gateway, {port})").strip().splitlines())}
return False
"""
UPLOAD = """
with socket.create_connection(("{gateway}", {port}), timeout=3) as s:
    s.sendall(b"POST /mirror/alpine/ HTTP/1.1\\r\\nHost: index\\r\\nContent-Length: 0\\r\\n\\r\\n")
    return s.recv(6) == b"canary"
"""
ASK_A_NAME = """
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    s.settimeout(3)
    s.sendto(b"\\0\\1\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0\\6secret\\4test\\0\\0\\20\\0\\1", ("{gateway}", {udp_port}))
    return s.recv(6) == b"canary"
"""
FIND_NEIGHBOUR = """
def neighbours():
    for process in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = open("/proc/" + process + "/cmdline").read().split(chr(0))
        except OSError:
            continue
        if "neighbour" in words:
            yield int(process)
"""

PROBES = (
    Probes(
        "home",
        {f"read {file}": FIND_FILE.replace("{file}", file) for file in HOME_FILES},
        down=options(volumes=["{home}:/root:ro"]),
    ),
    Probes(
        "bridge",
        {
            "reach the internet": GATEWAY,
            "reach the host by the default route": BY_ROUTE,
            "upload to the index": UPLOAD,
            "tell a name server": ASK_A_NAME,
        },
        down=options(network_mode="bridge"),
    ),
    Probes(
        "link-local",
        {"reach a link-local address": reach("AF_INET", "('{link_local}', {link_local_port})")},
        down=options(network_mode="{link_local_network}"),
    ),
    Probes(
        "host network",
        {
            "reach the host's loopback": reach("AF_INET", "('127.0.0.1', {loopback_port})"),
            "reach the host by IPv6": reach("AF_INET6", "('::1', {ipv6_port})"),
            "reach the host's abstract sockets": reach("AF_UNIX", "'\\0{abstract}'"),
        },
        down=options(network_mode="host"),
    ),
    Probes(
        "neighbour's network",
        {"reach a neighbour's loopback": reach("AF_INET", "('127.0.0.1', 8000)")},
        down=options(network_mode="container:{neighbour}", hostname=None),
    ),
    Probes(
        "neighbour's memory",
        {"read a neighbour's shared memory": "return open('/dev/shm/canary').read() == 'canary'"},
        down=options(ipc_mode="container:{neighbour}", shm_size=None),
    ),
    Probes(
        "neighbour's processes",
        {
            "see a neighbour's processes": FIND_NEIGHBOUR + "return list(neighbours())",
            "read a neighbour's environment": FIND_NEIGHBOUR
            + "return any('canary' in open(f'/proc/{n}/environ').read() for n in neighbours())",
            "kill a neighbour": FIND_NEIGHBOUR + "return [os.kill(n, signal.SIGKILL) for n in neighbours()]",
        },
        down=AS_NEIGHBOUR,
    ),
    Probes(
        "system calls",
        {
            "make a socket to the virtual machine's host": "socket.socket(40).close()\nreturn True",
            "make a user namespace": "return not libc.unshare(NEWUSER)",
            "mount in a user namespace": "libc.unshare(NEWUSER | NEWNS)\n" + MOUNT,
            "send raw packets in a user namespace": "libc.unshare(NEWUSER | NEWNET)\n"
            "socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close()\nreturn True",
            "keep a key in the kernel": "return call('add_key', b'user', b'mirror-test', b'x', "
            "ctypes.c_size_t(1), -2) > 0",
            "make an io_uring": "return call(425, 1, ctypes.create_string_buffer(256)) >= 0",
            "hold up the kernel at a page fault": "return call('userfaultfd', 1) >= 0",
            "read another process's memory": "text = ctypes.create_string_buffer(8)\n"
            "places = struct.pack('2P', ctypes.addressof(text), 8)\n"
            "return call('process_vm_readv', os.getpid(), places, ctypes.c_ulong(1), places, ctypes.c_ulong(1), "
            "ctypes.c_ulong(0)) == 8",
            "write another process's memory": "text = ctypes.create_string_buffer(8)\n"
            "places = struct.pack('2P', ctypes.addressof(text), 8)\n"
            "return call('process_vm_writev', os.getpid(), places, ctypes.c_ulong(1), places, ctypes.c_ulong(1), "
            "ctypes.c_ulong(0)) == 8",
            "hold another process by ptrace": HOLD_A_CHILD,
            "take another process's descriptor": "return call('pidfd_getfd', os.pidfd_open(os.getpid()), 1, 0) >= 0",
            "compare two processes": "return call('kcmp', os.getpid(), os.getppid(), 2, "
            "ctypes.c_ulong(0), ctypes.c_ulong(0)) >= 0",
        },
        down=options(security_opt=["no-new-privileges", "seccomp=unconfined"]),
    ),
    Probes(
        "capabilities",
        {
            "make a device": "os.mknod('/scratch/tmp/device', stat.S_IFCHR | 0o666, os.makedev(1, 3))\nreturn True",
            "give a file away": "open('/scratch/tmp/given', 'w').close()\nos.chown('/scratch/tmp/given', 1, 1)\n"
            "return True",
            "become another user": "os.setgroups([])\nos.setuid(1)\nreturn True",
            "make a raw socket": "socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP).close()\n"
            "return True",
            "listen to the network's packets": "socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close()\nreturn True",
            "make a program root's": "open('/scratch/tmp/rise', 'w').close()\nos.chown('/scratch/tmp/rise', 0, 0)\n"
            "os.chmod('/scratch/tmp/rise', 0o4755)\nfound = os.stat('/scratch/tmp/rise')\n"
            "return found.st_uid == 0 and found.st_mode & 0o4000",
        },
        down=options(user="0:0", cap_drop=[]),
    ),
    Probes(
        "privileges",
        {
            "mount": "libc.unshare(NEWNS)\nlibc.mount(None, b'/', None, 0x44000, None)\n" + MOUNT,
            "write to /proc/sys": REMOUNT + "('/proc/sys')\n"
            "open('/proc/sys/net/ipv4/ip_forward', 'r+').write('1')\nreturn True",
            "write to /sys": "libc.unshare(NEWNS | NEWNET)\n"
            "libc.mount(b'x', b'/scratch/tmp', b'sysfs', 0, None)\n"
            "folder = '/sys' if os.access('/sys', os.W_OK) else '/scratch/tmp'\n"
            "open(folder + '/class/net/lo/ifalias', 'w').write('x')\nreturn True",
            "lift its own memory limit": f"""
{REMOUNT}('/sys/fs/cgroup/memory' if os.path.exists('/sys/fs/cgroup/memory') else '/sys/fs/cgroup')
for path in ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory.max"):
    if os.path.exists(path):
        limit = open(path).read()
        open(path, "w").write(limit)
        return True
return False""",
            "set the clock": "time.clock_settime(time.CLOCK_REALTIME, time.time())\nreturn True",
            "read the kernel's log": "return libc.klogctl(10, None, 0) > 0",
            "change the root": "os.chroot('/scratch/tmp')\nreturn True",
            "load a program into the kernel": "return call('bpf', 0, ctypes.create_string_buffer("
            "struct.pack('4I', 2, 4, 8, 1).ljust(72, bytes(1))), 72) >= 0",
            "watch the processor": "return call('perf_event_open', ctypes.create_string_buffer("
            "struct.pack('2I', 1, 112).ljust(112, bytes(1))), 0, -1, -1, ctypes.c_ulong(0)) >= 0",
            "go before everybody else": "os.nice(-5)\nreturn True",
            "change the host name": "socket.sethostname('attack')\nreturn True",
        },
        down=options(
            user="0:0",
            cap_drop=[],
            cap_add=["SYS_ADMIN", "NET_ADMIN", "SYS_TIME", "SYS_NICE", "SYSLOG"],
            security_opt=["seccomp=unconfined", "apparmor=unconfined"],
        ),
    ),
)
