"""A build registers what its requirements reach, so that `mirror prune` leaves it alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from mirror.core.errors import MirrorError
from mirror.core.model import Blocked, Built, Failed, IndexFile, JobKey, Outcome, Requirements, Reused, Target
from mirror.core.retention import Origin, Reached, RegisteredLock, joined, make_lock, renewed
from mirror.ports import Locks


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """Of one build. It raises nothing, and tells `say`: what was compiled is published all the same."""

    locks: Locks
    requirements: Requirements
    target: Target
    say: Callable[[str], None]
    origin: Origin = field(default_factory=Origin)
    """Of nowhere, nothing is registered: an installer asked for it, and no file does."""

    def begin(self, reused: Iterable[IndexFile]) -> None:
        """Add what is about to be relied on, while that goes on: no prune may take it away in the meantime."""
        self._register(_reached(reused), joined)

    def end(self, outcomes: Iterable[Outcome], needs: Mapping[JobKey, Iterable[IndexFile]]) -> None:
        """Put what is reached now in place of what was; `needs` has what compiling each job took."""
        wheels, took = [], []
        for outcome in outcomes:
            if wheel := _wheel(outcome):
                wheels.append(wheel)
            if isinstance(outcome, Built):
                took += _reached(needs.get(outcome.job.key, ()), needed_by=outcome.wheel.filename)
        self._register((*_reached(wheels), *took), renewed)

    def fail(self, outcomes: Iterable[Outcome]) -> None:
        """Add what is reached all the same, and say what is missing."""
        outcomes = tuple(outcomes)
        wheels = [wheel for outcome in outcomes if (wheel := _wheel(outcome))]
        missing = [str(outcome.job.key) for outcome in outcomes if isinstance(outcome, Failed | Blocked)]
        self._register(_reached(wheels), joined, tuple(sorted(missing)))

    def _register(
        self,
        wheels: Iterable[Reached],
        combined: Callable[[Sequence[RegisteredLock], RegisteredLock], RegisteredLock],
        missing: tuple[str, ...] = (),
    ) -> None:
        if not self.requirements.requirements or not self.origin.host:
            return
        new = make_lock(self.requirements, self.target, self.origin, wheels)
        try:
            old = [lock for lock in self.locks.all() if new.replaces(lock)]
            self.locks.register(replace(combined(old, new), missing=missing))
            for lock in old:
                if lock.key != new.key:
                    with suppress(MirrorError):  # somebody else's stays: one too many keeps too much
                        self.locks.forget(lock.key)
        except MirrorError as error:
            self.say(f"`mirror prune` does not know of this build, and may remove its wheels: {error.what}")


def _wheel(outcome: Outcome) -> IndexFile | None:
    match outcome:
        case Built():
            return outcome.wheel
        case Reused():
            return outcome.reuse.wheel
        case _:
            return None


def _reached(files: Iterable[IndexFile], needed_by: str = "") -> list[Reached]:
    return [Reached(filename=file.filename, sha256=file.sha256, needed_by=needed_by) for file in files]
