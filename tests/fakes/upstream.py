"""A tiny PyPI on loopback: simple pages in JSON, and files."""

from __future__ import annotations

import base64
import hashlib
import json
import ssl
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from packaging.utils import canonicalize_name


class Upstream:
    """Serves what was added to it, from `start` to `stop`; `asked` lists the paths it was asked for.

    With a `login` (`USER:PASSWORD`), only to whoever has it. With an `etag` every page has that one, and is not sent
    again to whoever has it already.
    """

    def __init__(self, *, tls: ssl.SSLContext | None = None, login: str | None = None, etag: str | None = None) -> None:
        self._etag = etag
        self.asked: list[str] = []
        self._login = login
        self._projects: dict[str, dict[str, bytes]] = {}
        self._marks: dict[str, dict[str, object]] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._scheme = "https" if tls else "http"
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def url(self) -> str:
        """What devpi's mirror_url is set to."""
        return f"{self._scheme}://127.0.0.1:{self._server.server_address[1]}/simple/"

    def add(self, name: str, filename: str, content: bytes, **marks: object) -> None:
        """Offer a file; `marks` stand beside it on the page, as `yanked` and `requires_python`."""
        self._projects.setdefault(canonicalize_name(name), {})[filename] = content
        self._marks[filename] = {key.replace("_", "-"): value for key, value in marks.items()}

    def withdraw(self, name: str, filename: str) -> None:
        """Offer a file no longer."""
        del self._projects[canonicalize_name(name)][filename]

    def start(self) -> None:
        """Answer from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(self, path: str, authorization: str | None) -> tuple[int, str, bytes]:
        self.asked.append(path)
        if self._login and authorization != "Basic " + base64.b64encode(self._login.encode()).decode():
            return 401, "text/plain", b"who are you?"
        parts = path.strip("/").split("/")
        if len(parts) == 2 and parts[0] == "simple" and parts[1] in self._projects:
            files = [
                {
                    "filename": filename,
                    "url": f"/files/{parts[1]}/{filename}",
                    "hashes": {"sha256": hashlib.sha256(content).hexdigest()},
                    **self._marks[filename],
                }
                for filename, content in self._projects[parts[1]].items()
            ]
            page = {"meta": {"api-version": "1.0"}, "name": parts[1], "files": files}
            return 200, "application/vnd.pypi.simple.v1+json", json.dumps(page).encode()
        if len(parts) == 3 and parts[0] == "files":
            content = self._projects.get(parts[1], {}).get(parts[2])
            if content is not None:
                return 200, "application/octet-stream", content
        return 404, "text/plain", b"not found"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        upstream = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, content_type, content = upstream._answer(self.path, self.headers.get("Authorization"))
                if upstream._etag and self.headers.get("If-None-Match") == upstream._etag:
                    status, content = 304, b""
                self.send_response(status)
                if upstream._etag:
                    self.send_header("ETag", upstream._etag)
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        return Handler
