"""What a page says of a team's queue, for machines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from mirror.adapters.queue import QueuedBuild
from mirror.core.retention import RegisteredLock


def queue_json(queued: Sequence[QueuedBuild]) -> list[dict[str, Any]]:
    """`[{topic, state, origin, asked, started}]`. Who asked is not said: it may be an address."""
    return [
        {
            "topic": build.topic,
            "state": build.state.value,
            "origin": build.origin.value,
            "asked": build.asked,
            "started": build.started,
        }
        for build in queued
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """How much of what some requirements files ask for has a wheel. `host` is whose they are."""

    files: str
    host: str
    target: str
    wheels: int
    missing: tuple[str, ...]
    registered: datetime

    @property
    def percent(self) -> int:
        """Of the packages, rounded down: 100 is all of them."""
        total = self.wheels + len(self.missing)
        return 100 * self.wheels // total if total else 100


def coverage(lock: RegisteredLock) -> Coverage:
    """What a registered lock says; wheels that only its compiles needed are not counted."""
    return Coverage(
        files=", ".join(lock.files),
        host=lock.host,
        target=lock.target,
        wheels=sum(not wheel.needed_by for wheel in lock.wheels),
        missing=lock.missing,
        registered=datetime.fromtimestamp(lock.registered_s, UTC),
    )


def coverage_json(found: Coverage) -> dict[str, Any]:
    """`{files, host, target, wheels, missing, registered}`."""
    return {
        "files": found.files,
        "host": found.host,
        "target": found.target,
        "wheels": found.wheels,
        "missing": list(found.missing),
        "registered": found.registered.isoformat(timespec="seconds"),
    }
