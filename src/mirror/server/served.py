"""Counts what is downloaded from our index: each time somebody did not have to compile.

Only installers count, since mirror itself reads back what it publishes; and only whole files. Where nginx serves the
files, it tells.
"""

from __future__ import annotations

import json
import re
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from mirror.adapters.devpi.layout import STAGE
from mirror.core.history import Saved, Served
from mirror.core.matrix import wheel_release

INSTALLERS = re.compile(r"(?:^|\s)(?:pip|uv|poetry|pdm|pipenv|pex|hatch)/", re.IGNORECASE)
NGINX_PORT = 5140
_LARGEST_DATAGRAM = 8_192
_OURS = f"/{STAGE}/+f/"
_EVERY_S = 2.0
"""How often counts are written: a killed server loses no more of them."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS served (filename TEXT PRIMARY KEY, downloads INTEGER NOT NULL, size_bytes INTEGER NOT NULL)
"""
_ADD = """
INSERT INTO served VALUES (?, ?, ?) ON CONFLICT (filename) DO UPDATE SET
    downloads = downloads + excluded.downloads, size_bytes = size_bytes + excluded.size_bytes
"""


class Downloads:
    """Counts in a SQLite file, from any thread. A disk that does not take it costs counts, never a download."""

    def __init__(self, file: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._file = file
        self._clock = clock
        self._lock = threading.Lock()
        self._new: dict[str, tuple[int, int]] = {}
        self._written = clock()

    def count(self, filename: str, size_bytes: int) -> None:
        """One more download."""
        with self._lock:
            downloads, size = self._new.get(filename, (0, 0))
            self._new[filename] = (downloads + 1, size + size_bytes)
            if self._clock() - self._written >= _EVERY_S:
                self._write()

    def all(self) -> tuple[Served, ...] | None:
        """Every count since the first one; None where they cannot be read."""
        with self._lock:
            if self._new:
                self._write()
            try:
                with closing(self._open()) as connection:
                    rows = connection.execute("SELECT filename, downloads, size_bytes FROM served").fetchall()
            except sqlite3.Error:
                return None
        return tuple(Served(filename=name, downloads=count, size_bytes=size) for name, count, size in rows)

    def _write(self) -> None:
        self._written = self._clock()
        rows = [(name, *counts) for name, counts in self._new.items()]
        try:
            with closing(self._open()) as connection, connection:
                connection.executemany(_ADD, rows)
        except sqlite3.Error:
            return  # they stay for the next time
        self._new.clear()

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._file, timeout=1.0)
        connection.execute(_SCHEMA)
        return connection


class NginxCounts:
    """Hears of the downloads that a team's proxy serves from the disk, past devpi: one datagram for each (RFC 3164)."""

    def __init__(self, downloads: Downloads, address: tuple[str, int] = ("0.0.0.0", NGINX_PORT)) -> None:  # noqa: S104
        self._downloads = downloads
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(address)
        self.address: tuple[str, int] = self._socket.getsockname()
        threading.Thread(target=self._listen, name="mirror-nginx-counts", daemon=True).start()

    def _listen(self) -> None:
        while True:
            datagram = self._socket.recv(_LARGEST_DATAGRAM)
            counted = read_datagram(datagram)
            if counted is not None:
                self._downloads.count(*counted)


def read_datagram(datagram: bytes) -> tuple[str, int] | None:
    """File name and size of a wheel of ours that an installer has downloaded; None where it says anything else."""
    try:
        said = json.loads(datagram[datagram.index(b"{") :])
        path, size = str(said["path"]), int(said["size"])
        is_one = (said["method"], said["status"]) == ("GET", "200") and bool(INSTALLERS.search(str(said["agent"])))
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if not is_one or not path.startswith(_OURS) or not path.endswith(".whl"):
        return None
    return path.rpartition("/")[2], size


def saved_by(served: Iterable[Served], compile_seconds: Mapping[tuple[str, str], float]) -> Saved:
    """What the downloads have spared: each as many seconds as our newest compile of that version took."""
    downloads = size_bytes = 0
    seconds = 0.0
    for one in served:
        downloads += one.downloads
        size_bytes += one.size_bytes
        if release := wheel_release(one.filename):
            seconds += one.downloads * compile_seconds.get(release, 0.0)
    return Saved(downloads=downloads, size_bytes=size_bytes, compile_seconds=seconds)


def count_downloads(handler: Callable[[Any], Any], registry: Any) -> Callable[[Any], Any]:
    """A tween: counts wheels of ours that were sent whole to an installer."""

    def tween(request: Any) -> Any:
        response = handler(request)
        path = request.path_info
        if (
            request.method == "GET"
            and response.status_code == 200
            and path.startswith(_OURS)
            and path.endswith(".whl")
            and INSTALLERS.search(request.user_agent or "")
        ):
            registry["mirror_downloads"].count(path.rpartition("/")[2], response.content_length or 0)
        return response

    return tween
