"""The log of one sandbox: head and tail kept, so that no program can fill the disk by talking."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from mirror.adapters.host import explained
from mirror.core.errors import UnusableError


class CappedLog:
    """Writes to `path` up to half of `limit_bytes`, then keeps the last half in memory until it is closed.

    Memory is bounded by twice that half, however small the pieces and however long the log. Every method raises
    UnusableError where the file cannot be written: as `host.explained` does, or `log-failed`.
    """

    def __init__(self, path: Path, limit_bytes: int) -> None:
        with _disk(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("wb", buffering=0)
        self._path = path
        self._head_left = limit_bytes // 2
        self._tail_limit = limit_bytes - limit_bytes // 2
        self._tail = bytearray()
        self._omitted = 0

    def write(self, data: bytes) -> None:
        """Add to the log."""
        head, rest = data[: self._head_left], data[self._head_left :]
        self._head_left -= len(head)
        if head:
            with _disk(self._path):
                self._file.write(head)
        self._tail += rest
        # Not at every piece: moving the whole tail for each of a million small ones would take hours.
        if len(self._tail) > 2 * self._tail_limit:
            self._trim()

    def close(self) -> None:
        """Write the tail, and between head and tail how much was left out."""
        if self._file.closed:
            return
        self._trim()
        with _disk(self._path), self._file:
            if self._omitted:
                self._file.write(f"\n[... {self._omitted} bytes left out here ...]\n".encode())
            self._file.write(self._tail)

    def _trim(self) -> None:
        excess = len(self._tail) - self._tail_limit
        if excess > 0:
            del self._tail[:excess]
            self._omitted += excess

    def __enter__(self) -> CappedLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


@contextmanager
def _disk(path: Path) -> Iterator[None]:
    try:
        with explained(path):
            yield
    except OSError as error:
        raise UnusableError(
            "log-failed",
            f"the log {path} cannot be written: {error.strerror}",
            hint="make room on the disk that holds mirror's data, and let this user write there",
        ) from error
