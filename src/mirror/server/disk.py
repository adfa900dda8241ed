"""How much disk the index and its builds take: measured beside the requests, since it takes a while, and seldom."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_EVERY_S = 300.0
_PARTS = (
    ("downloads kept for the next build", "store"),
    ("wheels not published yet", "kept"),
    ("build logs", "logs"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskUse:
    """Bytes by part, and how much is free on the disk that packages lie on."""

    parts: tuple[tuple[str, int], ...]
    free_bytes: int

    @property
    def size_bytes(self) -> int:
        return sum(size for _, size in self.parts)


def disk_json(use: DiskUse | None) -> dict[str, Any] | None:
    """`{parts, free_bytes}`, the parts in bytes; null where nothing was measured yet."""
    return None if use is None else {"parts": dict(use.parts), "free_bytes": use.free_bytes}


class Disk:
    """devpi's folder and ours. `use` never waits: it gives what was measured last, and has it measured now and then."""

    def __init__(self, server: Path, folder: Path) -> None:
        self._server = server
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
            use = measure(self._server, self._folder)
        except OSError:
            return
        with self._lock:
            self._use = use


def measure(server: Path, folder: Path) -> DiskUse:
    """Add up the files of each part: of devpi's `server`, whose packages may lie elsewhere, and of our `folder`."""
    packages = (server / "+files").resolve()
    index = _size(server) + (0 if packages.is_relative_to(server.resolve()) else _size(packages))
    parts = (("index", index), *((words, _size(folder / name)) for words, name in _PARTS))
    return DiskUse(parts=parts, free_bytes=shutil.disk_usage(packages if packages.is_dir() else server).free)


def _size(folder: Path) -> int:
    """By `du`, which has a processor of its own: to look at a hundred thousand files would keep requests waiting."""
    if not folder.is_dir():
        return 0
    done = subprocess.run(["du", "-sk", str(folder)], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    kilobytes = done.stdout.partition(b"\t")[0]  # also where a file was gone before it was looked at
    return 1024 * int(kilobytes) if kilobytes.isdigit() else 0
