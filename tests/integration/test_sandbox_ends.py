"""How a sandbox comes to its end, whatever the stranger in it does, and that nothing of it is left."""

from __future__ import annotations

import gc
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import docker
import pytest
from docker.errors import NotFound

from fakes.sdists import LIMITS, backend_task, backend_that_leaves, instead_of_the_agent, program_task
from mirror.adapters.devpi.processes import identity
from mirror.adapters.owner import this_process
from mirror.adapters.sandbox.docker import DockerSandbox
from mirror.adapters.sandbox.options import RUN_LABEL, TASK_LABEL
from mirror.core.errors import MirrorError
from mirror.ports import End, Ended, Limits, Response

pytestmark = pytest.mark.docker

QUICK = replace(LIMITS, wall_clock_s=30, silence_s=20)
HARD_TO_KILL = """
import signal, time
for number in range(1, 65):
    try: signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError): pass
for _ in range(3):
    if not os.fork():
        os.setsid()
        break
"""


class PagesWindow:
    """Answers every GET with the same small page, or fails for paths that say how."""

    def get(self, path: str) -> Response:
        if path == "/defect":
            raise RuntimeError("a defect of ours")
        if path == "/gone":
            raise MirrorError("download-failed", "it is gone", hint="")
        return Response(status=200, content_type="text/plain", body=pieces(path), length=10)


def pieces(path: str) -> Iterator[bytes]:
    yield b"01234"
    if path == "/cut":
        raise OSError("the disk failed")
    yield b"56789"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A program in the agent's place, and how it ends. `within_s` is the promise: its limit and ten seconds."""

    name: str
    program: str
    end: End
    message: str
    limits: Limits = QUICK
    window: bool = False
    within_s: float = 20


CASES = (
    Case(
        name="hangs and ignores every signal",
        program=HARD_TO_KILL + "while True:\n send(frame(LOG, 0, b'still here\\n')); time.sleep(0.1)",
        end=End.WALL_CLOCK,
        message="still not done after 2 s",
        limits=replace(QUICK, wall_clock_s=2),
        within_s=12,
    ),
    Case(
        name="burns the processor",
        program=HARD_TO_KILL + "while True: pass",
        end=End.SILENCE,
        message="said nothing for 2 s",
        limits=replace(QUICK, silence_s=2),
        within_s=12,
    ),
    Case(
        name="stops itself",
        program="import signal\nos.kill(os.getpid(), signal.SIGSTOP)",
        end=End.SILENCE,
        message="said nothing for 2 s",
        limits=replace(QUICK, silence_s=2),
        within_s=12,
    ),
    Case(name="ends at once", program="os._exit(0)", end=End.CRASHED, message="it ended without a result"),
    Case(
        name="ends as if its wire had been cut",
        program="os._exit(71)",
        end=End.CRASHED,
        message="it ended without a result",
    ),
    Case(
        name="closes its wire and goes on",
        program="import time\nfor number in (0, 1, 2): os.close(number)\ntime.sleep(60)",
        end=End.SILENCE,
        message="said nothing for 8 s",
        limits=replace(QUICK, silence_s=8),
        within_s=18,
    ),
    Case(
        name="ends in the middle of a frame",
        program="send(frame(RESULT, 0, b'{}')[:-1])",
        end=End.CRASHED,
        message="it ended without a result",
    ),
    Case(
        name="kills everything it may",
        program="import signal\nos.kill(-1, signal.SIGKILL)\nos.kill(os.getpid(), signal.SIGKILL)",
        end=End.CRASHED,
        message="it ended without a result",
    ),
    Case(
        name="leaves daemons and ends",
        program=HARD_TO_KILL + "if os.getsid(0) == os.getpid(): time.sleep(100)\n",
        end=End.CRASHED,
        message="it ended without a result",
    ),
    Case(
        name="sends too much",
        program="while True: send(frame(OUTPUT, 0, bytes(1 << 18)))",
        end=End.OUTPUT_TOO_LARGE,
        message="its output is over 4194304 bytes",
    ),
    Case(
        name="random bytes",
        program="send(b'\\xff' * 100)",
        end=End.PROTOCOL,
        message="a frame of the unknown kind 255",
    ),
    Case(
        name="frames of the tool",
        program="send(frame(5, 1, b'x'))",
        end=End.PROTOCOL,
        message="a frame of the unknown kind 5",
    ),
    Case(
        name="a frame of four gigabytes",
        program="send(struct.pack('!BII', LOG, 0, 0xffffffff) + bytes(1 << 20))",
        end=End.PROTOCOL,
        message="a frame of 4294967295 bytes, where 1048576 is the limit",
    ),
    Case(
        name="millions of outputs",
        program="for n in range(1 << 22): send(frame(OUTPUT, n, b''))",
        end=End.PROTOCOL,
        message="an output of the number 8",
    ),
    Case(
        name="endless stages",
        program="while True: send(frame(STAGE, 0, b'compile'))",
        end=End.PROTOCOL,
        message="more than 100 stages",
    ),
    Case(
        name="frames faster than they are read",
        program="data = frame(LOG, 0, b'x') * 20_000\nwhile True: send(data)",
        end=End.WALL_CLOCK,
        message="still not done after 4 s",
        limits=replace(QUICK, wall_clock_s=4),
        within_s=14,
    ),
    Case(
        name="a window it has not",
        program="send(frame(GET, 1, b'/simple/'))",
        end=End.PROTOCOL,
        message="it asks for a window, and has none",
    ),
    Case(
        name="millions of streams",
        program="while True: send(b''.join(frame(GET, n, b'/simple/x/') for n in range(4096)))",
        end=End.PROTOCOL,
        message="more than 512 requests at once",
        window=True,
    ),
    Case(
        name="an endless path",
        program="send(frame(GET, 1, b'/' * 2049))",
        end=End.PROTOCOL,
        message="a path of 2049 bytes",
        window=True,
    ),
    Case(
        name="a result without end",
        program="send(frame(RESULT, 0, b'[' * (1 << 20)))",
        end=End.PROTOCOL,
        message="a result that is no JSON",
    ),
    Case(
        name="a result that is no object",
        program="send(frame(RESULT, 0, b'7'))",
        end=End.PROTOCOL,
        message="a result that is no object",
    ),
)


class Runner:
    """Runs programs in the agent's place, and remembers what was told of stages."""

    def __init__(self, client: docker.DockerClient, image: str, log: Path) -> None:
        self._client = client
        self.image = image
        self.log = log
        self.stages: list[str] = []

    def run(self, program: str, limits: Limits = QUICK, *, window: bool = False, label: str = "test") -> Ended:
        sandbox = DockerSandbox(self._client, options=instead_of_the_agent(program))
        shown = PagesWindow() if window else None
        task = program_task(self.image, limits=limits, window=shown, log=self.log, label=label)
        return sandbox.run(task, self.stages.append)


@pytest.fixture
def runner(engine: docker.DockerClient, builder_image: str, tmp_path: Path) -> Runner:
    return Runner(engine, builder_image, tmp_path / "log")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_ends(case: Case, runner: Runner) -> None:
    """Whatever it does, it ends in time, as what it was."""
    started = time.monotonic()
    ended = runner.run(case.program, case.limits, window=case.window)
    assert (case.end, case.message, {}, {}) == (ended.end, ended.message, ended.value, ended.outputs)
    assert time.monotonic() - started < case.within_s


def test_a_kill_from_outside_is_nobody_s_fault_in_there(engine: docker.DockerClient, runner: Runner) -> None:
    """When somebody kills the container, the task is lost, not failed."""
    label = f"killed-{os.getpid()}"
    ends: list[Ended] = []
    program = "send(frame(STAGE, 0, b'here'))\nimport time; time.sleep(60)"
    running = threading.Thread(target=lambda: ends.append(runner.run(program, label=label)))
    running.start()
    wait_for(lambda: runner.stages == ["here"])
    for container in engine.containers.list(filters={"label": f"{TASK_LABEL}={label}"}):
        container.kill()
    running.join(30)
    assert [(End.LOST, "somebody killed its container from outside")] == [(e.end, e.message) for e in ends]


def test_a_container_that_is_taken_away(engine: docker.DockerClient, runner: Runner) -> None:
    """When somebody removes the container, the task is lost too."""
    label = f"removed-{os.getpid()}"
    ends: list[Ended] = []
    program = "send(frame(STAGE, 0, b'here'))\nimport time; time.sleep(60)"
    running = threading.Thread(target=lambda: ends.append(runner.run(program, label=label)))
    running.start()
    wait_for(lambda: runner.stages == ["here"])
    for container in engine.containers.list(filters={"label": f"{TASK_LABEL}={label}"}):
        container.remove(force=True)
    running.join(30)
    assert [End.LOST] == [ended.end for ended in ends]


SEE_PRESSURE = """
import subprocess
def read(n):
    data = b""
    while len(data) < n: data += os.read(0, n - len(data))
    return data
open("/scratch/agent.zip", "wb").write(read(int.from_bytes(read(4), "big")))
sys.path.insert(0, "/scratch/agent.zip")
from pathlib import Path
from agent.pressure import Pressure
child = subprocess.run([sys.executable, "-c", "x = [bytearray(1 << 20) for _ in range({})]"])
seen = Pressure(Path("/scratch")).seen()
result(ok=True, status=child.returncode, kills=seen["oom_kills"], peak=seen["peak_bytes"])
"""


@pytest.mark.parametrize(("mebibytes", "status", "kills"), [(10, 0, 0), (400, -9, 1)], ids=["fits", "does not"])
def test_the_agent_sees_a_program_die_for_memory(runner: Runner, mebibytes: int, status: int, kills: int) -> None:
    """By the kernel's own count, whichever process it was; and how much was in use, although that is over."""
    value = runner.run(SEE_PRESSURE.format(mebibytes)).value
    assert (status, kills) == (value["status"], value["kills"])
    assert (kills == 1) == (value["peak"] > 0.9 * QUICK.memory_bytes), value


@pytest.mark.parametrize(("kills", "end"), [("1", End.OUT_OF_MEMORY), ("0", End.FINISHED), ("'x'", End.FINISHED)])
def test_out_of_memory_by_the_agent_s_count(runner: Runner, kills: str, end: End) -> None:
    """Where the engine tells nothing of it: of a child's death, not every engine knows."""
    ended = runner.run(f"result(ok=False, pressure={{'oom_kills': {kills}}})")
    message = "it, or a program it started, needed more than 0.25 GiB" if end is End.OUT_OF_MEMORY else ""
    assert (end, message) == (ended.end, ended.message)


def test_what_it_says_cannot_move_the_cursor(runner: Runner) -> None:
    """A stage's name is one short line with every character visible."""
    runner.run("send(frame(STAGE, 0, b'\\x1b[2J\\r\\n\\xff' + b'x' * 99))\nresult()")
    assert ["\\x1b[2J\\x0d\\x0a\ufffd" + "x" * 52 + "…"] == runner.stages


def test_answers_of_a_window_that_fails(runner: Runner) -> None:
    """A defect behind the window, or a disk that fails halfway, is answered, so that nobody waits for ever."""
    program = """
from collections import defaultdict
answers = defaultdict(bytes)
def read(n):
    data = b""
    while len(data) < n: data += os.read(0, n - len(data))
    return data
read(int.from_bytes(read(4), "big"))
for n, path in enumerate((b"/fine", b"/defect", b"/gone", b"/cut"), 1): send(frame(GET, n, path))
ended = 0
while ended < 4:
    kind, stream, length = struct.unpack("!BII", read(9))
    data = read(length)
    if kind == 4: answers[stream] += f"{json.loads(data)['status']} {json.loads(data)['length']} ".encode()
    if kind == 5: answers[stream] += data
    ended += kind == 6
result(found=[answers[n].decode() for n in range(1, 5)])
"""
    ended = runner.run(program, window=True)
    expected = [
        "200 10 0123456789",
        "502 31 the window failed: RuntimeError",
        "502 27 download-failed: it is gone",
        "200 10 01234",
    ]
    assert {"found": expected} == ended.value


@pytest.mark.parametrize(
    "say", ["send(frame(LOG, 0, {}))", "os.write(2, {})"], ids=["by frames", "past the agent, by stderr"]
)
def test_a_log_is_capped(runner: Runner, say: str) -> None:
    """Of a flood, head and tail are kept. (stdout and stderr are two pipes: the engine keeps no order between them.)"""
    head, flood = say.format("b'the head'"), say.format("b'x' * (1 << 16)")
    ended = runner.run(f"{head}\nfor _ in range(1024): {flood}\nresult()")
    log = runner.log.read_bytes()
    assert (End.FINISHED, b"the head", True) == (ended.end, log[:8], b"bytes left out here" in log)
    assert LIMITS.log_bytes <= len(log) < LIMITS.log_bytes + 100


def test_the_end_of_a_log_is_kept(runner: Runner) -> None:
    """What was said last stands at the end of a capped log."""
    flood = "for _ in range(64): send(frame(LOG, 0, b'x' * (1 << 20)))"
    runner.run(f"{flood}\nsend(frame(LOG, 0, b'the end'))\nresult()")
    assert runner.log.read_bytes().endswith(b"xthe end")


def test_memory_of_the_tool_is_flat(runner: Runner) -> None:
    """A gigabyte of log, in frames, leaves the tool as it was: at its peak, not only at the end."""
    flood = "chunk = frame(LOG, 0, bytes(1 << 18)) * 4\nfor _ in range(1024): send(chunk)\nresult(ok=True)"
    runner.run("result(ok=True)")  # what is imported at first use is no matter of the flood
    before = peak_bytes()
    ended = runner.run(flood, replace(QUICK, wall_clock_s=120))
    assert {"ok": True} == ended.value
    assert peak_bytes() - before < 48 << 20


def peak_bytes() -> int:
    """This process's largest resident size since the last call."""
    status = Path("/proc/self/status").read_text()
    Path("/proc/self/clear_refs").write_text("5")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def test_nothing_is_left(engine: docker.DockerClient, runner: Runner) -> None:
    """Sandboxes side by side, one of every kind, leave no container, volume, network, thread or descriptor."""
    before = left(engine)
    client = docker.from_env()

    def run(number_and_program: tuple[int, str]) -> None:
        number, program = number_and_program
        one = Runner(client, runner.image, runner.log.with_name(f"{number}.log"))
        one.run(program, window=True, label=f"left-{os.getpid()}")

    programs = [case.program for case in CASES if case.within_s == 20]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(run, enumerate(programs)))
    client.close()  # the SDK keeps up to 25 connections until then
    wait_for(lambda: left(engine) == before)


def left(engine: docker.DockerClient) -> dict[str, object]:
    """Everything that a run could leave behind; other tests' containers may come and go."""
    gc.collect()
    filters: dict[str, str | list[str] | bool] = {"label": f"{TASK_LABEL}=left-{os.getpid()}"}
    return {
        "containers": engine.containers.list(all=True, filters=filters, ignore_removed=True),
        "volumes": len(engine.volumes.list()),
        "networks": len(engine.networks.list()),
        "threads": sorted(t.name for t in threading.enumerate() if t.name.startswith(("sandbox", "window"))),
        "descriptors": len(os.listdir("/proc/self/fd")),  # noqa: PTH208 - Path.iterdir would count its own as well
    }


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until it holds. Raises AssertionError after 20 s."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it does not come true"
        time.sleep(0.1)


KILLED_TOOL = """
import docker, sys
from dataclasses import replace
from fakes.sdists import LIMITS, backend_task
from mirror.adapters.sandbox.docker import DockerSandbox
backend = "import time\\ndef build_wheel(*_): time.sleep(100)\\n"
task = backend_task(sys.argv[1], backend, label=sys.argv[2])
DockerSandbox(docker.from_env()).run(task, lambda stage: print(stage, flush=True))
"""


def test_the_next_run_sweeps_what_a_killed_tool_left(engine: docker.DockerClient, builder_image: str) -> None:
    """After kill -9 of the tool its sandbox ends by itself, the next run removes it, and leaves other runs' alone."""
    label = f"swept-{os.getpid()}"
    tests = str(Path(__file__).parents[1])
    command = [sys.executable, "-c", KILLED_TOOL, builder_image, label]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": tests}) as tool:
        assert tool.stdout is not None
        assert b"unpack\n" == tool.stdout.readline()
        sandbox = DockerSandbox(engine)
        filters: dict[str, str | list[str] | bool] = {"label": f"{TASK_LABEL}={label}"}
        sandbox.sweep()
        assert 1 == len(engine.containers.list(all=True, filters=filters))
        tool.kill()
    wait_for(lambda: not engine.containers.list(filters=filters))
    wait_for(lambda: sandbox.sweep() == 0 and not engine.containers.list(all=True, filters=filters))


def test_only_what_is_certainly_dead_is_swept(engine: docker.DockerClient, builder_image: str) -> None:
    """Not what another machine's tool runs on this engine; but what a tool left whose number another process has."""
    host, pid = socket.gethostname(), os.getpid()
    owners = {
        "living": this_process(),
        "elsewhere": f"elsewhere:{pid}:{identity(pid)}",
        "number taken by another": f"{host}:{pid}:{identity(1)}",
    }
    made = {
        name: engine.containers.create(builder_image, ["true"], labels={RUN_LABEL: owner}, network_mode="none")
        for name, owner in owners.items()
    }
    try:
        DockerSandbox(engine).sweep()
        left = {container.id for container in engine.containers.list(all=True, ignore_removed=True)}
        assert ["living", "elsewhere"] == [name for name, container in made.items() if container.id in left]
    finally:
        for container in made.values():
            with suppress(NotFound):
                container.remove(force=True)


def test_a_container_says_what_it_does(engine: docker.DockerClient, runner: Runner) -> None:
    """Job and attempt stand in its name, which `docker ps` shows."""
    names: list[str] = []

    def look(_: str) -> None:
        names.extend(
            str(c.name) for c in engine.containers.list(filters={"label": f"{TASK_LABEL}=compile numpy 1.23.5"})
        )

    program = "send(frame(STAGE, 0, b'here'))\nimport time; time.sleep(1)\nresult()"
    sandbox = DockerSandbox(engine, options=instead_of_the_agent(program))
    for label in ("compile numpy 1.23.5", "resolve", "compile numpy 1.23.5"):
        sandbox.run(program_task(runner.image, limits=QUICK, label=label), look)
    stems = [name.rpartition("-") for name in names]
    assert ["1", "2"] == [attempt for *_, attempt in stems]
    assert all(re.fullmatch("mirror-compile-numpy-1.23.5-[0-9a-f]{8}", stem) for stem, *_ in stems)


def test_the_same_backend_builds_with_every_wall_up(engine: docker.DockerClient, builder_image: str) -> None:
    """The walls stop strangers, not builds: a compiler runs in there, and its wheel comes out whole."""
    backend = (
        "import subprocess\n"
        "open('x.c', 'w').write('int main(void) { return 0; }')\n"
        "subprocess.run(['cc', 'x.c', '-o', 'x'], check=True)\n"
        "subprocess.run(['./x'], check=True)\n" + backend_that_leaves("attack-1.0-py3-none-any.whl", b"w" * 3_000_000)
    )
    ended = DockerSandbox(engine).run(backend_task(builder_image, backend, limits=QUICK), lambda _: None)
    assert (End.FINISHED, True, b"w" * 3_000_000) == (ended.end, ended.value["ok"], ended.outputs["0"])
