"""Addresses that are no UTF-8: devpi, and what it is made of, would take them for a defect of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyramid.request import Request  # type: ignore[import-untyped]

from mirror.core.page_json import error_json
from mirror.server.rendering import json_answer


def refuse(handler: Callable[[Any], Any], registry: Any) -> Callable[[Any], Any]:  # noqa: ARG001
    """A tween: 400 for them, before anybody else looks."""

    def tween(request: Any) -> Any:
        try:
            request.path_info  # noqa: B018 - decoded when it is looked at
            request.GET.items()
            Request.blank(request.headers.get("X-Original-URI", "/")).path_info  # noqa: B018 - for /+authcheck
        except (ValueError, TypeError):  # UnicodeDecodeError is one; a scheme that is not the web's
            return json_answer(error_json("bad-request", "this address is none, or no UTF-8"), status=400)
        return handler(request)

    return tween
