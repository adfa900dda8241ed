"""Upstreams beside the main one, each with the projects that come from there and from nowhere else."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import unquote, urlsplit

from packaging.utils import canonicalize_name


@dataclass(frozen=True, slots=True, kw_only=True)
class FurtherUpstream:
    """A mirror of its own on our index. `projects` are normalised names, with `*` for any characters.

    `credentials_file` ("" for none) holds `USER:PASSWORD`.
    """

    name: str
    url: str
    projects: tuple[str, ...]
    credentials_file: str = ""

    def has(self, project: str) -> bool:
        """Whether this project comes from here."""
        return any(fnmatchcase(canonicalize_name(project), pattern) for pattern in self.projects)


def parse_pattern(text: str) -> str:
    """`Corp_*` as the normalised names it stands for. Raises ValueError(what, hint)."""
    pattern = re.sub(r"[-_.]+", "-", text.strip()).lower()
    if not re.fullmatch(r"[a-z0-9*]([a-z0-9*-]*[a-z0-9*])?", pattern):
        raise ValueError("it is no project name", "write a name, or one with a star: corp-*")
    if not re.search(r"[a-z0-9]", pattern):
        raise ValueError("it stands for every project", "name what is yours; `upstream` takes the place of PyPI")
    return pattern


def who_has(project: str, further: Iterable[FurtherUpstream]) -> FurtherUpstream | None:
    """The upstream this project comes from; None for the main one. The first that names it has it."""
    return next((upstream for upstream in further if upstream.has(project)), None)


def may_ask(url: str, further: Sequence[FurtherUpstream]) -> bool:
    """Whether the page of a project may be read at `url`, its last part being the project's name.

    A name that belongs to a further upstream is asked for there alone: the others neither answer for it (a stranger
    could publish a higher version under it) nor learn of it. Nor is anything else asked for there.
    """
    project = url.rstrip("/").rpartition("/")[2]
    asked = next((upstream for upstream in further if url.startswith(upstream.url.rstrip("/") + "/")), None)
    return who_has(project, further) == asked


def who_logs_in(url: str, further: Sequence[FurtherUpstream]) -> FurtherUpstream | None:
    """The upstream whose login may be shown at `url`; None for nobody's.

    At the page of one of its projects (PEP 503), and on its host for a file that is named after one of them. Anybody's
    page may link to anything there, and a login is not for whatever a stranger has thought of.
    """
    address = urlsplit(url)
    last = unquote(address.path).rstrip("/").rpartition("/")[2]
    is_page = address.path.endswith("/")
    names = [last] if is_page else [last[: dash.start()] for dash in re.finditer(r"-(?=\d)", last)]
    for upstream in further:
        place = urlsplit(upstream.url)
        is_there = (address.scheme, address.netloc) == (place.scheme, place.netloc)
        if is_page:
            is_there = is_there and address.path.startswith(place.path.rstrip("/") + "/")
        if is_there and any(who_has(name, further) == upstream for name in names):
            return upstream
    return None


def routes_json(further: Iterable[FurtherUpstream]) -> str:
    """What the index's plugin reads."""
    return json.dumps(
        [
            {"name": u.name, "url": u.url, "projects": u.projects, "credentials_file": u.credentials_file}
            for u in further
        ],
        indent=2,
    )


def read_routes(text: str) -> tuple[FurtherUpstream, ...]:
    """What `routes_json` wrote."""
    found: list[dict[str, Any]] = json.loads(text)
    return tuple(FurtherUpstream(**{**route, "projects": tuple(route["projects"])}) for route in found)
