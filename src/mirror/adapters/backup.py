"""A copy of all that an index is, as one tar stream: taken while it runs, put back where there is none yet.

Databases go first, each as SQLite's own online backup, and files after them: every file that a database knows of was
there when it was copied, and none ever changes. Logs, caches and what is half-written stay behind.

The last member says how many there are: a tar that was cut between two members looks whole to whoever reads tars.
"""

from __future__ import annotations

import errno
import io
import json
import os
import shutil
import sqlite3
import tarfile
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing, suppress
from pathlib import Path, PurePosixPath
from typing import IO

from mirror.adapters.host import explained, make_folder
from mirror.core.errors import BadInputError, UnusableError

_DATABASE = ".sqlite"
_LEFT_BEHIND = frozenset({"tmp", "logs", "store", "claims", "kept", "lock", "worker.lock", "state.json"})
_NAME_ERRORS = frozenset({errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL})
"""What the system says of a name that no backup of ours has: twice, below a file, too long."""
_LAST, _VERSION, _LONGEST_LAST = "mirror-backup.json", 1, 1000
_FOR_THE_PROXY = frozenset({"packages", "tls"})
"""It reads them as another user."""
_ENDINGS = ("-wal", "-shm", "-journal", "-tmp", ".log", ".log.1", ".new")


def write_backup(stream: IO[bytes], folders: Mapping[str, Path]) -> int:
    """Write every one of `folders` under its name; how many files. Raises UnusableError (`backup-failed`)."""
    count = 0
    try:
        with tarfile.open(fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT) as archive:
            for name, folder in folders.items():
                for path in (p for p in _files(folder) if p.name.endswith(_DATABASE)):
                    with tempfile.NamedTemporaryFile(dir=folder, prefix=".backup-", suffix="-tmp") as copy:
                        _copy_database(path, Path(copy.name))
                        archive.add(copy.name, f"{name}/{path.relative_to(folder)}", recursive=False)
                    count += 1
            for name, folder in folders.items():
                for path in (p for p in _files(folder) if not p.name.endswith(_DATABASE)):
                    with suppress(FileNotFoundError):  # a file that was removed meanwhile
                        archive.add(path, f"{name}/{path.relative_to(folder)}", recursive=False)
                        count += 1
            last = tarfile.TarInfo(_LAST)
            content = json.dumps({"version": _VERSION, "files": count}).encode()
            last.size = len(content)
            archive.addfile(last, io.BytesIO(content))
    except (OSError, sqlite3.Error, tarfile.TarError) as error:
        raise UnusableError(
            "backup-failed", f"the backup is not whole: {error}", hint="throw it away, and take another"
        ) from error
    return count


def restore(stream: IO[bytes], folders: Mapping[str, Path]) -> int:
    """Put a backup back into `folders`, which must be empty; how many files.

    Raises BadInputError (`not-empty`, `no-backup`) or UnusableError (`explained`'s); then nothing is left of it.
    """
    for name, folder in folders.items():
        with explained(folder):
            if name in _FOR_THE_PROXY:
                folder.mkdir(parents=True, exist_ok=True)
            else:
                make_folder(folder)
            if any(folder.iterdir()):
                raise BadInputError(
                    "not-empty",
                    f"{folder} is not empty: an index is never written over",
                    hint="restore where none has been started yet; for compose.yaml: docker compose down --volumes",
                )
    try:
        with tarfile.open(fileobj=stream, mode="r|") as archive:
            return _extract_all(archive, folders)
    except BaseException as error:
        for folder in folders.values():
            _empty(folder)
        if isinstance(error, tarfile.TarError | EOFError):
            raise BadInputError("no-backup", f"this is no whole backup: {error}", hint="take another one") from error
        raise


def _extract_all(archive: tarfile.TarFile, folders: Mapping[str, Path]) -> int:
    count, told = 0, None
    for member in archive:
        if told is not None:
            raise tarfile.TarError("something follows its end")
        if member.name == _LAST and member.isreg() and not member.issparse() and member.size < _LONGEST_LAST:
            told = _told(archive, member)
        else:
            _extract(archive, member, folders)
            count += 1
    if told != count:
        raise tarfile.TarError("its end is missing" if told is None else f"{count} files of {told}")
    return count


def _told(archive: tarfile.TarFile, member: tarfile.TarInfo) -> int:
    """How many files a backup's last member says that there are."""
    source = archive.extractfile(member)
    try:
        found = json.loads(source.read() if source else b"")
        version, files = found["version"], found["files"]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise tarfile.TarError("nobody understands its end") from error
    if version != _VERSION or type(files) is not int:
        raise tarfile.TarError("another version of mirror made it")
    return files


def _extract(archive: tarfile.TarFile, member: tarfile.TarInfo, folders: Mapping[str, Path]) -> None:
    name, *rest = PurePosixPath(member.name).parts or ("",)
    # A hole of a sparse one takes its room on the disk, and none in the backup.
    if not member.isreg() or member.issparse() or not rest or name not in folders or ".." in rest:
        raise tarfile.TarError(f"{member.name!r} is no file of an index")
    path = folders[name].joinpath(*rest)
    source = archive.extractfile(member)
    if source is None:
        raise tarfile.TarError(f"{member.name!r} is no file of an index")
    with explained(folders[name]):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
            descriptor = os.open(path, flags, member.mode & 0o700 | member.mode & 0o044)
        except ValueError as error:  # a NUL
            raise tarfile.TarError(f"{member.name!r} is no name of a file") from error
        except OSError as error:
            if error.errno not in _NAME_ERRORS:
                raise
            raise tarfile.TarError(f"{member.name[:200]!r}: {error.strerror}") from error
        _write(descriptor, source)


def _write(descriptor: int, source: IO[bytes]) -> None:
    with os.fdopen(descriptor, "wb") as file:
        shutil.copyfileobj(source, file)
        file.flush()
        os.fsync(file.fileno())


def _files(folder: Path, left_behind: Collection[str] = _LEFT_BEHIND) -> Iterator[Path]:
    """Every file below a folder that belongs into a backup, in a settled order. Links are not followed."""
    if not folder.is_dir():
        return
    for entry in sorted(os.scandir(folder), key=lambda one: one.name):
        if entry.name in left_behind or entry.name.endswith(_ENDINGS) or entry.is_symlink():
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _files(Path(entry.path), ())
        elif entry.is_file(follow_symlinks=False):
            yield Path(entry.path)


def _copy_database(source: Path, copy: Path) -> None:
    with (
        closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True, timeout=30)) as there,
        closing(sqlite3.connect(copy)) as here,
    ):
        there.backup(here)


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
