"""The `--hash` options of requirements and constraints: what they allow for one release (pip's hash-checking mode)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from packaging.requirements import Requirement
from packaging.utils import NormalizedName

from mirror.core.errors import BadInputError
from mirror.core.lock import Pin
from mirror.core.model import RequirementLine, Requirements

Hashes = Mapping[NormalizedName, tuple[str, ...]]
"""What is allowed of each project that has hashes, over all of its versions."""
NO_HASHES: Hashes = MappingProxyType({})


def allowed_hashes(pin: Pin, requirements: Requirements) -> tuple[str, ...]:
    """The hashes that the requirements allow for this release; where constraints have some too, what both allow.

    Raises BadInputError (`hash-mismatch`) where these have none in common.
    """
    asked, constrained = (_hashes_of(pin, lines) for lines in (requirements.requirements, requirements.constraints))
    if not asked or not constrained:
        return asked or constrained
    both = tuple(found for found in asked if found in constrained)
    if not both:
        raise BadInputError(
            "hash-mismatch",
            f"requirements and constraints allow no hash of {pin[0]} {pin[1]} in common",
            details=[f"in requirements: {', '.join(asked)}", f"in constraints: {', '.join(constrained)}"],
            hint="one of them is out of date: update it",
        )
    return both


def hashes_by_project(requirements: Requirements) -> Hashes:
    """The hashes that the requirements allow, sorted; where constraints have some too, what both allow."""
    asked, constrained = (_by_project(lines) for lines in (requirements.requirements, requirements.constraints))
    both = {name: found & constrained[name] for name, found in asked.items() if name in constrained}
    return {name: tuple(sorted(found)) for name, found in {**constrained, **asked, **both}.items()}


def check_all_hashed(pins: tuple[Pin, ...], requirements: Requirements) -> None:
    """Once one requirement has a hash, what it needs must have one too, as in pip. Raises BadInputError."""
    if not any(line.hashes for line in requirements.requirements):
        return
    lines = (*requirements.requirements, *requirements.constraints)
    bare = [f"{name} {version}" for name, version in pins if not _hashes_of((name, version), lines)]
    if bare:
        raise BadInputError(
            "hash-missing",
            f"the requirements have hashes, and {len(bare)} of the packages they need have none",
            details=bare,
            hint="add them too, pinned and with hashes: `pip-compile --generate-hashes` or `uv export` writes all",
        )


def _by_project(lines: tuple[RequirementLine, ...]) -> dict[NormalizedName, frozenset[str]]:
    found: dict[NormalizedName, frozenset[str]] = {}
    for line in lines:
        if line.hashes:
            found[line.name] = found.get(line.name, frozenset()).union(line.hashes)
    return found


def _hashes_of(pin: Pin, lines: tuple[RequirementLine, ...]) -> tuple[str, ...]:
    # Lines with markers may name several versions, each with the hashes of its own files.
    spoken = [line for line in lines if line.name == pin[0] and line.hashes]
    meant = [line for line in spoken if Requirement(line.text).specifier.contains(pin[1], prereleases=True)]
    return tuple(dict.fromkeys(found for line in meant for found in line.hashes))
