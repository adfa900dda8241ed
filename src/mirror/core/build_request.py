"""What somebody asks a team's server to build: requirements that were read already, and how to build them.

It travels as JSON. Nothing of a file but its requirements does: no include, no index, no option could make the server
read a file or ask a host. A server reads what came once more, and goes on with what it has read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from mirror.core import requirements as requirements_files
from mirror.core.errors import BadInputError
from mirror.core.model import RequirementLine, Requirements

VERSION = 1
MOST_FILES = 50
LARGEST_TEXT = 1_000_000
"""Characters in all files: twenty times what the largest applications have."""
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
ORIGIN = re.compile(r"(?:[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}:[0-9a-f]{0,64})?")
_SETTINGS = "mirror.toml"
"""No file is called so: beside the others, it would be read as settings."""
_PYTHON = re.compile(r"3\.\d{1,2}")
_MOST_PYTHONS = 10
BASE_IMAGE = "base-image"
"""What a build says, beside stdout and stderr: the name of the image that its wheels are for, for whoever asked."""
_VOLUMES = ("normal", "quiet", "verbose")


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """One file, as text that has nothing but requirements, each on the line that it had."""

    name: str
    text: str
    constraint: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRequest:
    """`python` are releases as X.Y, () for the server's own; `volume` and `as_json` say how the build is told."""

    files: tuple[SourceFile, ...]
    python: tuple[str, ...] = ()
    retry: bool = False
    as_json: bool = False
    volume: str = "normal"
    origin: str = ""
    """Whose requirements these are, as `HOST:DIGEST of the folder`, by which what they reach is registered; "" for
    nobody's."""

    def to_json(self) -> dict[str, Any]:
        """As `read_build_request` reads it."""
        return {
            "version": VERSION,
            "python": list(self.python),
            "requirements": [{"name": one.name, "text": one.text} for one in self.files if not one.constraint],
            "constraints": [{"name": one.name, "text": one.text} for one in self.files if one.constraint],
            "retry": self.retry,
            "json": self.as_json,
            "volume": self.volume,
            "origin": self.origin,
        }


def source_files(requirements: Requirements) -> tuple[SourceFile, ...]:
    """The files that requirements came from, without anything else that stood in them.

    A file that is included as constraints and as requirements is two. `--pre` goes to the end of the first one.
    """
    pre = ["--pre"] if requirements.pre_releases else []
    texts: dict[tuple[str, bool], list[str]] = {}
    for lines, constraint in ((requirements.requirements, False), (requirements.constraints, True)):
        for line in lines:
            text = texts.setdefault((line.location.file, constraint), [])
            text += [""] * (line.location.line - len(text))
            text[line.location.line - 1] = _written(line)
    taken = {_SETTINGS}
    files = []
    for (path, constraint), text in texts.items():
        whole = "".join(f"{line}\n" for line in [*text, *pre])
        files.append(SourceFile(name=_free_name(path, taken), text=whole, constraint=constraint))
        pre = []
    return tuple(files)


def read_build_request(value: object) -> BuildRequest:
    """Read what `BuildRequest.to_json` has written, or a stranger has.

    Raises BadInputError: `bad-request`, `requirements`.
    """
    if not isinstance(value, Mapping):
        raise _bad("it is no JSON object")
    if value.get("version") != VERSION:
        raise _bad(f"its version is not {VERSION}")
    python = _texts(value, "python", _PYTHON, _MOST_PYTHONS)
    volume = value.get("volume", "normal")
    if volume not in _VOLUMES:
        raise _bad(f"volume is none of {', '.join(_VOLUMES)}")
    origin = value.get("origin", "")
    if not isinstance(origin, str) or not ORIGIN.fullmatch(origin):
        raise _bad("origin is not as it should be")
    given = {name: _files(value, name) for name in ("requirements", "constraints")}
    texts = {**given["requirements"], **given["constraints"]}
    if len(texts) != sum(map(len, given.values())):
        raise _bad("two files have one name")
    if not given["requirements"] or len(texts) > MOST_FILES:
        raise _bad(f"it has no requirements, or more than {MOST_FILES} files")
    if sum(map(len, texts.values())) > LARGEST_TEXT:
        raise _bad(f"its files have more than {LARGEST_TEXT} characters")

    def read(path: str) -> bytes:
        if path not in texts:
            raise FileNotFoundError
        return texts[path].encode()

    requirements = requirements_files.parse([*given["requirements"]], [*given["constraints"]], read)
    if not requirements.requirements:
        raise _bad("its requirements are empty")
    return BuildRequest(
        files=source_files(requirements),
        python=python,
        retry=_flag(value, "retry"),
        as_json=_flag(value, "json"),
        volume=volume,
        origin=origin,
    )


def _written(line: RequirementLine) -> str:
    return " ".join([line.text, *(f"--hash={one}" for one in line.hashes)])


def _free_name(path: str, taken: set[str]) -> str:
    """The last part of a path, in letters that every system takes, and as no other file is called."""
    wanted = re.sub(r"[^A-Za-z0-9_.-]", "_", PurePath(path).name)[-80:].lstrip(".-") or "requirements.txt"
    name, number = wanted, 1
    while name in taken:
        number += 1
        name = f"{number}-{wanted}"
    taken.add(name)
    return name


def _files(value: Mapping[Any, Any], key: str) -> dict[str, str]:
    found = value.get(key, [])
    if not isinstance(found, Sequence) or isinstance(found, str):
        raise _bad(f"{key} is no list")
    files: dict[str, str] = {}
    for one in found:
        name, text = (one.get("name"), one.get("text")) if isinstance(one, Mapping) else (None, None)
        if not isinstance(name, str) or not isinstance(text, str) or not _NAME.fullmatch(name):
            raise _bad(f"a file among {key} has no text, or no plain name")
        if name in files:
            raise _bad("two files have one name")
        if name == _SETTINGS:
            raise _bad("settings are the server's own")
        files[name] = text
    return files


def _texts(value: Mapping[Any, Any], key: str, pattern: re.Pattern[str], most: int) -> tuple[str, ...]:
    found = value.get(key, [])
    is_list = isinstance(found, Sequence) and not isinstance(found, str) and len(found) <= most
    if not is_list or not all(isinstance(one, str) and pattern.fullmatch(one) for one in found):
        raise _bad(f"{key} is not as it should be")
    return tuple(found)


def _flag(value: Mapping[Any, Any], key: str) -> bool:
    found = value.get(key, False)
    if not isinstance(found, bool):
        raise _bad(f"{key} is neither true nor false")
    return found


def _bad(what: str) -> BadInputError:
    what = f"this is no request for a build: {what}"
    return BadInputError("bad-request", what, hint="use the same mirror on both sides")
