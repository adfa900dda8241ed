"""The keys of the settings: how each value is read from a file, the environment and the command line."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mirror.core.misses import OnDemand, parse_network
from mirror.core.model import Base
from mirror.core.tables import Table, TableProblem, parse_duration, parse_size
from mirror.core.text import did_you_mean, visible
from mirror.core.upstreams import FurtherUpstream, parse_pattern

Reader = Callable[[Table, str, Path], Any]
"""Reads a key of a table; relative paths are relative to the folder. None where it is absent or was a problem."""


def read_values(file: str, values: Mapping[str, object], folder: Path, problems: list[TableProblem]) -> dict[str, Any]:
    """The settings that stand in a TOML table, by their names in Settings."""
    table = Table(file=file, values=values, problems=problems)
    table.known.add("recipe")
    found = _read(table, _KEYS, folder)
    for name, keys in (("limits", _LIMITS), ("proxy", _PROXY)):
        if (inner := table.table(name)) is not None:
            found |= _read(inner, keys, folder)
            inner.close({})
    table.close(_INSTEAD)
    return found


def read_environment(environment: Mapping[str, str], folder: Path, problems: list[TableProblem]) -> dict[str, Any]:
    """The settings among the environment's variables."""
    values: dict[str, object] = {}
    for variable, text in sorted(environment.items()):
        if variable in _VARIABLES and text:
            path = _VARIABLES[variable]
            table = values.setdefault(path[0], {}) if len(path) > 1 else values
            if isinstance(table, dict):
                table[path[-1]] = _from_text(path[-1], text)
        elif variable.startswith("MIRROR_") and variable not in _VARIABLES and variable != "MIRROR_PASSWORD":
            hint = did_you_mean(variable, {*_VARIABLES, "MIRROR_PASSWORD"}) or "unset it; see config/mirror.toml"
            problem = TableProblem(where=variable, code="unknown-key", what="there is no such setting", hint=hint)
            problems.append(problem)
    names = {f"environment:{'.'.join(path)}": variable for variable, path in _VARIABLES.items()}
    found: list[TableProblem] = []
    read = read_values("environment", values, folder, found)
    problems += [replace(problem, where=names.get(problem.where, problem.where)) for problem in found]
    return read


def read_flags(flags: Mapping[str, object], folder: Path, problems: list[TableProblem]) -> dict[str, Any]:
    """The settings among the command line's options, which are named after the fields of Settings."""
    values = {name.replace("_", "-"): _from_flag(value) for name, value in flags.items() if value is not None}
    found: list[TableProblem] = []
    read = read_values("--", values, folder, found)
    problems += [replace(problem, where=problem.where.replace("--:", "--")) for problem in found]
    return read


def _from_text(key: str, text: str) -> object:
    if key in _LISTS:
        return text.split()
    return int(text) if key in _INTEGERS and re.fullmatch(r"-?\d{1,18}", text.strip()) else text


def _from_flag(value: object) -> object:
    if isinstance(value, Base):
        return value.value
    if isinstance(value, Path):
        return str(value)
    return [*value] if isinstance(value, tuple) else value


def _read(table: Table, keys: Mapping[str, tuple[str, Reader]], folder: Path) -> dict[str, Any]:
    read = {field: reader(table, key, folder) for key, (field, reader) in keys.items()}
    return {field: value for field, value in read.items() if value is not None}


def _text(example: str) -> Reader:
    return lambda table, key, _: table.text(key, example)


def _integer(least: int, most: int) -> Reader:
    return lambda table, key, _: table.integer(key, least, most)


def _parsed(parse: Callable[[str], Any], example: str) -> Reader:
    return lambda table, key, _: table.parsed(key, parse, example)


def _path(example: str, exists: Callable[[Path], bool] | None = None) -> Reader:
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


def _parse_url(text: str) -> str:
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


def _parse_index_url(text: str) -> str:
    return _parse_url(text).rstrip("/").removesuffix("/+simple").rstrip("/")


def _parse_server(text: str) -> str:
    url = _parse_url(text).rstrip("/")
    if urlsplit(url).path or urlsplit(url).query:
        raise ValueError(f"'{visible(text)}' has more than an address", "write it as in https://wheels.example.org")
    return url


def _parse_registry(text: str) -> str:
    if "@" in text:
        raise ValueError("credentials stand in the registry's name", "remove them, and use docker login")
    if not re.fullmatch(r"[A-Za-z0-9.-]+(?::\d+)?(?:/[a-z0-9._/-]+)?", text):
        raise ValueError(f"'{visible(text)}' is not a registry", "write a host without https://")
    return text.rstrip("/")


def _parse_hostname(text: str) -> str:
    if not re.fullmatch(r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,62})(?:\.|$))+|[0-9a-fA-F:]+:[0-9a-fA-F:]*", text):
        raise ValueError(f"'{visible(text)}' is no name or address of a host", "write it as in wheels.example.org")
    return text


def _parse_release(text: str) -> str:
    if not re.fullmatch(r"3\.\d{1,2}", text):
        match = re.match(r"v?(3\.\d{1,2})(?![\d])", text)
        hint = f"write {match[1]}" if match else "write it as in 3.22"
        raise ValueError(f"'{visible(text)}' is not a release as X.Y", hint)
    return text


def _choice(*choices: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError(f"'{visible(text)}' is not one of the choices", f"write {' or '.join(choices)}")
        return text

    return parse


def _parse_base(text: str) -> Base:
    return Base(_choice(*(base.value for base in Base))(text))


def _pythons(table: Table, key: str, _folder: Path) -> tuple[str, ...] | None:
    if isinstance(table.values.get(key), str):
        python = table.parsed(key, _parse_release, "3.11")
        return (python,) if python else None
    pythons: tuple[str, ...] | None = _each(_parse_release, "3.11")(table, key, _folder)
    return pythons


def _each(parse: Callable[[str], str], example: str) -> Reader:
    def read(table: Table, key: str, _folder: Path) -> tuple[str, ...] | None:
        texts = table.texts(key, example)
        for text in texts or ():
            try:
                parse(text)
            except ValueError as error:
                table.problem(key, "bad-value", (error.args[0], error.args[1]))
        return tuple(dict.fromkeys(texts)) if texts else None

    return read


def _further_upstreams(table: Table, key: str, folder: Path) -> tuple[FurtherUpstream, ...] | None:
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
    credentials = _path("corp-credentials", Path.is_file)(table, "credentials-file", folder)
    table.close({"password": "write USER:PASSWORD to a file of your own, and name it with credentials-file"})
    if not name or not url or not patterns:
        return None
    return FurtherUpstream(
        name=name,
        url=url,
        projects=tuple(patterns),
        credentials_file=str(credentials.absolute()) if credentials else "",
    )


def _on_demand(table: Table, key: str, folder: Path) -> OnDemand | None:  # noqa: ARG001 - a Reader's
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
        return _parse_url(text)
    except ValueError as error:
        what, hint = error.args
        if "@" in text:
            hint = "remove them, and name a file that has USER:PASSWORD with credentials-file"
        raise ValueError(what, hint) from None


def _parse_upstream_name(text: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,30}", text) or text == "pypi":
        raise ValueError(f"'{visible(text)}' is no name for an upstream", "write letters, digits and dashes, say corp")
    return text


_KEYS: Mapping[str, tuple[str, Reader]] = {
    "python": ("python", _pythons),
    "alpine": ("alpine", _parsed(_parse_release, "3.22")),
    "base": ("base", _parsed(_parse_base, "alpine")),
    "jobs": ("jobs", _integer(1, 256)),
    "index-url": ("index_url", _parsed(_parse_index_url, "https://devpi.example.org/team/alpine")),
    "server": ("server", _parsed(_parse_server, "https://wheels.example.org")),
    "user": ("user", _text("team")),
    "password-file": ("password_file", _path("devpi-password")),
    "port": ("port", _integer(1, 65_535)),
    "listen": ("listen", _parsed(_choice("local", "all"), "local")),
    "reading": ("reading", _parsed(_choice("open", "token"), "open")),
    "hostnames": ("hostnames", _each(_parse_hostname, "wheels.example.org")),
    "upstream": ("upstream", _parsed(_parse_url, "https://pypi.example.org/simple/")),
    "further-upstream": ("further_upstreams", _further_upstreams),
    "on-demand": ("on_demand", _on_demand),
    "data": ("data", _path("~/mirror")),
    "cache": ("cache", _path("~/.cache/mirror")),
    "ca-bundle": ("ca_bundle", _path("company.pem", Path.is_file)),
    "registry": ("registry", _parsed(_parse_registry, "registry.example.org")),
    "apk-repositories": ("apk_repositories", _each(_parse_url, "https://apk.example.org/v3.22/main")),
    "apk-keys": ("apk_keys", _path("apk-keys", Path.is_dir)),
    "runtime": ("runtime", _text("runsc")),
    "accept-missing-limits": (
        "accept_missing_limits",
        _each(_choice("memory", "swap", "pids", "seccomp", "vsock"), "swap"),
    ),
}
_LIMITS: Mapping[str, tuple[str, Reader]] = {
    "memory": ("memory_bytes", _parsed(parse_size, "8GiB")),
    "scratch": ("scratch_bytes", _parsed(parse_size, "8GiB")),
    "processes": ("processes", _integer(16, 1_000_000)),
    "open-files": ("open_files", _integer(64, 1_000_000)),
    "wall-clock": ("wall_clock_s", _parsed(parse_duration, "2h")),
    "silence": ("silence_s", _parsed(parse_duration, "30min")),
    "log": ("log_bytes", _parsed(parse_size, "16MiB")),
    "output": ("output_bytes", _parsed(parse_size, "1GiB")),
}
_PROXY: Mapping[str, tuple[str, Reader]] = {
    "http": ("http_proxy", _parsed(_parse_url, "http://proxy.example.org:3128")),
    "https": ("https_proxy", _parsed(_parse_url, "http://proxy.example.org:3128")),
    "no-proxy": ("no_proxy", _text("localhost,.example.org")),
}
_LISTS = frozenset({"python", "hostnames", "apk-repositories", "accept-missing-limits"})
_INTEGERS = frozenset({"jobs", "port", "processes", "open-files"})
_INSTEAD = {
    "password": "set MIRROR_PASSWORD in the environment, or name a file with password-file",
    "recipes": "did you mean [[recipe]]?",
}
_IN_FILES_ONLY = frozenset({"further-upstream", "on-demand"})
_VARIABLES: Mapping[str, tuple[str, ...]] = {
    "MIRROR_" + "_".join(path).upper().replace("-", "_"): path
    for path in (
        *((key,) for key in _KEYS if key not in _IN_FILES_ONLY),
        *(("limits", key) for key in _LIMITS),
        *(("proxy", key) for key in _PROXY),
    )
}
