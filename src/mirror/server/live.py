"""Live updates as server-sent events (HTML Living Standard, 9.2), a bounded number of them.

devpi answers with a pool of threads, and a stream holds one for as long as it is open. So there are few streams, each
ends after a while (a browser opens it again by itself), and who finds none free is refused and asks now and then
instead: installers always find a thread.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

LONGEST_S = 120.0
_EVERY_S = 1.0


class Slots:
    """How many streams may be open at once: a fifth of the threads, at most eight."""

    def __init__(self, threads: int) -> None:
        self.count = max(1, min(8, threads // 5))
        self._free = threading.BoundedSemaphore(self.count)

    def take(self) -> bool:
        """Whether there was one."""
        return self._free.acquire(blocking=False)

    def give_back(self) -> None:
        """To be called once for each that was taken."""
        self._free.release()


class Stream:
    """The body of an answer that goes on: events from `look`, until `LONGEST_S` or `look` ends it.

    It gives its slot back when it is closed, as a WSGI server does whatever happens (PEP 3333), even unread.
    """

    def __init__(self, slots: Slots, look: Callable[[], Iterator[bytes | None]], longest_s: float = LONGEST_S) -> None:
        self._slots: Slots | None = slots
        self._events = self._run(look, longest_s)

    def __iter__(self) -> Iterator[bytes]:
        return self._events

    def close(self) -> None:
        """End it."""
        slots, self._slots = self._slots, None
        if slots is not None:
            slots.give_back()

    __del__ = close

    @staticmethod
    def _run(look: Callable[[], Iterator[bytes | None]], longest_s: float) -> Iterator[bytes]:
        began = time.monotonic()
        yield b"retry: 2000\n\n"
        for found in look():
            # That a client has gone is seen only when something is written to it.
            yield b":\n\n" if found is None else found
            if time.monotonic() - began > longest_s:
                return
            time.sleep(_EVERY_S)


class Shared:
    """A value that is asked for by many and made by one, at most once a second."""

    def __init__(self, make: Callable[[], Any], clock: Callable[[], float] = time.monotonic) -> None:
        self._make = make
        self._clock = clock
        self._lock = threading.Lock()
        self._made: float | None = None
        self._value: Any = None

    def get(self) -> Any:
        """The value, not older than a second. What making it raises is raised."""
        with self._lock:
            if self._made is None or self._clock() - self._made >= _EVERY_S:
                self._value = self._make()
                self._made = self._clock()
            return self._value


def event(name: str, value: Any) -> bytes:
    """One event; its data is JSON, which has no line break that could end it."""
    return f"event: {name}\ndata: {json.dumps(value)}\n\n".encode()
