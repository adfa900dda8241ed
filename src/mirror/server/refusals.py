"""Refusals, in a form that people see: twine and pip show an answer's reason, devpi's client its message."""

from __future__ import annotations

from pyramid.response import Response  # type: ignore[import-untyped]

from mirror.core.door import Refusal
from mirror.core.page_json import error_json
from mirror.core.text import visible
from mirror.server.rendering import json_answer

_LONGEST_REASON = 200


def refused(refusal: Refusal) -> Response:
    """The answer to whoever is refused."""
    said = f"{refusal.what}: {refusal.hint}" if refusal.hint else refusal.what
    body = {**error_json(refusal.code, refusal.what), "hint": refusal.hint, "message": said}
    response = json_answer(body, status=refusal.status)
    reason = visible(said, _LONGEST_REASON).encode("ascii", "replace").decode()
    response.status = f"{refusal.status} {reason}"
    if refusal.status == 401:
        response.headers["WWW-Authenticate"] = 'Basic realm="mirror"'
    return response
