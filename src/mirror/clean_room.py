"""What is asked of the clean rooms, and what their answers are worth.

One room installs, and runs nothing of what it installs: its answer must be the lock. Then what we have compiled is
imported, each project in a room of its own with what it says it needs: its answer counts for that project alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.utils import NormalizedName
from packaging.version import InvalidVersion, Version

from mirror import attempts
from mirror.core.asked import named_by
from mirror.core.errors import UnusableError
from mirror.core.lock import Pin, is_ours
from mirror.core.model import Built, IndexFile, Lock, Outcome, Requirements, Reused, Verified
from mirror.core.text import visible
from mirror.ports import End, Ended, Index, Journal, Limits, MeteredWindow, Reporter, Sandbox, Task
from mirror.tasks import Workshop, import_task, install_task

RULES = 2
"""To be raised when less is proved by what was remembered than is proved now."""
ImportNames = Mapping[NormalizedName, tuple[str, ...]]
"""What recipes say is to be imported of a project."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanRooms:
    """Proves that requirements install, and that what we have compiled for them imports."""

    sandbox: Sandbox
    index: Index
    journal: Journal
    reporter: Reporter
    workshop: Workshop
    window: Callable[[], MeteredWindow]
    at_once: int
    """Projects that are imported side by side."""

    def prove(
        self, requirements: Requirements, answers: Mapping[Pin, IndexFile], import_names: ImportNames
    ) -> Verified | str:
        """What was measured, or what is wrong. Raises MirrorError where that cannot be found out."""
        window, log = self.window(), self.journal.log_path("verify")
        ended = self._run(install_task(self.workshop, requirements, window, log), "clean room")
        try:
            if problem := install_problem(ended, answers.keys(), self.workshop.limits, log):
                return f"{problem} (log: {log})"
            installed = read_installed(ended.value, self.workshop.limits)
        except AnswerError as error:
            return f"the clean room's answer cannot be read: {error} (log: {log})"
        ours = sorted(pin for pin, wheel in answers.items() if is_ours(wheel, self.index.simple_url))
        problems = [*filter(None, self._each(ours, lambda pin: self._import(pin, answers, import_names, window)))]
        if problems:
            return f"what was installed does not import: {'; '.join(problems)}"
        return Verified(
            seconds=installed.seconds,
            installed=installed.packages,
            imported=tuple(name for name, _ in ours),
            downloaded_bytes=window.bytes_served,
        )

    def _each(self, pins: Collection[Pin], work: Callable[[Pin], str]) -> Iterator[str]:
        with ThreadPoolExecutor(self.at_once, thread_name_prefix="import") as pool:
            futures = [pool.submit(work, pin) for pin in pins]
            try:
                yield from (future.result() for future in futures)
            except BaseException as error:
                pool.shutdown(wait=False, cancel_futures=True)
                if not isinstance(error, Exception):  # Ctrl-C above all: the pool would wait for every import to end
                    self.sandbox.stop()
                raise

    def _import(
        self, pin: Pin, answers: Mapping[Pin, IndexFile], import_names: ImportNames, window: MeteredWindow
    ) -> str:
        """What goes wrong where a project is imported; "" for nothing.

        Where it does not import with what it says it needs, the others are put beside it, as they are in real life,
        but for the code of theirs that would run without being asked.
        """
        near = named_by(pin, answers, window.dependencies)
        beside = [wheel for found, wheel in answers.items() if found not in near]
        problem = self._try_import(pin, [answers[found] for found in near], [], import_names)
        if problem and beside:
            problem = self._try_import(pin, [answers[found] for found in near], beside, import_names)
        return problem

    def _try_import(
        self, pin: Pin, wheels: Collection[IndexFile], beside: Collection[IndexFile], import_names: ImportNames
    ) -> str:
        name, version = pin
        log = self.journal.log_path(f"import {name} {version}")
        task = import_task(
            self.workshop,
            pin,
            {wheel.filename: self.index.fetch(wheel) for wheel in wheels},
            {wheel.filename: self.index.fetch(wheel) for wheel in beside},
            import_names.get(name),
            log,
        )
        try:
            problem = import_problem(pin, self._run(task, f"import {name}"), self.workshop.limits, log)
        except AnswerError as error:
            problem = f"{name} {version}: the answer cannot be read: {error}"
        return f"{problem} (log: {log})" if problem else ""

    def _run(self, task: Task, told_as: str) -> Ended:
        ended = attempts.run(self.sandbox, task, lambda stage: self.reporter.stage(told_as, stage))
        if ended.end is End.LOST:
            raise UnusableError("engine-lost", ended.message, hint="look at the Docker engine, then run it again")
        return ended


class AnswerError(Exception):
    """An answer is not the agent's by its shape: whatever has run in there may have given it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """What the installing room says: pip's seconds, and the (name, version) of what is there."""

    seconds: float
    packages: tuple[tuple[str, str], ...]


def read_installed(value: Mapping[str, Any], limits: Limits) -> Installed:
    """Raises AnswerError."""
    seconds, installed = value.get("seconds"), value.get("installed")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= limits.wall_clock_s:
        raise AnswerError("its `seconds` are no duration")
    if not isinstance(installed, list) or not all(map(_is_pair, installed)):
        raise AnswerError("its `installed` is no list of names and versions")
    packages = tuple((visible(name), visible(version)) for name, version in installed)
    if len(packages) != len(dict(packages)):
        raise AnswerError("its `installed` names a project twice")
    return Installed(seconds=float(seconds), packages=packages)


def read_errors(value: Mapping[str, Any]) -> dict[str, str]:
    """Module to why it did not import. Raises AnswerError."""
    errors = value.get("errors")
    if not isinstance(errors, dict) or not all(isinstance(error, str) for error in errors.values()):
        raise AnswerError("its `errors` are no table of modules")
    return {visible(module): visible(error, 500) for module, error in sorted(errors.items())}


def _is_pair(found: object) -> bool:
    return isinstance(found, list) and len(found) == 2 and all(isinstance(part, str) for part in found)


def answers(lock: Lock, outcomes: Collection[Outcome]) -> dict[Pin, IndexFile]:
    """The wheel that answers each package of the lock; what was compiled for a build alone is no part of it."""
    wheels: dict[Pin, IndexFile] = {}
    for outcome in outcomes:
        if isinstance(outcome, Built):
            wheels[outcome.job.key.name, outcome.job.key.version] = outcome.wheel
        elif isinstance(outcome, Reused):
            wheels[outcome.reuse.name, outcome.reuse.version] = outcome.reuse.wheel
    return {(package.name, package.version): wheels[package.name, package.version] for package in lock.packages}


def install_problem(ended: Ended, packages: Collection[Pin], limits: Limits, log: Path) -> str:
    """What the installing room found wrong; "" if nothing: what is there is the lock. Raises AnswerError."""
    if stopped := attempts.limit_that_stopped(ended, limits, log):
        return f"the clean room stopped: {stopped[1]}; {stopped[2]}"
    if ended.end is not End.FINISHED:
        return f"the clean room came to no result ({ended.end.value}): {ended.message}"
    if ended.value.get("ok") is not True:
        return f"pip could not install the requirements: {visible(str(ended.value.get('message')), 500)}"
    installed = dict(read_installed(ended.value, limits).packages)
    wrong = [
        f"{name} {installed.get(name, 'is missing')} instead of {version}"
        for name, version in sorted(packages)
        if not _is_version(installed.get(name), version)
    ]
    names = {name for name, _ in packages}
    wrong += [f"{name} {version}, which is not in it" for name, version in installed.items() if name not in names]
    return "pip chose otherwise than the lock: " + ", ".join(wrong) if wrong else ""


def import_problem(pin: Pin, ended: Ended, limits: Limits, log: Path) -> str:
    """What a room says of the one project that it is there for; "" if it imports. Raises AnswerError."""
    name, version = pin
    if stopped := attempts.limit_that_stopped(ended, limits, log):
        return f"{name} {version}: its clean room stopped: {stopped[1]}; {stopped[2]}"
    if ended.end is not End.FINISHED:
        return f"{name} {version}: its clean room came to no result ({ended.end.value}): {ended.message}"
    if ended.value.get("ok") is not True:
        return f"{name} {version}: {visible(str(ended.value.get('message')), 500)}"
    return "; ".join(f"import {module}: {error}" for module, error in read_errors(ended.value).items())


def _is_version(installed: str | None, version: Version) -> bool:
    """Whether they are the same version: METADATA may write it otherwise (`2022.06.15`)."""
    try:
        return installed is not None and Version(installed) == version
    except InvalidVersion:
        return False


def proof_key(
    image: str, requirements: Requirements, answers: Mapping[Pin, IndexFile], import_names: ImportNames
) -> str:
    """What a proof is about: the base image, what was asked for, the bytes that answered it, what was imported."""
    asked = [
        RULES,
        image,
        requirements.pre_releases,
        sorted(line.text for line in requirements.requirements),
        sorted(line.text for line in requirements.constraints),
        sorted(wheel.sha256 for wheel in answers.values()),
        sorted(import_names.items()),
    ]
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()
