"""What is remembered between runs: a SQLite file and a folder of build logs.

Several processes may use one journal at the same time: the database is in WAL mode, every change is one transaction,
and a log's file is created exclusively. What was recorded survives `kill -9` and power loss (`synchronous=FULL`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self, assert_never

from packaging.utils import NormalizedName

from mirror.adapters.journal.database import Database
from mirror.adapters.journal.logs import create_log, prune_logs
from mirror.core.model import Blocked, Built, Failed, Outcome, Reused, Target


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """How one job ended, once. `code` and `reason` are "" where it was built; of a blocked job `reason` is the cause.

    `outcome` is "built", "failed" or "blocked".
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


_AFTER_RECORDED = tuple(field.name for field in fields(Attempt))[1:]


class SqliteJournal:
    """Implements Journal over `FOLDER/journal.sqlite` and `FOLDER/logs/DATE/LABEL-N.log`; safe from any thread.

    Every method raises UnusableError: `journal-corrupt`, `journal-newer`, `journal-busy` or `journal-unwritable`.
    """

    def __init__(self, folder: Path, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._database = Database(folder.absolute() / "journal.sqlite")
        self._logs = folder.absolute() / "logs"
        self._now = now
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
        """Remember that a run of `command` has begun; what is recorded from now on belongs to it. Drops old logs."""
        started = self._stamp()
        self._run = self._database.change("INSERT INTO runs (command, started) VALUES (?, ?)", (command, started))
        with self._lock:
            self._reused = 0
        with self._database.explained():
            dropped = prune_logs(self._logs, self._now())
        self._database.change_many("DELETE FROM logs WHERE path = ?", [(str(path),) for path in dropped])

    def end_run(self, status: int) -> None:
        """Remember that the run has ended with this exit status."""
        self._database.change(
            "UPDATE runs SET ended = ?, status = ?, reused = ? WHERE id = ?",
            (self._stamp(), status, self._reused, self._run),
        )

    def last_runs(self, count: int = 10) -> tuple[Run, ...]:
        """The last runs, newest first."""
        return self._database.query(
            "SELECT command, started, ended, status, reused, count(*) FILTER (WHERE outcome = 'built'),"
            " count(*) FILTER (WHERE outcome = 'failed'), count(*) FILTER (WHERE outcome = 'blocked')"
            " FROM runs LEFT JOIN attempts ON attempts.run = runs.id GROUP BY runs.id ORDER BY runs.id DESC LIMIT ?",
            (count,),
            _run,
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
        """Remember the outcome of a job. A reuse is no job: it is only counted in the run."""
        if isinstance(outcome, Reused):
            with self._lock:
                self._reused += 1
            return
        self._database.change(
            "INSERT INTO attempts"
            " (run, recorded, target, name, version, outcome, code, reason, seconds, size_bytes, log)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (self._run, self._stamp(), str(target), *_columns(outcome)),
        )

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

    def _stamp(self) -> str:
        return self._now().isoformat(timespec="microseconds")


def _columns(outcome: Built | Failed | Blocked) -> tuple[object, ...]:
    """The columns of an attempt from `name` on."""
    key = outcome.job.key
    match outcome:
        case Built():
            said = ("built", "", "", outcome.seconds, outcome.size_bytes, outcome.log)
        case Failed():
            said = ("failed", outcome.code, outcome.reason, outcome.seconds, 0, outcome.log)
        case Blocked():
            said = ("blocked", "", f"{outcome.cause} failed", 0.0, 0, "")
        case _:  # pragma: no cover
            assert_never(outcome)
    return (str(key.name), str(key.version), *said)


def _run(row: Sequence[Any]) -> Run:
    command, started, ended, status, reused, built, failed, blocked = row
    return Run(
        command=command,
        started=datetime.fromisoformat(started),
        ended=datetime.fromisoformat(ended) if ended else None,
        status=status,
        built=built,
        reused=reused,
        failed=failed,
        blocked=blocked,
    )


def _attempt(row: Sequence[Any]) -> Attempt:
    recorded, *rest = row
    return Attempt(recorded=datetime.fromisoformat(recorded), **dict(zip(_AFTER_RECORDED, rest, strict=True)))
