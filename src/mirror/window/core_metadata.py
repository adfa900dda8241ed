"""Core metadata of wheels (PEP 658), read from the wheel once and kept by its hash."""

from __future__ import annotations

import re
import zipfile
import zlib
from pathlib import Path
from typing import Protocol

from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion

from mirror.core.errors import MirrorError
from mirror.core.model import IndexFile
from mirror.window.view import View

LARGEST = 10 * 1024 * 1024
_METADATA = re.compile(r"([^/]+)-[^-/]+\.dist-info/METADATA")


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
    try:
        with zipfile.ZipFile(path) as archive, archive.open(_find_member(archive, filename)) as member:
            content = member.read(LARGEST + 1)
    except (
        zipfile.BadZipFile,
        zlib.error,
        InvalidWheelFilename,
        InvalidVersion,
        NotImplementedError,
        RuntimeError,
        ValueError,
        EOFError,
        OSError,
    ) as error:
        raise _bad_wheel(filename, f"{type(error).__name__}: {error}") from error
    if len(content) > LARGEST:
        raise _bad_wheel(filename, "its METADATA is larger than 10 MB")
    return content


def _find_member(archive: zipfile.ZipFile, filename: str) -> str:
    name = parse_wheel_filename(filename)[0]
    found = [
        member
        for member in archive.namelist()
        if (match := _METADATA.fullmatch(member)) and canonicalize_name(match[1]) == name
    ]
    if len(found) != 1:
        raise ValueError(f"{len(found)} METADATA files of {name} instead of one")
    return found[0]


def _bad_wheel(filename: str, seen: str) -> MirrorError:
    return MirrorError(
        "bad-wheel",
        f"the metadata of {filename} cannot be read",
        hint="the file is broken upstream: exclude that release with a constraint",
        details=(seen,),
    )
