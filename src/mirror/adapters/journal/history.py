"""The journal as the index's page reads it: read-only, beside whoever writes it, and from any thread.

Each question opens the file and closes it again, which takes a fifth of a millisecond: nothing is held that a run could
wait for, and a journal that is made, moved or mended later is found.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from mirror.adapters.journal.database import SCHEMA_VERSION
from mirror.adapters.owner import is_dead
from mirror.core.errors import UnusableError
from mirror.core.history import DURATION_BOUNDS_S, Durations, How, PastAttempt, PastRun, Totals

T = TypeVar("T")

_OLDEST_FORMAT = 2
_BUSY_TIMEOUT_S = 5.0
_JUST_NOW_S = 1.0
_MOST_NAMES = 500
"""SQLite takes some 30,000 values in one question; no page shows so many projects."""

_ATTEMPT = (
    "SELECT attempts.id, recorded, target, name, version, outcome, code, reason, hint, seconds, size_bytes, log,"
    " runs.ended IS NULL, runs.owner FROM attempts LEFT JOIN runs ON runs.id = attempts.run"
)
_OUTCOMES = {How.BUILDING: ("started",), How.INTERRUPTED: ("interrupted", "started")}
"""Outcomes that an attempt of a kind may have, where it is not called as its kind."""
_NEWEST = "(SELECT max(id) FROM attempts {where} GROUP BY name, target)"


class History:
    """What runs have written into `FOLDER/journal.sqlite` and `FOLDER/logs`.

    Every method raises UnusableError: `journal-none` where there is none yet, `journal-unreadable`, `journal-newer`.
    """

    def __init__(self, folder: Path, is_dead: Callable[[str], bool] = is_dead) -> None:
        self._file = folder.absolute() / "journal.sqlite"
        self._logs = folder.absolute() / "logs"
        self._is_dead = is_dead

    def check(self) -> None:
        """Raise what any other method would."""
        with self._opened():
            pass

    def stamp(self) -> tuple[int, ...] | None:
        """Another one after whatever is written later. None where that is not sure: just after something was written,
        since a file's times are coarse, and where there is no journal.
        """
        found = []
        for file in (self._file, self._file.with_name(f"{self._file.name}-wal")):
            with suppress(OSError):
                found.append(file.stat())
        if not found or time.time() - max(one.st_mtime for one in found) < _JUST_NOW_S:
            return None
        return tuple(number for one in found for number in (one.st_ino, one.st_size, one.st_mtime_ns))

    def building(self) -> tuple[PastAttempt, ...]:
        """What is being compiled now, the longest first."""
        found = self._attempts(f"{_ATTEMPT} WHERE outcome = 'started' AND runs.ended IS NULL ORDER BY attempts.id")
        return tuple(attempt for attempt in found if attempt.how is How.BUILDING)

    def attempts(self, count: int, *, before: int | None = None, name: str | None = None) -> tuple[PastAttempt, ...]:
        """The newest attempts, newest first: those before the number `before`, those of the project `name`."""
        conditions = [("attempts.id < ?", before), ("name = ?", name)]
        given = [(sql, value) for sql, value in conditions if value is not None]
        where = " AND ".join(sql for sql, _ in given) or "1"
        values = [value for _, value in given]
        return self._attempts(f"{_ATTEMPT} WHERE {where} ORDER BY attempts.id DESC LIMIT ?", (*values, count))

    def attempt(self, number: int) -> PastAttempt | None:
        """One attempt."""
        return next(iter(self._attempts(f"{_ATTEMPT} WHERE attempts.id = ?", (number,))), None)

    def latest(self, names: Sequence[str] | None = None) -> tuple[PastAttempt, ...]:
        """The newest attempt of each project and target: of these projects, or of all."""
        if names is None:
            newest = _NEWEST.format(where="")
            return self._attempts(f"{_ATTEMPT} WHERE attempts.id IN {newest}")
        marks = ", ".join("?" * len(names[:_MOST_NAMES]))
        newest = _NEWEST.format(where=f"WHERE name IN ({marks})")
        return self._attempts(f"{_ATTEMPT} WHERE attempts.id IN {newest}", names[:_MOST_NAMES])

    def latest_that(self, hows: Sequence[How], count: int = -1) -> tuple[PastAttempt, ...]:
        """Of those, the ones that ended, or go on, in one of these ways: newest first, `count` of them at most."""
        outcomes = sorted({outcome for how in hows for outcome in _OUTCOMES.get(how, (how.value,))})
        marks = ", ".join("?" * len(outcomes))
        found = self._attempts(
            f"{_ATTEMPT} WHERE outcome IN ({marks}) AND attempts.id IN {_NEWEST.format(where='')}"
            " ORDER BY attempts.id DESC LIMIT ?",
            # What has only begun is one or the other: whoever began it is asked for.
            (*outcomes, -1 if "started" in outcomes else count),
        )
        kept = tuple(attempt for attempt in found if attempt.how in hows)
        return kept if count < 0 else kept[:count]

    def names_that_failed(self) -> frozenset[str]:
        """Every project whose newest attempt for some target failed, or was blocked by another's."""
        newest = _NEWEST.format(where="")
        sql = f"SELECT DISTINCT name FROM attempts WHERE outcome IN ('failed', 'blocked') AND id IN {newest}"  # noqa: S608
        return frozenset(self._rows(sql, (), _only))

    def names(self) -> frozenset[str]:
        """Every project that was ever tried."""
        return frozenset(self._rows("SELECT DISTINCT name FROM attempts", (), _only))

    def targets(self) -> tuple[str, ...]:
        """Every target that something was tried for, sorted."""
        return tuple(self._rows("SELECT DISTINCT target FROM attempts ORDER BY target", (), _only))

    def runs(self, count: int) -> tuple[PastRun, ...]:
        """The newest runs, newest first."""
        sql = "SELECT id, command, started, ended, status, reused, owner FROM runs ORDER BY id DESC LIMIT ?"
        return tuple(self._rows(sql, (count,), self._run))

    def totals(self) -> Totals:
        """All that was ever recorded."""
        sql = "SELECT outcome, count(*), sum(seconds), sum(size_bytes) FROM attempts GROUP BY outcome"
        found = {how: rest for how, *rest in self._rows(sql, (), tuple)}
        nothing = (0, 0.0, 0)
        building = len(self.building())
        counts = {how: int(found.get(how.value, nothing)[0]) for how in How}
        counts[How.BUILDING] = building
        counts[How.INTERRUPTED] += int(found.get("started", nothing)[0]) - building
        runs, reused = next(iter(self._rows("SELECT count(*), coalesce(sum(reused), 0) FROM runs", (), tuple)), (0, 0))
        return Totals(
            attempts=counts,
            built_seconds=float(found.get("built", nothing)[1]),
            failed_seconds=float(found.get("failed", nothing)[1]),
            built_bytes=int(found.get("built", nothing)[2]),
            reused=int(reused),
            runs=int(runs),
        )

    def durations(self) -> dict[How, Durations]:
        """How long those compiles took that came to a wheel, and those that failed."""
        sums = ", ".join(f"sum(seconds <= {bound})" for bound in DURATION_BOUNDS_S)
        sql = f"SELECT count(*), sum(seconds), {sums} FROM attempts WHERE outcome = ?"  # noqa: S608
        found = {}
        for how in (How.BUILT, How.FAILED):
            for count, seconds, *counts in self._rows(sql, (how.value,), tuple):
                up_to = zip(DURATION_BOUNDS_S, (int(one or 0) for one in counts), strict=True)
                found[how] = Durations(up_to=tuple(up_to), count=int(count), seconds=float(seconds or 0.0))
        return found

    def compile_seconds(self) -> dict[tuple[str, str], float]:
        """How long the newest compile took of each project and version that came to a wheel."""
        sql = "SELECT name, version, seconds, max(id) FROM attempts WHERE outcome = 'built' GROUP BY 1, 2"
        return dict(self._rows(sql, (), lambda row: ((row[0], row[1]), float(row[2]))))

    def log(self, number: int) -> Path | None:
        """The log of an attempt, where it is still kept. Only a file of the folder of logs is one."""
        for text in self._rows("SELECT log FROM attempts WHERE id = ? AND log != ''", (number,), _only):
            path = Path(text).resolve()
            if path.is_relative_to(self._logs.resolve()) and path.is_file():
                return path
        return None

    def _attempts(self, sql: str, values: Sequence[object] = ()) -> tuple[PastAttempt, ...]:
        dead: dict[str, bool] = {}
        return tuple(self._rows(sql, values, lambda row: self._attempt(row, dead)))

    def _attempt(self, row: Sequence[Any], dead: dict[str, bool]) -> PastAttempt:
        number, recorded, target, name, version, outcome, code, reason, hint, seconds, size, log, open_, owner = row
        if outcome == "started":
            if owner not in dead:
                dead[owner] = not owner or self._is_dead(owner)
            how = How.BUILDING if open_ and not dead[owner] else How.INTERRUPTED
        else:
            how = How(outcome)
        return PastAttempt(
            id=number,
            recorded=datetime.fromisoformat(recorded),
            target=target,
            name=name,
            version=version,
            how=how,
            code=code,
            reason=reason,
            hint=hint,
            seconds=seconds,
            size_bytes=size,
            has_log=bool(log),
        )

    def _run(self, row: Sequence[Any]) -> PastRun:
        number, command, started, ended, status, reused, owner = row
        return PastRun(
            id=number,
            command=command,
            started=datetime.fromisoformat(started),
            ended=datetime.fromisoformat(ended) if ended else None,
            status=status,
            reused=reused,
            killed=not ended and (not owner or self._is_dead(owner)),
        )

    def _rows(self, sql: str, values: Sequence[object], convert: Callable[[Sequence[Any]], T]) -> list[T]:
        """Every row, converted while a row that `convert` refuses is still told as a damaged journal."""
        with self._opened() as connection:
            return [convert(row) for row in connection.execute(sql, tuple(values)).fetchall()]

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        if not self._file.is_file():
            raise UnusableError("journal-none", "Nothing has been built here yet.", hint="`mirror build FILE` does.")
        try:
            uri = f"{self._file.as_uri()}?mode=ro"
            with closing(sqlite3.connect(uri, uri=True, timeout=_BUSY_TIMEOUT_S)) as connection:
                found = int(connection.execute("PRAGMA user_version").fetchone()[0])
                if found > SCHEMA_VERSION:
                    raise UnusableError(
                        "journal-newer",
                        f"The journal was written by a newer mirror (format {found}, this one knows {SCHEMA_VERSION}).",
                        hint="Restart the index with that mirror: `mirror down`, then `mirror up`.",
                    )
                if found < _OLDEST_FORMAT:
                    raise UnusableError("journal-none", "Nothing has been built here yet.", hint="")
                yield connection
        except (sqlite3.DatabaseError, OSError, ValueError) as error:
            raise UnusableError(
                "journal-unreadable", f"The journal cannot be read: {error}", hint="`mirror status` says what is wrong."
            ) from error


class NoHistory(History):
    """A journal that has nothing in it."""

    def __init__(self) -> None:
        super().__init__(Path())

    def stamp(self) -> tuple[int, ...] | None:
        """Nothing is to be remembered of it."""
        return None

    def _rows(self, sql: str, values: Sequence[object], convert: Callable[[Sequence[Any]], T]) -> list[T]:  # noqa: ARG002
        return []


def _only(row: Sequence[Any]) -> str:
    return str(row[0])
