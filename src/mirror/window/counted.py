"""A window that counts what goes through it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from threading import Lock

from mirror.core.asked import Untold
from mirror.core.lock import Pin
from mirror.ports import CandidWindow, Response


class CountedWindow:
    """Passes every GET on; `requests` and `bytes_served` say what it came to. May be used from several threads."""

    def __init__(self, window: CandidWindow) -> None:
        self._window = window
        self._lock = Lock()
        self._requests = 0
        self._bytes_served = 0

    @property
    def requests(self) -> int:
        with self._lock:
            return self._requests

    @property
    def bytes_served(self) -> int:
        """Bytes of bodies that were really taken, whole or not."""
        with self._lock:
            return self._bytes_served

    def dependencies(self, pin: Pin) -> Sequence[str] | Untold:
        """As ports.CandidWindow.dependencies."""
        return self._window.dependencies(pin)

    def get(self, path: str) -> Response:
        with self._lock:
            self._requests += 1
        response = self._window.get(path)
        return replace(response, body=self._count(response.body))

    def _count(self, body: Iterable[bytes]) -> Iterator[bytes]:
        for chunk in body:
            with self._lock:
                self._bytes_served += len(chunk)
            yield chunk
