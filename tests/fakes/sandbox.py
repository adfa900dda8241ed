"""A sandbox that plays a script and keeps the promises of ports.Sandbox; tests/contract holds it to the real one's."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from mirror.core.errors import UnusableError
from mirror.ports import End, Ended, Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one task comes to: the stages it reaches, what it prints, how it ends."""

    end: End = End.FINISHED
    value: Mapping[str, Any] = field(default_factory=dict)
    outputs: Mapping[str, bytes] = field(default_factory=dict)
    stages: tuple[str, ...] = ()
    log: bytes = b""
    message: str = ""
    waits_for_stop: bool = False
    """It goes on until the sandbox is stopped."""


class FakeSandbox:
    """Answers each task by its label, or by its label's first word; a list is answered one after another.

    `tasks` is what was run, in order.
    """

    def __init__(self, answers: Mapping[str, Answer | list[Answer]], images: Collection[str] = ("builder", "base")):
        self.tasks: list[Task] = []
        self._answers = {label: [a] if isinstance(a, Answer) else list(a) for label, a in answers.items()}
        self._images = frozenset(images)
        self._lock = threading.Lock()
        self._stopped = threading.Event()

    def run(self, task: Task, on_stage: Callable[[str], None]) -> Ended:
        """Play the answer for `task.label`. Raises AssertionError for a label that nobody has scripted."""
        self._refuse_if_stopped()
        if task.image not in self._images:
            raise UnusableError("image-missing", f"the image {task.image} is not on the engine", hint="mirror up")
        with self._lock:
            self.tasks.append(task)
            script = self._answers.get(task.label) or self._answers.get(task.label.split()[0])
            assert script, f"nobody has scripted an answer for {task.label!r}"
            answer = script.pop(0) if len(script) > 1 else script[0]
        if task.log is not None:
            task.log.write_bytes(answer.log)
        for stage in answer.stages:
            on_stage(stage)
        if answer.waits_for_stop:
            self._stopped.wait()
        self._refuse_if_stopped()
        finished = answer.end is End.FINISHED
        return Ended(
            end=answer.end,
            value=answer.value if finished else {},
            outputs=answer.outputs if finished else {},
            exit_code=None,
            seconds=0.0,
            message=answer.message,
        )

    def stop(self) -> None:
        """End what waits, and run nothing any more."""
        self._stopped.set()

    def _refuse_if_stopped(self) -> None:
        if self._stopped.is_set():
            raise UnusableError("stopped", "the run is being given up", hint="start it again")
