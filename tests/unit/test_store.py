"""The file store keeps whole, checked files or nothing."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mirror.adapters.host import explained
from mirror.adapters.store import Store
from mirror.core.errors import BadInputError, MirrorError, UnusableError

CONTENT = b"some bytes" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def all_files(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_keeps_a_file_by_its_hash(tmp_path: Path) -> None:
    """What was kept is found again, by another store on the same folder too."""
    path = Store(tmp_path).keep(SHA256, "a-1.tar.gz", [CONTENT[:5], CONTENT[5:]])
    assert path == Store(tmp_path).find(SHA256, "a-1.tar.gz")
    assert path.read_bytes() == CONTENT


def test_keeps_nothing_where_the_bytes_are_others(tmp_path: Path) -> None:
    """A wrong hash is an error and leaves no file behind."""
    with pytest.raises(MirrorError) as caught:
        Store(tmp_path).keep(SHA256, "a-1.tar.gz", [b"other"])
    assert caught.value.code == "hash-mismatch"
    assert all_files(tmp_path) == []


def test_keeps_nothing_where_the_download_breaks_off(tmp_path: Path) -> None:
    """An error from the source passes through and leaves no file behind."""

    def broken() -> Iterator[bytes]:
        yield CONTENT[:5]
        raise ConnectionError("gone")

    with pytest.raises(ConnectionError):
        Store(tmp_path).keep(SHA256, "a-1.tar.gz", broken())
    assert all_files(tmp_path) == []


def test_many_threads_keep_the_same_file(tmp_path: Path) -> None:
    """Keeping one file from several threads at once ends in one whole file."""
    store = Store(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        paths = set(pool.map(lambda _: store.keep(SHA256, "a-1.tar.gz", [CONTENT]), range(32)))
    assert {store.path(SHA256, "a-1.tar.gz")} == paths
    assert [f"{SHA256[:2]}/{SHA256}/a-1.tar.gz"] == all_files(tmp_path)


@pytest.mark.parametrize("filename", ["../a", "a/b", "", ".hidden", "a\n", "a\0b", "a" * 300])
def test_refuses_names_that_could_leave_the_folder(tmp_path: Path, filename: str) -> None:
    """A file name is one plain path component."""
    with pytest.raises(BadInputError) as caught:
        Store(tmp_path).path(SHA256, filename)
    assert caught.value.code == "bad-filename"


def test_refuses_what_is_no_hash(tmp_path: Path) -> None:
    """A hash is 64 lower-case hexadecimal digits."""
    with pytest.raises(BadInputError):
        Store(tmp_path).path("../" * 20 + "abcd", "a")


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.ENOSPC, "disk-full"),
        (errno.EDQUOT, "disk-full"),
        (errno.EROFS, "data-unwritable"),
        (errno.EACCES, "data-unwritable"),
        (errno.EMFILE, "too-many-open-files"),
        (errno.ENFILE, "too-many-open-files"),
    ],
)
def test_tells_what_the_host_lacks(tmp_path: Path, number: int, code: str) -> None:
    """What the disk or the limits of this machine do is told with its remedy, and leaves no file behind."""

    def broken() -> Iterator[bytes]:
        yield CONTENT[:5]
        raise OSError(number, os.strerror(number))

    with pytest.raises(UnusableError) as caught:
        Store(tmp_path).keep(SHA256, "a-1.tar.gz", broken())
    assert (code, []) == (caught.value.code, all_files(tmp_path))
    assert caught.value.hint


def test_other_errors_pass(tmp_path: Path) -> None:
    """An error that is no fault of the host's stays what it is."""
    with pytest.raises(IsADirectoryError), explained(tmp_path):
        tmp_path.write_bytes(b"")
