"""What every Sandbox promises, held over the fake and the real one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from fakes.sandbox import Answer, FakeSandbox
from fakes.sdists import LIMITS, backend_task, backend_that_leaves
from mirror.adapters.sandbox.docker import DockerSandbox
from mirror.core.errors import UnusableError
from mirror.ports import End, Ended, Sandbox, Task

WHEEL = "attack-1.0-py3-none-any.whl"
STAGES = ("unpack", "build environment", "compile")
WAITS = "import time\ndef build_wheel(*_):\n    time.sleep(100)\n"
BACKENDS = {
    "builds": "print('hello')\n" + backend_that_leaves(WHEEL, b"a wheel"),
    "fails": "def build_wheel(*_):\n    raise SystemExit(3)\n",
    "dies": "import os\ndef build_wheel(*_):\n    os.kill(os.getppid(), 9)\n",
    "waits": WAITS,
    "hangs": WAITS,
}
FAILED = "the build backend's build_wheel failed with exit status 3"
ANSWERS = {
    "builds": Answer(
        value={"ok": True, "wheel": WHEEL}, outputs={"0": b"a wheel"}, stages=(*STAGES, "send"), log=b"hello\n"
    ),
    "fails": Answer(value={"ok": False, "message": FAILED}, stages=STAGES),
    "dies": Answer(end=End.CRASHED, stages=STAGES, message="it ended without a result"),
    "waits": Answer(stages=STAGES, waits_for_stop=True),
    "hangs": Answer(end=End.WALL_CLOCK, stages=STAGES, message="still not done after 8 s"),
}


@dataclass
class Subject:
    """A sandbox under test, and its image."""

    sandbox: Sandbox
    image: str
    folder: Path

    def task(self, what: str) -> Task:
        limits = replace(LIMITS, wall_clock_s=8) if what == "hangs" else LIMITS
        return backend_task(self.image, BACKENDS[what], label=what, limits=limits, log=self.folder / "log")

    def run(self, what: str) -> tuple[Ended, tuple[str, ...]]:
        """The end of a task, and the stages it said it reached."""
        stages: list[str] = []
        return self.sandbox.run(self.task(what), stages.append), tuple(stages)


@pytest.fixture(params=["fake", pytest.param("docker", marks=pytest.mark.docker)])
def subject(request: pytest.FixtureRequest, tmp_path: Path) -> Subject:
    """Each test of the contract runs over both."""
    if request.param == "fake":
        return Subject(FakeSandbox(ANSWERS), "builder", tmp_path)
    sandbox = DockerSandbox(request.getfixturevalue("engine"))
    return Subject(sandbox, request.getfixturevalue("builder_image"), tmp_path)


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(UnusableError) as caught:
        call()
    return caught.value.code


@pytest.mark.parametrize("what", ["builds", "fails", "dies", "hangs"])
def test_a_task_comes_to_its_end(subject: Subject, what: str) -> None:
    """A task ends as it went: with its result and outputs, or with none of them and the reason."""
    ended, stages = subject.run(what)
    answer = ANSWERS[what]
    expected = (answer.end, answer.value, answer.outputs, answer.message, answer.stages)
    value = {key: ended.value[key] for key in ended.value if key != "pressure"}  # how close it came to its limits
    assert expected == (ended.end, value, ended.outputs, ended.message, stages)


def test_a_log_is_written(subject: Subject) -> None:
    """What a task prints stands in its log when `run` returns."""
    subject.run("builds")
    assert b"hello\n" in (subject.folder / "log").read_bytes()


def test_an_image_that_is_missing(subject: Subject) -> None:
    """Where the image is not on the engine, no sandbox can be started at all."""
    task = replace(subject.task("builds"), image="sha256:" + "0" * 64)
    assert "image-missing" == refusal(lambda: subject.sandbox.run(task, lambda _: None))


def test_nothing_starts_after_stop(subject: Subject) -> None:
    """A sandbox that was stopped starts no other task."""
    subject.sandbox.stop()
    assert "stopped" == refusal(lambda: subject.run("builds"))


def test_stop_ends_what_is_running(subject: Subject) -> None:
    """A task that is running ends at once when another thread stops the sandbox, and says why."""
    compiling = threading.Event()

    def stop() -> None:
        compiling.wait(60)
        subject.sandbox.stop()

    stopper = threading.Thread(target=stop)
    stopper.start()

    def on_stage(stage: str) -> None:
        if stage == "compile":
            compiling.set()

    assert "stopped" == refusal(lambda: subject.sandbox.run(subject.task("waits"), on_stage))
    stopper.join()
