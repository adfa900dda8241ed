"""Removing, over fakes: what a build registers meanwhile is spared, and one refusal stops nothing else."""

from __future__ import annotations

from fakes.house import requirements
from fakes.locks import FakeHoldings, FakeLocks
from fakes.outcomes import TARGET
from mirror.core.retention import DAY_S, Held, Origin, Place, Policy, Reached, RegisteredLock, Verdict, make_lock
from mirror.pruning import Pruned, Pruner

NOW_S = 1_000 * DAY_S
OLD = Policy(older_than_s=90 * DAY_S)


def held(filename: str, place: Place = Place.OURS) -> Held:
    return Held(place=place, filename=filename, size_bytes=1, since_s=0.0, address=f"{place.value}/{filename}")


def lock(*filenames: str) -> RegisteredLock:
    """A lock that reaches these."""
    return make_lock(requirements("demo"), TARGET, Origin(), [Reached(filename=n, sha256="0") for n in filenames])


def pruner(locks: FakeLocks, ours: FakeHoldings, cache: FakeHoldings | None = None) -> Pruner:
    return Pruner(locks=locks, holdings={Place.OURS: ours, Place.CACHE: cache or FakeHoldings([])}, now_s=NOW_S)


def names(verdicts: tuple[Verdict, ...]) -> list[str]:
    return [verdict.file.filename for verdict in verdicts]


def test_all_that_was_found_is_removed() -> None:
    """From where it lies; what is reached stays."""
    locks, ours, cache = FakeLocks(), FakeHoldings([held("a"), held("b")]), FakeHoldings([held("c", Place.CACHE)])
    locks.register(lock("b"))
    found = pruner(locks, ours, cache)
    done = found.carry_out(found.survey(OLD))
    assert (["c", "a"], [held("b")], []) == (names(done.removed), ours.files, cache.files)


def test_a_survey_removes_nothing() -> None:
    """Nor does it forget a lock that it looks beyond."""
    locks, ours = FakeLocks(), FakeHoldings([held("a")])
    locks.register(lock("a"))
    assert [] == names(pruner(locks, ours).survey(OLD).removed)
    assert ["a"] == names(pruner(locks, ours).survey(OLD, locks.all()).removed)
    assert ([held("a")], 1) == (ours.files, len(locks.all()))


def test_what_a_build_registers_meanwhile_is_spared() -> None:
    """The locks are read again before each file of ours."""
    locks = FakeLocks()
    ours = FakeHoldings([held("a"), held("b"), held("c")], on_remove=lambda _: locks.register(lock("b")))
    found = pruner(locks, ours)
    done = found.carry_out(found.survey(OLD))
    assert (["a", "c"], ["b"], [held("b")]) == (names(done.removed), names(done.spared), ours.files)


def test_one_that_cannot_be_removed_stops_no_other() -> None:
    """It is told."""
    ours = FakeHoldings([held("a"), held("b")], refused=["a"])
    found = pruner(FakeLocks(), ours)
    done = found.carry_out(found.survey(OLD))
    assert (["b"], ["a"]) == (names(done.removed), [verdict.file.filename for verdict, _ in done.failed])
    assert "a may not be removed" == done.failed[0][1].what


def test_what_is_gone_already_was_not_removed_by_us() -> None:
    """Two prunes at once count each file once."""
    ours = FakeHoldings([held("a")])
    found = pruner(FakeLocks(), ours)
    survey = found.survey(OLD)
    ours.files.clear()
    assert Pruned(removed=(), spared=(), failed=()) == found.carry_out(survey)
