"""How much disk the data folder takes: measured beside the requests, since it takes a while, and seldom."""

from __future__ import annotations

import os
import shutil
import threading
import time
from dataclasses import dataclass
from pathlib import Path

_EVERY_S = 300.0
_PARTS = (
    ("index", "devpi"),
    ("downloads kept for the next build", "store"),
    ("wheels not published yet", "kept"),
    ("build logs", "logs"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskUse:
    """Bytes by part, and how much is free on that disk."""

    parts: tuple[tuple[str, int], ...]
    free_bytes: int

    @property
    def size_bytes(self) -> int:
        return sum(size for _, size in self.parts)


class Disk:
    """The data folder. `use` never waits: it gives what was measured last, and has it measured anew now and then."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._use: DiskUse | None = None
        self._measured: float | None = None

    def use(self) -> DiskUse | None:
        """What was measured last; None at first."""
        with self._lock:
            if self._measured is None or time.monotonic() - self._measured > _EVERY_S:
                self._measured = time.monotonic()
                threading.Thread(target=self._measure, name="mirror-disk", daemon=True).start()
            return self._use

    def _measure(self) -> None:
        try:
            use = measure(self._folder)
        except OSError:
            return
        with self._lock:
            self._use = use


def measure(folder: Path) -> DiskUse:
    """Add up the files of each part."""
    parts = tuple((words, _size(folder / name)) for words, name in _PARTS)
    return DiskUse(parts=parts, free_bytes=shutil.disk_usage(folder).free)


def _size(folder: Path) -> int:
    total = 0
    for path, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(path, name)).st_blocks * 512  # noqa: PTH118 - a hundred thousand times
            except OSError:  # gone meanwhile
                continue
    return total
