"""A view of the files that can matter to one target."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from threading import Lock

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.tags import Tag
from packaging.utils import InvalidWheelFilename, NormalizedName, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from mirror.core.model import IndexFile, Target
from mirror.core.target import names_no_libc, tags
from mirror.window.view import View

_SDIST = (".tar.gz", ".zip", ".tar.bz2", ".tgz", ".tar.xz")
_LIGHT_FIRST = ("win_arm64", "win32", "win_amd64", "macosx", "manylinux")


class TargetFiles:
    """Sdists, the wheels usable on the target, and one foreign wheel for each release that has none of those.

    A resolver reads a release's metadata from that foreign wheel where it would else have to run the sdist. numpy's
    page comes down from 4,400 files to a few hundred. A wheel for a plain `linux_*` is not shown: pip and uv would take
    it for one of the target's, and it may be glibc's.
    """

    def __init__(self, view: View, target: Target) -> None:
        self._view = view
        self._target = target
        self._tags = frozenset(tags(target))
        self._done: dict[NormalizedName, tuple[tuple[IndexFile, ...], tuple[IndexFile, ...]]] = {}
        self._lock = Lock()

    def files(self, name: NormalizedName) -> tuple[IndexFile, ...]:
        everything = self._view.files(name)
        with self._lock:
            done = self._done.get(name)
        if done is None or done[0] is not everything:
            done = (everything, self._narrow(everything))
            with self._lock:
                self._done[name] = done
        return done[1]

    def fetch(self, file: IndexFile) -> Path:
        return self._view.fetch(file)

    def _narrow(self, everything: Iterable[IndexFile]) -> tuple[IndexFile, ...]:
        """In the order of the page."""
        listed = list(everything)
        usable: set[Version] = set()
        foreign: dict[Version, list[tuple[IndexFile, frozenset[Tag]]]] = {}
        kept: set[str] = set()
        for file in listed:
            if file.filename.endswith(_SDIST):
                kept.add(file.filename)
            elif (wheel := _parse(file.filename)) is not None:
                version, wheel_tags = wheel
                if names_no_libc(file.filename):
                    continue
                if wheel_tags.isdisjoint(self._tags):
                    foreign.setdefault(version, []).append((file, wheel_tags))
                else:
                    usable.add(version)
                    kept.add(file.filename)
        for version, wheels in foreign.items():
            if version not in usable:
                kept.add(min(wheels, key=self._rank)[0].filename)
        return tuple(file for file in listed if file.filename in kept)

    def _rank(self, wheel: tuple[IndexFile, frozenset[Tag]]) -> tuple[bool, bool, int, str]:
        """Its metadata should hold for the target's Python; and it should be small, which its name hints at."""
        file, wheel_tags = wheel
        interpreter = f"cp{self._target.python.replace('.', '')}"
        platforms = {tag.platform for tag in wheel_tags}
        weight = next(
            (n for n, prefix in enumerate(_LIGHT_FIRST) if any(p.startswith(prefix) for p in platforms)),
            len(_LIGHT_FIRST),
        )
        return (
            not _allows(file.requires_python, self._target.python),
            interpreter not in {tag.interpreter for tag in wheel_tags},
            weight,
            file.filename,
        )


def _parse(filename: str) -> tuple[Version, frozenset[Tag]] | None:
    try:
        _, version, _, wheel_tags = parse_wheel_filename(filename)
    except (InvalidWheelFilename, InvalidVersion):
        return None
    return version, wheel_tags


def _allows(requires_python: str | None, python: str) -> bool:
    if requires_python is None:
        return True
    try:
        # Of a Python "X.Y" we know no patch release: take a late one.
        return SpecifierSet(requires_python).contains(f"{python}.99")
    except InvalidSpecifier:
        return False
