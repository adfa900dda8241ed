"""The keys of the settings: how each value is read from a file, the environment and the command line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any

from mirror.core.model import Base
from mirror.core.tables import Table, TableProblem, parse_duration, parse_size
from mirror.core.text import did_you_mean
from mirror.settings_values import (
    Reader,
    as_each,
    as_integer,
    as_parsed,
    as_path,
    as_text,
    choice,
    further_upstreams,
    on_demand,
    parse_base,
    parse_hostname,
    parse_index_url,
    parse_registry,
    parse_release,
    parse_server,
    parse_url,
    pythons,
)


class InProject(Enum):
    """What a project's own file may do with a key: the file may be a stranger's."""

    REFUSED = "refused"
    """Nothing: it names a host, a file, a folder, a listener or a runtime, or loosens a wall."""
    LOWER = "lower"
    """Lower what the others say."""
    TAKEN = "taken"
    """Say it: it is what the project's build is."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key: the field of Settings that it decides, and how it is read. A new one is refused in a project's file."""

    field: str
    read: Reader
    in_project: InProject = InProject.REFUSED


def read_values(file: str, values: Mapping[str, object], folder: Path, problems: list[TableProblem]) -> dict[str, Any]:
    """The settings that stand in a TOML table, by their names in Settings."""
    table = Table(file=file, values=values, problems=problems)
    table.known.add("recipe")
    found = _read(table, KEYS, folder)
    for name, keys in SECTIONS.items():
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
        elif variable.startswith("MIRROR_") and variable not in {*_VARIABLES, *_OTHER_VARIABLES}:
            hint = did_you_mean(variable, {*_VARIABLES, *_OTHER_VARIABLES}) or "unset it; see config/mirror.toml"
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


def _read(table: Table, keys: Mapping[str, Key], folder: Path) -> dict[str, Any]:
    read = {key.field: key.read(table, name, folder) for name, key in keys.items()}
    return {field: value for field, value in read.items() if value is not None}


KEYS: Mapping[str, Key] = {
    "python": Key("python", pythons, InProject.TAKEN),
    "alpine": Key("alpine", as_parsed(parse_release, "3.22"), InProject.TAKEN),
    "base": Key("base", as_parsed(parse_base, "alpine"), InProject.TAKEN),
    "jobs": Key("jobs", as_integer(1, 256), InProject.TAKEN),
    "index-url": Key("index_url", as_parsed(parse_index_url, "https://devpi.example.org/team/alpine")),
    "server": Key("server", as_parsed(parse_server, "https://wheels.example.org")),
    "user": Key("user", as_text("team")),
    "password-file": Key("password_file", as_path("devpi-password")),
    "port": Key("port", as_integer(1, 65_535)),
    "listen": Key("listen", as_parsed(choice("local", "all"), "local")),
    "reading": Key("reading", as_parsed(choice("open", "token"), "open")),
    "hostnames": Key("hostnames", as_each(parse_hostname, "wheels.example.org")),
    "upstream": Key("upstream", as_parsed(parse_url, "https://pypi.example.org/simple/")),
    "further-upstream": Key("further_upstreams", further_upstreams),
    "on-demand": Key("on_demand", on_demand),
    "data": Key("data", as_path("~/mirror")),
    "cache": Key("cache", as_path("~/.cache/mirror")),
    "ca-bundle": Key("ca_bundle", as_path("company.pem", Path.is_file)),
    "registry": Key("registry", as_parsed(parse_registry, "registry.example.org")),
    "apk-repositories": Key("apk_repositories", as_each(parse_url, "https://apk.example.org/v3.22/main")),
    "apk-keys": Key("apk_keys", as_path("apk-keys", Path.is_dir)),
    "refresh-after": Key("refresh_after_s", as_parsed(parse_duration, "30d")),
    "runtime": Key("runtime", as_text("runsc")),
    "accept-missing-limits": Key(
        "accept_missing_limits", as_each(choice("memory", "swap", "pids", "seccomp", "vsock"), "swap")
    ),
}
LIMITS: Mapping[str, Key] = {
    "memory": Key("memory_bytes", as_parsed(parse_size, "8GiB"), InProject.LOWER),
    "scratch": Key("scratch_bytes", as_parsed(parse_size, "8GiB"), InProject.LOWER),
    "processes": Key("processes", as_integer(16, 1_000_000), InProject.LOWER),
    "open-files": Key("open_files", as_integer(64, 1_000_000), InProject.LOWER),
    "wall-clock": Key("wall_clock_s", as_parsed(parse_duration, "2h"), InProject.LOWER),
    "silence": Key("silence_s", as_parsed(parse_duration, "30min"), InProject.LOWER),
    "log": Key("log_bytes", as_parsed(parse_size, "16MiB"), InProject.LOWER),
    "output": Key("output_bytes", as_parsed(parse_size, "1GiB"), InProject.LOWER),
}
PROXY: Mapping[str, Key] = {
    "http": Key("http_proxy", as_parsed(parse_url, "http://proxy.example.org:3128")),
    "https": Key("https_proxy", as_parsed(parse_url, "http://proxy.example.org:3128")),
    "no-proxy": Key("no_proxy", as_text("localhost,.example.org")),
}
SECTIONS: Mapping[str, Mapping[str, Key]] = {"limits": LIMITS, "proxy": PROXY}
RECIPE: Mapping[str, InProject] = {
    "project": InProject.TAKEN,
    "versions": InProject.TAKEN,
    "reason": InProject.TAKEN,
    "system-packages": InProject.TAKEN,
    "environment": InProject.TAKEN,
    "config-settings": InProject.TAKEN,
    "build-constraints": InProject.TAKEN,
    "import-names": InProject.TAKEN,
    # It takes the place of limits.wall-clock.
    "timeout": InProject.LOWER,
    # They let a wheel through the gate, for everybody.
    "oddities": InProject.REFUSED,
}
"""What a project's file may do with the keys of a recipe; one that does not stand here is refused there."""
_LISTS = frozenset({"python", "hostnames", "apk-repositories", "accept-missing-limits"})
_INTEGERS = frozenset({"jobs", "port", "processes", "open-files"})
_INSTEAD = {
    "password": "set MIRROR_PASSWORD in the environment, or name a file with password-file",
    "recipes": "did you mean [[recipe]]?",
}
_IN_FILES_ONLY = frozenset({"further-upstream", "on-demand"})
TRUST_VARIABLE = "MIRROR_TRUST_PROJECT"
"""No setting: it says which files are read as such, and the command line reads it as its flag."""
_OTHER_VARIABLES = frozenset({"MIRROR_PASSWORD", TRUST_VARIABLE})


def variable_of(*path: str) -> str:
    """The environment's variable for a key, or "" where a file alone can say it: `("limits", "memory")`."""
    return "" if path[0] in _IN_FILES_ONLY else "MIRROR_" + "_".join(path).upper().replace("-", "_")


_VARIABLES: Mapping[str, tuple[str, ...]] = {
    variable_of(*path): path
    for path in (
        *((key,) for key in KEYS if key not in _IN_FILES_ONLY),
        *((section, key) for section, keys in SECTIONS.items() for key in keys),
    )
}
