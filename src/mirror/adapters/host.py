"""What this machine's disk and limits can do to us, as errors a person can act on."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mirror.core.errors import UnusableError

_FULL = (errno.ENOSPC, errno.EDQUOT)
_READ_ONLY = (errno.EROFS, errno.EACCES)
_TOO_MANY = (errno.EMFILE, errno.ENFILE)


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Tell what the host's faults are while something at `path` is written.

    Raises UnusableError (`disk-full`, `data-unwritable`, `too-many-open-files`) in place of the OSError that says so;
    every other OSError passes.
    """
    try:
        yield
    except OSError as error:
        told = _told(error, path)
        if told is None:
            raise
        raise told from error


def _told(error: OSError, path: Path) -> UnusableError | None:
    seen = (f"{type(error).__name__}: {error}",)
    if error.errno in _FULL:
        return UnusableError(
            "disk-full",
            f"the disk of {path} is full",
            hint=f"make room on the disk of {path}, then run it again",
            details=seen,
        )
    if error.errno in _READ_ONLY:
        return UnusableError(
            "data-unwritable",
            f"nothing can be written at {path}",
            hint=f"make {path} writable for this user, or name another data folder in the settings",
            details=seen,
        )
    if error.errno in _TOO_MANY:
        return UnusableError(
            "too-many-open-files",
            "this process may open no more files",
            hint="raise the limit (`ulimit -n 4096`), then run it again",
            details=seen,
        )
    return None
