"""Look into an sdist's archive (PEP 625, and older forms): file names, and the few texts that say how it is built."""

from __future__ import annotations

import bz2
import gzip
import io
import re
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, NoReturn, Protocol, cast

from packaging.utils import canonicalize_name

from mirror.core.errors import MirrorError
from mirror.core.text import visible
from mirror.core.zips import UNREADABLE

TEXTS = ("pyproject.toml", "setup.py", "setup.cfg", "PKG-INFO")
"""The files of the top folder whose contents are read."""

_LONGEST_TEXT = 4 << 20
_LONGEST_READ = 8 << 20
"""One read of a tar's: headers are small, and a header that says it is longer is an attack on memory."""
_MOST_READ = 512 << 20
"""Of headers and texts together. What is skipped does not count here."""
_MOST_UNPACKED = 4 << 30
_MOST_MEMBERS = 200_000
_FORMAT = re.compile(r"(?P<stem>.+)\.(?P<format>tar\.gz|tgz|tar\.bz2|zip)", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceTree:
    """What an sdist's top folder holds: `files` are paths below it; `texts` the contents of those TEXTS it has."""

    files: tuple[str, ...]
    texts: dict[str, bytes]


@dataclass(frozen=True, slots=True)
class _Entry:
    path: str
    is_link: bool
    read: Callable[[], bytes]


def read_tree(filename: str, content: BinaryIO) -> SourceTree:
    """Read the archive once, from its beginning to its end. Raises MirrorError (`bad-sdist`)."""
    match = _FORMAT.fullmatch(filename)
    if match is None:
        _refuse(filename, "it is no sdist by its name: expected .tar.gz, .tgz, .tar.bz2 or .zip")
    kind = match["format"].lower()
    try:
        entries = _zip_entries(filename, content) if kind == "zip" else _tar_entries(filename, content, kind)
        return _tree(filename, match["stem"], entries)
    except _BROKEN as error:
        _refuse(filename, f"the archive is broken: {visible(str(error), 200) or type(error).__name__}", error)


_BROKEN = (*UNREADABLE, tarfile.TarError, OverflowError, LookupError)
"""What the standard library raises over damaged archives, by experience."""


def _refuse(filename: str, what: str, cause: Exception | None = None) -> NoReturn:
    hint = "fetch it again; if it stays so, do not build it: read what is in it first"
    raise MirrorError("bad-sdist", f"{visible(filename)}: {what}", hint=hint) from cause


def _tree(filename: str, stem: str, entries: Iterator[_Entry]) -> SourceTree:
    """Sort the entries by their top folder while they pass, and keep the one that is the project's."""
    files: dict[str, list[str]] = {}
    texts: dict[str, dict[str, bytes]] = {}
    for number, entry in enumerate(entries, 1):
        if number > _MOST_MEMBERS:
            _refuse(filename, f"it has more than {_MOST_MEMBERS} members")
        top, _, path = entry.path.partition("/")
        if not path or ".." in entry.path.split("/") or entry.path.startswith("/"):
            continue
        if path in TEXTS:
            if entry.is_link:
                _refuse(filename, f"its {path} is a link, expected a file")
            if path in texts.setdefault(top, {}):
                _refuse(filename, f"it has more than one {path}")
            texts[top][path] = entry.read()
        files.setdefault(top, []).append(path)
    top = _project_folder(filename, stem, files)
    return SourceTree(files=tuple(files[top]), texts=texts.get(top, {}))


def _project_folder(filename: str, stem: str, files: dict[str, list[str]]) -> str:
    """Choose the one top folder, or the one that is named as the file is (PEP 625: NAME-VERSION)."""
    if len(files) == 1:
        return next(iter(files))
    named = [top for top in files if canonicalize_name(top) == canonicalize_name(stem)]
    if len(named) != 1:
        _refuse(filename, f"expected one folder {stem} with everything in it, got {len(files)} top folders")
    return named[0]


def _tar_entries(filename: str, content: BinaryIO, kind: str) -> Iterator[_Entry]:
    opened = bz2.BZ2File(content) if kind == "tar.bz2" else gzip.GzipFile(fileobj=content, mode="rb")
    with opened, tarfile.open(fileobj=_Bounded(filename, opened), mode="r:", errorlevel=2) as archive:
        while (info := archive.next()) is not None:
            archive.members.clear()  # type: ignore[attr-defined]  # kept for random access, which nobody asks for here
            if info.size < 0:
                _refuse(filename, "a member's size is negative")

            def read(info: tarfile.TarInfo = info) -> bytes:
                file = archive.extractfile(info)
                return b"" if file is None else _read_text(filename, file, info.size)

            if info.isreg() or info.islnk() or info.issym():
                yield _Entry(info.name.removeprefix("./"), not info.isreg(), read)


def _zip_entries(filename: str, content: BinaryIO) -> Iterator[_Entry]:
    with zipfile.ZipFile(content) as archive:
        for info in archive.infolist():

            def read(info: zipfile.ZipInfo = info) -> bytes:
                with archive.open(info) as file:
                    return _read_text(filename, cast(BinaryIO, file), info.file_size)

            if not info.is_dir():
                yield _Entry(info.filename.removeprefix("./"), info.external_attr >> 28 == 0o12, read)


class _Readable(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...


def _read_text(filename: str, file: _Readable, size: int) -> bytes:
    if size > _LONGEST_TEXT:
        _refuse(filename, f"a file of its build settings has {size} bytes, expected at most {_LONGEST_TEXT}")
    return file.read(_LONGEST_TEXT)


class _Bounded(io.RawIOBase):
    """A decompressor's output as tarfile reads it, until that is more than any honest sdist needs."""

    def __init__(self, filename: str, source: BinaryIO | gzip.GzipFile | bz2.BZ2File) -> None:
        super().__init__()
        self._filename = filename
        self._source = source
        self._read = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._source.tell()

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence != io.SEEK_SET or offset < self.tell():
            _refuse(self._filename, "a member leads back to what was read before")
        if offset > _MOST_UNPACKED:
            _refuse(self._filename, f"it unpacks to more than {_MOST_UNPACKED} bytes")
        return self._source.seek(offset)

    def read(self, size: int | None = -1) -> bytes:
        if size is None or not 0 <= size <= _LONGEST_READ:
            _refuse(self._filename, f"a header in it is longer than {_LONGEST_READ} bytes")
        self._read += size
        if self._read > _MOST_READ or self._source.tell() > _MOST_UNPACKED:
            _refuse(self._filename, "its headers are longer than those of any honest sdist")
        return self._source.read(size)
