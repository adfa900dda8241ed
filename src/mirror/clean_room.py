"""What is asked of the clean room, and what its answer is worth."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping

from packaging.utils import NormalizedName
from packaging.version import InvalidVersion, Version

from mirror.core.lock import Pin
from mirror.core.model import Built, IndexFile, Lock, Outcome, Requirements, Reused, Verified
from mirror.core.text import visible
from mirror.ports import End, Ended


def answers(lock: Lock, outcomes: Collection[Outcome]) -> dict[Pin, IndexFile]:
    """The wheel that answers each package of the lock; what was compiled for a build alone is no part of it."""
    wheels: dict[Pin, IndexFile] = {}
    for outcome in outcomes:
        if isinstance(outcome, Built):
            wheels[outcome.job.key.name, outcome.job.key.version] = outcome.wheel
        elif isinstance(outcome, Reused):
            wheels[outcome.reuse.name, outcome.reuse.version] = outcome.reuse.wheel
    return {(package.name, package.version): wheels[package.name, package.version] for package in lock.packages}


def problem(ended: Ended, packages: Collection[Pin], ours: frozenset[str]) -> str:
    """What the clean room found wrong; "" if nothing.

    Importing has to work for what we compiled (`ours`). A wheel of upstream's is as upstream wants it: a module of it
    that wants an optional dependency, say, is told by its absence from what was imported.
    """
    if ended.end is not End.FINISHED:
        return f"the clean room came to no result ({ended.end.value}): {ended.message}"
    if not ended.value.get("ok"):
        return f"pip could not install the requirements: {visible(str(ended.value.get('message')), 500)}"
    installed = {str(name): str(version) for name, version in ended.value["installed"]}
    wrong = sorted(
        f"{name} {visible(installed.get(name, 'is missing'))} instead of {version}"
        for name, version in packages
        if not _is_version(installed.get(name), version)
    )
    if wrong:
        return "pip chose otherwise than the lock: " + ", ".join(wrong)
    errors = [
        f"import {visible(module)}: {visible(error, 500)}"
        for name, modules in sorted(ended.value["errors"].items())
        for module, error in sorted(modules.items())
        if name in ours
    ]
    return "what was installed does not import: " + "; ".join(errors) if errors else ""


def _is_version(installed: str | None, version: Version) -> bool:
    """Whether they are the same version: METADATA may write it otherwise (`2022.06.15`)."""
    try:
        return installed is not None and Version(installed) == version
    except InvalidVersion:
        return False


def verified(ended: Ended, downloaded_bytes: int) -> Verified:
    """What the clean room measured. Raises KeyError, TypeError, ValueError where its answer is not the agent's."""
    return Verified(
        seconds=float(ended.value["seconds"]),
        installed=tuple((visible(str(name)), visible(str(version))) for name, version in ended.value["installed"]),
        imported=tuple(visible(str(name)) for name in ended.value["imported"]),
        downloaded_bytes=downloaded_bytes,
    )


def proof_key(
    image: str,
    requirements: Requirements,
    answers: Mapping[Pin, IndexFile],
    import_names: Mapping[NormalizedName, tuple[str, ...]],
) -> str:
    """What a proof is about: the base image, what was asked for, the bytes that answered it, what was imported."""
    asked = [
        image,
        requirements.pre_releases,
        sorted(line.text for line in requirements.requirements),
        sorted(line.text for line in requirements.constraints),
        sorted(wheel.sha256 for wheel in answers.values()),
        sorted(import_names.items()),
    ]
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()
