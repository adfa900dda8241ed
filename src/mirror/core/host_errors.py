"""What the host refuses us (room, writing, open files), told with its remedy."""

from __future__ import annotations

import errno

from mirror.core.errors import UnusableError

FLOOR_BYTES = 200_000_000
"""The room that a run must find free. A build's log takes up to 16 MiB and its wheel lies on this disk twice, in the
store and in the index, and SQLite needs some to change anything at all: over this floor a few jobs of the usual size
come to their end, and below it they would compile for nothing."""

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_UNWRITABLE = frozenset({errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO})
_TOO_MANY_FILES = frozenset({errno.EMFILE, errno.ENFILE})
_DEEPEST = 20
"""A library wraps an error in a handful of others."""


def refusal(error: OSError, place: str) -> UnusableError | None:
    """What an error of the operating system means for `place` (a file or folder of ours); None for any other kind.

    The codes are `disk-full`, `data-unwritable` and `too-many-open-files`.
    """
    if error.errno in _FULL:
        return disk_full(place, _reason(error))
    if error.errno in _UNWRITABLE:
        return UnusableError(
            "data-unwritable",
            f"{place} cannot be read or written: {_reason(error)}",
            hint="mount that disk read-write, let this user write there,"
            " or name other folders in the settings `data` and `cache`; then run it again",
        )
    return out_of_files(error)


def escaped(error: BaseException) -> UnusableError | None:
    """`refusal` for an error that nobody explained where it arose; None where it is another kind of error."""
    return refusal(error, str(error.filename or "a file of mirror's")) if isinstance(error, OSError) else None


def disk_full(place: str, reason: str, floor_bytes: int = FLOOR_BYTES) -> UnusableError:
    """There is no room for `place`."""
    return UnusableError(
        "disk-full",
        f"there is no room for {place}: {reason}",
        hint=f"make room on that disk ({floor_bytes // 1_000_000} MB at least),"
        " or name folders on another one in the settings `data` and `cache`; then run it again",
    )


def out_of_files(error: BaseException | None) -> UnusableError | None:
    """`too-many-open-files`, where that lies at the bottom of what others wrapped: a socket is an open file too."""
    for _ in range(_DEEPEST):
        if error is None:
            return None
        if isinstance(error, OSError) and error.errno in _TOO_MANY_FILES:
            return too_many_open_files(_reason(error))
        inner = [argument for argument in (*error.args, getattr(error, "reason", None)) if _is_error(argument)]
        error = error.__cause__ or error.__context__ or next(iter(inner), None)
    return None


def too_many_open_files(reason: str) -> UnusableError:
    """This process, or the whole machine, may open no more files."""
    return UnusableError(
        "too-many-open-files",
        f"no more files or connections can be opened: {reason}",
        hint="raise the limit (`ulimit -n 4096`; for the whole machine, sysctl fs.file-max), or lower `jobs`;"
        " then run it again",
    )


def _is_error(value: object) -> bool:
    return isinstance(value, BaseException)


def _reason(error: OSError) -> str:
    return error.strerror or errno.errorcode.get(error.errno or 0, type(error).__name__)
