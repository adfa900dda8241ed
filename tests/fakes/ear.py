"""A server of the test's own on loopback that says what it was asked, as somebody would who collects passwords."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Self

_ANSWERS = {
    "/+api": {"type": "apiconfig", "result": {"features": [], "login": "/+login"}},
    "/+login": {"type": "proxyauth", "result": {"password": "a-token"}},
}


class Ear:
    """Listens within a `with` block; `heard` is all that came, headers and bodies too. It answers as devpi would."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        ear = self

        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                ear.heard.append(f"{self.command} {self.path}\n{self.headers}{body.decode(errors='replace')}")
                found = _ANSWERS.get(self.path)
                content = json.dumps(found or {}).encode()
                self.send_response(200 if found else 404)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = _answer  # noqa: N815 - the standard library's names

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def host(self) -> str:
        """Its address and port."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
