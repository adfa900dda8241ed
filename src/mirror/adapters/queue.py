"""The queue of a team's server: what is asked for, who asked, how it went, and what was said on the way.

    queue.sqlite          one row a build
    output/ID.jsonl       what a build has said, as JSON lines of [stream, text]
    worker.lock           held by whoever builds

The index writes requests into it and reads what comes of them; the builder takes one after the other. Both may be
killed at any time: what was being built then is queued again.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any

from mirror.adapters.host import explained, make_folder, refuse_links
from mirror.core.build_request import BuildRequest, read_build_request
from mirror.core.errors import ExitStatus, MirrorError, UnusableError

MOST_WAITING = 200
MOST_WAITING_OF_ONE = 20
MOST_KEPT = 1_000
"""Builds that have ended, with what they said."""
LARGEST_OUTPUT = 16_000_000
"""Bytes; the rest of what a build says is not kept. Its logs are, elsewhere."""
MOST_BEGUN = 3
"""A build that the builder died of so often is not begun again."""
_BUSY_S = 30.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS builds (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, asked TEXT NOT NULL, asked_by TEXT NOT NULL,
    origin TEXT NOT NULL, topic TEXT NOT NULL, request TEXT NOT NULL, state TEXT NOT NULL,
    started TEXT, ended TEXT, status INTEGER, cancelled INTEGER NOT NULL DEFAULT 0, begun INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS builds_by_state ON builds (state, number);
CREATE INDEX IF NOT EXISTS builds_by_topic ON builds (topic, number);
"""
_COLUMNS = "number, id, asked, asked_by, origin, topic, state, started, ended, status, cancelled"


class BuildState(Enum):
    """Where a build is."""

    QUEUED = "queued"
    RUNNING = "running"
    ENDED = "ended"


class Origin(Enum):
    """Why a build was asked for."""

    REQUEST = "request"
    """Somebody asked: `mirror build --server`."""
    MISS = "miss"
    """An installer asked the index for a project that had no wheel for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuedBuild:
    """One build. Times are ISO 8601, UTC; `status` is the exit status of one that has ended."""

    number: int
    id: str
    asked: str
    asked_by: str
    origin: Origin
    topic: str
    """What it is about in a few words: file names, or `numpy==1.23.5 for cp311-musllinux_1_2_x86_64`."""
    state: BuildState
    started: str | None
    ended: str | None
    status: int | None
    cancelled: bool


class QueueFullError(MirrorError):
    """There is no room for more."""


class Queue:
    """The queue in `folder`. May be used from several threads and processes.

    Every method raises UnusableError (`queue-unusable`) where its file cannot be used.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._local = threading.local()
        with explained(folder):
            make_folder(folder / "output", folder)
            refuse_links(folder)
        with self._changing() as connection:
            for statement in filter(str.strip, _SCHEMA.split(";")):
                connection.execute(statement)

    def submit(
        self, request: BuildRequest, *, asked_by: str, origin: Origin = Origin.REQUEST, topic: str = ""
    ) -> QueuedBuild:
        """Add a build. A miss that waits already is not added again: that build is the answer.

        Raises QueueFullError (`queue-full`).
        """
        topic = topic or ", ".join(one.name for one in request.files)
        with self._changing() as connection:
            if origin is Origin.MISS:
                same = self._select(connection, "WHERE topic = ? AND origin = 'miss' AND state != 'ended'", (topic,), 1)
                if same:
                    return same[0]
            waiting = connection.execute(
                "SELECT count(*), coalesce(sum(asked_by = ?), 0) FROM builds WHERE state = 'queued'", (asked_by,)
            ).fetchone()
            if waiting[0] >= MOST_WAITING or waiting[1] >= MOST_WAITING_OF_ONE:
                raise QueueFullError(
                    "queue-full",
                    f"{waiting[0]} builds wait already, {waiting[1]} of them {asked_by}'s",
                    hint="try again when some of them have ended",
                )
            values = (secrets.token_hex(16), _now(), asked_by, origin.value, topic, json.dumps(request.to_json()))
            connection.execute(
                "INSERT INTO builds (id, asked, asked_by, origin, topic, request, state)"
                " VALUES (?, ?, ?, ?, ?, ?, 'queued')",
                values,
            )
            return self._select(connection, "WHERE id = ?", values[:1], 1)[0]

    def take(self) -> tuple[QueuedBuild, BuildRequest] | None:
        """The build that has waited longest, which is running from now on. What people ask for goes first."""
        with self._changing() as connection:
            row = connection.execute(
                "UPDATE builds SET state = 'running', begun = begun + 1, started = coalesce(started, ?)"
                " WHERE number = ("
                "SELECT number FROM builds WHERE state = 'queued' ORDER BY origin = 'miss', number LIMIT 1"
                ") RETURNING id, request",
                (_now(),),
            ).fetchone()
            if row is None:
                return None
            build = self._select(connection, "WHERE id = ?", row[:1], 1)[0]
        return build, read_build_request(json.loads(row[1]))

    def give_back(self, build: str) -> None:
        """It will be taken again: whoever built it is going away."""
        with self._changing() as connection:
            connection.execute(
                "UPDATE builds SET state = 'queued', begun = begun - 1 WHERE id = ? AND state = 'running'", (build,)
            )

    def finish(self, build: str, status: int) -> None:
        """It has ended."""
        with self._changing() as connection:
            connection.execute(
                "UPDATE builds SET state = 'ended', ended = ?, status = ? WHERE id = ?", (_now(), status, build)
            )
            old = connection.execute(
                "SELECT number, id FROM builds WHERE state = 'ended' ORDER BY number DESC LIMIT -1 OFFSET ?",
                (MOST_KEPT,),
            ).fetchall()
            connection.executemany("DELETE FROM builds WHERE number = ?", [(number,) for number, _ in old])
        for _, one in old:
            self._output(one).unlink(missing_ok=True)

    def cancel(self, build: str) -> None:
        """Nobody wants it any more. One that waits has ended with it; one that runs is asked to end."""
        with self._changing() as connection:
            connection.execute(
                "UPDATE builds SET cancelled = 1, ended = CASE state WHEN 'queued' THEN ? ELSE ended END,"
                " status = CASE state WHEN 'queued' THEN 130 ELSE status END,"
                " state = CASE state WHEN 'queued' THEN 'ended' ELSE state END WHERE id = ? AND state != 'ended'",
                (_now(), build),
            )

    def find(self, build: str) -> QueuedBuild | None:
        """One build; None where there is none, or none any more."""
        with self._reading() as connection:
            return next(iter(self._select(connection, "WHERE id = ?", (build,), 1)), None)

    def ahead_of(self, build: QueuedBuild) -> int:
        """How many will be taken before it, or are running."""
        with self._reading() as connection:
            earlier = "state = 'queued' AND (origin = 'miss', number) < (?, ?)"
            sql = f"SELECT count(*) FROM builds WHERE state = 'running' OR ({earlier})"  # noqa: S608 - of our own words
            return int(connection.execute(sql, (build.origin is Origin.MISS, build.number)).fetchone()[0])

    def newest(self, count: int) -> tuple[QueuedBuild, ...]:
        """The newest builds, newest first."""
        with self._reading() as connection:
            return self._select(connection, "", (), count)

    def open(self) -> tuple[QueuedBuild, ...]:
        """What runs and what waits, in the order in which it was asked for."""
        with self._reading() as connection:
            found = self._select(connection, "WHERE state != 'ended'", (), MOST_WAITING * 2)
        return tuple(reversed(found))

    def asked_since(self, moment: datetime, origin: Origin) -> int:
        """How many builds were asked for since then for such a reason."""
        since = moment.isoformat(timespec="seconds")
        with self._reading() as connection:
            sql = "SELECT count(*) FROM builds WHERE asked >= ? AND origin = ?"
            return int(connection.execute(sql, (since, origin.value)).fetchone()[0])

    def last_about(self, topic: str) -> QueuedBuild | None:
        """The newest build about something."""
        with self._reading() as connection:
            return next(iter(self._select(connection, "WHERE topic = ?", (topic,), 1)), None)

    @contextmanager
    def working(self) -> Iterator[None]:
        """Be the one who builds; what another one had begun is queued again, but not for ever.

        Raises UnusableError (`queue-worked`).
        """
        with explained(self.folder):
            lock = os.open(self.folder / "worker.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise UnusableError(
                    "queue-worked", f"another builder works on {self.folder}", hint="one is enough: see its --builds"
                ) from error
            with self._reading() as connection:
                fatal = self._select(connection, "WHERE state = 'running' AND begun >= ?", (MOST_BEGUN,), MOST_WAITING)
            for one in fatal:
                given_up = f"the builder died {MOST_BEGUN} times while it built this, which is given up\n"
                self.say(one.id, "stderr", given_up)
                self.finish(one.id, ExitStatus.FAILED)
            with self._changing() as connection:
                begun = self._select(connection, "WHERE state = 'running'", (), MOST_WAITING)
                connection.execute("UPDATE builds SET state = 'queued' WHERE state = 'running'")
            for one in begun:
                self.say(one.id, "stderr", "the builder was started again; going on from there\n")
            yield
        finally:
            os.close(lock)

    def say(self, build: str, stream: str, text: str) -> None:
        """Add to what a build has said. `stream` is "stdout", "stderr" or `BASE_IMAGE`."""
        line = json.dumps([stream, text]).encode() + b"\n"
        with explained(self.folder), self._output(build).open("ab") as file:
            if file.tell() < LARGEST_OUTPUT:
                file.write(line)

    def said(self, build: str, start: int, most: int = 200_000) -> tuple[list[tuple[str, str]], int]:
        """What a build has said from byte `start` on, whole lines of it; and the byte to go on from."""
        try:
            with self._output(build).open("rb") as file:
                file.seek(min(start, os.fstat(file.fileno()).st_size))  # beyond what a file may have is an error
                text = file.read(most)
                if text and b"\n" not in text:  # one line that is longer
                    text += file.readline()
        except FileNotFoundError:
            return [], start
        whole = text[: text.rfind(b"\n") + 1]
        found = (_said(line) for line in whole.splitlines())
        return [one for one in found if one is not None], start + len(whole)

    def _output(self, build: str) -> Path:
        return self.folder / "output" / f"{build}.jsonl"

    @staticmethod
    def _select(
        connection: sqlite3.Connection, where: str, values: Sequence[object], count: int
    ) -> tuple[QueuedBuild, ...]:
        sql = f"SELECT {_COLUMNS} FROM builds {where} ORDER BY number DESC LIMIT ?"  # noqa: S608 - of our own words
        return tuple(_build(row) for row in connection.execute(sql, (*values, count)))

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        with self._reading() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        file = self.folder / "queue.sqlite"
        try:
            yield self._connection(file)
        except sqlite3.Error as error:
            raise UnusableError(
                "queue-unusable",
                f"the queue {file} cannot be used: {error}",
                hint="is its disk full? Otherwise move it away: what is queued is lost with it, nothing else",
            ) from error

    def _connection(self, file: Path) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            deadline = time.monotonic() + _BUSY_S
            connection = sqlite3.connect(file, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
            while True:
                try:
                    connection.execute("PRAGMA journal_mode = WAL")
                    break
                except sqlite3.OperationalError:  # somebody else makes the same switch: the timeout does not apply
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.02)
            connection.execute("PRAGMA synchronous = FULL")
            self._local.connection = connection
        return connection


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _said(line: bytes) -> tuple[str, str] | None:
    """A piece of what a build has said; None of one whose beginning was not read, as `start` was none."""
    try:
        stream, text = json.loads(line)
    except (ValueError, TypeError):
        return None
    return str(stream), str(text)


def _build(row: Sequence[Any]) -> QueuedBuild:
    number, identifier, asked, asked_by, origin, topic, state, started, ended, status, cancelled = row
    return QueuedBuild(
        number=number,
        id=identifier,
        asked=asked,
        asked_by=asked_by,
        origin=Origin(origin),
        topic=topic,
        state=BuildState(state),
        started=started,
        ended=ended,
        status=status,
        cancelled=bool(cancelled),
    )
