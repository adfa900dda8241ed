"""What the journal remembers, as values: runs, attempts, and what they come to.

Names, versions, reasons and hints come from strangers' packages: whoever shows one escapes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum


class How(Enum):
    """How an attempt stands, in the journal's words; only what it calls "started" is `BUILDING` while it lives."""

    BUILDING = "building"
    BUILT = "built"
    FAILED = "failed"
    BLOCKED = "blocked"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True, kw_only=True)
class PastAttempt:
    """One try at compiling a project for a target. `recorded` is when it was begun, or ended.

    `code`, `reason` and `hint` say why there is no wheel, and are "" where there is one; of a blocked one `reason` is
    the cause. `has_log` is whether one was written, not whether it is still kept.
    """

    id: int
    recorded: datetime
    target: str
    name: str
    version: str
    how: How
    code: str = ""
    reason: str = ""
    hint: str = ""
    seconds: float = 0.0
    size_bytes: int = 0
    has_log: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PastRun:
    """One run of a command. `ended` and `status` are None while it works, and for ever where it was killed."""

    id: int
    command: str
    started: datetime
    ended: datetime | None
    status: int | None
    reused: int
    killed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """All that was ever recorded. `built_seconds` is what the compiles took that came to a wheel."""

    attempts: Mapping[How, int] = field(default_factory=dict)
    built_seconds: float = 0.0
    failed_seconds: float = 0.0
    built_bytes: int = 0
    reused: int = 0
    runs: int = 0

    def count(self, how: How) -> int:
        """How many attempts stand so."""
        return self.attempts.get(how, 0)


DURATION_BOUNDS_S = (1, 3, 10, 30, 60, 180, 600, 1800, 3600, 10_800)
"""What compiles are sorted by: a second is a small C module, an hour is SciPy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Durations:
    """How long compiles took: how many there were, how long all of them, and how many took up to so many seconds."""

    up_to: tuple[tuple[int, int], ...]
    count: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """How often a wheel of ours was downloaded since that is counted, and how many bytes that made."""

    filename: str
    downloads: int
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """What downloads have spared whoever would have compiled: `compile_seconds` as our own compiles took."""

    downloads: int = 0
    size_bytes: int = 0
    compile_seconds: float = 0.0


def by_project(attempts: Iterable[PastAttempt]) -> dict[str, tuple[PastAttempt, ...]]:
    """Attempts under the names of their projects, in the order given."""
    found: dict[str, list[PastAttempt]] = {}
    for attempt in attempts:
        found.setdefault(attempt.name, []).append(attempt)
    return {name: tuple(those) for name, those in found.items()}
