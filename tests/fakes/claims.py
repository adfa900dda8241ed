"""Claims between runs that share a process; tests/contract holds them to those on a real index."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from mirror.core.errors import UnusableError


@dataclass
class ClaimBook:
    """What is claimed at the moment, for all runs that share it. `taken` is everything that ever was."""

    held: set[str] = field(default_factory=set)
    taken: list[str] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)


class FakeClaims:
    """Implements Claims for one run."""

    def __init__(self, book: ClaimBook | None = None) -> None:
        self._book = book or ClaimBook()
        self._stopped = False

    def sweep(self) -> None:
        """Nobody dies here and leaves a claim."""

    @contextmanager
    def hold(self, key: str, on_wait: Callable[[], None]) -> Iterator[None]:
        """Wait for the one who has it."""
        book = self._book
        with book.changed:
            if key in book.held:
                on_wait()
            while key in book.held and not self._stopped:
                book.changed.wait()
            if self._stopped:
                raise UnusableError("stopped", "the run is being given up", hint="start it again")
            book.held.add(key)
            book.taken.append(key)
        try:
            yield
        finally:
            with book.changed:
                book.held.discard(key)
                book.changed.notify_all()

    def stop(self) -> None:
        """Wake up everybody."""
        with self._book.changed:
            self._stopped = True
            self._book.changed.notify_all()
