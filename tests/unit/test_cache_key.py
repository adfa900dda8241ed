"""What a compile depends on, and what two runs must not do at the same time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fakes.outcomes import a_file, a_job
from mirror.core.cache_key import cache_key, claim_key
from mirror.core.model import IndexFile, Job, Recipe, Target

JOB = a_job("demo", "1.0", Recipe(environment={"A": "1"}))
WHEELS = (a_file("a-1-py3-none-any.whl"), a_file("b-1-py3-none-any.whl"))
LIMITS = {"memory_bytes": 1, "processes": 2}


def key(
    job: Job = JOB, builder: str = "sha256:1", wheels: tuple[IndexFile, ...] = WHEELS, memory_bytes: int = 1
) -> str:
    limits = LIMITS | {"memory_bytes": memory_bytes}
    return cache_key(job, builder_image=builder, wheels=wheels, limits=limits)


def test_the_same_is_the_same() -> None:
    """In whatever order its parts come, and whatever a recipe's reasons say."""
    other = replace(JOB, recipe=replace(JOB.recipe, reasons=("because",), import_names=("demo",)))
    assert key() == key(other, wheels=WHEELS[::-1])


@pytest.mark.parametrize(
    "other",
    [
        key(replace(JOB, sdist=a_file("demo-1.0.tar.gz", sha256="cd" * 32))),
        key(replace(JOB, target=Target(python="3.12"))),
        key(replace(JOB, recipe=Recipe(environment={"A": "2"}))),
        key(replace(JOB, recipe=replace(JOB.recipe, system_packages=("libffi-dev",)))),
        key(replace(JOB, recipe=replace(JOB.recipe, config_settings={"fast": "yes"}))),
        key(replace(JOB, recipe=replace(JOB.recipe, oddities=("pth-file",)))),
        key(replace(JOB, recipe=replace(JOB.recipe, timeout_s=7200))),
        key(builder="sha256:2"),
        key(wheels=WHEELS[:1]),
        key(wheels=(WHEELS[0], a_file("b-1-py3-none-any.whl", sha256="cd" * 32))),
        key(memory_bytes=2),
    ],
    ids=[
        "sdist",
        "target",
        "environment",
        "packages",
        "settings",
        "oddities",
        "timeout",
        "builder",
        "fewer wheels",
        "another wheel",
        "limits",
    ],
)
def test_whatever_it_depends_on_makes_another_key(other: str) -> None:
    """Each of them may let a compile end otherwise."""
    assert key() != other


def test_two_runs_must_not_compile_a_release_for_a_target_at_the_same_time() -> None:
    """With whatever recipe and image, from whatever sdist: their wheels would have one name."""
    other_recipe = replace(JOB, recipe=Recipe())
    assert claim_key(JOB) == claim_key(replace(JOB, sdist=a_file("demo-1.0.zip", sha256="cd" * 32)))
    other_target = replace(JOB, target=Target(python="3.12"))
    assert claim_key(JOB) == claim_key(other_recipe) != claim_key(other_target)
    assert 40 == len(claim_key(JOB))
