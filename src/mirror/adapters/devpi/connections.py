"""The open connections of a client, so that another thread can cut them when the run is given up."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import Any
from weakref import WeakSet

from requests.adapters import HTTPAdapter

from mirror.adapters.devpi.patience import Waiter


class Connections:
    """Every socket that its adapters have open: one blocks in a read until its peer sends something, or it is cut."""

    def __init__(self, waiter: Waiter) -> None:
        self._waiter = waiter
        self._open: WeakSet[socket.socket] = WeakSet()
        self._lock = threading.Lock()

    def adapter(self) -> HTTPAdapter:
        """For one requests.Session."""
        return _Adapter(self)

    def remember(self, connection: socket.socket) -> None:
        """One more is open."""
        with self._lock:
            self._open.add(connection)
        if self._waiter.is_stopped:
            self.cut()

    def cut(self) -> None:
        """End them all; who reads or writes there sees the end of it at once."""
        with self._lock:
            connections = tuple(self._open)
        for connection in connections:
            with suppress(OSError):
                # Not an SSLSocket's own, which would take away what another thread is using.
                socket.socket.shutdown(connection, socket.SHUT_RDWR)


class _Adapter(HTTPAdapter):
    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        super().__init__(pool_maxsize=2)

    def get_connection_with_tls_context(self, *arguments: Any, **options: Any) -> Any:
        pool: Any = super().get_connection_with_tls_context(*arguments, **options)
        if "ConnectionCls" not in vars(pool):
            pool.ConnectionCls = _remembered(pool.ConnectionCls, self._connections)
        return pool


def _remembered(kind: Any, connections: Connections) -> Any:
    """The pool's own kind of connection, http or https, which we are told of when it is made."""

    def connect(self: Any) -> None:
        kind.connect(self)
        connections.remember(self.sock)

    return type(f"Remembered{kind.__name__}", (kind,), {"connect": connect})
