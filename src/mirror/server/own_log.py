"""The index's own log, kept small while the server runs: every request is a line of it, strangers' too."""

from __future__ import annotations

import logging
import os
import shutil
from contextlib import suppress
from pathlib import Path

LARGEST_LOG = 10_000_000
"""Bytes; the log before is kept beside it, so that there is twice as much."""
LONGEST_MESSAGE = 1_000
LONGEST_TRACEBACK = 8_000
"""Characters. What somebody asks for has up to 256,000, each written as three where it is none of ASCII's."""


class KeptSmall(logging.Handler):
    """Writes nothing, and looks after each message whether the log that this process writes to has grown too large.

    It is emptied then, after a copy was made: what writes to it, the last words of a crash too, goes on writing to the
    same file, whose end it always appends to.
    """

    def __init__(self, log: Path, descriptor: int, largest: int = LARGEST_LOG) -> None:
        super().__init__()
        self._log = log
        self._descriptor = descriptor
        self._largest = largest

    def emit(self, record: logging.LogRecord) -> None:  # noqa: ARG002 - a handler's
        """Look."""
        with suppress(OSError):  # it is looked at again after the next message
            if os.fstat(self._descriptor).st_size > self._largest:
                self._begin_anew()

    def _begin_anew(self) -> None:
        before = self._log.with_suffix(".log.1")
        try:
            shutil.copyfile(self._log, before)
        finally:  # on a full disk most of all
            os.ftruncate(self._descriptor, 0)


class Shortened(logging.Filter):
    """Lets every message through, none of them longer than a person reads."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Shorten it."""
        message = record.getMessage()
        if len(message) > LONGEST_MESSAGE:
            record.msg, record.args = _shortened(message, LONGEST_MESSAGE), ()
        if record.exc_info and not record.exc_text:
            text = logging.Formatter().formatException(record.exc_info)
            record.exc_text = _shortened(text, LONGEST_TRACEBACK)
        return True


def keep_small(log: Path) -> None:
    """Keep the log of this process small, where its standard output goes there."""
    root = logging.getLogger()
    for handler in root.handlers:
        handler.addFilter(Shortened())
    if log.is_file() and os.path.samestat(log.stat(), os.fstat(1)):
        root.addHandler(KeptSmall(log, 1))


def _shortened(text: str, longest: int) -> str:
    """Its beginning and its end, where the cause stands."""
    if len(text) <= longest:
        return text
    half = longest // 2
    return f"{text[:half]} … {len(text) - 2 * half} characters … {text[-half:]}"
