"""Outcomes, jobs and files for tests, where only a few of their fields matter."""

from __future__ import annotations

from packaging.utils import NormalizedName
from packaging.version import Version

from mirror.core.model import Blocked, Built, Failed, IndexFile, Job, JobKey, Recipe, Reuse, Reused, Target

TARGET = Target(python="3.11")


def a_key(name: str, version: str) -> JobKey:
    """The key of a job."""
    return JobKey(name=NormalizedName(name), version=Version(version))


def a_file(filename: str, size_bytes: int | None = None, sha256: str = "ab" * 32) -> IndexFile:
    """A file of the index."""
    return IndexFile(filename=filename, url=f"http://127.0.0.1/{filename}", sha256=sha256, size_bytes=size_bytes)


def a_job(name: str, version: str, recipe: Recipe | None = None, size_bytes: int | None = None) -> Job:
    """A job for TARGET."""
    sdist = a_file(f"{name}-{version}.tar.gz", size_bytes)
    return Job(key=a_key(name, version), sdist=sdist, target=TARGET, recipe=recipe or Recipe())


def a_built(name: str, version: str, seconds: float, size_bytes: int, log: str = "") -> Built:
    """An outcome of a job that ended with a wheel for TARGET."""
    wheel = a_file(f"{name}-{version}-cp311-cp311-musllinux_1_2_x86_64.whl", size_bytes)
    return Built(job=a_job(name, version), wheel=wheel, seconds=seconds, size_bytes=size_bytes, log=log)


def a_reused(name: str, version: str, size_bytes: int | None = None) -> Reused:
    """An outcome of a package that has a pure wheel."""
    wheel = a_file(f"{name}-{version}-py3-none-any.whl", size_bytes)
    return Reused(reuse=Reuse(name=NormalizedName(name), version=Version(version), wheel=wheel))


def a_failed(name: str, version: str, reason: str = "It broke.", hint: str = "", log: str = "") -> Failed:
    """An outcome of a job whose compile failed after 73 s."""
    return Failed(job=a_job(name, version), code="compile-failed", reason=reason, hint=hint, seconds=73.0, log=log)


def a_blocked(name: str, version: str, cause: JobKey) -> Blocked:
    """An outcome of a job that could not start."""
    return Blocked(job=a_job(name, version), cause=cause)
