"""Reads a project's simple page (PEP 691), which may come from anybody."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import urldefrag, urljoin

from mirror.core.errors import UnusableError
from mirror.core.model import IndexFile

ACCEPT = "application/vnd.pypi.simple.v1+json"
_SHA256 = re.compile(r"[0-9A-Fa-f]{64}")
_FILENAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!~-]{0,254}")
_LONGEST_TEXT = 1000


def parse(content: bytes, page_url: str) -> tuple[IndexFile, ...]:
    """The files a page lists, in its order; those without a SHA-256 or with a name no file may have are left out.

    Raises UnusableError (`index-bad-page`) where it is no page of the version 1 API.
    """
    try:
        page = json.loads(content)
    except (ValueError, RecursionError):
        page = None
    if not isinstance(page, dict) or not isinstance(page.get("files"), list) or not _is_version_1(page):
        raise UnusableError(
            "index-bad-page",
            f"{page_url} is not a simple page in JSON (PEP 691)",
            hint="the index must be a devpi-server of version 6.10 or newer",
        )
    files = (_parse_file(entry, page_url) for entry in page["files"])
    return tuple(file for file in files if file is not None)


def _is_version_1(page: dict[str, Any]) -> bool:
    meta = page.get("meta")
    return isinstance(meta, dict) and str(meta.get("api-version", "")).startswith("1.")


def _parse_file(entry: Any, page_url: str) -> IndexFile | None:
    if not isinstance(entry, dict):
        return None
    filename, link = entry.get("filename"), entry.get("url")
    if not isinstance(filename, str) or not isinstance(link, str) or not _FILENAME.fullmatch(filename):
        return None
    try:
        url, fragment = urldefrag(urljoin(page_url, link))
    except ValueError:
        return None
    sha256 = _sha256(entry.get("hashes"), fragment)
    if sha256 is None:
        return None
    yanked, size = entry.get("yanked"), entry.get("size")
    return IndexFile(
        filename=filename,
        url=url,
        sha256=sha256,
        requires_python=_text(entry.get("requires-python")),
        yanked=_text(yanked) or bool(yanked),
        size_bytes=size if type(size) is int and size >= 0 else None,  # JSON's true is an int of Python's
    )


def _sha256(hashes: Any, fragment: str) -> str | None:
    """PEP 691's `hashes`, else PEP 503's fragment; in lower case, however it was written."""
    candidates = [hashes.get("sha256")] if isinstance(hashes, dict) else []
    if fragment.startswith("sha256="):
        candidates.append(fragment.removeprefix("sha256="))
    return next((c.lower() for c in candidates if isinstance(c, str) and _SHA256.fullmatch(c)), None)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and 0 < len(value) <= _LONGEST_TEXT else None
