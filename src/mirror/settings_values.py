"""How a value of the settings is read out of a TOML table: addresses, paths, releases, upstreams."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mirror.core.misses import OnDemand, parse_network
from mirror.core.model import Base
from mirror.core.tables import Table, parse_duration
from mirror.core.text import visible
from mirror.core.upstreams import FurtherUpstream, parse_pattern

Reader = Callable[[Table, str, Path], Any]
"""Reads a key of a table; relative paths are relative to the folder. None where it is absent or was a problem."""


def as_text(example: str) -> Reader:
    """Read any text that is not empty."""
    return lambda table, key, _: table.text(key, example)


def as_integer(least: int, most: int) -> Reader:
    """Read a whole number within bounds."""
    return lambda table, key, _: table.integer(key, least, most)


def as_parsed(parse: Callable[[str], Any], example: str) -> Reader:
    """Read a text that `parse` understands; it raises ValueError(what, hint) for others."""
    return lambda table, key, _: table.parsed(key, parse, example)


def as_path(example: str, exists: Callable[[Path], bool] | None = None) -> Reader:
    """Read a path, of something that `exists` where that is asked."""

    def read(table: Table, key: str, folder: Path) -> Path | None:
        text = table.text(key, example)
        if text is None:
            return None
        try:
            path = folder / Path(text).expanduser()
            missing = exists is not None and not exists(path)
        except (ValueError, RuntimeError):  # a NUL in it; a home that cannot be found
            missing = True
        if missing:
            table.problem(key, "file-missing", (f"there is no {visible(text)}", "check the path, or remove the key"))
            return None
        return path

    return read


def parse_url(text: str) -> str:
    """An address without credentials. Raises ValueError(what, hint), as all that follow."""
    shown = visible(text)
    try:
        parts = urlsplit(text)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if "@" in text:
        raise ValueError(f"credentials stand in the URL ({shown})", "remove them: use user, and MIRROR_PASSWORD")
    if not valid or re.search(r"[\s\x00-\x20\x7f]", text):
        raise ValueError(f"'{shown}' is not a URL", "write http:// or https:// and a host")
    return text


def parse_index_url(text: str) -> str:
    """The address of an index, with or without its simple page."""
    return parse_url(text).rstrip("/").removesuffix("/+simple").rstrip("/")


def parse_server(text: str) -> str:
    """The address of a team's server."""
    url = parse_url(text).rstrip("/")
    if urlsplit(url).path or urlsplit(url).query:
        raise ValueError(f"'{visible(text)}' has more than an address", "write it as in https://wheels.example.org")
    return url


def parse_registry(text: str) -> str:
    """The name of an image registry, without credentials."""
    if "@" in text:
        raise ValueError("credentials stand in the registry's name", "remove them, and use docker login")
    if not re.fullmatch(r"[A-Za-z0-9.-]+(?::\d+)?(?:/[a-z0-9._/-]+)?", text):
        raise ValueError(f"'{visible(text)}' is not a registry", "write a host without https://")
    return text.rstrip("/")


def parse_hostname(text: str) -> str:
    """A name or an address of a host."""
    if not re.fullmatch(r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,62})(?:\.|$))+|[0-9a-fA-F:]+:[0-9a-fA-F:]*", text):
        raise ValueError(f"'{visible(text)}' is no name or address of a host", "write it as in wheels.example.org")
    return text


def parse_release(text: str) -> str:
    """A release of Python or Alpine, as X.Y."""
    if not re.fullmatch(r"3\.\d{1,2}", text):
        match = re.match(r"v?(3\.\d{1,2})(?![\d])", text)
        hint = f"write {match[1]}" if match else "write it as in 3.22"
        raise ValueError(f"'{visible(text)}' is not a release as X.Y", hint)
    return text


def choice(*choices: str) -> Callable[[str], str]:
    """Take one of these and nothing else."""

    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError(f"'{visible(text)}' is not one of the choices", f"write {' or '.join(choices)}")
        return text

    return parse


def parse_base(text: str) -> Base:
    """Where a base image comes from."""
    return Base(choice(*(base.value for base in Base))(text))


def pythons(table: Table, key: str, _folder: Path) -> tuple[str, ...] | None:
    """Read one Python, or a list of them."""
    if isinstance(table.values.get(key), str):
        python = table.parsed(key, parse_release, "3.11")
        return (python,) if python else None
    pythons: tuple[str, ...] | None = as_each(parse_release, "3.11")(table, key, _folder)
    return pythons


def as_each(parse: Callable[[str], str], example: str) -> Reader:
    """Read a list of texts that `parse` understands, each once."""

    def read(table: Table, key: str, _folder: Path) -> tuple[str, ...] | None:
        texts = table.texts(key, example)
        for text in texts or ():
            try:
                parse(text)
            except ValueError as error:
                table.problem(key, "bad-value", (error.args[0], error.args[1]))
        return tuple(dict.fromkeys(texts)) if texts else None

    return read


def further_upstreams(table: Table, key: str, folder: Path) -> tuple[FurtherUpstream, ...] | None:
    """Read the upstreams that have projects of their own."""
    found = tuple(_further_upstream(one, folder) for one in table.tables(key))
    names = [upstream.name for upstream in found if upstream]
    for name in sorted({name for name in names if names.count(name) > 1}):
        table.problem(key, "bad-value", (f"two upstreams are called {name}", "give each a name of its own"))
    return tuple(upstream for upstream in found if upstream) if found else None


def _further_upstream(table: Table, folder: Path) -> FurtherUpstream | None:
    for key, example in (("name", "corp"), ("url", "https://pypi.corp.example/simple/")):
        table.require(key, example)
    if "projects" not in table.values:
        table.problem("projects", "missing-key", ("the key is missing", 'write projects = ["corp-*"]'))
    name = table.parsed("name", _parse_upstream_name, "corp")
    url = table.parsed("url", _parse_upstream_url, "https://pypi.corp.example/simple/")
    patterns = []
    for text in table.texts("projects", "corp-*") or ():
        try:
            patterns.append(parse_pattern(text))
        except ValueError as error:
            table.problem("projects", "bad-value", (f"{visible(text)}: {error.args[0]}", error.args[1]))
    credentials = as_path("corp-credentials", Path.is_file)(table, "credentials-file", folder)
    table.close({"password": "write USER:PASSWORD to a file of your own, and name it with credentials-file"})
    if not name or not url or not patterns:
        return None
    return FurtherUpstream(
        name=name,
        url=url,
        projects=tuple(patterns),
        credentials_file=str(credentials.absolute()) if credentials else "",
    )


def on_demand(table: Table, key: str, folder: Path) -> OnDemand | None:  # noqa: ARG001 - a Reader's
    """Read who may have something built by asking an index for it."""
    inner = table.table(key)
    if inner is None:
        return None
    found: dict[str, Any] = {"per_hour": inner.integer("per-hour", 0, 100_000)}
    for name, example, parse in (("networks", "10.0.0.0/8", parse_network), ("deny", "corp-*", parse_pattern)):
        values = []
        for text in inner.texts(name, example) or ():
            try:
                values.append(parse(text))
            except ValueError as error:
                inner.problem(name, "bad-value", (f"{visible(text)}: {error.args[0]}", error.args[1]))
        found[name] = tuple(values) if name in inner.values else None
    found["wait_s"] = inner.parsed("wait", parse_duration, "60s")
    inner.close({})
    return OnDemand(**{name: value for name, value in found.items() if value is not None})


def _parse_upstream_url(text: str) -> str:
    try:
        return parse_url(text)
    except ValueError as error:
        what, hint = error.args
        if "@" in text:
            hint = "remove them, and name a file that has USER:PASSWORD with credentials-file"
        raise ValueError(what, hint) from None


def _parse_upstream_name(text: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,30}", text) or text == "pypi":
        raise ValueError(f"'{visible(text)}' is no name for an upstream", "write letters, digits and dashes, say corp")
    return text
