"""What installers on musl are not shown: wheels for a plain `linux_*`, which say nothing of their libc.

pip takes such a wheel, since 26.3 before a musllinux one of the same release; it may well be glibc's, and then it does
not import. Whoever does not say that they are on musl is shown everything.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from mirror.core.misses import parse_client
from mirror.core.target import names_no_libc

_PLAIN = re.compile(rb"[-.]linux_")
"""What only pages with such wheels hold: all others are handed on as they are."""
_LINK = re.compile(r"<a [^>]*>([^<]*)</a>")


def hide(handler: Callable[[Any], Any], registry: Any) -> Callable[[Any], Any]:  # noqa: ARG001 - a tween's signature
    """A tween: leaves such wheels out of every project's page that an installer on musl asks for."""

    def tween(request: Any) -> Any:
        response = handler(request)
        parts = request.path_info.strip("/").split("/")
        is_page = len(parts) == 4 and parts[2] == "+simple" and response.status_code == 200
        if is_page and parse_client(request.user_agent or "") is not None and _PLAIN.search(response.body):
            response.body = without(response.body, is_json=response.content_type.endswith("json"))
        return response

    return tween


def without(page: bytes, *, is_json: bool) -> bytes:
    """A project's page without such wheels: as JSON (PEP 691), or as devpi's HTML with a link a line (PEP 503)."""
    if is_json:
        found = json.loads(page)
        files = [file for file in found["files"] if not names_no_libc(file["filename"])]
        return json.dumps({**found, "files": files}).encode()
    lines = page.decode().splitlines(keepends=True)
    return "".join(line for line in lines if not any(map(names_no_libc, _LINK.findall(line)))).encode()
