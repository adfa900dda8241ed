"""What can go wrong, as values: a stable code, what failed, what to do, and the exit status."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum


class ExitStatus(IntEnum):
    """The process's exit status, the same for every command."""

    OK = 0
    FAILED = 1
    """Something that was asked for could not be built, verified or found."""
    BAD_INPUT = 2
    """The requirements, the settings or the command line are wrong; nothing was started."""
    UNUSABLE = 3
    """The environment cannot be used: no engine, no index, no image."""


class MirrorError(Exception):
    """An error a person can act on.

    `code` stays the same between releases, so that scripts and search engines find it; `what` says what failed,
    `hint` what to do about it, `details` (lines) what was seen.
    """

    status = ExitStatus.FAILED

    def __init__(self, code: str, what: str, *, hint: str = "", details: Sequence[str] = ()) -> None:
        super().__init__(what)
        self.code = code
        self.what = what
        self.hint = hint
        self.details = tuple(details)


class BadInputError(MirrorError):
    """The user's files, settings or options are wrong: found before anything was started."""

    status = ExitStatus.BAD_INPUT


class UnusableError(MirrorError):
    """What we stand on (engine, image, index, disk) cannot be used."""

    status = ExitStatus.UNUSABLE
