"""The build graph: what may start, what a result unlocks, what a failure blocks."""

from __future__ import annotations

from fakes.outcomes import a_built, a_failed, a_job, a_key, a_reused
from mirror.core.graph import BuildGraph, Step
from mirror.core.model import Blocked, Built, Failed, Job, JobKey


def key(name: str, version: str = "1.0") -> JobKey:
    return a_key(name, version)


def job(name: str, version: str = "1.0") -> Job:
    return a_job(name, version)


def built(name: str) -> Built:
    return a_built(name, "1.0", seconds=1.0, size_bytes=10)


def failed(name: str) -> Failed:
    return a_failed(name, "1.0")


def start_all(graph: BuildGraph) -> list[tuple[Step, str]]:
    """Start everything that may start; what it was."""
    ready = graph.ready()
    for step, found in ready:
        graph.started(step, found.key)
    return [(step, str(found)) for step, found in ready]


def prepare(graph: BuildGraph, name: str, *missing: str) -> None:
    """Bring a job through its preparation."""
    graph.started(Step.PREPARE, key(name))
    graph.prepared(key(name), [job(m) for m in missing])


def test_a_job_is_prepared_and_then_compiled() -> None:
    """Without missing build requirements nothing is waited for."""
    graph = BuildGraph([job("a")])
    assert [(Step.PREPARE, "a 1.0")] == start_all(graph)
    assert [] == start_all(graph)
    assert () == graph.prepared(key("a"), [])
    assert [(Step.COMPILE, "a 1.0")] == start_all(graph)
    assert (built("a"),) == graph.finished(key("a"), built("a"))
    assert graph.done
    assert (built("a"),) == graph.outcomes


def test_a_missing_build_requirement_becomes_a_job_that_is_waited_for() -> None:
    """pandas' build waits for numpy, and takes the wheel that came of it."""
    graph = BuildGraph([job("pandas")])
    prepare(graph, "pandas", "numpy")
    assert ((job("pandas"), (key("numpy"),)),) == graph.waiting()
    assert [(Step.PREPARE, "numpy 1.0")] == start_all(graph)
    graph.prepared(key("numpy"), [])
    assert [(Step.COMPILE, "numpy 1.0")] == start_all(graph)
    graph.finished(key("numpy"), built("numpy"))
    assert () == graph.waiting()
    assert [(Step.COMPILE, "pandas 1.0")] == start_all(graph)
    assert built("numpy").wheel == graph.wheel(key("numpy"))


def test_a_job_that_two_wait_for_is_there_once() -> None:
    """One compile serves both."""
    graph = BuildGraph([job("a"), job("b")])
    prepare(graph, "a", "numpy")
    prepare(graph, "b", "numpy")
    assert [(Step.PREPARE, "numpy 1.0")] == start_all(graph)


def test_two_versions_of_a_project_are_two_jobs() -> None:
    """The lock's numpy and the one that a build asks for are different things."""
    graph = BuildGraph([job("numpy", "1.23.5")])
    graph.started(Step.PREPARE, key("numpy", "1.23.5"))
    graph.prepared(key("numpy", "1.23.5"), [job("numpy", "1.23.2")])
    assert [(Step.PREPARE, "numpy 1.23.2")] == start_all(graph)


def test_a_failure_blocks_what_waits_for_it_and_nothing_else() -> None:
    """The cause is named through the whole chain."""
    graph = BuildGraph([job("app"), job("other")])
    prepare(graph, "app", "middle")
    prepare(graph, "middle", "root")
    prepare(graph, "root")
    assert (
        failed("root"),
        Blocked(job=job("middle"), cause=key("root")),
        Blocked(job=job("app"), cause=key("root")),
    ) == graph.finished(key("root"), failed("root"))
    assert not graph.done
    assert [(Step.PREPARE, "other 1.0")] == start_all(graph)


def test_what_needs_something_that_failed_before_is_blocked_at_once() -> None:
    """A job prepared late is not left waiting for ever."""
    graph = BuildGraph([job("root"), job("late")])
    prepare(graph, "root")
    graph.finished(key("root"), failed("root"))
    graph.started(Step.PREPARE, key("late"))
    assert (Blocked(job=job("late"), cause=key("root")),) == graph.prepared(key("late"), [job("root")])
    assert graph.done


def test_what_needs_something_built_before_may_be_compiled_at_once() -> None:
    """A result is kept for those who come later."""
    graph = BuildGraph([job("root"), job("late")])
    prepare(graph, "root")
    graph.finished(key("root"), built("root"))
    prepare(graph, "late", "root")
    assert [(Step.COMPILE, "late 1.0")] == start_all(graph)


def test_a_cycle_fails_and_shows_itself() -> None:
    """Every job of the cycle has failed, and what waits for one of them is blocked."""
    graph = BuildGraph([job("a"), job("app")])
    prepare(graph, "app", "a")
    prepare(graph, "a", "b")
    graph.started(Step.PREPARE, key("b"))
    outcomes = graph.prepared(key("b"), [job("a")])
    assert [("b", "build-cycle"), ("a", "build-cycle")] == [
        (str(o.job.key.name), o.code) for o in outcomes if isinstance(o, Failed)
    ]
    assert "b 1.0 -> a 1.0 -> b 1.0" in next(o.reason for o in outcomes if isinstance(o, Failed))
    assert [Blocked(job=job("app"), cause=key("a"))] == [o for o in outcomes if isinstance(o, Blocked)]
    assert graph.done


def test_a_job_that_needs_itself_is_a_cycle() -> None:
    """The shortest one."""
    graph = BuildGraph([job("a")])
    graph.started(Step.PREPARE, key("a"))
    (outcome,) = graph.prepared(key("a"), [job("a")])
    assert isinstance(outcome, Failed)
    assert "its build requirements lead back to itself: a 1.0 -> a 1.0" == outcome.reason


def test_a_job_that_asks_for_more_is_prepared_again() -> None:
    """get_requires_for_build_wheel may name what pyproject.toml does not."""
    graph = BuildGraph([job("a")])
    prepare(graph, "a")
    assert [(Step.COMPILE, "a 1.0")] == start_all(graph)
    graph.needs_more(key("a"))
    assert [(Step.PREPARE, "a 1.0")] == start_all(graph)


def test_what_most_jobs_wait_for_is_compiled_first() -> None:
    """Preparing goes before compiling; then the number of jobs behind decides, then the order of the lock."""
    graph = BuildGraph([job("alone"), job("x"), job("y"), job("new")])
    prepare(graph, "alone")
    prepare(graph, "x", "numpy")
    prepare(graph, "y", "numpy")
    prepare(graph, "numpy")
    assert [
        (Step.PREPARE, "new 1.0"),
        (Step.COMPILE, "numpy 1.0"),
        (Step.COMPILE, "alone 1.0"),
    ] == start_all(graph)


def test_what_has_an_outcome_closes_no_cycle() -> None:
    """b is blocked by c. That a, for which b waited too, turns out to need b blocks a, and b ends no second time."""
    graph = BuildGraph([job("a"), job("b"), job("c")])
    prepare(graph, "b", "a", "c")
    prepare(graph, "c")
    graph.started(Step.COMPILE, key("c"))
    assert (failed("c"), Blocked(job=job("b"), cause=key("c"))) == graph.finished(key("c"), failed("c"))
    graph.started(Step.PREPARE, key("a"))
    assert (Blocked(job=job("a"), cause=key("c")),) == graph.prepared(key("a"), [job("b")])
    assert graph.done


def test_a_wheel_of_another_run_lets_those_go_on_that_wait_for_it() -> None:
    """It is as good as one that was compiled here."""
    graph = BuildGraph([job("pandas")])
    prepare(graph, "pandas", "numpy")
    reused = a_reused("numpy", "1.0")
    assert (reused,) == graph.finished(key("numpy"), reused)
    assert reused.reuse.wheel == graph.wheel(key("numpy"))
    assert [(Step.COMPILE, "pandas 1.0")] == start_all(graph)


def test_a_graph_that_is_abandoned_leaves_no_job_without_an_outcome() -> None:
    """What is done stays done."""
    graph = BuildGraph([job("a"), job("b"), job("c")])
    prepare(graph, "b", "c")
    graph.finished(key("a"), built("a"))
    ended = graph.abandon()
    assert ["b", "c"] == [outcome.job.key.name for outcome in ended if isinstance(outcome, Failed)]
    assert {"interrupted"} == {outcome.code for outcome in ended if isinstance(outcome, Failed)}
    assert graph.done
    assert built("a") == graph.outcomes[0]
