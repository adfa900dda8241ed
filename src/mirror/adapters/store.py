"""Keeps downloaded files by their hash, so that each is fetched once and never doubted again."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from mirror.adapters.host import PART_PREFIX, explained, make_folder
from mirror.core.errors import BadInputError, MirrorError

_SHA256 = re.compile(r"[0-9a-f]{64}")
_FILENAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!~-]{0,254}")


class Store:
    """Files under `folder`, each at a path made of its SHA-256 and its name.

    A file appears there whole and checked or not at all: it is written beside its place, flushed to disk and renamed.
    So threads and processes may keep the same file at once: the last rename wins, with the same bytes.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, sha256: str, filename: str) -> Path:
        """Where the file is, or would be. Raises BadInputError (`bad-filename`) for what could leave the folder."""
        if not _SHA256.fullmatch(sha256) or not _FILENAME.fullmatch(filename):
            raise BadInputError(
                "bad-filename",
                f"the index names a file that no index may name: {filename!r} with sha256 {sha256!r}",
                hint="report it to whoever runs the index",
            )
        return self._folder / sha256[:2] / sha256 / filename

    def find(self, sha256: str, filename: str) -> Path | None:
        """The kept file, or None."""
        path = self.path(sha256, filename)
        return path if path.is_file() else None

    def keep(self, sha256: str, filename: str, chunks: Iterable[bytes], *, origin: str = "") -> Path:
        """Write the file and return its path.

        Raises MirrorError (`hash-mismatch`, telling `origin`) where the bytes are others than `sha256` says,
        UnusableError (`disk-full`, `data-unwritable`, `too-many-open-files`). Nothing is kept then, nor when `chunks`
        raises.
        """
        path = self.path(sha256, filename)
        with self._whole(path) as file:
            actual, size_bytes = _copy(chunks, file)
            if actual != sha256:
                raise _mismatch(filename, sha256, actual, (f"{size_bytes} bytes came from {origin or 'somewhere'}",))
        return path

    def read_note(self, sha256: str, name: str) -> bytes | None:
        """What was computed from the file with this hash and kept as `name`; None where nothing was."""
        try:
            return self._note(sha256, name).read_bytes()
        except FileNotFoundError:
            return None

    def keep_note(self, sha256: str, name: str, content: bytes) -> None:
        """Keep something that was computed from the file with this hash. The caller answers for its bytes.

        Raises UnusableError as `keep` does.
        """
        with self._whole(self._note(sha256, name)) as file:
            file.write(content)

    def _note(self, sha256: str, name: str) -> Path:
        # Apart from the files: a file of the index may have any name, also one that ends in ".metadata".
        path = self.path(sha256, name)
        return path.parent / "notes" / name

    @contextmanager
    def _whole(self, path: Path) -> Iterator[BinaryIO]:
        """Write to a file that comes to its place when all went well, and else never was."""
        with explained(self._folder):
            make_folder(path.parent, self._folder)
            descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=PART_PREFIX)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    yield file
                    file.flush()
                    os.fsync(file.fileno())
                Path(temporary).rename(path)
            except BaseException:
                with suppress(FileNotFoundError):
                    Path(temporary).unlink()
                raise


def _copy(chunks: Iterable[bytes], file: BinaryIO) -> tuple[str, int]:
    """(SHA-256, size) of what was copied."""
    digest, size_bytes = hashlib.sha256(), 0
    for chunk in chunks:
        digest.update(chunk)
        size_bytes += len(chunk)
        file.write(chunk)
    return digest.hexdigest(), size_bytes


def _mismatch(filename: str, expected: str, actual: str, seen: tuple[str, ...]) -> MirrorError:
    return MirrorError(
        "hash-mismatch",
        f"{filename} is not what the index promised: sha256 {actual} instead of {expected}",
        hint="try again; if it stays, the file was changed on the index or on the way: do not use it",
        details=seen,
    )
