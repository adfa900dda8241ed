"""The value of a `--hash` option: algorithm and digest, strong and whole."""

from __future__ import annotations

import re

from mirror.core.text import did_you_mean, visible

_DIGITS = {"sha256": 64, "sha384": 96, "sha512": 128}
"""The algorithms pip takes (its STRONG_HASHES) and how many hexadecimal digits each has."""
_WEAK = frozenset({"md5", "sha1", "sha224"})
_EXAMPLE = "write --hash=sha256: and its 64 digits"


def explain_hash(value: str) -> tuple[str, str, str] | None:
    """(code, what, hint) of what is wrong with `algorithm:digest`, None where it is right."""
    algorithm, colon, digest = value.partition(":")
    if not colon:
        return "hash-syntax", f"'{visible(value)}' names no algorithm", _EXAMPLE
    if algorithm in _WEAK:
        return "hash-weak", f"{algorithm} does not protect against a forged file", _EXAMPLE
    digits = _DIGITS.get(algorithm)
    if digits is None:
        hint = did_you_mean(algorithm.lower(), _DIGITS) or _EXAMPLE
        return "hash-algorithm", f"'{visible(algorithm)}' is not an algorithm that pip takes", hint
    if match := re.search(r"[^0-9A-Fa-f]", digest):
        return "hash-syntax", f"'{visible(match[0])}' is not a hexadecimal digit", "copy the whole hash again"
    if len(digest) != digits:
        what = f"this {algorithm} has {len(digest)} digits instead of {digits}"
        return "hash-length", what, "copy the whole hash again"
    return None
