"""Which packages of a lock something asks for: in the sandbox that it comes from, a stranger's hook may have run."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from email.parser import BytesHeaderParser
from enum import Enum

from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

from mirror.core.errors import MirrorError
from mirror.core.lock import Pin
from mirror.core.model import Target
from mirror.core.target import holds

MOST_LINES = 50_000
"""Dependency specifiers that are read for one lock: a lock of a thousand packages has about ten thousand."""
_NAME = re.compile(r"\s*([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)")


class Untold(Enum):
    """Why nobody knows what a release asks for."""

    BY_ITS_CODE = "only its own code tells"
    UNREAD = "whoever resolved has not read it"


Dependencies = Callable[[Pin], Sequence[str] | Untold]
"""A release to what its metadata asks for (Requires-Dist)."""


def asked_for(
    pins: Iterable[Pin], requirements: Iterable[str], constraints: Iterable[str], target: Target, told: Dependencies
) -> tuple[Pin, ...]:
    """Those of `pins` that the requirements ask for, or another package that they ask for, on the target; sorted.

    What a release asks for is what its metadata on the index says, with the extras it was asked for with. A release
    that only its own code can tell of (an sdist alone, without static metadata) may ask for anything, as it may when it
    is installed: where one is among those that are asked for, the rest of the lock is taken for its wish. Even then it
    is nothing that whoever resolved has not looked at. Raises MirrorError (`bad-lock`) for more than MOST_LINES.
    """
    walk = _Walk(dict(pins), [*map(_Line, constraints)], target, told)
    walk.ask(map(_Line, requirements), ())
    while walk.has_more:
        walk.step()
    if walk.trusts_code:
        return tuple(pin for pin in sorted(walk.pins.items()) if told(pin) is not Untold.UNREAD)
    return tuple(sorted(walk.found))


def named_by(pin: Pin, pins: Iterable[Pin], told: Dependencies) -> tuple[Pin, ...]:
    """`pin`, and those of `pins` that it needs or may need, directly or not: whatever the marker, the extra or the
    version; sorted."""
    known = dict(pins)
    found, queue = {pin}, [pin]
    while queue:
        asks = told(queue.pop())
        names = (_NAME.match(text) for text in (() if isinstance(asks, Untold) else asks))
        wanted = {canonicalize_name(match[1]) for match in names if match} & known.keys()
        new = {(name, known[name]) for name in wanted} - found
        found |= new
        queue += new
    return tuple(sorted(found))


class _Line:
    """A dependency specifier, as far as it can be read: uv takes some that are none (`>=2.0.*`), by their names."""

    def __init__(self, text: str) -> None:
        try:
            self.parsed: Requirement | None = Requirement(text)
        except (ValueError, RecursionError):  # InvalidRequirement among them
            self.parsed = None
        found = _NAME.match(text)
        self.name = canonicalize_name(found[1]) if found else canonicalize_name("")

    def takes(self, version: Version) -> bool:
        return self.parsed is None or self.parsed.specifier.contains(version, prereleases=True)

    def holds(self, target: Target, extras: Iterable[str]) -> bool:
        return self.parsed is None or holds(self.parsed.marker, target, extras)


class _Walk:
    """From what is asked for to what that asks for; each package with each of its extras once."""

    def __init__(
        self, pins: dict[NormalizedName, Version], constraints: Sequence[_Line], target: Target, told: Dependencies
    ) -> None:
        self.pins = pins
        self.found: set[Pin] = set()
        self.trusts_code = False
        self._constraints = constraints
        self._target = target
        self._told = told
        self._queue: list[tuple[Pin, frozenset[str]]] = []
        self._seen: set[tuple[Pin, str]] = set()
        self._lines = 0

    @property
    def has_more(self) -> bool:
        return bool(self._queue)

    def ask(self, lines: Iterable[_Line], extras: Iterable[str]) -> None:
        """Take in what these lines ask for, where they hold."""
        for line in lines:
            version = self.pins.get(line.name)
            if version is None or not line.takes(version) or not line.holds(self._target, extras):
                continue
            pin = (line.name, version)
            wanted = frozenset(("", *(line.parsed.extras if line.parsed else ())))
            new = frozenset(extra for extra in wanted if (pin, extra) not in self._seen)
            if new and self._is_allowed(pin):
                self._seen |= {(pin, extra) for extra in new}
                self.found.add(pin)
                self._queue.append((pin, new))

    def step(self) -> None:
        """Take one package, and what it asks for."""
        pin, extras = self._queue.pop()
        told = self._told(pin)
        if isinstance(told, Untold):
            self.trusts_code |= told is Untold.BY_ITS_CODE
            if told is Untold.UNREAD:
                self.found.discard(pin)
            return
        self.ask(self._read(told), extras)

    def _read(self, texts: Sequence[str]) -> Iterator[_Line]:
        for text in texts:
            found = _NAME.match(text)
            if found and canonicalize_name(found[1]) in self.pins:  # most lines are of extras that nobody asked for
                self._lines += 1
                if self._lines > MOST_LINES:
                    raise MirrorError(
                        "bad-lock",
                        f"the packages of the resolver's lock ask for more than {MOST_LINES} others",
                        hint="a metadata hook may have written it: see the resolver's log",
                    )
                yield _Line(text)

    def _is_allowed(self, pin: Pin) -> bool:
        name, version = pin
        mine = (line for line in self._constraints if line.name == name and line.holds(self._target, ()))
        return all(line.takes(version) for line in mine)


def requires_dist(metadata: bytes) -> tuple[str, ...]:
    """What a METADATA file asks for."""
    return tuple(map(str, BytesHeaderParser().parsebytes(metadata).get_all("Requires-Dist", ())))


def static_requires_dist(pkg_info: bytes) -> tuple[str, ...] | Untold:
    """What an sdist's PKG-INFO asks for, where it binds the wheels that are made of it (PEP 643)."""
    headers = BytesHeaderParser().parsebytes(pkg_info)
    version = re.fullmatch(r"(\d{1,3})\.(\d{1,3})", str(headers.get("Metadata-Version", "")).strip())
    dynamic = {str(field).strip().lower() for field in headers.get_all("Dynamic", ())}
    if version is None or (int(version[1]), int(version[2])) < (2, 2) or "requires-dist" in dynamic:
        return Untold.BY_ITS_CODE
    return tuple(map(str, headers.get_all("Requires-Dist", ())))
