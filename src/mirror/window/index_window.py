"""A synthetic index (PEP 691) over a view: nothing of the real index's pages passes through."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import unquote

from packaging.utils import NormalizedName, canonicalize_name

from mirror.core.asked import Untold, requires_dist, static_requires_dist
from mirror.core.errors import MirrorError
from mirror.core.host_errors import escaped
from mirror.core.lock import Pin, pin_of
from mirror.core.model import IndexFile
from mirror.core.sdist_archive import read_tree
from mirror.ports import Response
from mirror.window.core_metadata import CoreMetadata
from mirror.window.view import View

PAGE_TYPE = "application/vnd.pypi.simple.v1+json"
_FILE_TYPE = "application/octet-stream"
_LARGEST_PAGE = 32 * 1024 * 1024
_CHUNK = 1 << 16
_PAGE = re.compile(r"/simple/([A-Za-z0-9](?:[A-Za-z0-9._-]{0,198}[A-Za-z0-9])?)/?")
_FILE = re.compile(r"/files/([0-9a-f]{64})/([^/]+)")


class IndexWindow:
    """Answers three kinds of paths; everything else is a 404.

    - `/simple/PROJECT/`: the page, as JSON
    - `/files/SHA256/FILENAME`: a file that a page of this window has listed, its hash checked
    - `/files/SHA256/FILENAME.metadata`: a wheel's core metadata (PEP 658)

    A client may percent-encode a file's name: pip does so with the `+` of a local version and the `!` of an epoch.
    Where the index fails, the answer is a 502, and `failures` says why: the client in the sandbox cannot.
    """

    def __init__(self, view: View, metadata: CoreMetadata) -> None:
        self._view = view
        self._metadata = metadata
        self._shown: dict[tuple[str, str], IndexFile] = {}
        self._read: dict[Pin, dict[str, IndexFile]] = {}
        self._failures: list[MirrorError] = []
        self._lock = Lock()

    @property
    def failures(self) -> tuple[MirrorError, ...]:
        """What went wrong behind the window so far."""
        with self._lock:
            return tuple(self._failures)

    def dependencies(self, pin: Pin) -> tuple[str, ...] | Untold:
        """As ports.CandidWindow.dependencies. Raises MirrorError where its files are broken."""
        with self._lock:
            read = tuple(self._read.get(pin, {}).values())
        wheels = [file for file in read if file.filename.endswith(".whl")]
        if wheels:
            return tuple(line for wheel in wheels for line in requires_dist(self._metadata.read(wheel)))
        if not read:
            return Untold.UNREAD
        with self._view.fetch(read[0]).open("rb") as content:
            return static_requires_dist(read_tree(read[0].filename, content).texts.get("PKG-INFO", b""))

    def get(self, path: str) -> Response:
        """As ports.Window.get."""
        try:
            if page := _PAGE.fullmatch(path):
                return self._page(canonicalize_name(page[1]))
            if link := _FILE.fullmatch(path):
                return self._file(link[1], unquote(link[2]))
        except MirrorError as error:
            return self._failed(error)
        except OSError as error:
            if refused := escaped(error):
                return self._failed(refused)
            raise
        return _text(404, "not found")

    def _failed(self, error: MirrorError) -> Response:
        with self._lock:
            self._failures.append(error)
        return _text(502, f"{error.code}: {error.what}")

    def _page(self, name: NormalizedName) -> Response:
        files = self._view.files(name)
        if not files:
            return _text(404, "no such project")
        with self._lock:
            self._shown.update({(file.sha256, file.filename): file for file in files})
        page = {"meta": {"api-version": "1.0"}, "name": name, "files": [_entry(file) for file in files]}
        body = json.dumps(page).encode()
        if len(body) > _LARGEST_PAGE:
            raise MirrorError(
                "page-too-large", f"the page of {name} is larger than {_LARGEST_PAGE} bytes", hint="report it"
            )
        return Response(status=200, content_type=PAGE_TYPE, body=[body], length=len(body))

    def _file(self, sha256: str, filename: str) -> Response:
        file = self._find(sha256, filename)
        if file is not None:
            path = self._view.fetch(file)
            self._note(file)
            return Response(status=200, content_type=_FILE_TYPE, body=_chunks(path), length=path.stat().st_size)
        wheel = self._find(sha256, filename.removesuffix(".metadata"))
        if wheel is not None and wheel.filename.endswith(".whl"):
            content = self._metadata.read(wheel)
            self._note(wheel)
            return Response(status=200, content_type=_FILE_TYPE, body=[content], length=len(content))
        return _text(404, "not found")

    def _note(self, file: IndexFile) -> None:
        if pin := pin_of(file.filename):
            with self._lock:
                self._read.setdefault(pin, {})[file.filename] = file

    def _find(self, sha256: str, filename: str) -> IndexFile | None:
        with self._lock:
            return self._shown.get((sha256, filename))


def _entry(file: IndexFile) -> dict[str, Any]:
    """PEP 691's file object. `core-metadata` may be true without a hash (PEP 714): it comes over our own wire."""
    entry: dict[str, Any] = {
        "filename": file.filename,
        "url": f"/files/{file.sha256}/{file.filename}",
        "hashes": {"sha256": file.sha256},
        "yanked": file.yanked,
    }
    if file.requires_python is not None:
        entry["requires-python"] = file.requires_python
    if file.filename.endswith(".whl"):
        entry["core-metadata"] = True
    return entry


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk


def _text(status: int, message: str) -> Response:
    body = message.encode()
    return Response(status=status, content_type="text/plain; charset=utf-8", body=[body], length=len(body))
