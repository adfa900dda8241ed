"""A proxy on loopback that lets befall a request what a network, a gateway or a dying server does to it."""

from __future__ import annotations

import http.client
import io
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import urlsplit

_HOP_BY_HOP = {"connection", "transfer-encoding", "content-length", "keep-alive"}
LONGEST_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What befalls one request, in the order of the fields; by itself, nothing does."""

    delay_s: float = 0.0
    midway: Callable[[], None] | None = None
    """Called when half of the request was forwarded; the other half never is, and the connection is reset."""
    forward: bool = True
    status: int | None = None
    """Answered in place of what the server answers."""
    headers: tuple[tuple[str, str], ...] = ()
    body: Callable[[bytes], bytes] = bytes
    """Changes the answer's bytes; its length is told to match."""
    cut: bool = False
    """The answer ends after half of the bytes that were promised."""
    reset: bool = False
    """The connection is reset before the answer."""


@dataclass(kw_only=True)
class Planned:
    """A fault for the next `times` requests with this method whose path holds `part`."""

    method: str
    part: str
    fault: Fault
    times: float = 1


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A request. `at` is the monotonic clock's."""

    method: str
    path: str
    fault: Fault
    at: float = field(compare=False)


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        if not isinstance(sys.exc_info()[1], OSError):  # else who asked has gone
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class FaultyProxy:
    """Stands before the server at `target` (its URL) within a `with` block; `seen` has every request.

    `befalls` (method, path) decides about requests for which nothing was planned.
    """

    def __init__(self, target: str, *, befalls: Callable[[str, str], Fault] = lambda _method, _path: Fault()) -> None:
        self._otherwise = befalls
        self.seen: list[Seen] = []
        parts = urlsplit(target)
        self._target = (str(parts.hostname), int(parts.port or 80))
        self._planned: list[Planned] = []
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    @property
    def url(self) -> str:
        """The proxy itself, without a path."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def instead_of(self, url: str) -> str:
        """A URL of the server's, through the proxy."""
        return self.url + urlsplit(url).path

    def plan(self, method: str, part: str, fault: Fault, times: float = 1) -> None:
        """Let this befall the next requests of this kind."""
        with self._lock:
            self._planned.append(Planned(method=method, part=part, fault=fault, times=times))

    def heal(self) -> None:
        """From now on nothing befalls anybody."""
        with self._lock:
            self._planned.clear()

    def count(self, method: str, part: str = "") -> int:
        """How many requests of this kind there were."""
        return sum(1 for seen in tuple(self.seen) if seen.method == method and part in seen.path)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _befalls(self, method: str, path: str) -> Fault:
        with self._lock:
            planned = next((p for p in self._planned if p.method == method and p.part in path), None)
            if planned is not None:
                planned.times -= 1
                if planned.times <= 0:
                    self._planned.remove(planned)
            fault = planned.fault if planned else self._otherwise(method, path)
            self.seen.append(Seen(method=method, path=path, fault=fault, at=time.monotonic()))
        return fault

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = LONGEST_S

            def _answer(self) -> None:
                content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                fault = proxy._befalls(self.command, self.path)
                proxy._over.wait(min(fault.delay_s, LONGEST_S))
                if fault.midway is not None:
                    proxy._forward_half(self, content)
                    fault.midway()
                    _reset(self)
                    return
                status, headers, body = proxy._forward(self, content) if fault.forward else (200, [], b"")
                if fault.reset:
                    _reset(self)
                    return
                _send(self, fault, fault.status or status, headers, body)

            do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _answer  # noqa: N815 - the standard library's names

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        return Handler

    @contextmanager
    def _connected(self) -> Iterator[http.client.HTTPConnection]:
        connection = http.client.HTTPConnection(*self._target, timeout=LONGEST_S)
        try:
            yield connection
        finally:
            connection.close()

    def _forward(self, asked: BaseHTTPRequestHandler, content: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        """(status, headers, body) of the server's answer; 502 where it gives none, as a gateway would say."""
        headers = {name: value for name, value in asked.headers.items() if name.lower() not in _HOP_BY_HOP}
        try:
            with self._connected() as connection:
                connection.request(asked.command, asked.path, body=content or None, headers=headers)
                answer = connection.getresponse()
                return answer.status, answer.getheaders(), answer.read()
        except (OSError, http.client.HTTPException) as error:
            return 502, [], f"{type(error).__name__}".encode()

    def _forward_half(self, asked: BaseHTTPRequestHandler, content: bytes) -> None:
        with self._connected() as connection:
            connection.putrequest(asked.command, asked.path, skip_host=True)
            for name, value in asked.headers.items():
                connection.putheader(name, value)
            connection.endheaders(content[: len(content) // 2])


def _send(
    asked: BaseHTTPRequestHandler, fault: Fault, status: int, headers: list[tuple[str, str]], body: bytes
) -> None:
    body = fault.body(body)
    try:
        asked.send_response_only(status)
        for name, value in (*headers, *fault.headers):
            if name.lower() not in _HOP_BY_HOP:
                asked.send_header(name, value)
        asked.send_header("Content-Length", str(len(body)))
        asked.end_headers()
        asked.wfile.write(body[: len(body) // 2] if fault.cut else body)
    except OSError:  # who asked has gone
        asked.close_connection = True
    if fault.cut:
        asked.close_connection = True


def _reset(asked: BaseHTTPRequestHandler) -> None:
    """Close the connection so that the other side sees ECONNRESET."""
    asked.close_connection = True
    asked.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    asked.connection.shutdown(socket.SHUT_RD)
    asked.rfile.close()
    asked.wfile.close()
    asked.connection.close()
    asked.wfile = io.BytesIO()  # the standard library flushes it once more
