"""A journal that remembers for one test."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock

from packaging.utils import NormalizedName

from mirror.core.model import Built, CheckedWheel, Failed, Job, Outcome, Target
from mirror.ports import KeptWheel, PastFailure


@dataclass
class FakeJournal:
    """Implements Journal in memory; only log files need a folder. `records` is what was recorded, in order."""

    folder: Path
    records: list[tuple[Outcome, Target]] = field(default_factory=list)
    verified: set[str] = field(default_factory=set)
    labelled: list[tuple[str, Path]] = field(default_factory=list)
    begun: list[tuple[Job, str]] = field(default_factory=list)
    wheels: dict[str, KeptWheel] = field(default_factory=dict)
    failures: dict[str, PastFailure] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock, repr=False)

    def log_path(self, label: str) -> Path:
        """A new, empty file."""
        with self._lock:  # compiles ask for theirs side by side
            path = self.folder / f"{len(self.labelled) + 1}.log"
            path.touch(exist_ok=False)
            self.labelled.append((label, path))
        return path

    def begin(self, job: Job, cache_key: str, log: Path) -> None:
        """Append to `begun`."""
        self.begun.append((job, cache_key))

    def keep(self, cache_key: str, wheel: CheckedWheel) -> None:
        """Add to `wheels`."""
        self.wheels[cache_key] = KeptWheel(filename=wheel.filename, content=wheel.content)

    def kept(self, cache_key: str) -> KeptWheel | None:
        """What is in `wheels`."""
        return self.wheels.get(cache_key)

    def release(self, cache_key: str) -> None:
        """Take it out of `wheels`."""
        self.wheels.pop(cache_key, None)

    def failure(self, cache_key: str) -> PastFailure | None:
        """What is in `failures`."""
        return self.failures.get(cache_key)

    def record(self, outcome: Outcome, target: Target) -> None:
        """Append to `records`; keep `failures` up to date."""
        self.records.append((outcome, target))
        if isinstance(outcome, Built):
            self.failures.pop(outcome.cache_key, None)
        elif isinstance(outcome, Failed) and outcome.cache_key:
            self.failures[outcome.cache_key] = PastFailure(
                code=outcome.code,
                reason=outcome.reason,
                hint=outcome.hint,
                log=outcome.log,
                day=datetime.now(UTC).date().isoformat(),
            )

    def logs(self, name: NormalizedName) -> tuple[Path, ...]:
        """The files whose label is the name, or begins with it and a space, and those of its recorded outcomes."""
        labelled = [path for label, path in self.labelled if label == name or label.startswith(f"{name} ")]
        recorded = [
            Path(outcome.log)
            for outcome, _ in self.records
            if isinstance(outcome, Built | Failed) and outcome.job.key.name == name and outcome.log
        ]
        return tuple(path for path in reversed(dict.fromkeys([*labelled, *recorded])) if path.is_file())

    def was_verified(self, key: str) -> bool:
        """Whether `key` is in `verified`."""
        return key in self.verified

    def remember_verified(self, key: str) -> None:
        """Add to `verified`."""
        self.verified.add(key)
