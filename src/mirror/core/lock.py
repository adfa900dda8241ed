"""PEP 751 locks, in and out."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    NormalizedName,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import InvalidVersion, Version

from mirror.core.errors import BadInputError, MirrorError
from mirror.core.made_of import MadeOf
from mirror.core.model import IndexFile, LockedPackage, Target
from mirror.core.target import names_no_libc, takes_python, usable
from mirror.core.text import visible
from mirror.core.toml import read_toml

Pin = tuple[NormalizedName, Version]
MOST_PINS = 3_000
"""Packages of one lock: the largest real ones have some hundred."""


def read_pins(text: str) -> tuple[Pin, ...]:
    """The (name, version) of every package in a PEP 751 lock, sorted.

    Names and versions are all that is taken: which files answer them is for the index to say, not for a text that came
    out of a sandbox. Raises MirrorError (`bad-lock`), also for more than MOST_PINS and for two versions of a project.
    """
    try:
        return _pins(read_toml(text).get("packages", []))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise MirrorError(
            "bad-lock",
            f"the resolver's lock cannot be used: {visible(str(error), 300)}",
            hint="a metadata hook may have written it: see the resolver's log",
        ) from error


def _pins(packages: Sequence[Mapping[str, Any]]) -> tuple[Pin, ...]:
    if len(packages) > MOST_PINS:
        raise ValueError(f"it has {len(packages)} packages, expected at most {MOST_PINS}")
    pins = tuple(sorted(map(_pin, packages)))
    if twice := [name for (name, _), (following, _) in itertools.pairwise(pins) if name == following]:
        raise ValueError(f"it has two versions of {twice[0]}")
    return pins


def _pin(package: Mapping[str, Any]) -> Pin:
    name, version = package["name"], package["version"]
    if not isinstance(name, str) or not isinstance(version, str):
        raise TypeError("`name` and `version` are strings")
    return canonicalize_name(name, validate=True), Version(version)


def lock_package(
    pin: Pin,
    files: Sequence[IndexFile],
    target: Target,
    hashes: Sequence[str] = (),
    made_of_these: Collection[IndexFile] = (),
) -> LockedPackage:
    """The files of one release that may be installed or compiled on the target.

    `hashes` are the user's (`sha256:…`), or none. Where there are some, a file counts only if its hash is among them,
    or if it is one of `made_of_these`: wheels of ours, whose sdist's hash is. Something else is to be compiled from an
    sdist that has one. Raises BadInputError: `hash-mismatch`, `no-usable-file`.
    """
    name, version = pin
    listed = [file for file in files if pin_of(file.filename) == pin]
    release = [file for file in listed if takes_python(file.requires_python, target.python)]
    wheels = [file for file in release if usable(file.filename, target)]
    sdists = sorted((file for file in release if not file.filename.endswith(".whl")), key=_sdist_preference)
    if not wheels and not sdists:
        raise BadInputError(
            "no-usable-file",
            f"{name} {version} has neither an sdist nor a wheel for {target}",
            details=[f"the index has {visible(file.filename, 200)}" for file in listed][:5],
            hint=_without_files(str(name), any(names_no_libc(file.filename) for file in listed)),
        )
    if hashes:
        release = [file for file in (*wheels, *sdists) if f"sha256:{file.sha256}" in hashes or file in made_of_these]
        if not release:
            raise BadInputError(
                "hash-mismatch",
                f"no file of {name} {version} has a hash that the requirements allow",
                details=[
                    *(f"expected {expected}" for expected in hashes),
                    *(f"got      sha256:{file.sha256} from {visible(file.url, 500)}" for file in (*sdists, *wheels)),
                ],
                hint="if the files were changed on purpose, update the hashes; else find out who changed them",
            )
        wheels = [file for file in release if file in wheels]
        sdists = [file for file in release if file in sdists]
    return LockedPackage(name=name, version=version, sdist=sdists[0] if sdists else None, wheels=tuple(wheels))


def _without_files(name: str, has_linux_wheel: bool) -> str:
    if has_linux_wheel:
        return "a plain linux wheel says nothing of its libc: upload the sdist too, or a musllinux wheel (auditwheel)"
    return f"constrain {name} to a release that has an sdist"


def pin_of(filename: str) -> Pin | None:
    """The project and version in a wheel's or sdist's file name; None for anything else.

    A page may list a file of another project, which pip ignores too.
    """
    try:
        if filename.endswith(".whl"):
            name, version, _, _ = parse_wheel_filename(filename)
            return name, version
        return parse_sdist_filename(filename)
    except (InvalidWheelFilename, InvalidSdistFilename, InvalidVersion):
        return None


def is_ours(file: IndexFile, simple_url: str) -> bool:
    """Whether a file was published to the index of this simple page, which shows upstream's files beside its own."""
    return file.url.startswith(simple_url.removesuffix("+simple/"))


def is_answer(wheel: IndexFile, made_of: MadeOf | None, listed: Iterable[IndexFile], hashes: Collection[str]) -> bool:
    """Whether a wheel of our index may answer for its release.

    `made_of` is what it says of itself, `listed` what the index has of the release, `hashes` what the user allows
    (`sha256:…`), or none. Whoever allows some hashes gets what has one of them, or was made of what has. Whoever allows
    any gets what was made of the very sdist that the index lists now, and what others have put there themselves.
    """
    if hashes:
        return f"sha256:{wheel.sha256}" in hashes or (made_of is not None and f"sha256:{made_of.sha256}" in hashes)
    return made_of is None or any(file.sha256 == made_of.sha256 for file in listed)


def is_of_release(filename: str, pin: Pin) -> bool:
    """Whether a file of an index is one of this release's."""
    return pin_of(filename) == pin


def _sdist_preference(file: IndexFile) -> bool:
    """.tar.gz (PEP 625) before .zip."""
    return not file.filename.endswith(".tar.gz")
