"""The files of a fake index on loopback, for clients that only speak HTTP."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import PurePosixPath
from threading import Thread
from typing import Self

from packaging.utils import canonicalize_name

from fakes.index import FakeIndex
from mirror.core.model import IndexFile


class SimpleServer:
    """Serves simple pages (PEP 691) and files of `index` within a `with` block."""

    def __init__(self, index: FakeIndex) -> None:
        self._index = index
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def url(self) -> str:
        """What pip's --index-url points at."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/simple/"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(self, path: str) -> tuple[int, str, bytes]:
        kind, project, *filename = PurePosixPath(path.lstrip("/")).parts
        files = self._index.files(canonicalize_name(project))
        if kind == "simple" and files:
            page = {"meta": {"api-version": "1.0"}, "name": project, "files": [_entry(project, file) for file in files]}
            return 200, "application/vnd.pypi.simple.v1+json", json.dumps(page).encode()
        for file in files:
            if [file.filename] == filename:
                return 200, "application/octet-stream", self._index.fetch(file).read_bytes()
        return 404, "text/plain", b"not found"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        answer = self._answer

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, content_type, content = answer(self.path)
                self.send_response(status)
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        return Handler


def _entry(project: str, file: IndexFile) -> dict[str, object]:
    return {
        "filename": file.filename,
        "url": f"/files/{project}/{file.filename}",
        "hashes": {"sha256": file.sha256},
        "yanked": file.yanked,
        **({"requires-python": file.requires_python} if file.requires_python else {}),
    }
