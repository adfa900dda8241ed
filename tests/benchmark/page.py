"""How quick the index's page is with ten thousand projects.

    .venv/bin/python tests/benchmark/page.py [--projects 10000]

It fills an index of its own (some minutes) and a journal with three attempts at each project, then asks for every kind
of page and document five times, one after the other, and prints the median and the slowest answer in milliseconds.
"""

from __future__ import annotations

import argparse
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import requests

sys.path.insert(0, str(Path(__file__).parents[1]))

from fakes.wheels import checked_wheel
from mirror.adapters.devpi.index import DevpiIndex
from mirror.adapters.devpi.listening import free_port
from mirror.adapters.devpi.server import EmbeddedServer, ServerInfo
from mirror.adapters.journal.sqlite import SqliteJournal
from mirror.adapters.store import Store

PATHS = (
    "",
    "projects",
    "projects?page=100",
    "projects?q=project-99",
    "projects?state=failed",
    "projects/project-9",
    "history",
    "install",
    "api/status",
    "api/projects",
    "api/history",
    "metrics",
)
TARGETS = ("cp311-musllinux_1_2_x86_64", "cp312-musllinux_1_2_x86_64", "cp313-musllinux_1_2_x86_64")

BUILT, FAILED = ("built", "", "", ""), ("failed", "build-failed", "no luck", "try")


def main() -> None:
    """Fill, ask, print."""
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--projects", type=int, default=10_000)
    count = arguments.parse_args().projects
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        fill_journal(data, count)
        server = EmbeddedServer(data / "devpi", free_port(), upstream="http://127.0.0.1:9/simple/", journal=data)
        info = server.ensure_running(lambda _: None)
        try:
            fill_index(info, data, count)
            for path, times in measured(info):
                print(f"{path or '(front)':28} {statistics.median(times):8.0f} {max(times):8.0f}", flush=True)
        finally:
            server.stop()


def fill_journal(data: Path, count: int) -> None:
    """Three attempts at each project: built, failed, built for another target."""
    with SqliteJournal(data) as journal:
        journal.start_run("build requirements.txt")
        journal.end_run(0)
    columns = "recorded, outcome, code, reason, hint, seconds, size_bytes, log, cache_key, run, target, name, version"
    rows = (
        (
            f"2026-11-25T12:00:{number % 60:02}+00:00",
            *how,
            60.0,
            1_000_000,
            "",
            "",
            1,
            target,
            f"project-{number}",
            "1.0",
        )
        for number in range(count)
        for target, how in zip(TARGETS, (BUILT, FAILED, BUILT), strict=True)
    )
    with closing(sqlite3.connect(data / "journal.sqlite")) as connection, connection:
        connection.executemany(f"INSERT INTO attempts ({columns}) VALUES ({', '.join('?' * 13)})", rows)  # noqa: S608


def fill_index(info: ServerInfo, data: Path, count: int) -> None:
    """A small wheel of each project."""
    began = time.monotonic()
    index = DevpiIndex(info.url, info.login, Store(data / "store"), administrator=info.administrator)
    token = index_token(info)

    def upload(number: int) -> None:
        filename = f"project_{number}-1.0-cp311-cp311-musllinux_1_2_x86_64.whl"
        form = {":action": "file_upload", "name": f"project-{number}", "version": "1.0"}
        content = checked_wheel(filename).content
        answer = requests.post(
            f"{info.url}/", data=form, files={"content": (filename, content)}, headers=token, timeout=120
        )
        answer.raise_for_status()

    index.ensure_index()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(upload, range(count)))
    print(f"{count} projects uploaded in {time.monotonic() - began:.0f} s; milliseconds, median and slowest of five:")


def index_token(info: ServerInfo) -> dict[str, str]:
    """What who publishes says to log in."""
    root = info.url.removesuffix("/mirror/alpine")
    login = {"user": info.login.user, "password": info.login.password()}
    token = requests.post(f"{root}/+login", json=login, timeout=60).json()["result"]["password"]
    header = requests.auth._basic_auth_str(info.login.user, token).removeprefix("Basic ")
    return {"X-Devpi-Auth": header}


def measured(info: ServerInfo) -> Iterator[tuple[str, list[float]]]:
    """Each path, and how long it took each time."""
    with requests.Session() as session:
        for path in PATHS:
            times = []
            for _ in range(5):
                began = time.monotonic()
                answer = session.get(info.page_url + path, timeout=120)
                answer.raise_for_status()
                times.append((time.monotonic() - began) * 1000)
            yield path, times


if __name__ == "__main__":
    main()
