"""Ctrl-C: the first lets running jobs come to their end, the second stops at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

INTERRUPTED = 130
"""The exit status after Ctrl-C, as shells have it."""
TERMINATED = 143
"""The exit status after SIGTERM."""
_SECOND = "finishing what is running; press Ctrl-C again to stop now"


@contextmanager
def first_is_gentle(ask: Callable[[], bool], say: Callable[[str], None]) -> Iterator[None]:
    """While this lasts, the first SIGINT only calls `ask`; where that says False, or at the second, KeyboardInterrupt.

    `say` is told. Where SIGINT is ignored (a script's background job) it stays so.
    """
    asked = False

    def handle(_signal: int, _frame: FrameType | None) -> None:
        nonlocal asked
        if asked or not ask():
            raise KeyboardInterrupt
        asked = True
        # Not from here: what this has interrupted may hold the display's lock.
        threading.Thread(target=say, args=(_SECOND,), daemon=True).start()

    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        yield
        return
    before = signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
