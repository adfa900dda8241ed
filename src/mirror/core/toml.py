"""TOML that a stranger wrote: read in a time that its length bounds."""

from __future__ import annotations

import tomllib
from typing import Any

LONGEST = 16 << 20
_MOST_DOTS = 500
"""In one line. tomllib's time grows with the square of a key's parts: one of a mebibyte would keep it for days."""
_MOST_DOTTED = 100_000
"""In lines with more than a few: so many of those would take minutes together."""
_FEW = 50


def read_toml(text: str) -> dict[str, Any]:
    """The table that `text` holds. Raises ValueError (or its TOMLDecodeError) for what is no TOML, or too much."""
    if len(text) > LONGEST:
        raise ValueError(f"it has {len(text)} characters, expected at most {LONGEST}")
    dots = [line.count(".") for line in text.split("\n")]
    if max(dots) > _MOST_DOTS or sum(found for found in dots if found > _FEW) > _MOST_DOTTED:
        raise ValueError(f"it has a line with {max(dots)} dots")
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
