"""Removes what no registered lock reaches: survey first, so that it can be told, then one file after the other.

A build may run meanwhile. What it publishes is too young to go, and what it reuses it registers before it compiles.
What remains: a wheel that a build has chosen to reuse may go in the moments between that choice and its registration,
or between our last look and the removal. That build's clean room then fails, and the next build compiles it again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mirror.core.errors import MirrorError
from mirror.core.retention import Place, Policy, RegisteredLock, Retention, Verdict, decide, expired, named
from mirror.ports import Holdings, Locks

CACHED_FILES_PER_LOOK = 100
"""A file of upstream's that a new lock reaches is downloaded again, so that one look serves many of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """What came of it. `spared` is what a lock reaches since the survey; `failed` has what could not be removed."""

    removed: tuple[Verdict, ...]
    spared: tuple[Verdict, ...]
    failed: tuple[tuple[Verdict, MirrorError], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruner:
    """Over one index, and what else is kept beside it. `now_s` is the index's time."""

    locks: Locks
    holdings: Mapping[Place, Holdings]
    now_s: float

    def survey(self, policy: Policy, forgotten: Sequence[RegisteredLock] = ()) -> Retention:
        """Sort out what goes, as if the `forgotten` locks were not registered. Changes nothing. Raises MirrorError."""
        gone = {lock.key for lock in forgotten}
        # The files first: what is published and registered in between is then no candidate.
        held = [file for holdings in self.holdings.values() for file in holdings.held()]
        locks = [lock for lock in self.locks.all() if lock.key not in gone]
        return decide(held, locks, policy, self.now_s)

    def to_forget(self, names: Sequence[str], older_than_s: int | None) -> tuple[RegisteredLock, ...]:
        """The locks of these names, and those that no build has renewed for so long. Raises MirrorError."""
        locks = self.locks.all()
        chosen = [lock for name in names for lock in named(locks, name)]
        if older_than_s is not None:
            chosen += expired(locks, older_than_s, self.now_s)
        return tuple(lock for lock in locks if lock in chosen)

    def carry_out(self, retention: Retention, forgotten: Sequence[RegisteredLock] = ()) -> Pruned:
        """Forget these locks and remove what the survey found, but for what a build has registered since.

        A file that cannot be removed stops no other. Raises MirrorError where the locks cannot be read any more.
        """
        for lock in self.locks.all():
            if lock in forgotten:  # not one that a build has renewed: it has another date
                self.locks.forget(lock.key)
        removed, spared, failed = [], [], []
        reached: set[str] = set()
        for number, verdict in enumerate(retention.removed):
            if verdict.file.place is Place.OURS or number % CACHED_FILES_PER_LOOK == 0:
                reached = {wheel.filename for lock in self.locks.all() for wheel in lock.wheels}
            if verdict.file.filename in reached:
                spared.append(verdict)
                continue
            try:
                if self.holdings[verdict.file.place].remove(verdict.file):
                    removed.append(verdict)
            except MirrorError as error:
                failed.append((verdict, error))
        return Pruned(removed=tuple(removed), spared=tuple(spared), failed=tuple(failed))
