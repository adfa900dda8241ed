"""What a sandbox is told to do, composed as values: nothing in here starts anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from mirror.core.lock import Pin, pin_of
from mirror.core.model import BuildSystem, Job, Requirements
from mirror.ports import Limits, Task, Window


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """What every task of a run has in common: the two images (by id), the limits, and how much may run at once."""

    base_image: str
    builder_image: str
    limits: Limits
    processes: int
    """Compile processes that one job may start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildEnvironment:
    """What a job's build requirements came to.

    `requires` is every requirement string that the wheels answer, as the sdist and its backend wrote them.
    """

    build_system: BuildSystem
    requires: tuple[str, ...]
    wheels: Mapping[str, Path]
    """File name to where its checked bytes lie."""


def resolve_task(
    workshop: Workshop,
    requirements: Sequence[str],
    constraints: Sequence[str],
    *,
    pre_releases: bool,
    window: Window,
    log: Path,
) -> Task:
    """Lock requirements on the target itself: in the builder image, since a metadata hook may have to run."""
    return Task(
        command="resolve",
        arguments={
            "requirements": list(requirements),
            "constraints": list(constraints),
            "pre_releases": pre_releases,
            "pre_releases_of": _named_pre_releases((*requirements, *constraints)),
        },
        image=workshop.builder_image,
        label="resolve",
        limits=workshop.limits,
        window=window,
        log=log,
    )


def _named_pre_releases(texts: Sequence[str]) -> list[str]:
    """The projects of which a specifier names a pre-release: pip then takes any of theirs, uv only where it must."""
    found = (Requirement(text) for text in texts)
    return sorted({canonicalize_name(asked.name) for asked in found if asked.specifier.prereleases})


def compile_task(workshop: Workshop, job: Job, environment: BuildEnvironment, sdist: Path, log: Path) -> Task:
    """Compile and repair one sdist: no window, so nothing is in reach but what is sent along."""
    recipe = job.recipe
    limits = workshop.limits
    if recipe.timeout_s is not None:
        limits = limits.with_wall_clock(recipe.timeout_s)
    return Task(
        command="compile",
        arguments={
            "sdist": job.sdist.filename,
            "backend": environment.build_system.backend,
            "backend_path": list(environment.build_system.backend_path),
            "config_settings": dict(recipe.config_settings),
            "requires": list(environment.requires),
            "environment": dict(recipe.environment),
            "processes": workshop.processes,
            "platform": job.target.platform,
        },
        image=workshop.builder_image,
        label=f"compile {job}",
        limits=limits,
        inputs={
            job.sdist.filename: sdist,
            **{f"wheelhouse/{name}": path for name, path in environment.wheels.items()},
        },
        log=log,
    )


def install_task(workshop: Workshop, requirements: Requirements, window: Window, log: Path) -> Task:
    """Install in a clean room: the base image, and the index alone."""
    return Task(
        command="install",
        arguments={
            "requirements": [line.text for line in requirements.requirements],
            "constraints": [line.text for line in requirements.constraints],
            "pre_releases": requirements.pre_releases,
        },
        image=workshop.base_image,
        label="verify",
        limits=workshop.limits,
        window=window,
        log=log,
    )


def import_task(
    workshop: Workshop,
    pin: Pin,
    wheels: Mapping[str, Path],
    beside: Mapping[str, Path],
    modules: Sequence[str] | None,
    log: Path,
) -> Task:
    """Import one project in a clean room: no window, so nothing is there but these wheels, by their file names."""
    name, version = pin
    return Task(
        command="import",
        arguments={
            "project": name,
            "wheels": sorted(wheels, key=lambda filename: (pin_of(filename) == pin, filename)),
            "beside": sorted(beside),
            "modules": None if modules is None else list(modules),
        },
        image=workshop.base_image,
        label=f"import {name} {version}",
        limits=workshop.limits,
        inputs={**wheels, **beside},
        log=log,
    )
