"""Core metadata of wheels (PEP 658), read from the wheel once and kept by its hash."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from typing import Protocol

from packaging.utils import canonicalize_name, parse_wheel_filename

from mirror.core.errors import MirrorError
from mirror.core.model import IndexFile
from mirror.core.zips import UNREADABLE
from mirror.window.view import View

LARGEST = 10 * 1024 * 1024
_DIST_INFO = re.compile(r"([^/]+)-[^-/]+\.dist-info/([^/]+)")


class Notes(Protocol):
    """Keeps small things that were computed from a file whose hash is known."""

    def read_note(self, sha256: str, name: str) -> bytes | None:
        """What was kept; None where nothing was."""
        ...

    def keep_note(self, sha256: str, name: str, content: bytes) -> None:
        """Keep it, whole or not at all."""
        ...


class CoreMetadata:
    """Answers what a wheel's METADATA file says, downloading the wheel only the first time."""

    def __init__(self, view: View, notes: Notes) -> None:
        self._view = view
        self._notes = notes

    def read(self, wheel: IndexFile) -> bytes:
        """The METADATA file. Raises MirrorError as View.fetch does, and `bad-wheel` where there is none to read."""
        # The name is part of it: the same bytes under another name would be another project's metadata.
        note = f"{wheel.filename}.metadata"
        kept = self._notes.read_note(wheel.sha256, note)
        if kept is None:
            kept = read_from(self._view.fetch(wheel), wheel.filename)
            self._notes.keep_note(wheel.sha256, note, kept)
        return kept


def read_from(path: Path, filename: str) -> bytes:
    """The METADATA file of the wheel at `path`, of at most 10 MB. Raises MirrorError (`bad-wheel`)."""
    content = read_dist_info(path, filename, "METADATA", LARGEST)
    if content is None:
        raise _bad_wheel(filename, "it has no METADATA")
    return content


def read_dist_info(path: Path, filename: str, name: str, largest: int) -> bytes | None:
    """A file of the dist-info folder of the wheel at `path`, of at most so many bytes; None where there is none.

    Raises MirrorError (`bad-wheel`) where it cannot be read, or is there twice.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            found = _find_members(archive, filename, name)
            if not found:
                return None
            (one,) = found
            with archive.open(one) as member:
                content = member.read(largest + 1)
    except UNREADABLE as error:
        raise _bad_wheel(filename, f"{type(error).__name__}: {error}") from error
    if len(content) > largest:
        raise _bad_wheel(filename, f"its {name} is larger than {largest} bytes")
    return content


def _find_members(archive: zipfile.ZipFile, filename: str, name: str) -> list[zipfile.ZipInfo]:
    project = parse_wheel_filename(filename)[0]
    return [
        member
        for member in archive.infolist()
        if (match := _DIST_INFO.fullmatch(member.filename))
        and match[2] == name
        and canonicalize_name(match[1]) == project
    ]


def _bad_wheel(filename: str, seen: str) -> MirrorError:
    return MirrorError(
        "bad-wheel",
        f"the metadata of {filename} cannot be read",
        hint="the file is broken upstream: exclude that release with a constraint",
        details=(seen,),
    )
