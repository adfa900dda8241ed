"""A journal that remembers for one test."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from packaging.utils import NormalizedName

from mirror.core.model import Built, Failed, Outcome, Target


@dataclass
class FakeJournal:
    """Implements Journal in memory; only log files need a folder. `records` is what was recorded, in order."""

    folder: Path
    records: list[tuple[Outcome, Target]] = field(default_factory=list)
    verified: set[str] = field(default_factory=set)
    labelled: list[tuple[str, Path]] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock, repr=False)

    def log_path(self, label: str) -> Path:
        """A new, empty file."""
        with self._lock:  # compiles ask for theirs side by side
            path = self.folder / f"{len(self.labelled) + 1}.log"
            path.touch(exist_ok=False)
            self.labelled.append((label, path))
        return path

    def record(self, outcome: Outcome, target: Target) -> None:
        """Append to `records`."""
        self.records.append((outcome, target))

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
