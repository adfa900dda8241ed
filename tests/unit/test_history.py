"""The journal as the page reads it: written by the real one, read beside it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest

from fakes.outcomes import TARGET, a_blocked, a_built, a_failed, a_job, a_key, a_reused
from mirror.adapters.journal.database import SCHEMA_VERSION
from mirror.adapters.journal.history import History, NoHistory
from mirror.adapters.journal.sqlite import SqliteJournal
from mirror.core.errors import UnusableError
from mirror.core.history import DURATION_BOUNDS_S, Durations, How, PastAttempt, PastRun, Totals

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[SqliteJournal]:
    """A journal whose clock starts at NOON and moves on by a minute whenever it is read."""
    minutes = count()
    with SqliteJournal(tmp_path, now=lambda: NOON + timedelta(minutes=next(minutes))) as journal:
        yield journal


@pytest.fixture
def history(tmp_path: Path) -> History:
    """Whoever runs these tests lives."""
    return History(tmp_path)


def test_an_attempt_from_begin_to_end(journal: SqliteJournal, history: History, tmp_path: Path) -> None:
    """It is building while it is, then what came of it; always the same number."""
    journal.start_run("build requirements.txt")
    log = journal.log_path("numpy 1.23.5")
    journal.begin(a_job("numpy", "1.23.5"), "key", log)
    expected = PastAttempt(
        id=1,
        recorded=NOON + timedelta(minutes=4),
        target=str(TARGET),
        name="numpy",
        version="1.23.5",
        how=How.BUILDING,
        has_log=True,
    )
    assert ((expected,), log) == (history.building(), history.log(1))
    journal.record(a_failed("numpy", "1.23.5", "It broke.", "mend it", str(log)), TARGET)
    failed = PastAttempt(
        id=1,
        recorded=NOON + timedelta(minutes=5),
        target=str(TARGET),
        name="numpy",
        version="1.23.5",
        how=How.FAILED,
        code="compile-failed",
        reason="It broke.",
        hint="mend it",
        seconds=73.0,
        has_log=True,
    )
    assert ((), (failed,), failed, None) == (
        history.building(),
        history.attempts(10),
        history.attempt(1),
        history.attempt(2),
    )


def test_what_a_dead_run_left_is_interrupted(journal: SqliteJournal, tmp_path: Path) -> None:
    """Though nobody has said so yet; while it lives the same rows say that it builds."""
    journal.start_run("build a.txt")
    journal.begin(a_job("numpy", "1.23.5"), "key", tmp_path / "x.log")
    dead, alive = History(tmp_path, lambda _: True), History(tmp_path, lambda _: False)
    assert ([How.INTERRUPTED], (), 1) == (
        [one.how for one in dead.attempts(9)],
        dead.building(),
        dead.totals().count(How.INTERRUPTED),
    )
    assert ([How.BUILDING], 1, 0) == (
        [one.how for one in alive.attempts(9)],
        alive.totals().count(How.BUILDING),
        alive.totals().count(How.INTERRUPTED),
    )
    assert (True, False) == (dead.runs(1)[0].killed, alive.runs(1)[0].killed)


def test_totals_and_runs(journal: SqliteJournal, history: History) -> None:
    """Everything that was recorded, added up."""
    journal.start_run("build a.txt")
    journal.record(a_built("numpy", "1.23.5", 211.0, 14_200_000), TARGET)
    journal.record(a_built("pandas", "1.5.3", 427.5, 21_000_000), TARGET)
    journal.record(a_failed("cython", "0.29.32"), TARGET)
    journal.record(a_blocked("scipy", "1.9", a_key("cython", "0.29.32")), TARGET)
    journal.record(a_reused("django", "4.1.13"), TARGET)
    journal.end_run(1)
    counts = {How.BUILDING: 0, How.BUILT: 2, How.FAILED: 1, How.BLOCKED: 1, How.INTERRUPTED: 0}
    assert (
        Totals(attempts=counts, built_seconds=638.5, failed_seconds=73.0, built_bytes=35_200_000, reused=1, runs=1)
        == history.totals()
    )
    assert {
        How.BUILT: Durations(up_to=tuple((s, 0 if s < 600 else 2) for s in DURATION_BOUNDS_S), count=2, seconds=638.5),
        How.FAILED: Durations(up_to=tuple((s, 0 if s < 180 else 1) for s in DURATION_BOUNDS_S), count=1, seconds=73.0),
    } == history.durations()
    assert (
        PastRun(
            id=1,
            command="build a.txt",
            started=NOON,
            ended=NOON + timedelta(minutes=6),
            status=1,
            reused=1,
            killed=False,
        ),
    ) == history.runs(5)
    assert {("numpy", "1.23.5"): 211.0, ("pandas", "1.5.3"): 427.5} == history.compile_seconds()


def test_pages_and_the_newest_of_each(journal: SqliteJournal, history: History) -> None:
    """Newest first, page by page; of each project and target the newest alone."""
    journal.start_run("build a.txt")
    for name, version in (("a", "1"), ("b", "1"), ("a", "2"), ("b", "2")):
        journal.record(a_built(name, version, 1.0, 1), TARGET)
    assert [[4, 3], [2, 1], []] == [[one.id for one in history.attempts(2, before=before)] for before in (None, 3, 1)]
    assert [3, 1] == [one.id for one in history.attempts(9, name="a")]
    assert {3, 4} == {one.id for one in history.latest()}
    assert {3} == {one.id for one in history.latest(["a", "none"])}
    assert (frozenset({"a", "b"}), (str(TARGET),)) == (history.names(), history.targets())


def test_the_newest_that_ended_in_one_way(journal: SqliteJournal, history: History) -> None:
    """Of each project the newest alone: what was built since has not failed; what goes on is not interrupted."""
    journal.start_run("build a.txt")
    journal.record(a_failed("mended", "1"), TARGET)
    journal.record(a_built("mended", "2", 1.0, 1), TARGET)
    for name in ("broken", "worse"):
        journal.record(a_failed(name, "1"), TARGET)
    journal.record(a_blocked("waiting", "1", a_key("broken", "1")), TARGET)
    journal.begin(a_job("going", "1"), "key", journal.log_path("going 1"))

    def names(*hows: How, count: int = -1) -> list[str]:
        return [one.name for one in history.latest_that(hows, count)]

    assert ["worse", "broken"] == names(How.FAILED)
    assert ["worse"] == names(How.FAILED, count=1)
    assert (["going"], []) == (names(How.BUILDING), names(How.INTERRUPTED))
    assert ["waiting", "worse", "broken", "mended"] == names(How.BLOCKED, How.FAILED, How.BUILT)
    assert frozenset({"broken", "worse", "waiting"}) == history.names_that_failed()


def test_only_logs_are_logs(journal: SqliteJournal, history: History, tmp_path: Path) -> None:
    """A path that leads out of the folder, a link out of it, and a log that was dropped are none."""
    (tmp_path / "secret").write_text("hunter2")
    inside = tmp_path / "logs" / "2026-11-22"
    inside.mkdir(parents=True)
    (inside / "link.log").symlink_to(tmp_path / "secret")
    (inside / "good.log").write_text("fine\n")
    journal.start_run("build a.txt")
    for log in (tmp_path / "secret", inside / ".." / ".." / "secret", inside / "link.log", inside / "gone.log"):
        journal.record(a_failed("a", "1", log=str(log)), TARGET)
    journal.record(a_failed("a", "1", log=str(inside / "good.log")), TARGET)
    assert [None, None, None, None, inside / "good.log"] == [history.log(number) for number in range(1, 6)]


def test_it_writes_nothing(journal: SqliteJournal, history: History, tmp_path: Path) -> None:
    """Not even where somebody would want to."""
    journal.start_run("build a.txt")
    with history._opened() as connection, pytest.raises(sqlite3.OperationalError, match="readonly"):
        connection.execute("DELETE FROM runs")


def test_a_journal_that_is_not_there(tmp_path: Path) -> None:
    """Reading makes none."""
    with pytest.raises(UnusableError) as error:
        History(tmp_path).check()
    assert ("journal-none", []) == (error.value.code, list(tmp_path.iterdir()))


def test_a_journal_that_is_newer(journal: SqliteJournal, history: History, tmp_path: Path) -> None:
    """It is left alone, and the index is to be restarted."""
    with closing(sqlite3.connect(tmp_path / "journal.sqlite")) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    with pytest.raises(UnusableError) as error:
        history.building()
    assert "journal-newer" == error.value.code


@pytest.mark.parametrize("damage", [b"no database at all, but long enough to be read as one" * 40, b""])
def test_a_journal_that_is_damaged(tmp_path: Path, damage: bytes) -> None:
    """An empty file is one that nothing was written into yet."""
    (tmp_path / "journal.sqlite").write_bytes(damage)
    with pytest.raises(UnusableError) as error:
        History(tmp_path).totals()
    assert ("journal-unreadable" if damage else "journal-none") == error.value.code


def test_a_row_that_is_damaged(journal: SqliteJournal, history: History, tmp_path: Path) -> None:
    """It is told as such, and is no crash."""
    journal.start_run("build a.txt")
    journal.record(a_built("a", "1", 1.0, 1), TARGET)
    with closing(sqlite3.connect(tmp_path / "journal.sqlite")) as connection, connection:
        connection.execute("UPDATE attempts SET outcome = 'exploded'")
    with pytest.raises(UnusableError) as error:
        history.attempts(1)
    assert "journal-unreadable" == error.value.code


def test_nothing_at_all() -> None:
    """Every question has an empty answer."""
    nothing = NoHistory()
    nothing_yet: tuple[object, ...] = ((), (), (), (), frozenset(), (), None)
    assert nothing_yet == (
        nothing.building(),
        nothing.attempts(9),
        nothing.latest(["a"]),
        nothing.runs(9),
        nothing.names(),
        nothing.targets(),
        nothing.log(1),
    )
    assert Totals(attempts=dict.fromkeys(How, 0)) == nothing.totals()
