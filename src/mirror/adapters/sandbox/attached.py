"""A container's stdin, stdout and stderr, as the engine multiplexes them over one socket."""

from __future__ import annotations

import queue
import socket
import threading
from contextlib import suppress
from typing import Any

CHUNK = 1 << 18
STDOUT, STDERR = 1, 2
_HEADER_BYTES = 8
_AT_ONCE = 64
"""Pieces that wait to be read: a program that floods us waits for us."""


class Attached:
    """Attach before the container starts, so that nothing it says is lost. Close it to end its thread."""

    def __init__(self, container: Any) -> None:
        attached = container.attach_socket(params={"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1})
        self._attached = attached
        self._socket = getattr(attached, "_sock", attached)
        with suppress(AttributeError):
            self._socket.settimeout(None)
        self._pieces: queue.Queue[tuple[int, bytes]] = queue.Queue(_AT_ONCE)
        self._send_lock = threading.Lock()
        self._over = threading.Event()
        self._receiver = threading.Thread(target=self._receive, name="sandbox-receive", daemon=True)
        self._receiver.start()

    def send(self, data: bytes) -> None:
        """Write to the container's stdin, from any thread. Raises OSError when it has ended."""
        with self._send_lock:
            self._socket.sendall(data)

    def read(self, timeout_s: float) -> tuple[int, bytes] | None:
        """STDOUT or STDERR and what came out of it; no bytes at the end of both; None when nothing came in time."""
        try:
            return self._pieces.get(timeout=timeout_s)
        except queue.Empty:
            return None

    def ignore(self) -> None:
        """Throw away what still comes: the engine ends no container whose output somebody holds up."""
        self._over.set()

    def close(self) -> None:
        """End the connection, and with it every `send` and the receiving thread."""
        self._over.set()
        with suppress(OSError, AttributeError):
            self._socket.shutdown(socket.SHUT_RDWR)  # close alone wakes up nobody who waits in recv or send
        self._receiver.join(timeout=5)
        with suppress(OSError):
            self._attached.close()
        with suppress(OSError):
            self._socket.close()

    def _receive(self) -> None:
        try:
            while header := self._read_exactly(_HEADER_BYTES):
                left = int.from_bytes(header[4:8], "big")
                while left:
                    data = self._socket.recv(min(left, CHUNK))
                    if not data:
                        return
                    left -= len(data)
                    self._put(header[0], data)
        except OSError:
            pass  # the end comes as the empty piece; what it means is for inspect to say
        finally:
            self._put(STDOUT, b"")

    def _put(self, channel: int, data: bytes) -> None:
        while not self._over.is_set():
            with suppress(queue.Full):
                self._pieces.put((channel, data), timeout=0.5)
                return

    def _read_exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            piece: bytes = self._socket.recv(size - len(data))
            if not piece:
                return b""
            data += piece
        return data
