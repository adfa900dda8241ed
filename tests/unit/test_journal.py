"""The SQLite journal: what it keeps, several processes, damage and newer versions."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest
from packaging.utils import NormalizedName

from fakes.outcomes import TARGET, a_blocked, a_built, a_failed, a_job, a_key, a_reused
from fakes.wheels import checked_wheel
from mirror.adapters.journal import database
from mirror.adapters.journal.sqlite import KEEP_WHEELS_FOR, Attempt, Run, SqliteJournal
from mirror.core.errors import ExitStatus, UnusableError

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[SqliteJournal]:
    """A journal whose clock starts at NOON and moves on by a minute whenever it is read."""
    minutes = count()
    with SqliteJournal(tmp_path, now=lambda: NOON + timedelta(minutes=next(minutes))) as journal:
        yield journal


def test_last_runs(journal: SqliteJournal) -> None:
    """A run remembers its command, its times, its status and how many jobs ended how; newest first."""
    journal.start_run("build requirements.txt")
    journal.record(a_built("numpy", "1.23.5", 73, 14_200_000), TARGET)
    journal.record(a_reused("django", "4.1.13"), TARGET)
    journal.record(a_reused("pytz", "2024.1"), TARGET)
    journal.record(a_failed("cython", "0.29.32"), TARGET)
    journal.record(a_blocked("pandas", "1.5.3", a_key("cython", "0.29.32")), TARGET)
    journal.end_run(1)
    journal.start_run("verify requirements.txt")
    ended = Run(
        command="build requirements.txt",
        started=NOON,
        ended=NOON + timedelta(minutes=5),
        status=1,
        built=1,
        reused=2,
        failed=1,
        blocked=1,
    )
    works = Run(
        command="verify requirements.txt",
        started=NOON + timedelta(minutes=6),
        ended=None,
        status=None,
        built=0,
        reused=0,
        failed=0,
        blocked=0,
    )
    assert (works, ended) == journal.last_runs()
    assert (works,) == journal.last_runs(1)


def test_last_attempts(journal: SqliteJournal) -> None:
    """An attempt remembers all that an outcome says."""
    journal.record(a_failed("numpy", "1.23.5", "gcc\udc80 broke", log="/logs/numpy.log"), TARGET)
    journal.record(a_blocked("pandas", "1.5.3", a_key("numpy", "1.23.5")), TARGET)
    journal.record(a_built("psutil", "7.0.0", 8.25, 280_000, log="/logs/psutil.log"), TARGET)
    target = "cp311-musllinux_1_2_x86_64"
    built = Attempt(
        recorded=NOON + timedelta(minutes=2),
        target=target,
        name="psutil",
        version="7.0.0",
        outcome="built",
        code="",
        reason="",
        seconds=8.25,
        size_bytes=280_000,
        log="/logs/psutil.log",
    )
    blocked = Attempt(
        recorded=NOON + timedelta(minutes=1),
        target=target,
        name="pandas",
        version="1.5.3",
        outcome="blocked",
        code="",
        reason="numpy 1.23.5 failed",
        seconds=0.0,
        size_bytes=0,
        log="",
    )
    failed = Attempt(
        recorded=NOON,
        target=target,
        name="numpy",
        version="1.23.5",
        outcome="failed",
        code="compile-failed",
        reason="gcc\\udc80 broke",
        seconds=73.0,
        size_bytes=0,
        log="/logs/numpy.log",
    )
    assert (built, blocked, failed) == journal.last_attempts()


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("numpy 1.23.5", "numpy-1.23.5-1.log"),
        ("../../etc/passwd", "etc-passwd-1.log"),
        (".hidden", "hidden-1.log"),
        ("a\x1b[31m\nb", "a-31m-b-1.log"),
        ("", "log-1.log"),
        ("é" * 300, "log-1.log"),
        ("x" * 300, "x" * 100 + "-1.log"),
        ("foo 1!2.0+local.1", "foo-1!2.0+local.1-1.log"),
    ],
)
def test_log_file_names_are_safe(journal: SqliteJournal, tmp_path: Path, label: str, name: str) -> None:
    """Whatever the label, its file lies in the day's folder under a plain name."""
    assert tmp_path / "logs" / "2026-11-22" / name == journal.log_path(label)


def test_log_files_are_numbered(journal: SqliteJournal) -> None:
    """A second log of the same label gets the next number."""
    assert ["numpy-1.log", "numpy-2.log"] == [journal.log_path("numpy").name for _ in range(2)]


def test_old_logs_are_dropped_when_a_run_starts(journal: SqliteJournal, tmp_path: Path) -> None:
    """Logs of more than 60 days ago go, with the folder of a day that has none left; younger ones stay."""
    old, young = journal.log_path("numpy 1.23.4"), journal.log_path("numpy 1.23.5")
    last_summer = tmp_path / "logs" / "2026-07-01" / "numpy-1.log"
    last_summer.parent.mkdir()
    last_summer.touch()
    for path, days in ((old, 61), (last_summer, 144), (young, 59)):
        then = (NOON - timedelta(days=days)).timestamp()
        os.utime(path, (then, then))
    journal.start_run("build")
    assert (young,) == journal.logs(NormalizedName("numpy"))
    assert [tmp_path / "logs" / "2026-11-22", young] == sorted((tmp_path / "logs").rglob("*"))


def test_no_log_is_dropped_or_made_behind_a_link(journal: SqliteJournal, tmp_path: Path) -> None:
    """A day's folder that leads elsewhere has somebody else's files."""
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "old.log").touch()
    os.utime(theirs / "old.log", (0, 0))
    (tmp_path / "logs").mkdir(exist_ok=True)
    (tmp_path / "logs" / "2026-07-01").symlink_to(theirs)
    (tmp_path / "logs" / "2026-11-22").symlink_to(theirs)
    journal.start_run("build")
    with pytest.raises(UnusableError):
        journal.log_path("numpy")
    assert ["old.log"] == [path.name for path in theirs.iterdir()]


def test_a_journal_outlives_its_process(tmp_path: Path) -> None:
    """What was recorded and verified is there after the process that did it was killed without a chance to clean up."""
    program = (
        "import os, sys; from pathlib import Path; from mirror.adapters.journal.sqlite import SqliteJournal\n"
        "journal = SqliteJournal(Path(sys.argv[1])); journal.start_run('build'); journal.remember_verified('a')\n"
        "os.kill(os.getpid(), 9)"
    )
    killed = subprocess.run([sys.executable, "-c", program, tmp_path], check=False)
    with SqliteJournal(tmp_path) as journal:
        (run,) = journal.last_runs()
        assert (-9, "build", None, True) == (killed.returncode, run.command, run.status, journal.was_verified("a"))


def test_several_processes(tmp_path: Path) -> None:
    """Processes that open the same new journal at once and write to it lose nothing and share no log file."""
    program = (
        "import sys; from pathlib import Path; from mirror.adapters.journal.sqlite import SqliteJournal\n"
        "with SqliteJournal(Path(sys.argv[1])) as journal:\n"
        "    journal.start_run('build')\n"
        "    for i in range(10):\n"
        "        journal.remember_verified(f'{sys.argv[2]}-{i}')\n"
        "        journal.log_path('numpy 1.23.5')\n"
        "    journal.end_run(0)\n"
    )
    started = [subprocess.Popen([sys.executable, "-c", program, tmp_path, str(n)]) for n in range(4)]
    statuses = [process.wait(60) for process in started]
    with SqliteJournal(tmp_path) as journal:
        keys = [journal.was_verified(f"{n}-{i}") for n in range(4) for i in range(10)]
        logs = journal.logs(NormalizedName("numpy"))
        runs = [run.status for run in journal.last_runs()]
    assert ([0] * 4, [True] * 40, 40, [0] * 4) == (statuses, keys, len(set(logs)), runs)


def test_what_is_not_a_database(tmp_path: Path) -> None:
    """A file that is no database is an error that says how to go on."""
    file = tmp_path / "journal.sqlite"
    file.write_text("not a database, but long enough to be taken for one" * 50)
    with pytest.raises(UnusableError) as caught:
        SqliteJournal(tmp_path)
    error = caught.value
    assert ("journal-corrupt", ExitStatus.UNUSABLE, f"The journal {file} is damaged.") == (
        error.code,
        error.status,
        error.what,
    )
    assert error.hint == (
        f"Move it away and run again: mv {file} {file}.damaged; rm -f {file}-wal {file}-shm\n"
        "Only the history is lost: wheels are in the index, logs stay where they are."
    )


@pytest.mark.parametrize("offset", [4096, 8192, 12288])
def test_a_damaged_database(tmp_path: Path, offset: int) -> None:
    """Overwritten pages are an error of the journal's, wherever they are read."""
    with SqliteJournal(tmp_path) as journal:
        for n in range(40):
            journal.log_path(f"numpy {n}" * 5)
            journal.record(a_failed("numpy", f"{n}", "It broke." * 20), TARGET)
    with (tmp_path / "journal.sqlite").open("r+b") as file:
        file.seek(offset)
        file.write(b"\xa5" * 4096)
    with pytest.raises(UnusableError) as caught, SqliteJournal(tmp_path) as journal:
        journal.start_run("build")
        journal.record(a_failed("numpy", "1"), TARGET)
        journal.last_runs()
        journal.last_attempts(100)
        journal.logs(NormalizedName("numpy"))
        journal.was_verified("a")
        journal.log_path("numpy")
    assert caught.value.code == "journal-corrupt"


def test_a_damaged_row(tmp_path: Path) -> None:
    """A row that makes no sense is an error of the journal's, too."""
    with SqliteJournal(tmp_path) as journal:
        journal.start_run("build")
    _change(tmp_path, "UPDATE runs SET started = 'yesterday'")
    with SqliteJournal(tmp_path) as journal, pytest.raises(UnusableError, match="is damaged") as caught:
        journal.last_runs()
    assert caught.value.code == "journal-corrupt"


def test_a_missing_table(tmp_path: Path) -> None:
    """A journal that lacks a table is a damaged one."""
    SqliteJournal(tmp_path).close()
    _change(tmp_path, "DROP TABLE verified")
    with SqliteJournal(tmp_path) as journal, pytest.raises(UnusableError) as caught:
        journal.was_verified("a")
    assert caught.value.code == "journal-corrupt"


def test_a_newer_journal(tmp_path: Path) -> None:
    """A journal of a later format is left alone."""
    SqliteJournal(tmp_path).close()
    _change(tmp_path, "PRAGMA user_version = 3")
    expected = f"The journal {tmp_path}/journal.sqlite was written by a newer mirror (format 3, this one knows 2)."
    with pytest.raises(UnusableError, match=re.escape(expected)) as caught:
        SqliteJournal(tmp_path)
    assert caught.value.code == "journal-newer"


def test_an_unwritable_folder(tmp_path: Path) -> None:
    """Where a file stands in the folder's place, the error says that it cannot be written."""
    (tmp_path / "data").touch()
    with pytest.raises(UnusableError) as caught:
        SqliteJournal(tmp_path / "data")
    assert caught.value.code == "journal-unwritable"


def _change(folder: Path, sql: str) -> None:
    connection = sqlite3.connect(folder / "journal.sqlite", isolation_level=None)
    connection.execute(sql)
    connection.close()


def test_what_a_killed_run_had_begun_is_interrupted(tmp_path: Path) -> None:
    """By the next run, once it is sure that the other one is dead; what lives is left alone."""
    with SqliteJournal(tmp_path, is_dead=lambda _: True) as killed:
        killed.start_run("build a.txt")
        killed.begin(a_job("numpy", "1.23.5"), "key", killed.log_path("numpy 1.23.5"))
        killed.begin(a_job("psutil", "7.0.0"), "other", killed.log_path("psutil 7.0.0"))
        killed.record(a_built("psutil", "7.0.0", 8.25, 280_000), TARGET)
    with SqliteJournal(tmp_path, is_dead=lambda _: False) as careful:
        careful.start_run("build b.txt")
        assert ["built", "started"] == [attempt.outcome for attempt in careful.last_attempts()]
        assert [False, False] == [run.killed for run in careful.last_runs()]
        careful.end_run(0)
    with SqliteJournal(tmp_path, is_dead=lambda _: True) as following:
        following.start_run("build c.txt")
        assert ["built", "interrupted"] == [attempt.outcome for attempt in following.last_attempts()]
        assert [True, False, True] == [run.killed for run in following.last_runs()]


def test_what_a_run_did_not_end_is_interrupted(journal: SqliteJournal) -> None:
    """After Ctrl-C: what was running, and what was not begun, which is no failure of its own."""
    journal.start_run("build a.txt")
    journal.begin(a_job("numpy", "1.23.5"), "key", journal.log_path("numpy 1.23.5"))
    journal.record(replace(a_failed("psutil", "7.0.0"), code="interrupted"), TARGET)
    journal.end_run(130)
    assert ["interrupted", "interrupted"] == [attempt.outcome for attempt in journal.last_attempts()]
    assert [0] == [run.failed for run in journal.last_runs()]


def test_a_job_that_is_begun_again_is_one_attempt(journal: SqliteJournal) -> None:
    """Its backend asked for more build requirements, which made another cache key."""
    journal.start_run("build a.txt")
    for key in ("first", "second"):
        journal.begin(a_job("numpy", "1.23.5"), key, journal.log_path("numpy 1.23.5"))
    journal.record(replace(a_failed("numpy", "1.23.5"), cache_key="second"), TARGET)
    assert ["failed"] == [attempt.outcome for attempt in journal.last_attempts()]
    assert (None, True) == (journal.failure("first"), journal.failure("second") is not None)


def test_a_kept_wheel_is_dropped_when_nobody_comes_for_it(tmp_path: Path) -> None:
    """After a while; its file too."""
    now = [NOON]
    with SqliteJournal(tmp_path, now=lambda: now[0]) as journal:
        journal.keep("key", checked_wheel("demo-1.0-py3-none-any.whl"))
        now[0] += KEEP_WHEELS_FOR - timedelta(days=1)
        journal.start_run("build a.txt")
        assert journal.kept("key") is not None
        now[0] += timedelta(days=2)
        journal.start_run("build a.txt")
        assert journal.kept("key") is None
    assert [] == [path for path in (tmp_path / "kept").rglob("*") if path.is_file()]


def test_a_journal_of_the_first_format_is_brought_up_to_date(tmp_path: Path) -> None:
    """With all that it held."""
    with closing(sqlite3.connect(tmp_path / "journal.sqlite")) as old:
        old.executescript(database._SCHEMA_1)
        old.execute("PRAGMA user_version = 1")
        old.execute("INSERT INTO runs (command, started) VALUES ('build a.txt', ?)", (NOON.isoformat(),))
        old.commit()
    with SqliteJournal(tmp_path) as journal:
        journal.start_run("build b.txt")
        assert ["build b.txt", "build a.txt"] == [run.command for run in journal.last_runs()]
        assert None is journal.failure("key")
