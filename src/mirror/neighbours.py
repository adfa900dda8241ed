"""What a compiled wheel may not change: what the other packages of a lock install, reused or compiled."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock

from packaging.utils import NormalizedName

from mirror.core.errors import MirrorError
from mirror.core.gate import Layout
from mirror.core.gate.entry_points import read_scripts
from mirror.core.gate.installed import layout_of, place
from mirror.core.gate.record import read_hashes
from mirror.core.model import JobKey, Reuse
from mirror.core.zips import UNREADABLE
from mirror.ports import Index

FETCHES_AT_ONCE = 4
_LONGEST_TEXT = 32 << 20
"""RECORD and entry points of a reused wheel, in bytes: what is longer is nothing that anybody wrote."""


class Neighbours:
    """The packages of a lock, as they are installed side by side. Threads may share it.

    The wheels of `reuses` are read when the first compiled one is judged: the clean room downloads the same wheels
    afterwards, so nothing is fetched that would not be. Of `jobs`, those are known that this run's gate has passed.
    """

    def __init__(self, index: Index, reuses: Sequence[Reuse], jobs: Iterable[JobKey] = ()) -> None:
        self._index = index
        self._reuses = tuple(reuses)
        self._jobs = frozenset(jobs)
        self._lock = Lock()
        self._reused: tuple[Layout, ...] | None = None
        self._compiled: dict[JobKey, Layout] = {}

    def beside(self, project: NormalizedName) -> tuple[Layout, ...]:
        """What every package but `project` installs, as far as its wheel is there and can be read."""
        with self._lock:
            if self._reused is None:
                with ThreadPoolExecutor(FETCHES_AT_ONCE) as pool:
                    self._reused = tuple(filter(None, pool.map(self._read, self._reuses)))
            return self._beside(project)

    def admit(self, key: JobKey, layout: Layout, seen: Sequence[Layout]) -> bool:
        """Let a wheel be a neighbour of those that are judged from now on; False where it has to be judged again.

        That is where another one was admitted after `seen`, which is what this one was judged beside.
        """
        with self._lock:
            if key not in self._jobs:  # a build requirement that the lock does not have: it stands beside nobody
                return True
            if self._beside(key.name) != tuple(seen):
                return False
            self._compiled[key] = layout
            return True

    def meet(self, reuse: Reuse) -> None:
        """Let a wheel that another run has published meanwhile be a neighbour."""
        key = JobKey(name=reuse.name, version=reuse.version)
        layout = self._read(reuse) if key in self._jobs else None
        if layout is not None:
            with self._lock:
                self._compiled[key] = layout

    def _beside(self, project: NormalizedName) -> tuple[Layout, ...]:
        known = (*(self._reused or ()), *self._compiled.values())
        return tuple(layout for layout in known if layout.project != project)

    def _read(self, reuse: Reuse) -> Layout | None:
        try:
            return read_layout(reuse.name, self._index.fetch(reuse.wheel))
        except MirrorError:  # a wheel that cannot be had is the clean room's to tell, not the compiled project's fault
            return None


def read_layout(project: NormalizedName, wheel: Path) -> Layout | None:
    """What a wheel installs; None where it cannot be read. Its RECORD is believed: it was not compiled here."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            names = [name for name in archive.namelist() if not name.endswith("/")]
            record = next(name for name in names if name.endswith(".dist-info/RECORD") and name.count("/") == 1)
            dist_info = record.partition("/")[0]
            hashes = read_hashes(_text(archive, record))
            entry_points = f"{dist_info}/entry_points.txt"
            scripts, _ = read_scripts(_text(archive, entry_points) if entry_points in names else b"", entry_points)
    except (*UNREADABLE, StopIteration):  # the last: it has no RECORD
        return None
    placed, _ = place((name for name in names if not name.startswith(f"{dist_info}/")), dist_info)
    return layout_of(project, placed, hashes, scripts)


def _text(archive: zipfile.ZipFile, name: str) -> bytes:
    return archive.read(name) if archive.getinfo(name).file_size <= _LONGEST_TEXT else b""
