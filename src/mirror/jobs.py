"""The steps of one job, from an sdist to a published wheel. Each may run in a thread of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from mirror import attempts
from mirror.core.cache_key import cache_key, claim_key
from mirror.core.diagnose import diagnose
from mirror.core.errors import MirrorError
from mirror.core.gate import OF_OTHERS, Expected, Layout, check, remedy
from mirror.core.lock import Pin, is_of_release, lock_package
from mirror.core.made_of import MadeOf, made_of
from mirror.core.misses import OnDemand
from mirror.core.model import (
    Built,
    CheckedWheel,
    Failed,
    Finding,
    IndexFile,
    Job,
    JobKey,
    Lock,
    Reuse,
    Reused,
    SourceFacts,
)
from mirror.core.needs import read_needs
from mirror.core.plan import make_plan
from mirror.core.recipes import Recipes
from mirror.core.sdist import read_source
from mirror.core.target import best_wheel, next_build
from mirror.core.text import visible
from mirror.neighbours import Neighbours
from mirror.ports import Builders, Claims, End, Ended, Index, Journal, Resolver, Sandbox
from mirror.provenance import Provenance
from mirror.tasks import BuildEnvironment, Workshop, compile_task

_LONGEST_MESSAGE = 1000
_DETAILS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """An sdist whose hash was checked, and what reading it told."""

    path: Path
    facts: SourceFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A job whose build requirements are resolved.

    `requires` is every requirement string that `lock` answers; `missing` are those packages of it that have no wheel.
    `build` is the number that its wheel gets among those of the release; 0 for none.
    """

    job: Job
    source: Source
    requires: tuple[str, ...]
    wheels: tuple[IndexFile, ...]
    missing: tuple[Job, ...]
    made_of: MadeOf
    build: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class NeedsMore:
    """Compiling asked for more build requirements than the sdist declares (PEP 517, get_requires_for_build_wheel)."""

    job: Job
    requires: tuple[str, ...]
    log: str = ""


@dataclass(frozen=True, slots=True)
class Clocked:
    """A compile since it `started` (monotonic), and its log."""

    started: float
    log: str

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    def failed(self, job: Job, code: str, reason: str, hint: str, *, cache_key: str = "") -> Failed:
        """Its outcome now."""
        return Failed(
            job=job,
            code=code,
            reason=reason,
            hint=hint,
            seconds=self.seconds,
            log=self.log,
            cache_key=cache_key,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSteps:
    """Prepares and compiles jobs. Holds no state of a job, so that threads may share it."""

    sandbox: Sandbox
    index: Index
    provenance: Provenance
    resolver: Resolver
    builders: Builders
    journal: Journal
    claims: Claims
    workshop: Workshop
    recipes: Recipes
    projects: frozenset[str]
    """The normalised names of the lock: a wheel may not take another one's place."""
    neighbours: Neighbours
    """The lock's other packages: nor may it change what one of them installs."""
    retry: bool = False
    """Try again what failed before with all the same."""
    denied: OnDemand = field(default_factory=OnDemand)

    def prepare(self, job: Job, more: Sequence[str], on_stage: Callable[[str], None]) -> Prepared:
        """Fetch and read the sdist, resolve its build requirements and `more`. Raises MirrorError."""
        refuse_denied(self.denied, job)
        on_stage("fetch")
        path = self.index.fetch(job.sdist)
        with path.open("rb") as content:
            facts = read_source(job.sdist.filename, content)
        on_stage("resolve build requirements")
        requires = tuple(dict.fromkeys((*facts.build_system.requires, *more)))
        pins = self.resolver.resolve(requires, job.recipe.build_constraints)
        lock = Lock(
            target=job.target,
            packages=tuple(
                lock_package(pin, self.provenance.answering(self._release(pin)), job.target) for pin in pins
            ),
        )
        plan = make_plan(lock, self.recipes)
        return Prepared(
            job=job,
            source=Source(path=path, facts=facts),
            requires=requires,
            wheels=tuple(reuse.wheel for reuse in plan.reuses),
            missing=plan.jobs,
            made_of=made_of(job, self.index.upstream_of(job.sdist)),
        )

    def _release(self, pin: Pin) -> tuple[IndexFile, ...]:
        return tuple(file for file in self.index.files(pin[0]) if is_of_release(file.filename, pin))

    def compile(
        self, prepared: Prepared, built: Mapping[JobKey, IndexFile], on_stage: Callable[[str], None]
    ) -> Built | Reused | Failed | NeedsMore:
        """Compile, repair, judge, publish, read back. `built` has the wheels of `prepared.missing`.

        Nothing is done twice: not what failed before with all the same, not what a run before this one had in its
        hands when it died, not what another run is doing now. Raises MirrorError where it may go well next time.
        """
        job = prepared.job
        wheels = (*prepared.wheels, *(built[missing.key] for missing in prepared.missing))
        key = cache_key(job, builder_image=self.workshop.builder_image, wheels=wheels, limits=self._limits())
        if known := self._failed_before(job, key):
            return known
        with self.claims.hold(claim_key(job), lambda: on_stage("wait for another run that builds it")):
            self.index.forget(job.key.name)
            ours = [file for file in self._release(_pin(job)) if self.provenance.is_ours(file)]
            if there := self._built_meanwhile(job, ours):
                return there
            if known := self._failed_before(job, key):
                return known
            prepared = replace(prepared, build=self._build(key, ours))
            if finished := self._publish_kept(prepared, key, on_stage):
                return finished
            return self._compile(prepared, wheels, key, on_stage)

    def _limits(self) -> dict[str, int]:
        return asdict(self.workshop.limits)

    def _failed_before(self, job: Job, key: str) -> Failed | None:
        past = None if self.retry else self.journal.failure(key)
        if past is None:
            return None
        return Failed(
            job=job,
            code=past.code,
            reason=f"{past.reason} (on {past.day}; not tried again, since nothing has changed)",
            hint="; ".join(filter(None, (past.hint, "`--retry` tries it again all the same"))),
            seconds=0.0,
            log=past.log,
        )

    def _build(self, key: str, ours: Sequence[IndexFile]) -> int:
        """The number of a wheel beside those of ours that are no answer; 0 where nothing is in its way.

        That is the case, too, where the index lists just the kept wheel, and lost its bytes.
        """
        kept = self.journal.kept(key)
        if not ours or (kept and any(file.sha256 == kept.sha256 for file in ours)):
            return 0
        return next_build(file.filename for file in ours)

    def _built_meanwhile(self, job: Job, ours: Sequence[IndexFile]) -> Reused | None:
        """The wheel made of this very sdist that another run has published to our index since this one planned."""
        wheel = best_wheel(self.provenance.answering(ours, [f"sha256:{job.sdist.sha256}"]), job.target)
        if wheel is None:
            return None
        reuse = Reuse(name=job.key.name, version=job.key.version, wheel=wheel)
        self.neighbours.meet(reuse)
        return Reused(reuse=reuse)

    def _publish_kept(self, prepared: Prepared, key: str, on_stage: Callable[[str], None]) -> Built | None:
        """Publish what a run before this one compiled and did not come to publish; the gate judges it anew."""
        kept = self.journal.kept(key)
        if kept is None:
            return None
        started = time.monotonic()
        on_stage("check")
        try:
            wheel = self._judge(prepared, kept.filename, kept.content)
        except MirrorError:
            self.journal.release(key)
            return None
        return self._publish(prepared.job, wheel, key, Clocked(started, log=""), on_stage)

    def _compile(
        self, prepared: Prepared, wheels: Sequence[IndexFile], key: str, on_stage: Callable[[str], None]
    ) -> Built | Failed | NeedsMore:
        clocked = Clocked(time.monotonic(), log=self._new_log(prepared.job))
        try:
            ended = self._run(prepared, wheels, key, clocked.log, on_stage, self.workshop.processes)
            if ended.end is End.OUT_OF_MEMORY and self.workshop.processes > 1:
                # Compilers side by side each want theirs: one at a time may do with what there is.
                on_stage("again, one process at a time: it ran out of memory")
                clocked = replace(clocked, log=self._new_log(prepared.job))
                ended = self._run(prepared, wheels, key, clocked.log, on_stage, 1)
            made = self._take(prepared, ended, key, clocked, on_stage)
            if not isinstance(made, CheckedWheel):
                return made
            self.journal.keep(key, made)
            return self._publish(prepared.job, made, key, clocked, on_stage)
        except MirrorError as error:
            attempts.keep_reason(Path(clocked.log), error)
            return clocked.failed(prepared.job, error.code, sentence(error), error.hint)

    def _new_log(self, job: Job) -> str:
        return str(self.journal.log_path(str(job)))

    def _run(
        self,
        prepared: Prepared,
        wheels: Sequence[IndexFile],
        key: str,
        log: str,
        on_stage: Callable[[str], None],
        processes: int,
    ) -> Ended:
        job = prepared.job
        on_stage("fetch build requirements")
        environment = BuildEnvironment(
            build_system=prepared.source.facts.build_system,
            requires=prepared.requires,
            wheels={wheel.filename: self.index.fetch(wheel) for wheel in wheels},
        )
        image = self.builders.builder_with(job.recipe.system_packages, Path(log))
        workshop = replace(self.workshop, builder_image=image, processes=processes)
        task = compile_task(workshop, job, environment, prepared.source.path, Path(log))
        self.journal.begin(job, key, Path(log))
        return attempts.run(self.sandbox, task, on_stage)

    def _take(
        self, prepared: Prepared, ended: Ended, key: str, clocked: Clocked, on_stage: Callable[[str], None]
    ) -> CheckedWheel | Failed | NeedsMore:
        """What came out of the sandbox: a wheel that the gate has passed, or why there is none."""
        job = prepared.job
        if ended.end is End.LOST:
            return clocked.failed(job, *attempts.explain(ended))
        if ended.end is not End.FINISHED:
            return clocked.failed(job, *attempts.explain(ended), cache_key=key)
        if not ended.value.get("ok"):
            return clocked.failed(job, *self._why(job, ended, Path(clocked.log)), cache_key=key)
        try:
            if needs := read_needs(ended.value.get("needs")):
                return NeedsMore(job=job, requires=needs, log=clocked.log)
            on_stage("check")
            return self._judge(prepared, str(ended.value.get("wheel", "")), ended.outputs.get("0", b""))
        except MirrorError as error:
            # What is in the way of others may pass with another lock, and is not remembered.
            remembered = "" if isinstance(error, InTheWayError) else key
            return clocked.failed(job, error.code, sentence(error), error.hint, cache_key=remembered)

    def _why(self, job: Job, ended: Ended, log: Path) -> tuple[str, str, str]:
        """Code, reason and hint of a build that failed."""
        text = attempts.end_of(log)
        message = visible(str(ended.value.get("message") or "the build gave no reason"), _LONGEST_MESSAGE)
        code, reason, hint = attempts.limit_that_was_hit(ended.value.get("pressure"), self.workshop.limits, text) or (
            "build-failed",
            diagnose(text).reason,
            diagnose(text).hint,
        )
        hints = (hint, f"read its log: mirror log {job.key.name}")
        return code, ": ".join(filter(None, (message, reason))), "; ".join(filter(None, hints))

    def _publish(
        self, job: Job, wheel: CheckedWheel, key: str, clocked: Clocked, on_stage: Callable[[str], None]
    ) -> Built:
        on_stage("publish")
        published = self.index.publish(wheel)
        self.journal.release(key)
        return Built(
            job=job,
            wheel=published,
            seconds=clocked.seconds,
            size_bytes=len(wheel.content),
            log=clocked.log,
            cache_key=key,
        )

    def _judge(self, prepared: Prepared, filename: str, content: bytes) -> CheckedWheel:
        """The wheel, if the gate finds nothing. Raises MirrorError (`gate`) with every finding."""
        job = prepared.job
        while True:
            beside = self.neighbours.beside(job.key.name)
            judgement = check(filename, content, self._expected(prepared, beside))
            if judgement.wheel is None or judgement.layout is None:
                raise _refusal(judgement.findings)
            if self.neighbours.admit(job.key, judgement.layout, beside):
                return judgement.wheel

    def _expected(self, prepared: Prepared, beside: Sequence[Layout]) -> Expected:
        job = prepared.job
        known = {layout.project for layout in beside}
        return Expected(
            name=job.key.name,
            version=job.key.version,
            target=job.target,
            oddities=job.recipe.oddities,
            native_sources=prepared.source.facts.has_native_sources,
            other_names=self.projects - known - {job.key.name},
            beside=tuple(beside),
            made_of=prepared.made_of,
            build=prepared.build,
        )


def _pin(job: Job) -> Pin:
    return job.key.name, job.key.version


class InTheWayError(MirrorError):
    """A wheel may not be published beside what else is in the lock."""


def _refusal(findings: Sequence[Finding]) -> MirrorError:
    """The error (`gate`) with everything that the gate found."""
    error = InTheWayError if OF_OTHERS.issuperset(finding.code for finding in findings) else MirrorError
    return error(
        "gate",
        "the wheel that came out may not be published",
        details=[str(finding) for finding in findings],
        hint=remedy(findings),
    )


def sentence(error: MirrorError) -> str:
    """An error as the reason of a failure: what failed, and the first of what was seen."""
    more = len(error.details) - _DETAILS
    return "; ".join((error.what, *error.details[:_DETAILS], *([f"and {more} more"] if more > 0 else [])))


def refuse_denied(policy: OnDemand, *jobs: Job) -> None:
    """See that none of these is on the list of what is not to be compiled. Raises MirrorError (`denied`)."""
    denied = sorted(str(job.key) for job in jobs if policy.denies(job.key.name))
    if denied:
        raise MirrorError(
            "denied",
            f"{', '.join(denied)} would have to be compiled, and `deny` in [on-demand] says not to",
            hint="whoever wants it all the same asks for it with `mirror build --server`",
        )
