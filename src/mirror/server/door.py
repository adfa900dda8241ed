"""The door of the index: a tween that answers for whatever `core.door` refuses, before anybody has read a body."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mirror.core.door import Head, Hosts, Refusal, refuse
from mirror.server.refusals import refused

OUTSIDE_URL = "X-outside-url"
"""With it a proxy tells devpi its own address, and anybody else would tell it another Host."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """Whom it lets in. `hosts` None: under any name. `gateways` are addresses that a proxy of a team never has."""

    hosts: Hosts | None = None
    has_proxy: bool = False
    gateways: frozenset[str] = frozenset()

    def refusal(self, request: Any) -> Refusal | None:
        """Why a request is not answered; None where it may go on."""
        if self.hosts is not None and OUTSIDE_URL in request.headers and not self._is_proxy(request):
            return Refusal(
                status=421,
                code="unknown-proxy",
                what=f"this index takes no {OUTSIDE_URL}, but from the proxy of compose.yaml",
                hint="let your proxy hand on Host instead, and add that name to the setting `hostnames`",
            )
        return refuse(_head(request), self.hosts)

    def _is_proxy(self, request: Any) -> bool:
        """Not who is on the machine itself, a browser say: that comes from the gateway of the proxy's network."""
        return self.has_proxy and str(request.remote_addr) not in self.gateways


def keep(handler: Callable[[Any], Any], registry: Any) -> Callable[[Any], Any]:
    """A tween: nobody comes past it."""
    door: Door = registry["mirror_door"]

    def tween(request: Any) -> Any:
        refusal = door.refusal(request)
        return handler(request) if refusal is None else refused(refusal)

    return tween


def _head(request: Any) -> Head:
    headers = request.headers
    return Head(
        method=request.method,
        path=request.path_info,
        host=request.headers.get("Host") or "",
        content_type=request.content_type or "",
        charset=request.charset,
        size_bytes=request.content_length or 0,
        origin=headers.get("Origin", ""),
        fetch_site=headers.get("Sec-Fetch-Site", ""),
        has_login="Authorization" in headers or "X-Devpi-Auth" in headers,
    )
