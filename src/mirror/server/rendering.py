"""Templates and answers: every string is made visible and escaped here, and every answer is told what it may do."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from pyramid.response import Response  # type: ignore[import-untyped]

from mirror.console_text import seconds_text, size_text
from mirror.core.history import How
from mirror.core.matrix import State, target_words
from mirror.core.text import visible

LONGEST = 2000
"""Characters of one string that are shown."""
POLICY = "; ".join(
    (
        "default-src 'none'",
        "style-src 'self'",
        "script-src 'self'",
        "connect-src 'self'",
        "img-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
WORDS = {
    **{how.value: how.value for how in How},
    State.WHEEL.value: "wheel",
    State.PURE.value: "pure wheel",
    State.NEVER.value: "never asked",
    "killed": "killed",
    "running": "running",
    "done": "done",
    "stopped": "stopped",
}
SIGNS = {
    "wheel": "✓",
    "built": "✓",
    "done": "✓",
    "pure": "◇",
    "building": "●",
    "running": "●",
    "failed": "✗",
    "killed": "✗",
    "blocked": "⊘",
    "interrupted": "◌",
    "stopped": "◌",
    "never": "·",
}
"""A sign beside each word: whoever sees no colours tells them apart at a glance, too."""


def shown(value: Any) -> Any:
    """What a template shows of a value: one visible line. What is markup already was made of such."""
    return value if isinstance(value, Markup) or not isinstance(value, str) else visible(value, LONGEST)


def ago(then: datetime, now: datetime) -> str:
    """How long ago something was, as a person says it."""
    seconds = max(0, int((now - then).total_seconds()))
    for length, word in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if count := seconds // length:
            return f"{count} {word}{'s' if count > 1 else ''} ago"
    return "just now"


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("mirror.server"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=shown,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters |= {
        "seconds": lambda seconds: seconds_text(seconds) if seconds else "0 s",
        "size": size_text,
        "number": lambda number: f"{number:,}",
        "ago": ago,
        "target": target_words,
        "clock": lambda moment: f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC",
    }
    environment.globals |= {"words": WORDS, "signs": SIGNS, "newline": Markup("\n")}
    environment.globals["static"] = {name: _stamped(name) for name in STATIC}
    return environment


STATIC = {
    "page.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}


def static_bytes(name: str) -> bytes:
    """One of the files of `STATIC`."""
    return resources.files("mirror.server").joinpath("static", name).read_bytes()


def _stamped(name: str) -> str:
    """Its address below the page, another one for other bytes: browsers keep it for as long as it is the same."""
    return f"static/{name}?{hashlib.sha256(static_bytes(name)).hexdigest()[:12]}"


TEMPLATES = _environment()


def render(template: str, **values: Any) -> str:
    """The text of a template."""
    return TEMPLATES.get_template(template).render(now=datetime.now(UTC), **values)


def page(template: str, *, status: int = 200, **values: Any) -> Response:
    """A whole page."""
    return answer(render(template, **values).encode(), "text/html; charset=utf-8", status=status)


def json_answer(document: Mapping[str, Any], *, status: int = 200) -> Response:
    """A JSON document. It has an ETag, so that whoever asks again and again gets 304 while nothing has changed."""
    body = json.dumps(document, ensure_ascii=True, indent=2).encode() + b"\n"
    response = answer(body, "application/json", status=status)
    response.etag = hashlib.sha256(body).hexdigest()[:32]
    response.conditional_response = True
    response.headers["Cache-Control"] = "no-cache"
    return response


def answer(body: bytes | Iterable[bytes], content_type: str, *, status: int = 200) -> Response:
    """An answer with the headers that every one of ours carries."""
    response = Response(status=status, headerlist=[("Content-Type", content_type), *HEADERS.items()])
    if isinstance(body, bytes):
        response.body = body
    else:
        response.app_iter = body
    return response
