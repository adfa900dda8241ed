"""This machine's disk and its limit of open files: refused before a run where they do not suffice, explained in it."""

from __future__ import annotations

import os
import resource
import tempfile
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mirror.core.errors import UnusableError
from mirror.core.host_errors import FLOOR_BYTES, disk_full, refusal, too_many_open_files

OPEN_FILES = 64
"""What a run has open beside its jobs: the journal, connections to engine and index, what libraries load late."""
OPEN_FILES_OF_A_JOB = 32
"""Of one sandbox: its wire and log, and for each of eight answers at once a connection and a file."""
PART_PREFIX = ".part-"
"""What is being written has a name that begins so; whole, it is renamed."""
PART_IS_DEAD_AFTER_S = 3600
JOBS_BESIDE = 2
"""Preparations go on beside the compiles."""


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn what the system refuses at `path` (a file or folder of ours) into an UnusableError.

    `disk-full`, `data-unwritable`, `too-many-open-files`; every other OSError passes.
    """
    try:
        yield
    except OSError as error:
        refused = refusal(error, str(path))
        if refused is None:
            raise
        raise refused from error


def free_bytes(path: Path) -> int:
    """What is free on the disk of `path`, or of the nearest folder above that is there."""
    found = os.statvfs(next(place for place in (path, *path.absolute().parents) if place.exists()))
    return found.f_bavail * found.f_frsize


def refuse_if_full(path: Path, floor_bytes: int = FLOOR_BYTES) -> None:
    """Raise UnusableError (`disk-full`) where less than `floor_bytes` are free on the disk of `path`."""
    with explained(path):
        free = free_bytes(path)
    if free < floor_bytes:
        raise disk_full(str(path), f"{free // 1_000_000} MB are free", floor_bytes)


def ready_folder(folder: Path) -> None:
    """Make a folder of ours where there is none, and see that files can be made in it.

    Raises UnusableError as `explained` does; `data-unwritable` too where something else stands in its place, or where
    a link does, there or in it.
    """
    with explained(folder):
        try:
            make_folder(folder)
        except (FileExistsError, NotADirectoryError, FileNotFoundError) as error:
            raise _elsewhere(folder, str(error.strerror)) from error
        refuse_links(folder)
        # One that has a block: on a full disk an empty file may still find its place.
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".probe-", buffering=0) as probe:
            probe.write(b"\0" * 4096)


def make_folder(folder: Path, top: Path | None = None) -> None:
    """Make a folder of ours, and what is missing above it, for nobody else to read.

    From `top` (default: itself) on it must not be a link: what is written and removed there could be anywhere.
    Raises UnusableError (`data-unwritable`) for that, and OSError.
    """
    for place in (*reversed(folder.parents), folder):
        if place.is_relative_to(top or folder) and place.is_symlink():
            raise _elsewhere(place, "a symbolic link")
        if not place.is_dir():
            place.mkdir(mode=0o700, exist_ok=True)


def refuse_links(folder: Path, allowed: Collection[str] = ()) -> None:
    """See that neither a folder of ours nor anything that lies in it is a link; where there is none, all is well.

    What lies there under a name that is `allowed` may be one.
    Raises UnusableError (`data-unwritable`), and OSError.
    """
    if folder.is_symlink():
        raise _elsewhere(folder, "a symbolic link")
    for place in folder.iterdir() if folder.is_dir() else ():
        if place.is_symlink() and place.name not in allowed:
            raise UnusableError(
                "data-unwritable",
                f"{place} is a symbolic link, and that folder is to be mirror's alone",
                hint="remove the link, or name other folders in the settings `data` and `cache`",
            )


def _elsewhere(place: Path, reason: str) -> UnusableError:
    return UnusableError(
        "data-unwritable",
        f"{place} is to be a folder of mirror's, and is or lies below something else: {reason}",
        hint="move that away, or name other folders in the settings `data` and `cache`",
    )


def sweep_parts(folder: Path) -> None:
    """Remove what writers left half-written below `folder` when they were killed, or the disk let them remove nothing.

    A file that somebody writes to was changed a moment ago, even where the download stalls.
    """
    oldest = time.time() - PART_IS_DEAD_AFTER_S
    for part in folder.rglob(f"{PART_PREFIX}*"):
        with suppress(OSError):  # another run is sweeping too, or cannot
            if part.stat().st_mtime < oldest:
                part.unlink()


def sync_tree(folder: Path) -> None:
    """Have everything below `folder` on the disk, and not only in the system's memory, before it is counted on."""
    for path in (*folder.rglob("*"), folder):
        if path.is_file() or path.is_dir():
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def ensure_open_files(jobs: int) -> None:
    """See that this process may open the files that `jobs` compiles at once need, raising its own limit where it may.

    Raises UnusableError (`too-many-open-files`).
    """
    wanted = OPEN_FILES + OPEN_FILES_OF_A_JOB * (jobs + JOBS_BESIDE)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except ValueError as error:  # over the hard limit, or (macOS) over what the kernel knows
        reason = f"the limit is {soft}, and {jobs} jobs at once may need {wanted}"
        raise too_many_open_files(reason) from error
