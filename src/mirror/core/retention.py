"""What may be removed of what is kept: nothing that a registered lock reaches, and else by age and size.

Times are POSIX seconds by the index's clock, sizes bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from posixpath import join, normpath

from mirror.core.errors import MirrorError
from mirror.core.model import Requirements, Target
from mirror.core.text import visible

DAY_S = 86_400
SETTLED_S = DAY_S
"""What is younger is never removed: the build that has just published it may not have registered its lock yet."""
PROJECT_DIGITS = 8


class Place(Enum):
    """Where a file is kept."""

    OURS = "ours"
    """On the index that we publish to: removed, it must be compiled again."""
    CACHE = "cache"
    """Among the files of upstream's that devpi keeps: removed, it is downloaded again when somebody asks for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A file that is kept, since it was published, or last used. `address` is for the adapter to find it again."""

    place: Place
    filename: str
    size_bytes: int
    since_s: float
    address: str


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Reached:
    """A wheel that a lock reaches.

    `needed_by` is the file name of the wheel whose compile needed it, "" where the requirements themselves reach it.
    """

    filename: str
    sha256: str
    needed_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where requirements files lie: the machine's name, and the folder that their names start from."""

    host: str = ""
    folder: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredLock:
    """What some requirements files reach for one target, as their last build saw it.

    `project` (eight digits) tells two `requirements.txt` apart for a person. `path` and `asked` are digests: of the
    files' paths and the target, and of the names that are required. `registered_s` is 0 where nobody knows.
    """

    key: str
    project: str
    path: str
    host: str
    asked: str
    files: tuple[str, ...]
    target: str
    wheels: tuple[Reached, ...] = field(repr=False)
    registered_s: float = 0.0
    missing: tuple[str, ...] = ()
    """`NAME VERSION` of what had no wheel at the end of the last build."""

    def __str__(self) -> str:
        return f"{', '.join(self.files)} for {self.target} ({self.host})"

    def replaces(self, other: RegisteredLock) -> bool:
        """Whether `other` is an older lock of the same files.

        The same path on the same machine is; on another machine (CI has a new one each time) it may be another
        project's, unless the same projects are required. One lock too many keeps too much; one too few would remove
        what somebody needs.
        """
        return self.path == other.path and (self.host == other.host or self.asked == other.asked)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What goes, where nothing reaches it; None for no such bound."""

    older_than_s: int | None = None
    max_size_bytes: int | None = None
    """Of all files together, reached ones too."""


class Why(Enum):
    """Why a file goes, or stays."""

    AGE = "age"
    SIZE = "size"
    REACHED = "reached"
    YOUNG = "young"
    """Less than a day old."""
    WITHIN = "within"
    """Nothing reaches it, and it is within the bounds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A file, and why it goes or stays. `reached_by` are the locks that keep it."""

    file: Held
    why: Why
    reached_by: tuple[RegisteredLock, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """Every kept file in exactly one of both, in the order in which they go, and by place and name."""

    removed: tuple[Verdict, ...]
    kept: tuple[Verdict, ...]


def size_of(verdicts: Iterable[Verdict]) -> int:
    """Bytes of all of them."""
    return sum(verdict.file.size_bytes for verdict in verdicts)


def decide(held: Sequence[Held], locks: Sequence[RegisteredLock], policy: Policy, now_s: float) -> Retention:
    """Sort out what goes.

    A file's name says whether it is reached: a published file never changes, and of two files of one name in two
    caches both stay. What is too old goes first; then, while the whole is too large, upstream's files before our own,
    the oldest first.
    """
    reaching: dict[str, list[RegisteredLock]] = {}
    for lock in locks:
        for filename in dict.fromkeys(wheel.filename for wheel in lock.wheels):
            reaching.setdefault(filename, []).append(lock)
    left_bytes = sum(file.size_bytes for file in held)
    removed, kept, within = [], [], []
    for file in sorted(held, key=_goes_before):
        age_s = now_s - file.since_s
        if locks_of_it := reaching.get(file.filename):
            kept.append(Verdict(file=file, why=Why.REACHED, reached_by=tuple(locks_of_it)))
        elif age_s < SETTLED_S:
            kept.append(Verdict(file=file, why=Why.YOUNG))
        elif policy.older_than_s is not None and age_s > policy.older_than_s:
            removed.append(Verdict(file=file, why=Why.AGE))
            left_bytes -= file.size_bytes
        else:
            within.append(file)
    for file in within:
        if policy.max_size_bytes is not None and left_bytes > policy.max_size_bytes:
            removed.append(Verdict(file=file, why=Why.SIZE))
            left_bytes -= file.size_bytes
        else:
            kept.append(Verdict(file=file, why=Why.WITHIN))
    # Upstream's first here too: on a full disk devpi removes nothing until there is some room.
    removed.sort(key=lambda verdict: _goes_before(verdict.file))
    return Retention(removed=tuple(removed), kept=tuple(sorted(kept, key=_by_name)))


def make_lock(requirements: Requirements, target: Target, origin: Origin, wheels: Iterable[Reached]) -> RegisteredLock:
    """The lock of these requirements."""
    lines = (*requirements.requirements, *requirements.constraints)
    files = tuple(sorted({line.location.file for line in lines}))
    paths = sorted(normpath(join(origin.folder, file)) for file in files)
    names = _digest(*sorted({line.name for line in requirements.requirements}))
    return RegisteredLock(
        key=_digest(origin.host, *paths, str(target), names),
        project=_digest(origin.host, *paths, names)[:PROJECT_DIGITS],
        path=_digest(*paths, str(target)),
        host=visible(origin.host, 200),
        asked=names,
        files=tuple(visible(file, 200) for file in files),
        target=str(target),
        wheels=tuple(sorted(set(wheels))),
    )


def renewed(old: Sequence[RegisteredLock], new: RegisteredLock) -> RegisteredLock:
    """`new`, with what compiling its wheels took as far as only `old` knows: who compiles nothing sees none of it."""
    wheels = set(new.wheels)
    more = {wheel for lock in old for wheel in lock.wheels if wheel.needed_by}
    while found := {wheel for wheel in more - wheels if wheel.needed_by in {known.filename for known in wheels}}:
        wheels |= found
    return replace(new, wheels=tuple(sorted(wheels)))


def joined(old: Sequence[RegisteredLock], new: RegisteredLock) -> RegisteredLock:
    """All of them together: until a build has come to its end, what its last one reached stays."""
    return replace(new, wheels=tuple(sorted({*new.wheels, *(wheel for lock in old for wheel in lock.wheels)})))


def expired(locks: Sequence[RegisteredLock], older_than_s: int, now_s: float) -> tuple[RegisteredLock, ...]:
    """Those that no build has registered for so long. Of whose time nothing is known, none is."""
    return tuple(lock for lock in locks if lock.registered_s and now_s - lock.registered_s > older_than_s)


def named(locks: Sequence[RegisteredLock], word: str) -> tuple[RegisteredLock, ...]:
    """The locks of one project, by a file's name or the project's digits.

    Raises MirrorError: `no-such-lock`, `ambiguous-lock`.
    """
    found = tuple(lock for lock in locks if word == lock.project or visible(word, 200) in lock.files)
    if not found:
        raise MirrorError(
            "no-such-lock",
            f"no lock of {visible(word)} is registered",
            details=[f"{lock.project}: {lock}" for lock in locks],
            hint="name a file as `mirror build` was given it, or the digits before it",
        )
    if len({lock.project for lock in found}) > 1:
        raise MirrorError(
            "ambiguous-lock",
            f"several projects have registered {visible(word)}",
            details=[f"{lock.project}: {lock}" for lock in found],
            hint="say which one by its digits, such as `--forget " + found[0].project + "`",
        )
    return found


def _goes_before(file: Held) -> tuple[bool, float, str, str]:
    return file.place is Place.OURS, file.since_s, file.filename, file.address


def _by_name(verdict: Verdict) -> tuple[str, str, str]:
    return verdict.file.place.value, verdict.file.filename, verdict.file.address


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode(errors="surrogateescape")).hexdigest()[:40]
