"""A real index with a page, and a journal in which a bit of everything has happened."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from fakes.hostile_text import ALL
from fakes.outcomes import TARGET, a_blocked, a_built, a_failed, a_job, a_key, a_reused
from fakes.wheels import checked_wheel
from mirror.adapters.devpi.index import DevpiIndex
from mirror.adapters.devpi.listening import free_port
from mirror.adapters.devpi.server import EmbeddedServer, ServerInfo
from mirror.adapters.journal.sqlite import SqliteJournal
from mirror.adapters.store import Store

WHEELS = (
    "numpy-1.23.5-cp311-cp311-musllinux_1_2_x86_64.whl",
    "pandas-1.5.3-cp311-cp311-musllinux_1_2_x86_64.whl",
    "pyyaml-6.0-py3-none-any.whl",
)
A_REASON = "Error: pg_config executable not found."
A_HINT = "a recipe can add system-packages (apk names): look up which one has it"


class PageJournal(SqliteJournal):
    """A journal in which a test says how things end."""

    def end_attempt(self, name: str, version: str, log: str) -> None:
        """It has failed."""
        self.record(a_failed(name, version, log=log), TARGET)


@dataclass(frozen=True, kw_only=True)
class Page:
    """A running server. `live_log` is of what is being compiled, which is lxml."""

    info: ServerInfo
    journal: PageJournal
    live_log: Path

    @property
    def url(self) -> str:
        return self.info.page_url

    @property
    def names(self) -> tuple[str, ...]:
        """Some projects."""
        return ("numpy", "psycopg2", "lxml", "hostile")

    @property
    def logged(self) -> tuple[int, ...]:
        """Numbers of attempts whose logs are kept."""
        return (self.number("psycopg2"), self.number("hostile"), self.number("lxml"))

    def number(self, name: str) -> int:
        """The number of a project's newest attempt."""
        return int(self.json(f"api/projects/{name}")["attempts"][0]["id"])

    def get(self, path: str, **options: Any) -> requests.Response:
        """What is at that path below the page."""
        return requests.get(self.url + path, timeout=30, **options)

    def json(self, path: str) -> dict[str, Any]:
        """Likewise, as JSON, which must be there."""
        answer = self.get(path)
        assert 200 == answer.status_code, answer.text
        document: dict[str, Any] = answer.json()
        assert 1 == document["version"]
        return document


@contextmanager
def opened_page(folder: Path) -> Iterator[Page]:
    """The server over `folder`, until the end."""
    server = EmbeddedServer(folder / "devpi", free_port(), upstream="http://127.0.0.1:9/simple/", journal=folder)
    info = server.ensure_running(lambda _: None)
    try:
        index = DevpiIndex(info.url, info.login, Store(folder / "store"), administrator=info.administrator)
        for filename in WHEELS:
            index.publish(checked_wheel(filename))
        with PageJournal(folder) as journal:
            live_log = happen(journal)
            with closing(sqlite3.connect(folder / "journal.sqlite")) as connection, connection:
                worse = "UPDATE attempts SET version = ?1, target = ?1, code = ?1"
                connection.execute(f"{worse} WHERE name = 'hostile'", (ALL,))
                connection.execute(f"{worse}, name = ?1 WHERE name = 'hostile' AND id % 2", (ALL,))
            yield Page(info=info, journal=journal, live_log=live_log)
    finally:
        server.stop()


def happen(journal: SqliteJournal) -> Path:
    """Write a run that has ended and one that goes on; the log of what it compiles."""
    journal.start_run("build requirements.txt")
    journal.record(a_built("numpy", "1.23.5", 211.0, 14_200_000), TARGET)
    journal.record(a_built("pandas", "1.5.3", 427.0, 21_000_000), TARGET)
    journal.record(a_reused("django", "4.1.13"), TARGET)
    log = journal.log_path("psycopg2 2.9.9")
    log.write_bytes(b"gcc -c x.c\n\x1b[31mError: \x07no\x1b[0m\n")
    journal.record(a_failed("psycopg2", "2.9.9", A_REASON, A_HINT, str(log)), TARGET)
    journal.record(a_blocked("scipy", "1.9.3", a_key("cython", "0.29")), TARGET)
    journal.end_run(1)
    journal.start_run(f"build {ALL}")
    log = journal.log_path("hostile 1.0")
    log.write_text(ALL + "\n" + ALL)
    for version in ("1.0", "2.0"):
        journal.record(a_failed("hostile", version, ALL, ALL, str(log)), TARGET)
    live = journal.log_path("lxml 4.9.3")
    live.write_text("running build_ext\n")
    journal.begin(a_job("lxml", "4.9.3"), "lxml", live)
    return live
