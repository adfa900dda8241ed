"""What builds for a team, with a program of a test's own in mirror's place."""

from __future__ import annotations

import hashlib
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fakes.outcomes import TARGET
from mirror.adapters.queue import BuildState, Origin, Queue, QueuedBuild
from mirror.core.build_request import BASE_IMAGE, BuildRequest, SourceFile
from mirror.core.requirements import parse
from mirror.core.retention import Origin as Host
from mirror.core.retention import RegisteredLock, make_lock
from mirror.worker import Worker, arguments

FILES = (
    SourceFile(name="requirements.txt", text="six\n"),
    SourceFile(name="limits.txt", text="six<2\n", constraint=True),
)
REQUEST = BuildRequest(
    files=FILES, python=("3.11", "3.12"), retry=True, as_json=True, volume="verbose", origin="ci-1:0a1b"
)


@pytest.fixture
def queue(tmp_path: Path) -> Queue:
    """An empty one."""
    return Queue(tmp_path / "queue")


@contextmanager
def working(queue: Queue, program: str, builds: int = 1) -> Iterator[list[str]]:
    """A worker that runs this Python program; what it says."""
    said: list[str] = []
    command = (sys.executable, "-I", "-c", program)
    worker = Worker(queue=queue, builds=builds, environment={}, say=said.append, command=command)
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        yield said
    finally:
        worker.stop()
        thread.join(30)
        assert not thread.is_alive()


def wait_for(queue: Queue, build: QueuedBuild, is_so: Callable[[QueuedBuild], bool]) -> QueuedBuild:
    deadline = time.monotonic() + 30
    while True:
        found = queue.find(build.id)
        assert found is not None
        if is_so(found):
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.05)


def a_build(request: BuildRequest, asked_by: str, origin: Origin = Origin.REQUEST) -> QueuedBuild:
    """As it is taken from the queue."""
    with tempfile.TemporaryDirectory() as folder:
        return Queue(Path(folder)).submit(request, asked_by=asked_by, origin=origin)


def ended(build: QueuedBuild) -> bool:
    return build.state is BuildState.ENDED


def all_said(queue: Queue, build: QueuedBuild, stream: str) -> str:
    return "".join(text for name, text in queue.said(build.id, 0)[0] if name == stream)


def test_a_request_is_a_command_line() -> None:
    """Nothing in it can be taken for an option; what was missed is built under the rules for that."""
    folder = hashlib.sha256(b"alice/0a1b").hexdigest()
    assert [
        *("build", "--yes", "--for-server", "--facts=.facts", "--python=3.11", "--python=3.12", "--retry"),
        *("--json", "--verbose"),
        *(f"--origin=ci-1:{folder}", "--constraint=limits.txt", "--", "requirements.txt"),
    ] == arguments(REQUEST, a_build(REQUEST, "alice"))
    bare = BuildRequest(files=FILES[:1])
    assert [
        *("build", "--yes", "--for-server", "--facts=.facts", "--origin=", "--on-demand", "--", "requirements.txt")
    ] == arguments(bare, a_build(bare, "10.0.0.1", Origin.MISS))


def locks_of(request: BuildRequest, *askers: str) -> list[RegisteredLock]:
    """The locks that builds of the same request register for these people."""
    found = []
    for asker in askers:
        origin = next(one for one in arguments(request, a_build(request, asker)) if one.startswith("--origin="))
        host, _, folder = origin.removeprefix("--origin=").partition(":")
        requirements = parse(["requirements.txt"], [], lambda _: b"six\n")
        found.append(make_lock(requirements, TARGET, Host(host=host, folder=folder), ()))
    return found


def test_no_lock_is_replaced_by_somebody_elses() -> None:
    """Whatever host and folder they say that they are in; one's own is, which shows that another one's could be."""
    mine, again, forged = locks_of(REQUEST, "alice", "alice", "mallory")
    assert (True, True) == (mine.key == again.key, again.replaces(mine))
    assert (False, False) == (mine.key == forged.key, forged.replaces(mine))


def test_a_build_is_told_and_ends_with_its_status(queue: Queue) -> None:
    """Both streams, the files beside it, the exit status; a byte that is no UTF-8 spoils nothing."""
    program = (
        "import sys, pathlib\nprint(sys.argv[-1], pathlib.Path('limits.txt').read_text(), end='', flush=True)\n"
        "sys.stderr.buffer.write(b'caf\\xc3\\xa9 \\xff\\n')\nsys.exit(7)"
    )
    build = queue.submit(REQUEST, asked_by="alice")
    with working(queue, program) as said:
        assert 7 == wait_for(queue, build, ended).status
    assert "requirements.txt six<2\n" == all_said(queue, build, "stdout")
    assert "café \ufffd\n" == all_said(queue, build, "stderr")
    assert ["build 1 (requirements.txt, limits.txt, asked for by alice) begins", "build 1 ends with 7"] == said


def test_what_is_interrupted_is_queued_again(queue: Queue) -> None:
    """The worker goes within seconds; the next one builds it from its beginning."""
    build = queue.submit(REQUEST, asked_by="alice")
    with working(queue, "import time; print('begun', flush=True); time.sleep(60)"):
        wait_for(queue, build, lambda _: "begun" in all_said(queue, build, "stdout"))
    found = queue.find(build.id)
    assert found is not None
    assert BuildState.QUEUED is found.state
    with working(queue, "print('again')"):
        assert 0 == wait_for(queue, build, ended).status


def test_what_nobody_wants_is_interrupted_gently(queue: Queue) -> None:
    """As Ctrl-C does."""
    program = (
        "import signal, sys, time\nsignal.signal(signal.SIGINT, lambda *_: sys.exit(130))\n"
        "print('begun', flush=True)\ntime.sleep(60)"
    )
    build = queue.submit(REQUEST, asked_by="alice")
    with working(queue, program):
        wait_for(queue, build, lambda _: "begun" in all_said(queue, build, "stdout"))
        queue.cancel(build.id)
        assert 130 == wait_for(queue, build, ended).status


def test_a_crash_ends_one_build_alone(queue: Queue) -> None:
    """Its status is the shell's for a signal, and the next one is built."""
    program = "import os, sys\nif '--retry' in sys.argv: os.kill(os.getpid(), 9)"
    crashing, well = queue.submit(REQUEST, asked_by="a"), queue.submit(BuildRequest(files=FILES[:1]), asked_by="b")
    with working(queue, program):
        assert [137, 0] == [wait_for(queue, build, ended).status for build in (crashing, well)]


def test_the_base_image_of_a_build_is_handed_on(queue: Queue) -> None:
    """Whoever asked is told which image the wheels are for; where a build does not say, nothing is."""
    program = (
        "import sys\nname = next(one for one in sys.argv if one.startswith('--facts=')).removeprefix('--facts=')\n"
        "if '--retry' in sys.argv: open(name, 'w').write('reg.test/python:3.11-alpine3.20')"
    )
    builds = [queue.submit(request, asked_by="a") for request in (REQUEST, BuildRequest(files=FILES[:1]))]
    with working(queue, program):
        for build in builds:
            wait_for(queue, build, ended)
    assert ["reg.test/python:3.11-alpine3.20", ""] == [all_said(queue, build, BASE_IMAGE) for build in builds]


def test_several_are_built_side_by_side(queue: Queue, tmp_path: Path) -> None:
    """Each waits for the other one to have begun."""
    program = (
        f"import os, time\nopen(r'{tmp_path}/' + str(os.getpid()), 'w').close()\n"
        f"while len([n for n in os.listdir(r'{tmp_path}') if n.isdigit()]) < 2: time.sleep(0.05)"
    )
    builds = [queue.submit(REQUEST, asked_by="alice") for _ in range(2)]
    with working(queue, program, builds=2):
        assert [0, 0] == [wait_for(queue, build, ended).status for build in builds]
