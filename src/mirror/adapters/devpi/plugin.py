"""A plugin of devpi-server: which upstream is asked for what.

An upstream that asks to be left alone (Retry-After) is, and clients learn of it: devpi by itself asks again whenever it
is asked, and keeps to itself how long upstream wanted it to wait. And a project that belongs to a further upstream is
asked for there alone: devpi by itself puts the pages of all its mirrors together.
"""

from __future__ import annotations

import base64
import json
import math
import os
import re
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from devpi_server.httpclient import FatalResponse
from pluggy import HookimplMarker

from mirror.adapters.devpi.layout import ROUTES
from mirror.core.upstreams import FurtherUpstream, may_ask, read_routes, who_logs_in

_RESTING = (429, 503)
"""Answers whose Retry-After is about when to ask again (RFC 6585, 4; RFC 9110, 15.6.4)."""
LONGEST_REST_S = 600.0
hookimpl = HookimplMarker("devpiserver")


class Rests:
    """Which hosts are to be left alone, and for how long. May be used from several threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until: dict[str, float] = {}
        self._lock = threading.Lock()

    def note(self, url: str, status: int, retry_after: str | None) -> None:
        """A host has answered. Only seconds are understood, which is what package indexes send."""
        if status in _RESTING and retry_after and re.fullmatch(r"[0-9]{1,9}", retry_after.strip()):
            with self._lock:
                self._until[urlsplit(url).netloc] = self._clock() + min(float(retry_after), LONGEST_REST_S)

    def left_s(self, url: str) -> float:
        """How long its host is still to be left alone."""
        with self._lock:
            return max(0.0, self._until.get(urlsplit(url).netloc, 0.0) - self._clock())

    def longest_left_s(self) -> float:
        """How long until every host may be asked again."""
        with self._lock:
            return max(0.0, max(self._until.values(), default=0.0) - self._clock())


class PoliteClient:
    """devpi's HTTP client, but for hosts that rest and for pages that are none of a host's business.

    Those are answered for, with 429 and with a page without files. A further upstream gets the credentials that are
    meant for it.
    """

    def __init__(self, http: Any, rests: Rests, further: Sequence[FurtherUpstream] = ()) -> None:
        self._http = http
        self._rests = rests
        self._further = tuple(further)
        self._logins = {one.name: _login(one.credentials_file) for one in further if one.credentials_file}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._http, name)

    async def async_get(self, url: Any, **options: Any) -> Any:
        """As devpi's: (response, text or None)."""
        if not may_ask(_text(url), self._further):
            return _empty_page(_text(url))
        if self._rests.left_s(_text(url)):
            return _resting(url), None
        response, text = await self._http.async_get(url, **self._with_login(url, options))
        return self._noted(url, response), text

    def get(self, url: Any, **options: Any) -> Any:
        """As devpi's."""
        if self._rests.left_s(_text(url)):
            return _resting(url)
        return self._noted(url, self._http.get(url, **self._with_login(url, options)))

    def stream(self, cstack: Any, method: str, url: Any, **options: Any) -> Any:
        """As devpi's."""
        if self._rests.left_s(_text(url)):
            return _resting(url)
        return self._noted(url, self._http.stream(cstack, method, url, **self._with_login(url, options)))

    def _with_login(self, url: Any, options: dict[str, Any]) -> dict[str, Any]:
        whose = who_logs_in(_text(url), self._further)
        login = self._logins.get(whose.name) if whose else None
        if login is None:
            return options
        return {**options, "extra_headers": {**(options.get("extra_headers") or {}), "Authorization": login}}

    def _noted(self, url: Any, response: Any) -> Any:
        self._rests.note(_text(url), response.status_code, response.headers.get("Retry-After"))
        return response


def _text(url: Any) -> str:
    """devpi gives strings and objects of its own."""
    return str(getattr(url, "url", url))


def _resting(url: Any) -> FatalResponse:
    response = FatalResponse(url, "it has asked to be left alone")
    response.status_code = 429
    return response


def _empty_page(url: str) -> tuple[httpx.Response, str]:
    """A page without files (PEP 691). After a 404, devpi would go on to show what it saw there before."""
    text = json.dumps({"meta": {"api-version": "1.0"}, "name": url.rstrip("/").rpartition("/")[2], "files": []})
    headers = {"Content-Type": "application/vnd.pypi.simple.v1+json"}
    return httpx.Response(200, headers=headers, text=text, request=httpx.Request("GET", url)), text


def _login(file: str) -> str:
    return "Basic " + base64.b64encode(Path(file).read_bytes().strip()).decode()


def tell_rest(handler: Callable[[Any], Any], registry: Any) -> Callable[[Any], Any]:
    """A tween: whoever gets a 502 while upstream rests is told when to come again."""

    def tween(request: Any) -> Any:
        response = handler(request)
        left_s = registry["mirror_rests"].longest_left_s()
        if response.status_code == 502 and left_s:
            response.headers["Retry-After"] = str(math.ceil(left_s))
        return response

    return tween


@hookimpl
def devpiserver_pyramid_configure(config: Any, pyramid_config: Any) -> None:  # noqa: ARG001 - the hook's
    """Put both in their places."""
    rests = Rests()
    xom = pyramid_config.registry["xom"]
    routes = os.environ.get(ROUTES)
    further = read_routes(Path(routes).read_text()) if routes else ()
    xom.http = PoliteClient(xom.http, rests, further)
    pyramid_config.registry["mirror_rests"] = rests
    # Outermost, where the 502 that devpi raises on the way has become an answer.
    pyramid_config.add_tween("mirror.adapters.devpi.plugin.tell_rest")
