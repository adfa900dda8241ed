"""The values of the image modules: what is asked for, what came of it, and the labels that tell images apart."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mirror.core.model import Base, Target

ROLE = "org.mirror.role"
KIND = "org.mirror.kind"
INPUTS = "org.mirror.inputs"
REQUEST = "org.mirror.request"
BASE = "org.mirror.base"
BUILDER = "org.mirror.builder"
"""Of an image with packages: the id of the builder that it was made of."""
PYTHON = "org.mirror.python"
MUSL = "org.mirror.musl"
ALPINE_RELEASE = "org.mirror.alpine"
ARCHITECTURE = "org.mirror.architecture"
BUILDER_NAMES = "mirror/builder:"
"""What the name of a builder image begins with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSettings:
    """What decides about the images. `base` None takes Alpine when it can be pulled, else the bootstrap.

    `python` and `alpine` are "X.Y". `registry` "" is Docker Hub. `ca_bundle`, `proxy` (environment variables, as
    `https_proxy`), `apk_repositories` and `apk_keys` (a folder) reach image builds only. `cache` is a folder of ours.
    """

    base: Base | None
    python: str
    alpine: str
    registry: str
    ca_bundle: Path | None
    proxy: Mapping[str, str] = field(default_factory=dict)
    apk_repositories: tuple[str, ...] = ()
    apk_keys: Path | None = None
    cache: Path
    assume_yes: bool = False
    fresh: bool = False
    """Take nothing that stands already: not the base image, nor what the engine has kept of a build."""

    def log_of(self, name: str) -> Path:
        """Where what building the image `name` says is kept."""
        return self.cache / "images" / f"{re.sub(r'[/:]', '-', name)}.log"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagePair:
    """A base image and the builder image made of it, by their ids (`sha256:...`), and the target both are of.

    `base_name` is what a user writes after FROM.
    """

    base: str
    builder: str
    kind: Base
    base_name: str
    target: Target


def labels(
    role: str,
    kind: Base,
    inputs: str,
    *,
    request: str = "",
    base: str = "",
    target: Target | None = None,
) -> dict[str, str]:
    """The labels of an image that we build; those of a builder tell which base it was made of, and its target."""
    found = {ROLE: role, KIND: kind.value, INPUTS: inputs}
    if target is not None:
        found |= {REQUEST: request, BASE: base, PYTHON: target.python, ARCHITECTURE: target.architecture}
        found |= {MUSL: _release(target.musl), ALPINE_RELEASE: _release(target.alpine) if target.alpine else ""}
    return found


def _release(numbers: tuple[int, int]) -> str:
    return f"{numbers[0]}.{numbers[1]}"


def _numbers(release: str) -> tuple[int, int]:
    major, minor = release.split(".")
    return int(major), int(minor)


def target_of(found: Mapping[str, str]) -> Target:
    """Read a builder's target back from its labels. Raises KeyError, ValueError where they are not ours."""
    alpine = found.get(ALPINE_RELEASE)
    return Target(
        python=found[PYTHON],
        musl=_numbers(found[MUSL]),
        architecture=found[ARCHITECTURE],
        alpine=_numbers(alpine) if alpine else None,
    )
