"""Judge member names: what any system could take for another place, or for another member."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator

from mirror.core.gate.values import Member, finding
from mirror.core.model import Finding

_DRIVE = re.compile(r"[A-Za-z]:")
_UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Unicode categories: control, format (the bidirectional ones), surrogates, line and paragraph separators."""
_LONGEST_PART = 255
"""NAME_MAX on Linux, in bytes."""
_LONGEST_PATH = 2048
_DEEPEST = 64


def judge_names(members: Iterable[Member]) -> Iterator[Finding]:
    """Judge each name by itself, then all of them together."""
    names = [member.name for member in members]
    for name in names:
        yield from _judge_name(name)
    yield from _judge_together(names)


def _judge_name(name: str) -> Iterator[Finding]:
    if any(unicodedata.category(character) in _UNSEEN for character in name):
        yield finding("path-control-character", "expected a printable name", name)
    if "\\" in name:
        yield finding("path-backslash", "expected / between folders, got a backslash", name)
    if name.startswith("/"):
        yield finding("path-absolute", "expected a relative path", name)
    elif _DRIVE.match(name):
        yield finding("path-drive", "expected a relative path, got one with a drive", name)
    parts = name.removesuffix("/").removeprefix("/").split("/")
    if ".." in parts:
        yield finding("path-traversal", "expected a path inside the wheel, got one with ..", name)
    elif "" in parts or "." in parts:
        yield finding("path-not-normal", "expected a normal path, got an empty part or .", name)
    if any(len(part.encode("utf-8", "replace")) > _LONGEST_PART for part in parts) or len(name) > _LONGEST_PATH:
        yield finding("path-too-long", f"expected parts of at most {_LONGEST_PART} bytes", name)
    if len(parts) > _DEEPEST:
        yield finding("path-too-deep", f"expected at most {_DEEPEST} folders, got {len(parts)}", name)


def _judge_together(names: list[str]) -> Iterator[Finding]:
    seen: dict[str, str] = {}
    for name in names:
        first = seen.setdefault(folded(name), name)
        if first is name:
            continue
        if first == name:
            yield finding("duplicate-name", "expected each name once", name)
        elif first.rstrip("/") == name.rstrip("/"):
            yield finding("path-conflict", "the same name is a file and a folder", name)
        else:
            yield finding("case-collision", f"differs only in case or Unicode form from {first}", name)
    files = {folded(name): name for name in names if not name.endswith("/")}
    reported: set[str] = set()
    for name in names:
        for folder in folders_of(folded(name)):
            if folder in files and folder not in reported:
                reported.add(folder)
                yield finding("path-conflict", f"a file, and the folder of {name}", files[folder])


def folded(name: str) -> str:
    """A name as a file system reads it that tells neither case nor Unicode forms apart."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold()).removesuffix("/")


def folders_of(name: str) -> Iterator[str]:
    """Yield the folders that a name lies in, outermost first."""
    position = name.find("/")
    for _ in range(_DEEPEST):
        if position < 0:
            return
        yield name[:position]
        position = name.find("/", position + 1)
