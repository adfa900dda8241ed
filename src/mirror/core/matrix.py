"""The matrix of projects and targets: what there is for each, or why there is nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from packaging.version import Version

from mirror.core.history import How, PastAttempt
from mirror.core.model import Target
from mirror.core.target import usable


class State(Enum):
    """What a project is on a target. The values are part of the JSON API."""

    WHEEL = "wheel"
    """A compiled wheel of ours installs there."""
    PURE = "pure"
    """A wheel of ours without compiled code installs there."""
    BUILDING = "building"
    FAILED = "failed"
    BLOCKED = "blocked"
    """A build requirement of it failed."""
    INTERRUPTED = "interrupted"
    """Its run ended before it did, and no other has tried since."""
    NEVER = "never"
    """Nobody has asked for it there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One project on one target. `version` is the one that `state` is about, "" where there is none.

    `wheel` is the newest version that installs there, "" where none does: a new release may have failed while the last
    one is there. `attempt` is the number of the attempt that failed or goes on.
    """

    target: str
    state: State
    version: str = ""
    wheel: str = ""
    reason: str = ""
    hint: str = ""
    attempt: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One project on every target that is known, in their order."""

    name: str
    cells: tuple[Cell, ...]


_UNFINISHED = {
    How.BUILDING: State.BUILDING,
    How.FAILED: State.FAILED,
    How.BLOCKED: State.BLOCKED,
    How.INTERRUPTED: State.INTERRUPTED,
}


def parse_target(text: str) -> Target | None:
    """The target that was written so (`cp311-musllinux_1_2_x86_64`), None where it is none."""
    python, _, platform = text.partition("-")
    parts = platform.split("_", 3)
    digits = python.removeprefix("cp")
    if len(parts) != 4 or parts[0] != "musllinux" or not (digits.isdecimal() and len(digits) > 1):
        return None
    if not (parts[1].isdecimal() and parts[2].isdecimal()):
        return None
    musl = (int(parts[1]), int(parts[2]))
    return Target(python=f"{digits[0]}.{digits[1:]}", musl=musl, architecture=parts[3])


def target_words(text: str) -> str:
    """A target as people say it: `Python 3.11, musl 1.2, x86_64`."""
    target = parse_target(text)
    if target is None:
        return text
    return f"Python {target.python}, musl {target.musl[0]}.{target.musl[1]}, {target.architecture}"


def row(name: str, filenames: Iterable[str], latest: Iterable[PastAttempt], targets: Sequence[str]) -> Row:
    """A project on every target, from the files it has on the index and its newest attempt for each target."""
    files = tuple(filenames)
    attempts = {attempt.target: attempt for attempt in latest}
    return Row(name=name, cells=tuple(_cell(target, files, attempts.get(target)) for target in targets))


def _cell(text: str, filenames: Sequence[str], attempt: PastAttempt | None) -> Cell:
    best = _newest(filenames, parse_target(text))
    wheel = str(best[0]) if best else ""
    if attempt and (state := _UNFINISHED.get(attempt.how)) and wheel != attempt.version:
        return Cell(
            target=text,
            state=state,
            version=attempt.version,
            wheel=wheel,
            reason=attempt.reason,
            hint=attempt.hint,
            attempt=attempt.id,
        )
    if best is None:
        return Cell(target=text, state=State.NEVER)
    return Cell(target=text, state=State.PURE if best[1] else State.WHEEL, version=wheel, wheel=wheel)


def _newest(filenames: Sequence[str], target: Target | None) -> tuple[Version, bool] | None:
    """The newest version with a wheel for the target, and whether that is pure."""
    if target is None:
        return None
    found = []
    for filename in filenames:
        if usable(filename, target):
            _, version, _, tags = parse_wheel_filename(filename)
            found.append((version, all(tag.platform == "any" for tag in tags)))
    # Of one version the compiled wheel comes first, as pip takes it.
    return max(found, key=lambda wheel: (wheel[0], not wheel[1]), default=None)


def wheel_release(filename: str) -> tuple[str, str] | None:
    """The normalised project and version of a wheel's file name, None where it is none."""
    try:
        name, version, _, _ = parse_wheel_filename(filename)
    except InvalidWheelFilename:
        return None
    return str(name), str(version)
