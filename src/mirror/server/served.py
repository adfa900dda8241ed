"""Counts what is downloaded from our index: each time somebody did not have to compile.

Only installers count, since mirror itself reads back what it publishes; and only whole files. Where nginx serves the
files, it tells.
"""

from __future__ import annotations

import json
import logging
import re
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mirror.adapters.devpi.layout import STAGE
from mirror.core.history import Saved, Served
from mirror.core.matrix import wheel_release

INSTALLERS = re.compile(r"(?:^|\s)(?:pip|uv|poetry|pdm|pipenv|pex|hatch)/", re.IGNORECASE)
_LARGEST_DATAGRAM = 8_192
_LONGEST_NAME = 255
"""Of a file, on every file system."""
_OURS = f"/{STAGE}/+f/"
_WHEEL = re.compile(rf"{re.escape(_OURS)}[0-9a-f]{{3}}/[0-9a-f]{{13}}/([A-Za-z0-9_.+!-]+\.whl)")
_PAUSE_S = 1.0
_EVERY_S = 2.0
"""How often counts are written: a killed server loses no more of them."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS served (filename TEXT PRIMARY KEY, downloads INTEGER NOT NULL, size_bytes INTEGER NOT NULL)
"""
_ADD = """
INSERT INTO served VALUES (?, ?, ?) ON CONFLICT (filename) DO UPDATE SET
    downloads = downloads + excluded.downloads, size_bytes = size_bytes + excluded.size_bytes
"""
log = logging.getLogger(__name__)


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
        except OverflowError:  # no number of SQLite's: it would be none the next time either
            log.warning("counts of downloads are dropped: one of them is no number that can be kept")
        self._new.clear()

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._file, timeout=1.0)
        connection.execute(_SCHEMA)
        return connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A download that somebody tells of: the path of a wheel of ours below the server's root, and its bytes."""

    path: str
    size_bytes: int

    @property
    def filename(self) -> str:
        return self.path.rpartition("/")[2]


class NginxCounts:
    """Hears of the downloads that a team's proxy serves from the disk, past devpi: one datagram for each (RFC 3164).

    Whoever reaches the port can send one. So only files that are below `files`, where devpi keeps them, count, each
    with no more bytes than it has.
    """

    def __init__(self, downloads: Downloads, files: Path, address: tuple[str, int]) -> None:
        self._downloads = downloads
        self._files = files
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind(address)
        except OSError:
            self._socket.close()
            raise
        self.address: tuple[str, int] = self._socket.getsockname()
        threading.Thread(target=self._listen, name="mirror-nginx-counts", daemon=True).start()

    def _listen(self) -> None:
        """Hear for ever, whatever is said."""
        while True:
            try:
                told = read_datagram(self._socket.recv(_LARGEST_DATAGRAM))
                if told is not None:
                    self._count(told)
            except Exception:
                log.exception("a download that the proxy tells of is not counted")
                time.sleep(_PAUSE_S)

    def _count(self, told: Told) -> None:
        try:
            size_bytes = (self._files / told.path.lstrip("/")).stat().st_size
        except OSError:  # there is no such file, or none any more
            return
        self._downloads.count(told.filename, min(told.size_bytes, size_bytes))


def read_datagram(datagram: bytes) -> Told | None:
    """What a datagram says of a wheel of ours that an installer has downloaded; None where it says anything else."""
    try:
        said = json.loads(datagram[datagram.index(b"{") :])
        path, size = str(said["path"]), str(said["size"])
        is_one = (said["method"], said["status"]) == ("GET", "200") and bool(INSTALLERS.search(str(said["agent"])))
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    match = _WHEEL.fullmatch(path)
    if not is_one or match is None or len(match[1]) > _LONGEST_NAME or not re.fullmatch(r"[0-9]{1,15}", size):
        return None
    return Told(path=path, size_bytes=int(size))


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
    """A tween: counts wheels of ours that were sent whole to an installer, who gets them however that goes."""

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
            try:
                registry["mirror_downloads"].count(path.rpartition("/")[2], response.content_length or 0)
            except Exception:
                log.exception("a download is not counted")
        return response

    return tween
