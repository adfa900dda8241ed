"""Who compiles what, between runs of one machine: for whoever may upload to an index and do nothing else there.

A claim is a locked file. The system lets go of it with its owner, however that one dies.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mirror.adapters.host import explained, make_folder
from mirror.core.errors import UnusableError

LOOKS_EVERY_S = 0.5


class FileClaims:
    """Implements ports.Claims with files in `folder`, which stay: they are empty, and one a sdist and target."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stopped = threading.Event()

    def sweep(self) -> None:
        """As ports.Claims.sweep: the dead hold nothing."""

    @contextmanager
    def hold(self, key: str, on_wait: Callable[[], None]) -> Iterator[None]:
        """As ports.Claims.hold."""
        with explained(self._folder):
            make_folder(self._folder)
            claim = os.open(self._folder / key, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            self._wait(claim, on_wait)
            yield
        finally:
            os.close(claim)

    def stop(self) -> None:
        """As ports.Claims.stop."""
        self._stopped.set()

    def _wait(self, claim: int, on_wait: Callable[[], None]) -> None:
        has_told = False
        while True:
            if self._stopped.is_set():
                raise UnusableError("stopped", "the run is being given up", hint="start it again")
            try:
                fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not has_told:
                    on_wait()
                    has_told = True
                self._stopped.wait(LOOKS_EVERY_S)
            else:
                return
