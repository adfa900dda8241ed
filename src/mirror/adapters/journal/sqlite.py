"""What is remembered between runs: a SQLite file and a folder of build logs.

Several processes may use one journal at the same time: the database is in WAL mode, every change is one transaction,
and a log's file is created exclusively. What was recorded survives `kill -9` and power loss (`synchronous=FULL`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self, assert_never

from packaging.utils import NormalizedName

from mirror.adapters.journal.database import Database
from mirror.adapters.journal.logs import create_log, prune_logs
from mirror.adapters.owner import is_dead, this_process
from mirror.adapters.store import Store
from mirror.core.model import Blocked, Built, CheckedWheel, Failed, Job, JobKey, Outcome, Reused, Target
from mirror.ports import KeptWheel, PastFailure


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of a command. `ended` and `status` are None while it works, and for ever if it was killed."""

    command: str
    started: datetime
    ended: datetime | None
    status: int | None
    built: int
    reused: int
    failed: int
    blocked: int
    killed: bool = False
    """It is dead, and did not say how it ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """How one job ended, once. `code` and `reason` are "" where it was built; of a blocked job `reason` is the cause.

    `outcome` is "built", "failed" or "blocked"; "started" while it goes on, "interrupted" where its run ended
    before it did.
    """

    recorded: datetime
    target: str
    name: str
    version: str
    outcome: str
    code: str
    reason: str
    seconds: float
    size_bytes: int
    log: str


KEEP_WHEELS_FOR = timedelta(days=30)
"""How long a wheel is kept that was never published: whoever wants it still will have run again by then."""
_AFTER_RECORDED = tuple(field.name for field in fields(Attempt))[1:]


class SqliteJournal:
    """Implements Journal over `FOLDER/journal.sqlite`, `FOLDER/logs/DATE/LABEL-N.log` and `FOLDER/kept`, the wheels
    that are not published yet; safe from any thread.

    Every method raises UnusableError: `journal-corrupt`, `journal-newer`, `journal-busy` or `journal-unwritable`.
    """

    def __init__(
        self,
        folder: Path,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        is_dead: Callable[[str], bool] = is_dead,
    ) -> None:
        self._database = Database(folder.absolute() / "journal.sqlite")
        self._logs = folder.absolute() / "logs"
        self._kept = Store(folder.absolute() / "kept")
        self._now = now
        self._is_dead = is_dead
        self._lock = threading.Lock()
        self._run: int | None = None
        self._reused = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the database; the journal cannot be used afterwards."""
        self._database.close()

    def start_run(self, command: str) -> None:
        """Remember that a run of `command` has begun; what is recorded from now on belongs to it.

        What runs that were killed had begun is now "interrupted". Drops old logs, and kept wheels that nobody wants.
        """
        self._end_attempts_of_the_dead()  # first: killed in between, this run leaves nothing half-done
        started = self._stamp()
        self._run = self._database.change(
            "INSERT INTO runs (command, started, owner) VALUES (?, ?, ?)", (command, started, this_process())
        )
        with self._lock:
            self._reused = 0
        today = self._now()
        self._drop_old_wheels(today)
        with self._database.explained():
            dropped = prune_logs(self._logs, today)
        self._database.change_many("DELETE FROM logs WHERE path = ?", [(str(path),) for path in dropped])

    def end_run(self, status: int) -> None:
        """Remember that the run has ended with this exit status; what it had begun and not ended is "interrupted"."""
        self._database.change_many(_END_ATTEMPTS, [(self._run,)])
        self._database.change(
            "UPDATE runs SET ended = ?, status = ?, reused = ? WHERE id = ?",
            (self._stamp(), status, self._reused, self._run),
        )

    def last_runs(self, count: int = 10) -> tuple[Run, ...]:
        """The last runs, newest first."""
        return self._database.query(
            "SELECT command, started, ended, status, owner, reused, count(*) FILTER (WHERE outcome = 'built'),"
            " count(*) FILTER (WHERE outcome = 'failed'), count(*) FILTER (WHERE outcome = 'blocked')"
            " FROM runs LEFT JOIN attempts ON attempts.run = runs.id GROUP BY runs.id ORDER BY runs.id DESC LIMIT ?",
            (count,),
            self._as_run,
        )

    def last_attempts(self, count: int = 20) -> tuple[Attempt, ...]:
        """How the last jobs ended, newest first; reuses are no jobs."""
        return self._database.query(
            "SELECT recorded, target, name, version, outcome, code, reason, seconds, size_bytes, log"
            " FROM attempts ORDER BY id DESC LIMIT ?",
            (count,),
            _attempt,
        )

    def log_path(self, label: str) -> Path:
        """A new, empty file for the log of something that is about to run.

        `logs` finds it again where `label` is the project's name, or begins with it and a space: `str(job)`.
        """
        with self._database.explained():
            path = create_log(self._logs, label, self._now())
        self._database.change(
            "INSERT INTO logs (created, label, path) VALUES (?, ?, ?)", (self._stamp(), label, str(path))
        )
        return path

    def record(self, outcome: Outcome, target: Target) -> None:
        """Remember the outcome of a job: of the attempt that was begun in this run, if one was.

        A reuse is no job: it is only counted in the run.
        """
        if isinstance(outcome, Reused):
            with self._lock:
                self._reused += 1
            return
        self._say(outcome.job.key, target, _columns(outcome))

    def _say(self, key: JobKey, target: Target, said: tuple[object, ...]) -> None:
        """Write an attempt's columns from `outcome` to `cache_key`: over the one begun in this run, or as a new one."""
        which = (self._run, str(target), str(key.name), str(key.version))
        values = (self._stamp(), *said, *which)
        self._database.change_if_any(_CHANGE_ATTEMPT, values, otherwise=(_ADD_ATTEMPT, values))

    def begin(self, job: Job, cache_key: str, log: Path) -> None:
        """As ports.Journal.begin. A job that is begun again in the same run goes on with its attempt."""
        self._say(job.key, job.target, ("started", "", "", "", 0.0, 0, str(log), cache_key))

    def failure(self, cache_key: str) -> PastFailure | None:
        """As ports.Journal.failure."""
        found = self._database.query(
            "SELECT outcome, code, reason, hint, log, recorded FROM attempts"
            " WHERE cache_key = ? AND cache_key != '' AND outcome IN ('built', 'failed') ORDER BY id DESC LIMIT 1",
            (cache_key,),
            lambda row: (
                PastFailure(code=row[1], reason=row[2], hint=row[3], log=row[4], day=row[5][:10])
                if row[0] == "failed"
                else None
            ),
        )
        return found[0] if found else None

    def keep(self, cache_key: str, wheel: CheckedWheel) -> None:
        """As ports.Journal.keep: first the bytes, then the row that says that they are there."""
        self._kept.keep(wheel.sha256, wheel.filename, [wheel.content])
        self._database.change(
            "INSERT OR REPLACE INTO kept VALUES (?, ?, ?, ?)",
            (cache_key, self._stamp(), wheel.filename, wheel.sha256),
        )

    def kept(self, cache_key: str) -> KeptWheel | None:
        """As ports.Journal.kept."""
        for path in self._kept_paths(cache_key):
            with suppress(FileNotFoundError), self._database.explained():
                return KeptWheel(filename=path.name, content=path.read_bytes())
        return None

    def release(self, cache_key: str) -> None:
        """As ports.Journal.release: first the row, then the bytes."""
        paths = self._kept_paths(cache_key)
        self._database.change("DELETE FROM kept WHERE cache_key = ?", (cache_key,))
        for path in paths:
            with self._database.explained():
                path.unlink(missing_ok=True)
                with suppress(OSError):  # somebody has just put another file there
                    path.parent.rmdir()

    def logs(self, name: NormalizedName) -> tuple[Path, ...]:
        """The kept logs of a project, newest first."""
        paths = self._database.query(
            "SELECT path FROM ("
            " SELECT path, created, id FROM logs WHERE label = ?1 OR substr(label, 1, length(?1) + 1) = ?1 || ' '"
            " UNION ALL SELECT log, recorded, NULL FROM attempts WHERE name = ?1 AND log != ''"
            ") GROUP BY path ORDER BY min(created) DESC, max(id) DESC",
            (str(name),),
            lambda row: Path(row[0]),
        )
        return tuple(path for path in paths if path.is_file())

    def was_verified(self, key: str) -> bool:
        """Whether `remember_verified` was called with this key."""
        return bool(self._database.query("SELECT 1 FROM verified WHERE key = ?", (key,), bool))

    def remember_verified(self, key: str) -> None:
        """Remember that the clean room has proved what `key` stands for."""
        self._database.change("INSERT OR REPLACE INTO verified VALUES (?, ?)", (key, self._stamp()))

    def _end_attempts_of_the_dead(self) -> None:
        runs = self._database.query("SELECT id, owner FROM runs WHERE ended IS NULL AND owner != ''", (), tuple)
        dead = [(run,) for run, owner in runs if self._is_dead(owner)]
        self._database.change_many(_END_ATTEMPTS, dead)

    def _drop_old_wheels(self, today: datetime) -> None:
        oldest = (today - KEEP_WHEELS_FOR).isoformat(timespec="microseconds")
        for key in self._database.query("SELECT cache_key FROM kept WHERE recorded < ?", (oldest,), lambda row: row[0]):
            self.release(key)

    def _kept_paths(self, cache_key: str) -> tuple[Path, ...]:
        return self._database.query(
            "SELECT sha256, filename FROM kept WHERE cache_key = ?",
            (cache_key,),
            lambda row: self._kept.path(row[0], row[1]),
        )

    def _as_run(self, row: Sequence[Any]) -> Run:
        command, started, ended, status, owner, reused, built, failed, blocked = row
        return Run(
            command=command,
            started=datetime.fromisoformat(started),
            ended=datetime.fromisoformat(ended) if ended else None,
            status=status,
            built=built,
            reused=reused,
            failed=failed,
            blocked=blocked,
            killed=not ended and bool(owner) and self._is_dead(owner),
        )

    def _stamp(self) -> str:
        return self._now().isoformat(timespec="microseconds")


_END_ATTEMPTS = "UPDATE attempts SET outcome = 'interrupted' WHERE outcome = 'started' AND run = ?"
_CHANGE_ATTEMPT = """
UPDATE attempts SET recorded = ?, outcome = ?, code = ?, reason = ?, hint = ?, seconds = ?, size_bytes = ?, log = ?,
    cache_key = ?
WHERE id = (
    SELECT max(id) FROM attempts WHERE run IS ? AND target = ? AND name = ? AND version = ? AND outcome = 'started'
)
"""
_ADD_ATTEMPT = """
INSERT INTO attempts (
    recorded, outcome, code, reason, hint, seconds, size_bytes, log, cache_key, run, target, name, version
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""


def _columns(outcome: Built | Failed | Blocked) -> tuple[object, ...]:
    """The columns of an attempt from `outcome` to `cache_key`."""
    match outcome:
        case Built():
            return ("built", "", "", "", outcome.seconds, outcome.size_bytes, outcome.log, outcome.cache_key)
        case Failed():
            why = (outcome.code, outcome.reason, outcome.hint)
            how = "interrupted" if outcome.code == "interrupted" else "failed"
            return (how, *why, outcome.seconds, 0, outcome.log, outcome.cache_key)
        case Blocked():
            return ("blocked", "", f"{outcome.cause} failed", "", 0.0, 0, "", "")
        case _:  # pragma: no cover
            assert_never(outcome)


def _attempt(row: Sequence[Any]) -> Attempt:
    recorded, *rest = row
    return Attempt(recorded=datetime.fromisoformat(recorded), **dict(zip(_AFTER_RECORDED, rest, strict=True)))
