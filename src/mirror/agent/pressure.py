"""How close a task came to its limits: what the sandbox can see of that itself, for whoever explains a failure.

A stranger runs in here and may lie about it: nothing depends on it but the words for a failure, and whether a build is
tried once more.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

LOOKS_EVERY_S = 0.05
"""A compiler that finds no room removes what it had written, so a look afterwards sees nothing."""
_CGROUP = Path("/sys/fs/cgroup")
# Of cgroup v2, and of v1.
_REFUSED = (_CGROUP / "pids.events", _CGROUP / "pids" / "pids.events")
_OOM = (_CGROUP / "memory.events", _CGROUP / "memory" / "memory.oom_control")
_PEAK = (_CGROUP / "memory.peak", _CGROUP / "memory" / "memory.max_usage_in_bytes")


class Pressure:
    """Watches the scratch folder while it is entered."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._least_bytes, self._least_inodes = self._free()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="pressure", daemon=True)

    def __enter__(self) -> Pressure:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()

    def seen(self) -> dict[str, int]:
        """The least that was free, `free_bytes` and `free_inodes`, and what the kernel did.

        How often one process was too many, `refused_processes`, and one was killed for memory, `oom_kills`. And the
        most memory that was in use, `peak_bytes`: the scratch folder lies in it, and no look can miss it there.
        """
        self._look()
        return {
            "free_bytes": self._least_bytes,
            "free_inodes": self._least_inodes,
            "refused_processes": _counted("max", _REFUSED),
            "oom_kills": _counted("oom_kill", _OOM),
            "peak_bytes": _peak_bytes(),
        }

    def _watch(self) -> None:
        while not self._over.wait(LOOKS_EVERY_S):
            self._look()

    def _look(self) -> None:
        free_bytes, free_inodes = self._free()
        self._least_bytes = min(self._least_bytes, free_bytes)
        self._least_inodes = min(self._least_inodes, free_inodes)

    def _free(self) -> tuple[int, int]:
        found = os.statvfs(self._scratch)
        return found.f_bavail * found.f_frsize, found.f_favail


def _counted(event: str, paths: Iterable[Path]) -> int:
    """How often the kernel counted `event`, by the first of these files that there is; 0 where it does not say."""
    for path in paths:
        try:
            return int(dict(line.split() for line in path.read_text().splitlines())[event])
        except (OSError, ValueError, KeyError):
            continue
    return 0


def _peak_bytes() -> int:
    """The most memory that the sandbox had in use; 0 where the kernel does not say (cgroup v2 before Linux 5.19)."""
    for path in _PEAK:
        try:
            return int(path.read_text())
        except (OSError, ValueError):
            continue
    return 0
