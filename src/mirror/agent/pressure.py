"""How close a task came to its limits: what the sandbox can see of that itself, for whoever explains a failure.

A stranger runs in here and may lie about it: nothing but the words for a failure depends on it.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from types import TracebackType

LOOKS_EVERY_S = 0.05
"""A compiler that finds no room removes what it had written, so a look afterwards sees nothing."""
_REFUSED = (Path("/sys/fs/cgroup/pids.events"), Path("/sys/fs/cgroup/pids/pids.events"))


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
        """The least that was free, `free_bytes` and `free_inodes`; how often one was too many, `refused_processes`."""
        self._look()
        return {
            "free_bytes": self._least_bytes,
            "free_inodes": self._least_inodes,
            "refused_processes": _refused_processes(),
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


def _refused_processes() -> int:
    """How often the kernel refused another process (cgroup v2 or v1); 0 where it does not say."""
    for path in _REFUSED:
        try:
            return int(path.read_text().split()[1])
        except (OSError, ValueError, IndexError):
            continue
    return 0
