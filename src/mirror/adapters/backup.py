"""A copy of all that an index is, as one tar stream: taken while it runs, put back where there is none yet.

Databases go first, each as SQLite's own online backup, and files after them: every file that a database knows of was
there when it was copied, and none ever changes. Logs, caches and what is half-written stay behind.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tarfile
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing, suppress
from pathlib import Path, PurePosixPath
from typing import IO

from mirror.adapters.host import explained
from mirror.core.errors import BadInputError, UnusableError

_DATABASE = ".sqlite"
_LEFT_BEHIND = frozenset({"tmp", "logs", "store", "claims", "kept", "lock", "worker.lock", "state.json"})
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
    except (OSError, sqlite3.Error, tarfile.TarError) as error:
        raise UnusableError(
            "backup-failed", f"the backup is not whole: {error}", hint="throw it away, and take another"
        ) from error
    return count


def restore(stream: IO[bytes], folders: Mapping[str, Path]) -> int:
    """Put a backup back into `folders`, which must be empty; how many files.

    Raises BadInputError (`not-empty`, `no-backup`); then nothing is left of it.
    """
    for folder in folders.values():
        with explained(folder):
            folder.mkdir(parents=True, exist_ok=True)
            if any(folder.iterdir()):
                raise BadInputError(
                    "not-empty",
                    f"{folder} is not empty: an index is never written over",
                    hint="restore where none has been started yet; for compose.yaml: docker compose down --volumes",
                )
    count = 0
    try:
        with tarfile.open(fileobj=stream, mode="r|") as archive:
            for member in archive:
                _extract(archive, member, folders)
                count += 1
    except BaseException as error:
        for folder in folders.values():
            _empty(folder)
        if isinstance(error, tarfile.TarError | EOFError):
            raise BadInputError("no-backup", f"this is no whole backup: {error}", hint="take another one") from error
        raise
    if not count:
        raise BadInputError("no-backup", "this backup is empty", hint="take another one")
    return count


def _extract(archive: tarfile.TarFile, member: tarfile.TarInfo, folders: Mapping[str, Path]) -> None:
    name, *rest = PurePosixPath(member.name).parts or ("",)
    if not member.isreg() or not rest or name not in folders or ".." in rest:
        raise tarfile.TarError(f"{member.name!r} is no file of an index")
    path = folders[name].joinpath(*rest)
    path.parent.mkdir(parents=True, exist_ok=True)
    source = archive.extractfile(member)
    if source is None:
        raise tarfile.TarError(f"{member.name!r} is no file of an index")
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, member.mode & 0o700 | member.mode & 0o044)
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
