"""What a project's own file may say of itself, and what of it counts only where its user trusts it.

Whoever clones a project has not written its `mirror.toml`, and `mirror plan` reads it all the same. So by itself that
file says what its build is, and nothing else. Its user may trust the file as it is; a change of it asks again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from mirror.core import recipes
from mirror.core.tables import Table, TableProblem, parse_duration
from mirror.core.text import visible
from mirror.settings_files import File
from mirror.settings_keys import KEYS, RECIPE, SECTIONS, InProject, Key, variable_of

NAME = "mirror.toml"
_REFUSED = "a project's file may not say this by itself"
_HIGHER = "a project's file may lower a limit, and not raise it"


def nothing_remembered(_folder: Path) -> str | None:
    """Nobody has trusted any folder."""
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """Whether a project's file counts like its user's own: `remembered` is the SHA-256 that was trusted in a folder.

    `given` is the caller's word for this one call.
    """

    given: bool = False
    remembered: Callable[[Path], str | None] = nothing_remembered


class Standing(Enum):
    """What a user has said of a project's file. The value says what to do about it."""

    TRUSTED = ""
    UNKNOWN = f"or read this folder's {NAME}, and say that you trust it: `mirror trust`"
    CHANGED = f"this folder's {NAME} has changed since you trusted it: read it again, then `mirror trust`"
    IN_CI = "or trust it with --trust-project; what `mirror trust` has remembered does not count in CI"


def standing(file: File, folder: Path, trust: Trust, environment: Mapping[str, str]) -> Standing:
    """Judge a project's file, as it was read. What a user once trusted says nothing where `CI` is set."""
    if trust.given:
        return Standing.TRUSTED
    if environment.get("CI"):
        return Standing.IN_CI
    remembered = trust.remembered(folder.resolve())
    if remembered is None:
        return Standing.UNKNOWN
    return Standing.TRUSTED if remembered == file.sha256 else Standing.CHANGED


@dataclass(frozen=True, slots=True, kw_only=True)
class Untrusted:
    """Something in a project's file that only its user may say: `key` as in `limits.memory`."""

    key: str
    value: object
    why: str
    variable: str = ""

    def problem(self, users_file: Path) -> TableProblem:
        """Say so, and where else it may stand."""
        hint = f"write it to your own {visible(str(users_file), 500)}"
        hint = f"set {self.variable}, or {hint}" if self.variable else hint
        return TableProblem(where=f"{NAME}:{visible(self.key)}", code="untrusted-key", what=self.why, hint=hint)


def judged(
    table: Mapping[str, object], others: Mapping[str, Any], decided: Collection[str]
) -> tuple[Mapping[str, object], tuple[Untrusted, ...]]:
    """What of a project's table counts without trust, and what does not.

    `others` is what the other sources say, by the fields of Settings; `decided` are the fields in which a later source
    has the last word anyway. What is no key at all stays, for whoever reads the table to tell.
    """
    found: list[Untrusted] = []
    kept = dict(_keys(table, KEYS, (), others, decided, found))
    for section, keys in SECTIONS.items():
        if isinstance(inner := table.get(section), Mapping):
            kept[section] = dict(_keys(inner, keys, (section,), others, decided, found))
    sections = table.get("recipe")
    if isinstance(sections, list):
        kept["recipe"] = [_recipe(one, number, others, found) for number, one in enumerate(sections, 1)]
    return kept, tuple(found)


def _keys(
    table: Mapping[str, object],
    keys: Mapping[str, Key],
    path: tuple[str, ...],
    others: Mapping[str, Any],
    decided: Collection[str],
    found: list[Untrusted],
) -> Iterator[tuple[str, object]]:
    for name, value in table.items():
        key = keys.get(name)
        why = _why(key, name, value, others, decided) if key else ""
        if why:
            full = (*path, name)
            found.append(Untrusted(key=".".join(full), value=value, why=why, variable=variable_of(*full)))
        else:
            yield name, value


def _why(key: Key, name: str, value: object, others: Mapping[str, Any], decided: Collection[str]) -> str:
    """Why a key does not count, or ""."""
    if key.in_project is InProject.TAKEN or (key.in_project is InProject.LOWER and key.field in decided):
        return ""
    if key.in_project is InProject.LOWER:
        limit = key.read(Table(file="", values={name: value}, problems=[]), name, Path())
        return _HIGHER if limit is not None and limit > others[key.field] else ""
    return _REFUSED


def _recipe(section: object, number: int, others: Mapping[str, Any], found: list[Untrusted]) -> object:
    if not isinstance(section, Mapping):
        return section
    known, kept = recipes.keys(), {}
    for name, value in section.items():
        place = RECIPE.get(name, InProject.REFUSED) if name in known else InProject.TAKEN
        if place is InProject.REFUSED or (place is InProject.LOWER and _is_longer(value, others["wall_clock_s"])):
            project = visible(str(section.get("project", "")))
            why = _REFUSED if place is InProject.REFUSED else _HIGHER
            found.append(Untrusted(key=f"recipe[{number} {project}].{name}", value=value, why=why))
        else:
            kept[name] = value
    return kept


def _is_longer(value: object, wall_clock_s: int) -> bool:
    try:
        return isinstance(value, str) and parse_duration(value) > wall_clock_s
    except ValueError:  # told when the recipe is read
        return False
