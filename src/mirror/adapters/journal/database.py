"""The journal's SQLite file: opening it, changing it all or nothing, and saying what is wrong with it."""

from __future__ import annotations

import shlex
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from mirror.adapters import host
from mirror.core.errors import UnusableError

_BUSY_TIMEOUT_S = 30.0
_CORRUPT = frozenset({sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT})
"""SQLITE_ERROR is "no such table" or column: a file of the right version that lacks what that version has."""
_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})

_SCHEMA_1 = """
CREATE TABLE runs (
    id INTEGER PRIMARY KEY, command TEXT NOT NULL, started TEXT NOT NULL, ended TEXT, status INTEGER,
    reused INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE attempts (
    id INTEGER PRIMARY KEY, run INTEGER REFERENCES runs (id), recorded TEXT NOT NULL, target TEXT NOT NULL,
    name TEXT NOT NULL, version TEXT NOT NULL, outcome TEXT NOT NULL, code TEXT NOT NULL, reason TEXT NOT NULL,
    seconds REAL NOT NULL, size_bytes INTEGER NOT NULL, log TEXT NOT NULL
);
CREATE INDEX attempts_by_name ON attempts (name);
CREATE INDEX attempts_by_run ON attempts (run);
CREATE TABLE logs (id INTEGER PRIMARY KEY, created TEXT NOT NULL, label TEXT NOT NULL, path TEXT NOT NULL);
CREATE TABLE verified (key TEXT PRIMARY KEY, recorded TEXT NOT NULL);
"""
_SCHEMA_2 = """
ALTER TABLE runs ADD COLUMN owner TEXT NOT NULL DEFAULT '';
ALTER TABLE attempts ADD COLUMN hint TEXT NOT NULL DEFAULT '';
ALTER TABLE attempts ADD COLUMN cache_key TEXT NOT NULL DEFAULT '';
CREATE INDEX attempts_by_cache_key ON attempts (cache_key);
CREATE TABLE kept (cache_key TEXT PRIMARY KEY, recorded TEXT NOT NULL, filename TEXT NOT NULL, sha256 TEXT NOT NULL);
"""
_SCHEMAS = (_SCHEMA_1, _SCHEMA_2)
"""What brings a journal from each format to the next one."""
SCHEMA_VERSION = len(_SCHEMAS)


T = TypeVar("T")


class Database:
    """One SQLite file in WAL mode, for several threads and processes.

    Every method raises UnusableError: `journal-corrupt`, `journal-newer`, `journal-busy` or `journal-unwritable`.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()
        with self.explained():
            host.make_folder(file.parent)
            host.refuse_links(file.parent)
            self._connection = sqlite3.connect(
                file, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
            )
        try:
            self._prepare()
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        """Close the file; nothing works afterwards."""
        self._connection.close()

    def query(self, sql: str, values: Sequence[object], convert: Callable[[Sequence[Any]], T]) -> tuple[T, ...]:
        """Every row of a question, converted; a row that `convert` refuses (ValueError) is a damaged one."""
        with self.explained():
            with self._lock:
                rows = self._connection.execute(sql, _storable(values)).fetchall()
            return tuple(convert(row) for row in rows)

    def change(self, sql: str, values: Sequence[object]) -> int:
        """One change in a transaction of its own; the number of the row that an INSERT made."""
        with self._transaction() as connection:
            return connection.execute(sql, _storable(values)).lastrowid or 0

    def change_if_any(self, sql: str, values: Sequence[object], otherwise: tuple[str, Sequence[object]]) -> None:
        """One change; where it finds no row, another one. Both in one transaction."""
        with self._transaction() as connection:
            if not connection.execute(sql, _storable(values)).rowcount:
                connection.execute(otherwise[0], _storable(otherwise[1]))

    def change_many(self, sql: str, rows: Sequence[Sequence[object]]) -> None:
        """The same change for each of `rows`, all or none."""
        with self._transaction() as connection:
            connection.executemany(sql, [_storable(row) for row in rows])

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Turn what SQLite or the file system says into an UnusableError."""
        try:
            yield
        except sqlite3.ProgrammingError:
            raise  # a mistake of ours
        except (sqlite3.DatabaseError, OSError, ValueError) as error:
            raise _explain(error, self._file) from error

    def _prepare(self) -> None:
        with self.explained():
            version = self._version()
        if version > SCHEMA_VERSION:
            raise UnusableError(
                "journal-newer",
                f"The journal {self._file} was written by a newer mirror (format {version}, this one knows "
                f"{SCHEMA_VERSION}).",
                hint="Upgrade mirror, or let this one have a data folder of its own.",
            )
        with self.explained():
            self._switch_to_wal()
            self._connection.execute("PRAGMA synchronous = FULL")
        if version < SCHEMA_VERSION:
            with self._transaction() as connection:
                for schema in _SCHEMAS[self._version() :]:  # none, if somebody else was faster
                    for statement in filter(str.strip, schema.split(";")):
                        connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def _version(self) -> int:
        return int(self._connection.execute("PRAGMA user_version").fetchone()[0])

    def _switch_to_wal(self) -> None:
        """SQLite answers "busy" at once while another process makes the same switch: its timeout does not apply."""
        deadline = time.monotonic() + _BUSY_TIMEOUT_S
        while True:
            try:
                self._connection.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF not in _BUSY or time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
            else:
                return

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """All of it or nothing, and nobody else's in between."""
        with self.explained(), self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")
                raise


def _storable(values: Sequence[object]) -> list[object]:
    """Escape what UTF-8 cannot hold, say undecodable bytes in a message."""
    return [v.encode("utf-8", "backslashreplace").decode() if isinstance(v, str) else v for v in values]


def _explain(error: Exception, file: Path) -> UnusableError:
    """Say in terms of the journal what SQLite or the file system said."""
    code = getattr(error, "sqlite_errorcode", None)
    base = None if code is None else code & 0xFF  # the rest says more precisely what the lowest byte says
    if base in _BUSY:
        return UnusableError(
            "journal-busy",
            f"The journal {file} is held by another process.",
            details=[str(error)],
            hint="Wait until other runs of mirror have ended, then try again.",
        )
    if base in _CORRUPT or (base is None and not isinstance(error, OSError)):
        old = shlex.quote(str(file))
        return UnusableError(
            "journal-corrupt",
            f"The journal {file} is damaged.",
            details=[str(error)],
            hint=f"Move it away and run again: mv {old} {old}.damaged; rm -f {old}-wal {old}-shm\n"
            "Only the history is lost: wheels are in the index, logs stay where they are.",
        )
    # SQLite tells little: "disk I/O error" and "unable to open database file" are a full disk, too, or one open file
    # too many. What the host says at that place, tried anew, is better.
    try:
        with host.explained(file):
            if isinstance(error, OSError):
                raise error
            host.ready_folder(file.parent)
    except UnusableError as refused:
        return refused
    except OSError:
        pass
    return UnusableError(
        "journal-unwritable",
        f"The journal {file} or the logs beside it cannot be written.",
        details=[str(error)],
        hint="Make room on that disk, or give mirror a data folder that it may write to.",
    )
