"""What a person wrote, as it may be shown back: nothing invisible, no password, and what was likely meant."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches
from functools import lru_cache

CONTROL = "\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029"
BIDI = "\u202a-\u202e\u2066-\u2069"
INVISIBLE = "\u00ad\u061c\u200b-\u200f\u2060-\u2064\ufeff"
_ENOUGH = 4_000
"""Characters beyond the shown ones that are looked at, so that credentials are seen before their end is cut off."""
_CREDENTIALS = re.compile(r"(:/+)[^/\s]*@")
"""Of a URL, also of one that was taken for a path: those lose a slash."""

_COLOURS = re.compile(r"\x1b\[[0-9;:]*[mK]")


def visible(text: str, longest: int = 60) -> str:
    """`text` as it can be shown anywhere: one printable line, no credentials, cut after `longest` characters."""
    text = redacted(text[: _ENOUGH + longest])
    shown = text if len(text) <= longest else text[: longest - 1] + "…"
    return "".join(character if character.isprintable() else _escaped(character) for character in shown)


def _escaped(character: str) -> str:
    number = ord(character)
    if 0xDC80 <= number <= 0xDCFF:  # a byte that surrogateescape let through
        return f"\\x{number - 0xDC00:02x}"
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def plain(text: str) -> str:
    """`text` without colours, and without the rest of what compilers send along with them (ECMA-48: SGR and EL)."""
    return _COLOURS.sub("", text)


def redacted(text: str) -> str:
    """`text` with the credentials of every URL in it replaced by `***`."""
    return _CREDENTIALS.sub(r"\1***@", text)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The known name nearest to `word` as a question, or "" where none is near."""
    near = _nearest(word[:100], tuple(sorted(known)))
    return f"did you mean {near}?" if near else ""


@lru_cache(maxsize=1024)
def _nearest(word: str, known: tuple[str, ...]) -> str:
    return next(iter(get_close_matches(word, known, n=1, cutoff=0.8)), "")
