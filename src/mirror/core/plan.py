"""Compare a lock with what the index holds: compile this, take that as it is."""

from __future__ import annotations

from mirror.core.errors import MirrorError
from mirror.core.model import Job, JobKey, Lock, LockedPackage, Plan, Reuse
from mirror.core.recipes import Recipes
from mirror.core.target import best_wheel


def make_plan(lock: Lock, recipes: Recipes) -> Plan:
    """Reuse a package that has a wheel which pip would take on the target; a job for every other."""
    reuses: list[Reuse] = []
    jobs: list[Job] = []
    for package in lock.packages:
        wheel = best_wheel(package.wheels, lock.target)
        if wheel is not None:
            reuses.append(Reuse(name=package.name, version=package.version, wheel=wheel))
        else:
            jobs.append(make_job(package, lock, recipes))
    return Plan(lock=lock, jobs=tuple(jobs), reuses=tuple(reuses))


def make_job(package: LockedPackage, lock: Lock, recipes: Recipes) -> Job:
    """The job that compiles a package of the lock from its sdist."""
    if package.sdist is None:
        raise MirrorError("no-usable-file", f"{package} has no sdist to compile for {lock.target}")
    return Job(
        key=JobKey(name=package.name, version=package.version),
        sdist=package.sdist,
        target=lock.target,
        recipe=recipes.for_project(package.name, package.version),
    )
