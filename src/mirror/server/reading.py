"""An index that only its users may read: pages, files, settings, what people see of it.

devpi has a permission for reading and leaves it to a proxy to ask for it. Here it is asked for everything.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from pluggy import HookimplMarker
from pyramid.httpexceptions import HTTPException  # type: ignore[import-untyped]
from pyramid.interfaces import ISecurityPolicy  # type: ignore[import-untyped]

from mirror.adapters.devpi.layout import READING
from mirror.core.page_json import error_json
from mirror.server.rendering import json_answer

hookimpl = HookimplMarker("devpiserver")
_FOR_ALL = ("/+api", "/+login")
"""Whether this is devpi and healthy, and how to become somebody."""


def needs_token() -> bool:
    """Whether this server is for its users alone."""
    return os.environ.get(READING) == "token"


@hookimpl
def devpiserver_stage_get_principals_for_pkg_read(ixconfig: Any) -> list[str] | None:  # noqa: ARG001 - the hook's
    """devpi's own permission, which the page asks for."""
    return [":AUTHENTICATED:"] if needs_token() else None


def refuse_strangers(handler: Callable[[Any], Any], registry: Any) -> Callable[[Any], Any]:  # noqa: ARG001
    """A tween: 401 for whoever has not logged in. It stands inside of devpi's transaction, where users are known."""

    def tween(request: Any) -> Any:
        if request.path_info.rstrip("/") in _FOR_ALL or _is_somebody(request):
            return handler(request)
        response = json_answer(error_json("refused", "this index is for its users: see `mirror token`"), status=401)
        response.headers["WWW-Authenticate"] = 'Basic realm="mirror"'
        return response

    return tween


def _is_somebody(request: Any) -> bool:
    """Whether this is a user. It is found out anew where the index is known that they ask for.

    A token may be good for one index or project alone (devpi-tokens), and devpi remembers for all of a request whom it
    took it for at first.
    """
    try:
        is_user = request.authenticated_userid is not None
    except HTTPException:  # a token that was revoked, has expired, or is another user's
        is_user = False
    request.registry.getUtility(ISecurityPolicy).identity_cache.clear(request)
    return is_user
