"""Running the jobs of a graph: needs-more rounds, neighbours of what fails, interrupts."""

from __future__ import annotations

import errno
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Barrier, Event

import pytest

from fakes.house import FakeReporter, timeless
from fakes.journal import FakeJournal
from fakes.outcomes import a_built, a_job, a_reused
from mirror.builds import MOST_MORE, ROUNDS, Builds, WindDown
from mirror.core.errors import MirrorError, UnusableError
from mirror.core.graph import BuildGraph
from mirror.core.made_of import UNKNOWN
from mirror.core.model import Blocked, BuildSystem, Built, Failed, IndexFile, Job, JobKey, Outcome, Reused, SourceFacts
from mirror.jobs import NeedsMore, Prepared, Source

FACTS = SourceFacts(build_system=BuildSystem(requires=(), backend="backend"), has_native_sources=False)


def built(job: Job) -> Built:
    return a_built(job.key.name, str(job.key.version), 0.0, 10)


def failed(job: Job, code: str = "build-failed", reason: str = "it broke", hint: str = "", log: str = "") -> Failed:
    return Failed(job=job, code=code, reason=reason, hint=hint, seconds=0.0, log=log)


Compile = Callable[[Job], Built | Reused | Failed | NeedsMore]


@dataclass
class ScriptedSteps:
    """Steps whose compile is what a test says; every job that is not scripted is built.

    `missing` are the jobs that a job's build requirements come to. `prepared` and `given` are what the steps were
    asked: further requirements of each preparation, and keys of the wheels that each compile got.
    """

    journal: FakeJournal
    compiles: Mapping[str, Compile] = field(default_factory=dict)
    missing: Mapping[str, Sequence[Job]] = field(default_factory=dict)
    errors: Mapping[str, Exception] = field(default_factory=dict)
    prepared: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    given: dict[str, tuple[JobKey, ...]] = field(default_factory=dict)

    def prepare(self, job: Job, more: Sequence[str], on_stage: Callable[[str], None]) -> Prepared:
        on_stage("fetch")
        self.prepared.append((job.key.name, tuple(more)))
        if job.key.name in self.errors:
            raise self.errors[job.key.name]
        source = Source(path=Path("sdist"), facts=FACTS)
        missing = tuple(self.missing.get(job.key.name, ()))
        return Prepared(job=job, source=source, requires=tuple(more), wheels=(), missing=missing, made_of=UNKNOWN)

    def compile(
        self, prepared: Prepared, built_before: Mapping[JobKey, IndexFile], on_stage: Callable[[str], None]
    ) -> Built | Reused | Failed | NeedsMore:
        on_stage("compile")
        self.given[prepared.job.key.name] = tuple(built_before)
        return self.compiles.get(prepared.job.key.name, built)(prepared.job)


@dataclass
class Run:
    """One run over scripted steps: `outcomes` were recorded, `given_up` tells whether it was given up."""

    steps: ScriptedSteps
    reporter: FakeReporter
    outcomes: list[Outcome] = field(default_factory=list)
    given_up: Event = field(default_factory=Event)
    wind_down: WindDown = field(default_factory=WindDown)

    def over(self, *jobs: Job, at_once: int = 2) -> list[Outcome]:
        """Run these jobs to their end; their outcomes, without seconds."""
        builds = Builds(
            steps=self.steps,  # type: ignore[arg-type]
            graph=BuildGraph(jobs),
            at_once=at_once,
            reporter=self.reporter,
            record=self.outcomes.append,
            give_up=self.given_up.set,
            wind_down=self.wind_down,
        )
        return [timeless(outcome) for outcome in builds.run()]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(steps=ScriptedSteps(journal=FakeJournal(tmp_path)), reporter=FakeReporter())


A, B, C = a_job("a", "1.0"), a_job("b", "1.0"), a_job("c", "1.0")


def test_nothing_to_do_is_done(run: Run) -> None:
    """An empty graph has no outcomes."""
    assert [] == run.over()


def test_every_job_comes_to_one_outcome_which_is_recorded_and_told(run: Run) -> None:
    """One that fails stops only what waits for it."""
    run.steps.compiles = {"a": failed}
    run.steps.missing = {"b": [A]}
    expected = [failed(A), Blocked(job=B, cause=A.key), built(C)]
    assert expected == run.over(A, B, C)
    assert expected == sorted(map(timeless, run.outcomes), key=lambda outcome: str(outcome.job))  # type: ignore[union-attr]
    assert run.outcomes == run.reporter.outcomes
    assert not run.given_up.is_set()


def test_a_job_gets_the_wheels_it_waited_for(run: Run) -> None:
    """And no other; the user is told what waits for what."""
    run.steps.missing = {"a": [B]}
    assert [built(A), built(B), built(C)] == run.over(A, C)
    assert {"a": (B.key,), "b": (), "c": ()} == run.steps.given
    assert ("a 1.0", ("b 1.0",)) in run.reporter.waits


def test_the_same_release_as_build_requirement_of_two_is_one_job(run: Run) -> None:
    """Another release of the project is another job."""
    older = a_job("b", "0.9")
    run.steps.missing = {"a": [B], "c": [B, older]}
    assert [built(A), built(older), built(B), built(C)] == run.over(A, C)
    assert {"a": (B.key,), "b": (), "c": (B.key, older.key)} == run.steps.given


def test_jobs_that_do_not_wait_for_each_other_run_side_by_side(run: Run) -> None:
    """Each of two waits until the other one runs too."""
    both = Barrier(2)

    def meet(job: Job) -> Built:
        both.wait(timeout=30)
        return built(job)

    run.steps.compiles = {"a": meet, "b": meet}
    assert [built(A), built(B)] == run.over(A, B)


def test_no_more_run_at_once_than_was_asked_for(run: Run) -> None:
    """With one at once, none meets another."""
    running: list[str] = []
    seen: list[int] = []

    def alone(job: Job) -> Built:
        running.append(str(job))
        seen.append(len(running))
        running.remove(str(job))
        return built(job)

    run.steps.compiles = {"a": alone, "b": alone, "c": alone}
    run.over(A, B, C, at_once=1)
    assert [1, 1, 1] == seen


class TestNeedsMore:
    """A backend may ask for more (PEP 517), which sends its job back to be prepared."""

    def test_what_it_asks_for_is_resolved_beside_what_it_asked_before(self, run: Run) -> None:
        """Each round adds to the one before."""
        asked = iter((("cython",), ("numpy", "cython")))

        def compile_(job: Job) -> Built | NeedsMore:
            more = next(asked, None)
            return NeedsMore(job=job, requires=more) if more else built(job)

        run.steps.compiles = {"a": compile_}
        assert [built(A)] == run.over(A)
        assert [
            ("a", ()),
            ("a", ("cython",)),
            ("a", ("cython", "numpy", "cython")),
        ] == run.steps.prepared

    def test_what_it_asks_for_may_have_to_be_compiled(self, run: Run) -> None:
        """The second compile gets that wheel."""
        run.steps.missing = {}

        def compile_(job: Job) -> Built | NeedsMore:
            if "b" in run.steps.given:
                return built(job)
            run.steps.missing = {"a": [B]}
            return NeedsMore(job=job, requires=("b",))

        run.steps.compiles = {"a": compile_}
        assert [built(A), built(B)] == run.over(A)
        assert (B.key,) == run.steps.given["a"]

    def test_a_backend_that_always_wants_another_is_ended(self, run: Run) -> None:
        """Its neighbours are built, what waits for it is blocked."""
        rounds = iter(range(1000))
        run.steps.compiles = {"a": lambda job: NeedsMore(job=job, requires=(f"random-{next(rounds)}",), log="/logs/a")}
        run.steps.missing = {"b": [A]}
        endless = failed(
            A,
            "build-requirements-endless",
            "its build backend asked 6 times for more build requirements, last for random-5",
            "read the sdist before you try again: a backend asks once, or twice",
            "/logs/a",
        )
        assert [endless, Blocked(job=B, cause=A.key), built(C)] == run.over(A, B, C)
        assert 1 + ROUNDS == sum(name == "a" for name, _ in run.steps.prepared)


class TestErrors:
    """No error of one step reaches another job."""

    @pytest.mark.parametrize(
        ("error", "expected"),
        [
            (
                MirrorError("unresolvable", "nothing answers", hint="loosen it", details=["x", "y"]),
                failed(A, "unresolvable", "nothing answers; x; y", "loosen it"),
            ),
            (
                UnusableError("index-unreachable", "it does not answer", hint="start it"),
                failed(A, "index-unreachable", "it does not answer", "start it"),
            ),
        ],
    )
    def test_an_error_of_a_step_is_its_jobs_outcome(self, run: Run, error: Exception, expected: Failed) -> None:
        """Whatever kind it is of."""
        run.steps.errors = {"a": error}
        assert [expected, built(B)] == run.over(A, B)

    def test_what_the_host_refuses_is_no_defect(self, run: Run) -> None:
        """It says so, with the remedy, wherever in a step it came up."""
        run.steps.errors = {"a": OSError(errno.EMFILE, "Too many open files", "/data/x")}
        ended, other = run.over(A, B)
        assert isinstance(ended, Failed)
        assert ("too-many-open-files", "no more files or connections can be opened: Too many open files") == (
            ended.code,
            ended.reason,
        )
        assert "ulimit -n" in ended.hint
        assert built(B) == other

    def test_a_defect_of_ours_is_its_jobs_outcome_too(self, run: Run) -> None:
        """Where it happened is kept in a log, to be reported."""
        run.steps.errors = {"a": KeyError("surprise")}
        outcomes = run.over(A, B)
        ((label, log),) = run.steps.journal.labelled
        reason = "mirror itself failed: KeyError: 'surprise'"
        assert [failed(A, "defect", reason, "please report it, with its log", str(log)), built(B)] == outcomes
        assert ("a 1.0", True) == (label, "KeyError: 'surprise'" in log.read_text())

    def test_a_reporter_that_breaks_its_promise_costs_nothing(self, run: Run) -> None:
        """A display is no reason to lose a compile."""
        run.reporter = FakeReporter(raises=RuntimeError("no terminal"))
        run.steps.missing = {"a": [B]}
        assert [built(A), built(B)] == run.over(A)


class TestGivingUp:
    """Ctrl-C ends what runs and leaves at once."""

    def test_an_interrupt_ends_what_runs_and_goes_on(self, run: Run) -> None:
        """The compile that still runs is ended by giving up: nothing else would end it here."""
        run.reporter = FakeReporter(raises=KeyboardInterrupt())

        def until_given_up(job: Job) -> Failed:
            assert run.given_up.wait(timeout=30)
            return failed(job)

        run.steps.compiles = {"b": until_given_up}
        with pytest.raises(KeyboardInterrupt):
            run.over(A, B)
        assert [built(A)] == [timeless(outcome) for outcome in run.outcomes]

    def test_a_journal_that_cannot_be_written_gives_up(self, run: Run) -> None:
        """Outcomes would be lost: the disk is full, say."""

        def full(_: Outcome) -> None:
            raise UnusableError("journal-unwritable", "the disk is full", hint="make room")

        builds = Builds(
            steps=run.steps,  # type: ignore[arg-type]
            graph=BuildGraph([A, B]),
            at_once=1,
            reporter=run.reporter,
            record=full,
            give_up=run.given_up.set,
        )
        with pytest.raises(UnusableError):
            builds.run()
        assert run.given_up.is_set()


class TestWindingDown:
    """The first Ctrl-C lets what is running come to its end."""

    def test_what_runs_ends_and_nothing_more_starts(self, run: Run) -> None:
        """Every job has its outcome all the same."""

        def ask(job: Job) -> Built:
            assert run.wind_down.ask()
            return built(job)

        run.steps.compiles = {"a": ask}
        run.steps.missing = {"c": [A]}
        ended = run.over(A, C, at_once=1)
        interrupted = failed(
            C,
            "interrupted",
            "it was not built: the run was interrupted",
            "run it again: what is done stays done",
        )
        assert [built(A), interrupted] == ended
        assert not run.given_up.is_set()

    def test_before_and_after_nobody_hears_it(self, run: Run) -> None:
        """Then there is nothing to wait for: whoever asks has to end the run in another way."""
        assert not run.wind_down.ask()
        assert [built(A)] == run.over(A)
        assert not run.wind_down.ask()
        assert not run.wind_down.asked


def test_a_wheel_that_another_run_published_is_used(run: Run) -> None:
    """Who waits for it goes on with that."""
    reused = a_reused("b", "1.0")
    run.steps.compiles = {"b": lambda _: reused}
    run.steps.missing = {"a": [B]}
    assert [built(A), reused] == run.over(A)
    assert (B.key,) == run.steps.given["a"]


def helpers(number: int) -> list[Job]:
    return [a_job(f"helper-{n}", "1.0") for n in range(number)]


TOO_MANY = "its build requirements, and theirs, come to more than 200 packages that have no wheel"
TOO_MANY_HINT = "read the sdist before you try again: hardly any project needs ten"


def test_build_requirements_without_end(run: Run) -> None:
    """Whoever asks for too many jobs is alone in failing, and none of them is begun."""
    run.steps.missing = {"a": helpers(MOST_MORE + 1), "b": [C]}
    assert [failed(A, "too-many-jobs", TOO_MANY, TOO_MANY_HINT), built(B), built(C)] == run.over(A, B)


def test_a_chain_of_build_requirements_without_end(run: Run) -> None:
    """What a build requirement asks for counts for whoever asked for it."""
    chain = helpers(MOST_MORE + 2)
    run.steps.missing = {job.key.name: [following] for job, following in itertools.pairwise(chain)}
    last = chain[MOST_MORE]
    outcomes = run.over(chain[0], B)
    assert failed(last, "too-many-jobs", TOO_MANY, TOO_MANY_HINT) in outcomes
    assert [built(B)] == [outcome for outcome in outcomes if isinstance(outcome, Built)]
    assert {last.key} == {outcome.cause for outcome in outcomes if isinstance(outcome, Blocked)}
    assert MOST_MORE + 2 == len(outcomes)


def test_many_build_requirements(run: Run) -> None:
    """As many as a job may ask for are built; those of another job of the plan do not count for it."""
    run.steps.missing = {"a": helpers(MOST_MORE), "b": [*helpers(3), C]}
    outcomes = run.over(A, B)
    assert MOST_MORE + 3 == sum(isinstance(outcome, Built) for outcome in outcomes)
