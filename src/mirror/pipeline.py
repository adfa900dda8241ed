"""The one way through, over the ports: requirements, lock, plan, builds, clean room, report."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace

from packaging.utils import NormalizedName

from mirror import clean_room, explained
from mirror.builds import Builds, WindDown
from mirror.core.errors import BadInputError, MirrorError
from mirror.core.graph import BuildGraph
from mirror.core.hashes import allowed_hashes, check_all_hashed, hashes_by_project
from mirror.core.lock import Pin, is_of_release, is_ours, lock_package
from mirror.core.misses import OnDemand
from mirror.core.model import (
    IndexFile,
    JobKey,
    Lock,
    LockedPackage,
    Plan,
    Report,
    Requirements,
    Reused,
    Target,
)
from mirror.core.plan import make_plan
from mirror.core.recipes import Recipes
from mirror.core.retention import Origin
from mirror.core.target import best_wheel
from mirror.core.upstreams import FurtherUpstream
from mirror.jobs import JobSteps, refuse_denied, sentence
from mirror.neighbours import Neighbours
from mirror.ports import Builders, Claims, Index, Journal, Locks, MeteredWindow, Reporter, Resolver, Sandbox
from mirror.provenance import Provenance
from mirror.registering import Registration
from mirror.tasks import Workshop
from mirror.window import View


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """What a run over one target stands on. `jobs` is how many compiles go on side by side."""

    sandbox: Sandbox
    index: Index
    provenance: Provenance
    resolver: Resolver
    builders: Builders
    journal: Journal
    claims: Claims
    locks: Locks
    reporter: Reporter
    verify_window: Callable[[View], MeteredWindow]
    workshop: Workshop
    recipes: Recipes
    target: Target
    jobs: int
    retry: bool = False
    """Try again what failed before with all the same."""
    origin: Origin = field(default_factory=Origin)
    """Where the requirements files lie, by which their lock is known."""
    further: tuple[FurtherUpstream, ...] = ()
    """Where projects of one's own come from."""
    denied: OnDemand = field(default_factory=OnDemand)
    """What may not be compiled, whoever requires it: for an installer's miss, which nobody has looked at."""
    wind_down: WindDown = field(default_factory=WindDown)

    def plan(self, requirements: Requirements) -> Plan:
        """Resolve for the target and compare with the index. Raises MirrorError."""
        self.reporter.step(f"resolving for {self.target}")
        for told in explained.skipped_lines(requirements, self.target):
            self.reporter.step(told)
        try:
            pins = self._resolve(requirements)
        except MirrorError as error:
            if error.code != "unresolvable":
                raise
            shown = self._view(requirements)
            for told in explained.hidden_wheels(requirements, self.index, shown):
                self.reporter.step(told)
            raise explained.why_not(requirements, self.target, shown, error, self.further) from error
        check_all_hashed(pins, requirements)
        packages = self._lock_packages(pins, requirements)
        explained.check_extras(requirements, self.target, self.index, packages)
        plan = make_plan(Lock(target=self.target, packages=packages), self.recipes)
        for told in explained.unnamed_libcs(plan, self.index):
            self.reporter.step(told)
        return plan

    def build(self, requirements: Requirements) -> Report:
        """Plan, compile what is missing, publish it, prove it. Raises MirrorError only before the first build."""
        started = time.monotonic()
        plan = self.plan(requirements)
        refuse_denied(self.denied, *plan.jobs)
        self.claims.sweep()
        registration = Registration(
            locks=self.locks,
            requirements=requirements,
            target=self.target,
            say=self.reporter.step,
            origin=self.origin,
        )
        if plan.jobs:
            registration.begin(reuse.wheel for reuse in plan.reuses)
            self.reporter.step(f"compiling {len(plan.jobs)} of {len(plan.lock.packages)} packages")
        steps = JobSteps(
            sandbox=self.sandbox,
            index=self.index,
            provenance=self.provenance,
            resolver=self.resolver,
            builders=self.builders,
            journal=self.journal,
            claims=self.claims,
            workshop=self.workshop,
            recipes=self.recipes,
            projects=frozenset(package.name for package in plan.lock.packages),
            neighbours=Neighbours(self.index, plan.reuses, [job.key for job in plan.jobs]),
            retry=self.retry,
            denied=self.denied,
        )
        builds = Builds(
            steps=steps,
            graph=BuildGraph(plan.jobs),
            at_once=self.jobs,
            reporter=self.reporter,
            record=lambda outcome: self.journal.record(outcome, self.target),
            give_up=self._give_up,
            wind_down=self.wind_down,
        )
        outcomes = builds.run()
        reused = tuple(Reused(reuse=reuse) for reuse in plan.reuses)
        for outcome in reused:
            self.journal.record(outcome, self.target)
            self.reporter.ended(outcome)
        report = Report(target=self.target, outcomes=(*outcomes, *reused), seconds=0.0)
        if not report.succeeded:
            registration.fail(report.outcomes)
        else:
            registration.end(report.outcomes, self._ours_of(builds.needs))
            with ThreadPoolExecutor(1, thread_name_prefix="resolve") as beside:
                if plan.jobs:
                    beside.submit(self._resolve_again, requirements)
                report = self._prove_once(report, requirements, clean_room.answers(plan.lock, report.outcomes))
        return replace(report, seconds=time.monotonic() - started)

    def _give_up(self) -> None:
        """Let no thread wait any longer: neither for a sandbox, nor for another run, nor for the index."""
        self.sandbox.stop()
        self.claims.stop()
        self.index.stop()

    def verify(self, requirements: Requirements) -> Report:
        """The clean room alone. Raises MirrorError (`not-built`) where wheels are missing."""
        started = time.monotonic()
        plan = self.plan(requirements)
        if plan.jobs:
            raise MirrorError(
                "not-built",
                f"{len(plan.jobs)} of {len(plan.lock.packages)} packages have no wheel for {self.target}",
                details=[str(job) for job in plan.jobs],
                hint="run `mirror build` with the same file first",
            )
        outcomes = tuple(Reused(reuse=reuse) for reuse in plan.reuses)
        report = Report(target=self.target, outcomes=outcomes, seconds=0.0)
        report = self._prove(report, requirements, clean_room.answers(plan.lock, outcomes))
        return replace(report, seconds=time.monotonic() - started)

    def _resolve(self, requirements: Requirements) -> tuple[Pin, ...]:
        return self.resolver.resolve(
            [line.text for line in requirements.requirements],
            [line.text for line in requirements.constraints],
            pre_releases=requirements.pre_releases,
            hashes=hashes_by_project(requirements),
        )

    def _view(self, requirements: Requirements) -> View:
        """The index without the wheels of ours that are no answer to the requirements."""
        return self.provenance.view(self.index, hashes_by_project(requirements))

    def _resolve_again(self, requirements: Requirements) -> None:
        """Let the resolver see the pages as they are now, with our wheels on them: the next run asks just this."""
        with suppress(MirrorError):
            self._resolve(requirements)

    def _lock_packages(self, pins: tuple[Pin, ...], requirements: Requirements) -> tuple[LockedPackage, ...]:
        """All packages of the lock. Raises BadInputError with everything that is wrong with any of them."""
        packages, wrong = [], []
        for pin in pins:
            try:
                packages.append(self._lock_package(pin, requirements))
            except BadInputError as error:
                wrong.append((pin[0], error))
        if wrong:
            raise explained.together(wrong, requirements) from wrong[0][1]
        return tuple(packages)

    def _lock_package(self, pin: Pin, requirements: Requirements) -> LockedPackage:
        """One package of the lock. Where the user gave hashes, each file must have one of them.

        A wheel that we compiled is in nobody's list of hashes; the sdist that it was compiled from is, or it is no
        answer.
        """
        hashes = allowed_hashes(pin, requirements)
        release = [file for file in self.index.files(pin[0]) if is_of_release(file.filename, pin)]
        answering = self.provenance.answering(release, hashes)
        preferred = best_wheel(release, self.target)
        if preferred and preferred not in answering:
            self.reporter.step(explained.no_answer(preferred, instead=best_wheel(answering, self.target)))
        ours = [file for file in answering if self.provenance.is_ours(file)]
        return lock_package(pin, answering, self.target, hashes, ours)

    def _ours_of(self, needs: Mapping[JobKey, Collection[IndexFile]]) -> dict[JobKey, list[IndexFile]]:
        return {key: [file for file in files if self._is_ours(file)] for key, files in needs.items()}

    def _is_ours(self, file: IndexFile) -> bool:
        return is_ours(file, self.index.simple_url)

    def _prove_once(self, report: Report, requirements: Requirements, answers: Mapping[Pin, IndexFile]) -> Report:
        """The clean room, unless it has proved these very files on this very image before.

        It raises nothing: what was compiled is published, and the report must tell so.
        """
        key = clean_room.proof_key(self.workshop.base_image, requirements, answers, self._import_names(answers))
        try:
            if self.journal.was_verified(key):
                return report
            proved = self._prove(report, requirements, answers)
            if proved.succeeded:
                self.journal.remember_verified(key)
        except MirrorError as error:
            return replace(report, verify_error=f"it could not be verified: {sentence(error)}")
        return proved

    def _prove(self, report: Report, requirements: Requirements, answers: Mapping[Pin, IndexFile]) -> Report:
        self.reporter.step("verifying in a clean room")
        rooms = clean_room.CleanRooms(
            sandbox=self.sandbox,
            index=self.index,
            journal=self.journal,
            reporter=self.reporter,
            workshop=self.workshop,
            window=lambda: self.verify_window(self._view(requirements)),
            at_once=self.jobs,
        )
        proof = rooms.prove(requirements, answers, self._import_names(answers))
        return replace(report, verify_error=proof) if isinstance(proof, str) else replace(report, verified=proof)

    def _import_names(self, answers: Collection[Pin]) -> dict[NormalizedName, tuple[str, ...]]:
        """What recipes say is to be imported."""
        names = {name: self.recipes.for_project(name, version).import_names for name, version in answers}
        return {name: found for name, found in names.items() if found is not None}
