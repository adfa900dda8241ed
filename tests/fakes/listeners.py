"""What hostile programs may reach for: servers of the test's own, on this machine, that say "canary"."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

CANARY = "canary"


@contextmanager
def canary_listener(family: int, address: Any) -> Iterator[Any]:
    """A server that says "canary" to whoever connects; the address it has."""
    listener = socket.socket(family)
    listener.bind(address)
    listener.listen()

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.sendall(CANARY.encode())

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


@contextmanager
def canary_answerer(address: Any) -> Iterator[Any]:
    """A UDP server that answers "canary" to whoever asks anything; the address it has."""
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(address)
    over = False

    def serve() -> None:
        while not over:
            _, asker = server.recvfrom(2048)
            server.sendto(CANARY.encode(), asker)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield server.getsockname()
    finally:
        over = True
        server.sendto(b"", server.getsockname())
        thread.join()
        server.close()
