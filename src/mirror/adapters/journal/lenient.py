"""The journal as a run has it: nothing begins without room for it, and no run dies of a gap in the history."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from packaging.utils import NormalizedName

from mirror.core.errors import UnusableError
from mirror.core.model import CheckedWheel, Job, Outcome, Reused, Target
from mirror.ports import Journal, KeptWheel, PastFailure


class LenientJournal:
    """Implements Journal over another one. What cannot be written down is told to `say`, and nothing is raised.

    Nothing is lost by it: what was built is on the index, or on its way there in our hands, and what failed is tried
    again. What comes before a compile (`log_path`, `begin`) raises: then it does not begin.
    Whatever is about to run asks for its log first: there `check_room` may raise UnusableError, so that no compile
    begins that the disk could not take to its end.
    """

    def __init__(self, journal: Journal, say: Callable[[str], None], check_room: Callable[[], None]) -> None:
        self._journal = journal
        self._say = say
        self._check_room = check_room

    def log_path(self, label: str) -> Path:
        self._check_room()
        return self._journal.log_path(label)

    def begin(self, job: Job, cache_key: str, log: Path) -> None:
        self._journal.begin(job, cache_key, log)

    def keep(self, cache_key: str, wheel: CheckedWheel) -> None:
        with self._told(f"{wheel.filename} is not kept until it is published"):
            self._journal.keep(cache_key, wheel)

    def kept(self, cache_key: str) -> KeptWheel | None:
        return self._journal.kept(cache_key)

    def release(self, cache_key: str) -> None:
        with self._told("a wheel that is published stays in the data folder, too"):
            self._journal.release(cache_key)

    def failure(self, cache_key: str) -> PastFailure | None:
        return self._journal.failure(cache_key)

    def record(self, outcome: Outcome, target: Target) -> None:
        what = outcome.reuse.name if isinstance(outcome, Reused) else outcome.job
        with self._told(f"the history lacks how {what} ended"):
            self._journal.record(outcome, target)

    def logs(self, name: NormalizedName) -> tuple[Path, ...]:
        return self._journal.logs(name)

    def was_verified(self, key: str) -> bool:
        return self._journal.was_verified(key)

    def remember_verified(self, key: str) -> None:
        with self._told("the history lacks that this was verified"):
            self._journal.remember_verified(key)

    @contextmanager
    def _told(self, consequence: str) -> Iterator[None]:
        try:
            yield
        except UnusableError as error:
            self._say(f"{consequence}: {error.what}")
