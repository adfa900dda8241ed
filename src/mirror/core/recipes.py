"""Recipes: what we know about building a project, merged from all sections that speak of it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import InvalidName, NormalizedName, canonicalize_name
from packaging.version import Version

from mirror.core.errors import BadInputError
from mirror.core.gate import ALLOWABLE
from mirror.core.model import Recipe
from mirror.core.tables import Table, TableProblem, parse_duration, summary
from mirror.core.text import did_you_mean, visible

_APK = re.compile(r"(?!.*\.apk)[a-z0-9][a-z0-9._+-]*(?:[<>=~]+[a-z0-9._-]+)?")
"""A package name of apk's world file, with or without a version. With `.apk` in it, apk would take it for a file."""
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MODULE = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*")
_ODDITY = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_REASON = "why it needs this"


class RecipesError(BadInputError):
    """Something is wrong with recipes; `problems` are all there are."""

    def __init__(self, problems: Sequence[TableProblem]) -> None:
        super().__init__(
            "recipes", summary(problems), hint="mend what is listed, then run again", details=[*map(str, problems)]
        )
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One `[[recipe]]`: for which releases of a project it speaks, and what it says."""

    project: NormalizedName
    versions: SpecifierSet
    recipe: Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipes:
    """Every section there is, in the order in which they are merged."""

    sections: tuple[Section, ...] = ()

    def for_project(self, name: NormalizedName, version: Version) -> Recipe:
        """What all sections say about this release, later ones winning; an empty recipe where none speaks of it."""
        recipe = Recipe()
        for section in self.sections:
            # Pre-releases count: whoever builds one wants what its release needs.
            if section.project == name and section.versions.contains(version, prereleases=True):
                recipe = _merged(recipe, section.recipe)
        return recipe


def parse(sources: Sequence[tuple[str, Mapping[str, object]]]) -> Recipes:
    """Read the `[[recipe]]` sections of (file name, parsed TOML), shipped ones first.

    Other keys at the top are somebody else's. Raises RecipesError with the problems of all files.
    """
    recipes, problems = read(sources)
    if problems:
        raise RecipesError(problems)
    return recipes


def read(sources: Sequence[tuple[str, Mapping[str, object]]]) -> tuple[Recipes, tuple[TableProblem, ...]]:
    """As `parse`, for callers that collect problems themselves."""
    problems: list[TableProblem] = []
    sections: list[Section] = []
    for file, values in sources:
        for table in Table(file=file, values=values, problems=problems).tables("recipe"):
            section = _section(table)
            if section:
                sections.append(section)
    return Recipes(sections=tuple(sections)), tuple(problems)


def keys() -> frozenset[str]:
    """Every key that a recipe may have."""
    table = Table(file="", values={}, problems=[])
    _section(table)
    return frozenset(table.known)


def _merged(first: Recipe, second: Recipe) -> Recipe:
    return Recipe(
        system_packages=_joined(first.system_packages, second.system_packages),
        environment=MappingProxyType({**first.environment, **second.environment}),
        config_settings=MappingProxyType({**first.config_settings, **second.config_settings}),
        build_constraints=_joined(first.build_constraints, second.build_constraints),
        oddities=_joined(first.oddities, second.oddities),
        import_names=first.import_names if second.import_names is None else second.import_names,
        timeout_s=first.timeout_s if second.timeout_s is None else second.timeout_s,
        reasons=_joined(first.reasons, second.reasons),
    )


def _joined(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[str, ...]:
    """Both, in order, each once."""
    return tuple(dict.fromkeys((*first, *second)))


def _section(table: Table) -> Section | None:
    """One section; None where it has a problem, which then stands among the table's."""
    before = len(table.problems)
    if isinstance(name := table.values.get("project"), str):
        table.path = table.path.replace("]", f" {visible(name)}]")  # nobody counts sections
    project = _project(table)
    table.require("reason", _REASON)
    versions = table.parsed("versions", _parse_versions, ">=1.5,<2")
    reason = table.text("reason", _REASON)
    import_names = table.texts("import-names", "package.module")
    recipe = Recipe(
        system_packages=table.texts("system-packages", "libffi-dev") or (),
        environment=MappingProxyType(dict(table.pairs("environment", 'NAME = "value"') or {})),
        config_settings=MappingProxyType(dict(table.pairs("config-settings", 'name = "value"') or {})),
        build_constraints=_build_constraints(table),
        oddities=table.texts("oddities", "elf-missing") or (),
        import_names=import_names,
        timeout_s=table.parsed("timeout", parse_duration, "30min"),
        reasons=(" ".join(reason.split()),) if reason else (),
    )
    _check(table, recipe)
    table.close({"system_packages": "write system-packages", "version": "did you mean versions?"})
    if len(table.problems) > before or project is None:
        return None
    return Section(project=project, versions=versions or SpecifierSet(), recipe=recipe)


def _project(table: Table) -> NormalizedName | None:
    table.require("project", "pandas")
    return table.parsed("project", _parse_name, "pandas")


def _parse_name(text: str) -> NormalizedName:
    try:
        return canonicalize_name(text, validate=True)
    except InvalidName:
        raise ValueError(f"'{visible(text)}' is not a project name", "write it as on PyPI, without a version") from None


def _parse_versions(text: str) -> SpecifierSet:
    try:
        return SpecifierSet(text)
    except InvalidSpecifier:
        raise ValueError(f"'{visible(text)}' is not a version specifier", 'write one such as ">=1.5,<2"') from None


def _build_constraints(table: Table) -> tuple[str, ...]:
    constraints = []
    for text in table.texts("build-constraints", "setuptools<80") or ():
        try:
            requirement = Requirement(text)
        except (InvalidRequirement, RecursionError):
            wrong = f"'{visible(text)}' is not a requirement", 'write one such as "setuptools<80"'
        else:
            if not requirement.extras and not requirement.url:
                constraints.append(str(requirement))
                continue
            wrong = f"'{visible(text)}' is more than a constraint", "write a name and versions, no extras and no URL"
        table.problem("build-constraints", "bad-value", wrong)
    return tuple(constraints)


def _check(table: Table, recipe: Recipe) -> None:
    """Make a problem of every name that is none: these reach apk, a compile's environment and an import."""
    for key, names, pattern, what, hint in (
        ("system-packages", recipe.system_packages, _APK, "an apk package", "write its name, such as libffi-dev"),
        ("environment", recipe.environment, _VARIABLE, "a variable", "write letters, digits and underscores"),
        ("import-names", recipe.import_names or (), _MODULE, "a module", "write it as in an import statement"),
        ("oddities", recipe.oddities, _ODDITY, "a finding's code", "copy it from the finding"),
    ):
        for name in names:
            if not pattern.fullmatch(name):
                table.problem(key, "bad-value", (f"'{visible(name)}' is not the name of {what}", hint))
    for name in recipe.oddities:
        if _ODDITY.fullmatch(name) and name not in ALLOWABLE:
            known = did_you_mean(name, ALLOWABLE) or f"write one of {', '.join(sorted(ALLOWABLE))}"
            table.problem("oddities", "bad-value", (f"'{name}' is no finding that a recipe may expect", known))
