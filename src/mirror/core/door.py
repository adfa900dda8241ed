"""Which requests an index answers at all, by nothing but their heads: values in, a refusal or None out.

What is refused here would have been somebody else's errand. A web page can send any form, with any text in it, to an
index on its reader's machine or network, and reads the answers too once it has made its own name stand for that address
(DNS rebinding). It can neither send JSON to another host without asking first, nor hide that it is a page.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass

JSON = "application/json"
FORM = "multipart/form-data"
_SHORT_FORM = "application/x-www-form-urlencoded"
READS = frozenset({"GET", "HEAD", "OPTIONS"})
LARGEST_OF_STRANGERS = 64 * 1024
"""Bytes that somebody may send who shows no login: they log in, and nothing else that is larger."""
LARGEST_JSON = 5_000_000
"""Bytes of anything but an upload: twenty times a lock of 1,500 packages."""
_INDEX = re.compile(r"/[^/+][^/]*/[^/+][^/]*/?")
"""Where uploads go, as twine and devpi's client send them: /USER/INDEX/."""
_REFRESH = re.compile(r"/[^/]+/[^/]+/\+simple/[^/]+/refresh/?")
"""The form on devpi's page of a project."""
_LOCAL_NAMES = frozenset(
    {"localhost", "ip6-localhost", "host.docker.internal", "gateway.docker.internal", "host.containers.internal"}
)
"""This machine, as it and its containers call it. Nobody else can have these names."""
_LOCALHOST = ".localhost"
"""Every name below it is this machine (RFC 6761)."""
_HOST = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::\d{1,5})?|([A-Za-z0-9._-]+)(?::\d{1,5})?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """An HTTP status, a code, what is wrong and what to do."""

    status: int
    code: str
    what: str
    hint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What a request says before its body. Texts are "" and sizes 0 where it says nothing."""

    method: str
    path: str
    host: str
    content_type: str = ""
    charset: str = ""
    size_bytes: int = 0
    origin: str = ""
    fetch_site: str = ""
    has_login: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Hosts:
    """The names and addresses that an index is known by.

    With `any_address` every address is one, though no name: an index that listens on all of a machine's addresses does
    not know them all, and no page can be read from an address that it did not come from.
    """

    names: frozenset[str] = frozenset()
    any_address: bool = False

    @classmethod
    def of(cls, names: Iterable[str], listen: Iterable[str]) -> Hosts:
        """What somebody has named, and `HOST:PORT` where the server listens."""
        listening = {_plain(one.rpartition(":")[0].strip("[]")) for one in listen}
        addresses = [address for address in map(_address, listening) if address]
        return cls(
            names=frozenset(_LOCAL_NAMES | {_plain(name) for name in names} | listening),
            any_address=any(address.is_unspecified for address in addresses),
        )

    def know(self, host: str) -> bool:
        """Whether a Host header names one of them; its port does not matter."""
        match = _HOST.fullmatch(host)
        if match is None:
            return False
        name = _plain(match[1] or match[2])
        address = _address(name)
        is_named = name in self.names or name.endswith(_LOCALHOST)
        return is_named or (address is not None and (address.is_loopback or self.any_address))


def refuse(head: Head, hosts: Hosts | None) -> Refusal | None:
    """Why a request is not answered; None where it may go on. `hosts` None: under any name.

    A request that names no host comes from no page: browsers always name one. HTTP/1.0 checks of load balancers do not.
    """
    if hosts is not None and head.host and not hosts.know(head.host):
        return Refusal(
            status=421,
            code="unknown-host",
            what="this index does not answer to that name",
            hint="add it to the setting `hostnames` (TEAM_HOSTNAMES beside compose.yaml), and start the index again",
        )
    if head.method in READS:
        return None
    return _foreign(head) or _mistyped(head) or _too_large(head)


def _foreign(head: Head) -> Refusal | None:
    """A request that a page of another host has sent. Programs say neither."""
    is_ours = not head.origin or head.origin.lower().partition("://")[2] == head.host.lower()
    if is_ours and head.fetch_site in ("", "same-origin", "none"):
        return None
    return Refusal(
        status=403,
        code="foreign-page",
        what="a page of another host has sent this",
        hint="send it from a program, or from a page of this index",
    )


def _mistyped(head: Head) -> Refusal | None:
    wanted = _content_types(head.method, head.path)
    if head.charset.lower() not in ("", "utf-8"):
        # devpi would read another text in a body than whoever looks at it for what it asks.
        return Refusal(status=415, code="bad-content-type", what="this takes UTF-8 alone", hint="set its Content-Type")
    if head.content_type in wanted or (head.method == "DELETE" and not head.size_bytes):
        return None
    return Refusal(
        status=415,
        code="bad-content-type",
        what=f"{head.method} here takes {' or '.join(wanted)}",
        hint="set its Content-Type",
    )


def _content_types(method: str, path: str) -> tuple[str, ...]:
    if method == "POST" and _REFRESH.fullmatch(path):
        return (_SHORT_FORM,)
    return (FORM, JSON) if method == "POST" and _INDEX.fullmatch(path) else (JSON,)


def _too_large(head: Head) -> Refusal | None:
    """Uploads are for whoever knows the asker's permissions to refuse."""
    largest = LARGEST_JSON if head.has_login else LARGEST_OF_STRANGERS
    return too_large(largest) if head.content_type != FORM and head.size_bytes > largest else None


def too_large(largest: int) -> Refusal:
    """The refusal of a body."""
    return Refusal(
        status=413,
        code="too-large",
        what=f"this may have at most {largest} bytes",
        hint="log in first, or ask in parts",
    )


def _plain(name: str) -> str:
    """A name or an address in the one way to write it."""
    name = name.strip().rstrip(".").lower()
    return str(_address(name) or name)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
