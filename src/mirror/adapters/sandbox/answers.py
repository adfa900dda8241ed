"""Answers a sandbox's GETs from its window, so many and no more."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from mirror.adapters.sandbox import wire
from mirror.core.errors import MirrorError
from mirror.ports import Response, Window

AT_ONCE = 8
OUTSTANDING_REQUESTS = 512
"""More GETs than this, unanswered, are no client of an index."""
REQUESTS = 50_000
ANSWERED_BYTES = 16 << 30
"""What one task may ask for altogether: far more than any real one does."""
PATH_BYTES = 2048
"""The longest path that the agent asks for."""


class Answers:
    """One sandbox's GETs. `ask` returns at once; the answers leave through `send`, from threads of a pool."""

    def __init__(self, window: Window | None, send: Callable[[bytes], None]) -> None:
        self._window = window
        self._send = send
        # Never held while sending: who listens must not wait for who sends, or both ends could wait for each other.
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._asked = 0
        self._outstanding = 0
        self._answered_bytes = 0
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="window")

    def ask(self, number: int, path: bytes) -> None:
        """Answer the GET of stream `number`. Raises WireError where the agent would not have asked."""
        if self._window is None:
            raise wire.WireError("it asks for a window, and has none")
        if len(path) > PATH_BYTES:
            raise wire.WireError(f"a path of {len(path)} bytes")
        with self._lock:
            self._asked += 1
            self._outstanding += 1
            if self._outstanding > OUTSTANDING_REQUESTS:
                raise wire.WireError(f"more than {OUTSTANDING_REQUESTS} requests at once")
            if self._asked > REQUESTS:
                raise wire.WireError(f"more than {REQUESTS} requests")
            if self._answered_bytes > ANSWERED_BYTES:
                raise wire.WireError(f"answers of more than {ANSWERED_BYTES} bytes")
        self._pool.submit(self._answer, self._window, number, path.decode("ascii", errors="replace"))

    def close(self) -> None:
        """Answer no more. A download that the window has begun goes on in its thread, and comes to its own end."""
        self._over.set()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _answer(self, window: Window, number: int, path: str) -> None:
        response = _ask(window, path)
        head = {"status": response.status, "type": response.content_type, "length": response.length}
        with suppress(OSError):  # the container may end while it is being answered
            self._send(wire.frame(wire.HEAD, number, json.dumps(head).encode()))
            with suppress(MirrorError, OSError):  # cut short: the agent sees that it is shorter than its length
                for piece in self._counted(response):
                    self._send(wire.frame(wire.BODY, number, piece))
            self._send(wire.frame(wire.BODY_END, number, b""))
        with self._lock:
            self._outstanding -= 1

    def _counted(self, response: Response) -> Iterator[bytes]:
        for piece in response.body:
            if self._over.is_set():
                return
            with self._lock:
                self._answered_bytes += len(piece)
            yield piece


def _ask(window: Window, path: str) -> Response:
    try:
        return window.get(path)
    except MirrorError as error:
        body = f"{error.code}: {error.what}".encode()
    except Exception as error:  # a defect of ours must not leave the agent waiting for ever
        body = f"the window failed: {type(error).__name__}".encode()
    return Response(status=502, content_type="text/plain", body=(body,), length=len(body))
