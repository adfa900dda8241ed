"""Build logs as they can be shown: whole lines, every character visible, and never more at once than fits a page."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mirror.core.text import visible

MOST_BYTES = 200_000
"""What is shown of a log at once."""
LONGEST_LINE = 2000
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_ENDS = re.compile(r"\r\n|\n|\r")


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Whole lines of a log from the byte `offset` on; what follows begins at `following`."""

    lines: tuple[str, ...]
    offset: int
    following: int


def read_from(path: Path, offset: int, most_bytes: int = MOST_BYTES, *, to_end: bool = False) -> Piece:
    """The lines from `offset` on. A line that is not ended yet is left for later, unless `to_end` or it is too long.

    A log that was pruned meanwhile has none.
    """
    try:
        with path.open("rb") as log:
            log.seek(min(offset, os.fstat(log.fileno()).st_size))  # beyond what a file may have is an error
            content = log.read(most_bytes)
    except FileNotFoundError:
        content = b""
    whole_lines = content.rfind(b"\n") + 1
    is_all = to_end and len(content) < most_bytes
    if not is_all and (whole_lines or len(content) < most_bytes):
        content = content[:whole_lines]
    return Piece(lines=_lines(content), offset=offset, following=offset + len(content))


def read_end(path: Path, most_bytes: int = MOST_BYTES, *, to_end: bool = False) -> Piece:
    """The last lines."""
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        size = 0
    start = max(0, size - most_bytes)
    piece = read_from(path, start, most_bytes, to_end=to_end)
    if start and piece.lines:  # its first line lacks its beginning
        return Piece(lines=piece.lines[1:], offset=start, following=piece.following)
    return piece


def last_lines(path: Path | None, count: int) -> tuple[str, ...]:
    """The last few lines."""
    return read_end(path, 8_000).lines[-count:] if path else ()


def whole(path: Path) -> Iterator[bytes]:
    """All of a log as text, line for line."""
    with path.open("rb") as log:
        while content := log.readline(MOST_BYTES):
            yield "\n".join([*_lines(content), ""]).encode()


def _lines(content: bytes) -> tuple[str, ...]:
    text = _COLOURS.sub("", content.decode("utf-8", "backslashreplace"))
    if not text:
        return ()
    lines = _ENDS.split(text)
    return tuple(visible(line.expandtabs(4), LONGEST_LINE) for line in (lines if lines[-1] else lines[:-1]))
