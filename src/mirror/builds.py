"""Runs the jobs of a plan: takes from the build graph what may start, hands back what came of it."""

from __future__ import annotations

import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from mirror.core.errors import MirrorError
from mirror.core.graph import BuildGraph, Step
from mirror.core.host_errors import escaped
from mirror.core.model import Built, Failed, IndexFile, Job, JobKey, Outcome, Reused
from mirror.core.text import visible
from mirror.jobs import JobSteps, NeedsMore, Prepared, sentence
from mirror.ports import Reporter

PREPARES_AT_ONCE = 2
"""Preparing mostly waits for the resolver, so it goes on beside the compiles and not instead of one."""

ROUNDS = 5
"""How often a build backend may ask for more build requirements: one that always wants another has no end."""

MOST_MORE = 200
"""Jobs that a run may grow by for one job of its plan: a stranger has written what that needs to be built.

For each, since one that asks for too much must not stop the others.
"""

StepResult = Prepared | Built | Reused | Failed | NeedsMore


@dataclass(slots=True)
class WindDown:
    """Asks a run to start nothing more, and to let what is running come to its end."""

    asked: bool = False
    _is_heard: bool = False

    def ask(self) -> bool:
        """Ask for it; whether there is anything that can be waited for. To be called from a signal handler too."""
        self.asked = self._is_heard
        return self.asked

    @contextmanager
    def heard(self) -> Iterator[None]:
        """While jobs run."""
        self._is_heard = True
        try:
            yield
        finally:
            self._is_heard = False


@dataclass(slots=True, kw_only=True)
class Builds:
    """One run over a build graph. `run` is to be called once, from one thread."""

    steps: JobSteps
    graph: BuildGraph
    at_once: int
    reporter: Reporter
    record: Callable[[Outcome], None]
    give_up: Callable[[], None]
    """Ends every step that is running, when the run is interrupted."""
    wind_down: WindDown = field(default_factory=WindDown)
    """Asks it to start nothing more."""
    _asked_by: dict[JobKey, JobKey] = field(default_factory=dict)
    """Job that is not in the plan to the job of the plan that brought it in."""
    _prepared: dict[JobKey, Prepared] = field(default_factory=dict)
    _more: dict[JobKey, tuple[str, ...]] = field(default_factory=dict)
    _rounds: Counter[JobKey] = field(default_factory=Counter)
    _running: dict[Future[StepResult], tuple[Step, Job]] = field(default_factory=dict)

    def run(self) -> tuple[Outcome, ...]:
        """Bring every job to its outcome; one that fails stops only what waits for it."""
        with (
            self.wind_down.heard(),
            ThreadPoolExecutor(self.at_once + PREPARES_AT_ONCE, thread_name_prefix="job") as pool,
        ):
            try:
                while not self.graph.done:
                    if not self.wind_down.asked:
                        self._start(pool)
                    elif not self._running:
                        self._end(self.graph.abandon())
                        break
                    done, _ = wait(self._running, return_when=FIRST_COMPLETED)
                    for future in done:
                        _, job = self._running.pop(future)
                        self._take(future.result(), job)
            except BaseException:  # Ctrl-C above all: the pool would wait for every compile to end
                self.give_up()
                raise
        return self.graph.outcomes

    @property
    def needs(self) -> Mapping[JobKey, tuple[IndexFile, ...]]:
        """The wheels that each job's compile stood on, so far."""
        return {key: (*found.wheels, *self._wheels(key).values()) for key, found in self._prepared.items()}

    def _start(self, pool: ThreadPoolExecutor) -> None:
        room = {Step.PREPARE: PREPARES_AT_ONCE, Step.COMPILE: self.at_once}
        for step, _ in self._running.values():
            room[step] -= 1
        for step, job in self.graph.ready():
            if room[step] > 0:
                room[step] -= 1
                self.graph.started(step, job.key)
                self._running[pool.submit(self._do, step, job)] = (step, job)

    def _do(self, step: Step, job: Job) -> StepResult:
        """Do one step, in a thread of the pool. Any error is an outcome: it must not stop the other jobs."""
        started = time.monotonic()

        def on_stage(stage: str) -> None:
            self._tell(self.reporter.stage, str(job), stage)

        def failed(code: str, reason: str, hint: str, log: str = "") -> Failed:
            return Failed(job=job, code=code, reason=reason, hint=hint, seconds=time.monotonic() - started, log=log)

        try:
            if step is Step.PREPARE:
                return self.steps.prepare(job, self._more.get(job.key, ()), on_stage)
            return self.steps.compile(self._prepared[job.key], self._wheels(job.key), on_stage)
        except MirrorError as error:
            return failed(error.code, sentence(error), error.hint)
        except Exception as error:
            if refused := escaped(error):
                return failed(refused.code, sentence(refused), refused.hint)
            reason = f"mirror itself failed: {type(error).__name__}: {visible(str(error), 500)}"
            return failed("defect", reason, "please report it, with its log", self._keep(job, traceback.format_exc()))

    def _keep(self, job: Job, text: str) -> str:
        """Keep `text` as a log of the job; its path, "" where the disk does not take it."""
        with suppress(MirrorError, OSError):
            path = self.steps.journal.log_path(str(job))
            path.write_text(text)
            return str(path)
        return ""

    def _wheels(self, key: JobKey) -> dict[JobKey, IndexFile]:
        """The wheels of the build requirements that had to be compiled first."""
        found = ((missing.key, self.graph.wheel(missing.key)) for missing in self._prepared[key].missing)
        return {missing: wheel for missing, wheel in found if wheel is not None}

    def _take(self, result: StepResult, job: Job) -> None:
        match result:
            case Prepared():
                if not self._may_grow(result):
                    self._end(self.graph.finished(job.key, _too_many(result)))
                    return
                self._prepared[job.key] = result
                self._end(self.graph.prepared(job.key, result.missing))
                for waiting, keys in self.graph.waiting():
                    self._tell(self.reporter.waiting, str(waiting), tuple(str(key) for key in keys))
            case NeedsMore():
                self._rounds[job.key] += 1
                if self._rounds[job.key] > ROUNDS:
                    self._end(self.graph.finished(job.key, _endless(result)))
                    return
                self._more[job.key] = (*self._more.get(job.key, ()), *result.requires)
                self.graph.needs_more(job.key)
            case Built() | Reused() | Failed():
                self._end(self.graph.finished(job.key, result))

    def _may_grow(self, prepared: Prepared) -> bool:
        """Take in the jobs that are not in the graph yet; whether they are not too many."""
        origin = self._asked_by.get(prepared.job.key, prepared.job.key)
        more = self.graph.unknown(prepared.missing)
        if len(more) + sum(asked_by == origin for asked_by in self._asked_by.values()) > MOST_MORE:
            return False
        self._asked_by |= dict.fromkeys(more, origin)
        return True

    def _end(self, outcomes: Iterable[Outcome]) -> None:
        for outcome in outcomes:
            self.record(outcome)
            self._tell(self.reporter.ended, outcome)

    @staticmethod
    def _tell(tell: Callable[..., None], *what: object) -> None:
        """Tell the reporter; one that breaks its promise never to raise is no reason to lose a compile."""
        with suppress(Exception):
            tell(*what)


def _too_many(prepared: Prepared) -> Failed:
    return Failed(
        job=prepared.job,
        code="too-many-jobs",
        reason=f"its build requirements, and theirs, come to more than {MOST_MORE} packages that have no wheel",
        hint="read the sdist before you try again: hardly any project needs ten",
        seconds=0.0,
        log="",
    )


def _endless(result: NeedsMore) -> Failed:
    return Failed(
        job=result.job,
        code="build-requirements-endless",
        reason=f"its build backend asked {ROUNDS + 1} times for more build requirements, last for"
        f" {visible(', '.join(result.requires), 200)}",
        hint="read the sdist before you try again: a backend asks once, or twice",
        seconds=0.0,
        log=result.log,
    )
