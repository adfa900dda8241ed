"""Whether an address and port can be listened on, whether a devpi-server answers there, and whom it trusts."""

from __future__ import annotations

import errno
import socket
import ssl
import sys
from http.client import HTTPConnection, HTTPException
from ipaddress import IPv4Address
from pathlib import Path

from mirror.core.errors import UnusableError

LOOPBACK = "127.0.0.1"
EVERYWHERE = "0.0.0.0"  # noqa: S104 - compared with; we listen there only when told


def free_port() -> int:
    """A port nobody listens on at loopback just now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def is_free(port: int, addresses: tuple[str, ...]) -> bool:
    """Whether all these can be listened on. Raises UnusableError (`index-address`) for one that is not ours."""
    for address in addresses:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
            except OSError as error:
                if error.errno in (errno.EADDRINUSE, errno.EACCES):
                    return False
                raise UnusableError(
                    "index-address",
                    f"the index cannot listen on {address}: {error.strerror}",
                    hint="it is no address of this machine now: start its network (Docker's bridge?) and try again",
                ) from error
    return True


def is_healthy(port: int) -> bool:
    """Whether a devpi-server answers on loopback."""
    connection = HTTPConnection(LOOPBACK, port, timeout=5)
    try:
        connection.request("GET", "/+api")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def gateways(routes: Path = Path("/proc/net/route")) -> frozenset[str]:
    """The IPv4 addresses of this machine's or container's routers (proc_net_route(5)); none where that is not told.

    In a container they are the host: whoever comes by its port, and not by a forwarded packet, has that address.
    """
    try:
        lines = routes.read_text().splitlines()[1:]
    except OSError:
        return frozenset()
    found = {fields[2] for line in lines if len(fields := line.split()) > 3}
    return frozenset(
        str(IPv4Address(int(one, 16).to_bytes(4, sys.byteorder))) for one in found if one.strip("0") and len(one) == 8
    )


def check_bundle(path: str) -> None:
    """See that it holds certificates: devpi would only say so in its log, at the first request.

    Raises UnusableError (`bad-ca-bundle`).
    """
    try:
        ssl.create_default_context(cafile=path)
    except OSError as error:
        raise UnusableError(
            "bad-ca-bundle",
            f"the CA bundle {path} cannot be used: {error}",
            hint="give a file with certificates in PEM form",
        ) from error
