"""The build graph as a state machine: what may start now, what a result unlocks, what to do first.

A job is prepared (its build requirements are resolved), waits for the jobs among them, and is compiled; compiling may
ask for more build requirements, and then it is prepared again. Nothing in here starts anything.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from mirror.core.model import Blocked, Built, Failed, IndexFile, Job, JobKey, Outcome, Reuse, Reused


class Step(Enum):
    """What can be done to a job."""

    PREPARE = "prepare"
    COMPILE = "compile"


class _State(Enum):
    TO_PREPARE = "to prepare"
    PREPARING = "preparing"
    WAITING = "waiting"
    TO_COMPILE = "to compile"
    COMPILING = "compiling"
    DONE = "done"


@dataclass(slots=True)
class _Node:
    job: Job
    order: int
    state: _State = _State.TO_PREPARE
    waits_for: frozenset[JobKey] = frozenset()


class BuildGraph:
    """The jobs of a run. Not thread-safe: one thread drives it."""

    def __init__(self, jobs: Iterable[Job]) -> None:
        self._nodes: dict[JobKey, _Node] = {}
        self._outcomes: dict[JobKey, Outcome] = {}
        for job in jobs:
            self._add(job)

    def _add(self, job: Job) -> None:
        self._nodes.setdefault(job.key, _Node(job, order=len(self._nodes)))

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        """The outcomes so far, by job."""
        return tuple(outcome for _, outcome in sorted(self._outcomes.items()))

    @property
    def done(self) -> bool:
        """Whether every job has its outcome."""
        return len(self._outcomes) == len(self._nodes)

    def unknown(self, jobs: Iterable[Job]) -> frozenset[JobKey]:
        """Those of `jobs` that are not in the graph."""
        return frozenset(job.key for job in jobs) - self._nodes.keys()

    def wheel(self, key: JobKey) -> IndexFile | None:
        """The wheel that a job came to: compiled in this run, or in another one that had it at the same time."""
        match self._outcomes.get(key):
            case Built(wheel=wheel) | Reused(reuse=Reuse(wheel=wheel)):
                return wheel
            case _:
                return None

    def waiting(self) -> tuple[tuple[Job, tuple[JobKey, ...]], ...]:
        """Each job that waits, and what for."""
        return tuple(
            (node.job, tuple(sorted(self._unfinished(node))))
            for node in self._nodes.values()
            if node.state is _State.WAITING
        )

    def ready(self) -> tuple[tuple[Step, Job], ...]:
        """What may start now, what to do first at the front.

        Preparing is short and may uncover jobs that much waits for, so it comes before compiling; among compiles, the
        one that the most jobs wait for comes first.
        """
        prepare = [node for node in self._nodes.values() if node.state is _State.TO_PREPARE]
        compile_ = [node for node in self._nodes.values() if node.state is _State.TO_COMPILE]
        compile_.sort(key=lambda node: (-len(self._dependents(node.job.key)), node.order))
        return (
            *((Step.PREPARE, node.job) for node in prepare),
            *((Step.COMPILE, node.job) for node in compile_),
        )

    def started(self, step: Step, key: JobKey) -> None:
        """A step of a job has been started."""
        self._nodes[key].state = _State.PREPARING if step is Step.PREPARE else _State.COMPILING

    def prepared(self, key: JobKey, missing: Iterable[Job]) -> tuple[Outcome, ...]:
        """A job's build requirements are known; `missing` are those to be compiled first.

        The outcomes that follow: where it closes a cycle, every job of the cycle has failed, and what waits for them
        is blocked; where a build requirement failed before, it is blocked.
        """
        node = self._nodes[key]
        wanted = tuple(missing)
        for job in wanted:
            self._add(job)
        node.waits_for = frozenset(job.key for job in wanted)
        node.state = _State.WAITING
        cycle = self._path(key, key)
        if cycle:
            return self._fail_cycle(cycle)
        return self._settle()

    def needs_more(self, key: JobKey) -> None:
        """Compiling asked for more build requirements: the job is to be prepared again."""
        self._nodes[key].state = _State.TO_PREPARE

    def finished(self, key: JobKey, outcome: Built | Reused | Failed) -> tuple[Outcome, ...]:
        """A job has come to its outcome; that outcome, and those that follow from it."""
        return (*self._finish(key, outcome), *self._settle())

    def abandon(self) -> tuple[Outcome, ...]:
        """Nothing more is started: the outcomes of all jobs that have none."""
        ended: list[Outcome] = []
        for key, node in self._nodes.items():
            if node.state is not _State.DONE:
                ended += self._finish(key, _not_started(node.job))
        return tuple(ended)

    def _finish(self, key: JobKey, outcome: Outcome) -> tuple[Outcome, ...]:
        node = self._nodes[key]
        node.state, node.waits_for = _State.DONE, frozenset()  # else it would still close cycles, and end twice
        self._outcomes[key] = outcome
        return (outcome,)

    def _unfinished(self, node: _Node) -> set[JobKey]:
        return {key for key in node.waits_for if not isinstance(self._outcomes.get(key), Built | Reused)}

    def _settle(self) -> tuple[Outcome, ...]:
        """Let every waiting job go on whose wait is over, and block those that wait for a failure."""
        ended: list[Outcome] = []
        changed = True
        while changed:
            changed = False
            for key, node in self._nodes.items():
                if node.state is not _State.WAITING:
                    continue
                causes = sorted(k for k in node.waits_for if isinstance(self._outcomes.get(k), Failed | Blocked))
                if causes:
                    ended += self._finish(key, Blocked(job=node.job, cause=self._root_cause(causes[0])))
                    changed = True
                elif not self._unfinished(node):
                    node.state = _State.TO_COMPILE
        return tuple(ended)

    def _root_cause(self, key: JobKey) -> JobKey:
        outcome = self._outcomes[key]
        return outcome.cause if isinstance(outcome, Blocked) else key

    def _path(self, start: JobKey, end: JobKey) -> tuple[JobKey, ...]:
        """A chain of waits from `start` to `end`, both named; () if there is none."""
        trail: dict[JobKey, JobKey] = {}
        queue = [start]
        while queue:
            key = queue.pop(0)
            for following in sorted(self._nodes[key].waits_for):
                if following == end:
                    chain = [end, key]
                    while key != start:
                        key = trail[key]
                        chain.append(key)
                    return tuple(reversed(chain))
                if following not in trail and following in self._nodes:
                    trail[following] = key
                    queue.append(following)
        return ()

    def _fail_cycle(self, cycle: tuple[JobKey, ...]) -> tuple[Outcome, ...]:
        shown = " -> ".join(str(key) for key in cycle)
        ended: list[Outcome] = []
        for key in dict.fromkeys(cycle):
            failed = Failed(
                job=self._nodes[key].job,
                code="build-cycle",
                reason=f"its build requirements lead back to itself: {shown}",
                hint="constrain one of them, with build-constraints in a recipe, to a release that has a wheel",
                seconds=0.0,
                log="",
            )
            ended += self._finish(key, failed)
        return (*ended, *self._settle())

    def _dependents(self, key: JobKey) -> set[JobKey]:
        """Every job that waits for this one, directly or not."""
        found: set[JobKey] = set()
        queue = [key]
        while queue:
            current = queue.pop()
            for other, node in self._nodes.items():
                if current in node.waits_for and node.state is _State.WAITING and other not in found:
                    found.add(other)
                    queue.append(other)
        return found


def _not_started(job: Job) -> Failed:
    return Failed(
        job=job,
        code="interrupted",
        reason="it was not built: the run was interrupted",
        hint="run it again: what is done stays done",
        seconds=0.0,
        log="",
    )
