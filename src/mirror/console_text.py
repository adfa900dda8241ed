"""Small pure pieces of text: strangers' characters made visible, seconds, sizes, columns."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

ELLIPSIS = "..."
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""General categories that move the cursor, reorder text or show nothing: controls, formats (bidi overrides, zero
width), surrogates, private use, unassigned, line and paragraph separators."""
_MINUTE = 60
_HOUR = 3600


class Line(NamedTuple):
    """One line to show; `style` is rich's name of a style, used only where there is colour."""

    text: str
    style: str = ""


def visible(text: str) -> str:
    r"""Make every character of `text` visible, on one line: an escape character is shown as `\x1b`."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escaped(c) if unicodedata.category(c) in _HIDDEN else c for c in text)


def visible_lines(text: str) -> list[str]:
    """Split `text` at its newlines, every other character visible; tabs become spaces."""
    return [visible(line.removesuffix("\r").expandtabs(4)) for line in text.split("\n")]


def short(text: str, limit: int) -> str:
    """Cut `text` to at most `limit` characters, saying so with an ellipsis."""
    return text if len(text) <= limit else text[: limit - len(ELLIPSIS)] + ELLIPSIS


def seconds_text(seconds: float) -> str:
    """Say a duration with a sensible precision: `0.9 s`, `73 s`, `16 min 45 s`, `1 h 32 min`."""
    return f"{seconds:.1f} s" if seconds < 9.95 else whole_seconds_text(round(seconds))


def whole_seconds_text(seconds: int) -> str:
    """Say a duration without fractions, as a clock that ticks does."""
    if seconds < 10 * _MINUTE:
        return f"{seconds} s"
    if seconds < _HOUR:
        return f"{seconds // _MINUTE} min {seconds % _MINUTE} s"
    return f"{seconds // _HOUR} h {seconds % _HOUR // _MINUTE} min"


def size_text(size_bytes: int) -> str:
    """Say a size in decimal units: `812 B`, `155 kB`, `14.2 MB`, `21 MB`, `1.4 GB`."""
    if size_bytes < 1000:
        return f"{size_bytes} B"
    if size_bytes < 999_500:
        return f"{_figure(size_bytes / 1e3, decimals_below=10)} kB"
    if size_bytes < 999_500_000:
        return f"{_figure(size_bytes / 1e6, decimals_below=100)} MB"
    return f"{_figure(size_bytes / 1e9, decimals_below=100)} GB"


def columns(header: Sequence[str], rows: Sequence[Sequence[str]], *, right: frozenset[int] = frozenset()) -> list[str]:
    """Lay out a table: two spaces between columns, those numbered in `right` aligned to the right, nothing trailing."""
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]
    return ["  ".join(_cells(row, widths, right)).rstrip() for row in (header, *rows)]


def _cells(row: Sequence[str], widths: Sequence[int], right: frozenset[int]) -> list[str]:
    return [
        cell.rjust(width) if i in right else cell.ljust(width)
        for i, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", "backslashreplace").decode("ascii")


def _figure(value: float, *, decimals_below: int) -> str:
    figure = f"{value:.1f}" if value < decimals_below else f"{value:.0f}"
    return figure.removesuffix(".0")
