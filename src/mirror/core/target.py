"""A target's tags, best first (PEP 425, 656), without the plain `linux_*`: who has one has said nothing of a libc."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from functools import lru_cache
from types import MappingProxyType

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from mirror.core.model import IndexFile, Target


@lru_cache(maxsize=16)
def tags(target: Target) -> tuple[Tag, ...]:
    """Every tag that says it is for the target, best first.

    A musl of (1, 2) takes musllinux_1_2, 1_1 and 1_0: minor versions are backward compatible (PEP 656). pip and uv take
    `linux_*` too, before these (pip since 26.3) or after them. Such a wheel may be glibc's, so it answers nothing here.
    """
    major, minor = target.musl
    platforms = [f"musllinux_{major}_{older}_{target.architecture}" for older in range(minor, -1, -1)]
    version = tuple(int(part) for part in target.python.split("."))
    interpreter = f"cp{target.python.replace('.', '')}"
    return (
        # Named, since the default would be the ABI of the interpreter that runs this (a debug build's, say).
        *cpython_tags(version, abis=[interpreter], platforms=platforms),
        *compatible_tags(version, interpreter=interpreter, platforms=platforms),
    )


@lru_cache(maxsize=16)
def _ranks(target: Target) -> MappingProxyType[Tag, int]:
    return MappingProxyType({tag: rank for rank, tag in reversed(list(enumerate(tags(target))))})


def rank(filename: str, target: Target) -> int | None:
    """How good a wheel is on the target by its file name alone: 0 is best, None is not for it."""
    try:
        _, _, _, wheel_tags = parse_wheel_filename(filename)
    except InvalidWheelFilename:
        return None
    ranks = _ranks(target)
    return min((ranks[tag] for tag in wheel_tags if tag in ranks), default=None)


def usable(filename: str, target: Target) -> bool:
    """Whether a wheel of this name is for the target: pip there would take it, and it does not leave its libc open."""
    return rank(filename, target) is not None


def names_no_libc(filename: str) -> bool:
    """Whether a wheel of this name is for a plain `linux_*`, whatever libc it was linked with."""
    try:
        _, _, _, wheel_tags = parse_wheel_filename(filename)
    except InvalidWheelFilename:
        return False
    return all(tag.platform.startswith("linux_") for tag in wheel_tags)


def takes_python(requires_python: str | None, python: str) -> bool:
    """Whether Requires-Python lets a file be used on Python X.Y; one that cannot be parsed is ignored, as pip does."""
    if not requires_python:
        return True
    try:
        # The patch release is not known here, and a bound such as ">=3.11.2" must not exclude all of 3.11.
        return SpecifierSet(requires_python).contains(f"{python}.99", prereleases=True)
    except InvalidSpecifier:
        return True


def has_answer(marker: Marker) -> bool:
    """Whether a marker can be evaluated at all: `sys_platform ~= "1"` parses, and means nothing (PEP 508).

    Which Python the target has makes no difference to that.
    """
    try:
        marker.evaluate(_environment(Target(python="3.11"), 0))
    except (KeyError, ValueError):  # UndefinedEnvironmentName; UndefinedComparison, InvalidVersion
        return False
    return True


def applies(requirement: str, target: Target) -> bool:
    """Whether a requirement's marker (PEP 508) is true on the target, for some patch release of its Python."""
    marker = Requirement(requirement).marker
    return marker is None or any(marker.evaluate(_environment(target, patch)) for patch in (0, 99))


def holds(marker: Marker | None, target: Target, extras: Iterable[str] = ()) -> bool:
    """Whether a marker may be true on the target, where its package was asked for with these extras.

    One that asks the kernel, or that has no answer, may be.
    """
    if marker is None or "platform_release" in str(marker) or "platform_version" in str(marker):
        return True
    try:
        return any(
            marker.evaluate({**_environment(target, patch), "extra": extra})
            for patch in (0, 99)
            for extra in ("", *extras)
        )
    except (KeyError, ValueError):  # UndefinedEnvironmentName; UndefinedComparison, InvalidVersion
        return True


def _environment(target: Target, patch: int) -> dict[str, str | AbstractSet[str]]:
    """The variables of markers on the target. What a kernel says of itself, nobody knows before."""
    return {
        "implementation_name": "cpython",
        "implementation_version": f"{target.python}.{patch}",
        "os_name": "posix",
        "platform_machine": target.architecture,
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": "Linux",
        "platform_version": "",
        "python_full_version": f"{target.python}.{patch}",
        "python_version": target.python,
        "sys_platform": "linux",
        "extra": "",
    }


def next_build(filenames: Iterable[str]) -> int:
    """The build number that is higher than those of these wheels of a release, so that installers prefer it."""
    numbers = [parse_wheel_filename(filename)[2] for filename in filenames]
    return 1 + max((number[0] for number in numbers if number), default=0)


def best_wheel(wheels: Iterable[IndexFile], target: Target) -> IndexFile | None:
    """The wheel that pip on the target prefers among those of one release that are for it; None where none is."""

    def preference(wheel: IndexFile) -> tuple[int, tuple[int, str]]:
        order = rank(wheel.filename, target)
        build = parse_wheel_filename(wheel.filename)[2] or (0, "")
        return -(order if order is not None else 0), build

    return max((wheel for wheel in wheels if usable(wheel.filename, target)), key=preference, default=None)
