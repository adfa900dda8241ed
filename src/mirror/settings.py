"""Settings: what ships, the user's file, the project's file, the environment and flags, in this order, as one value."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

import platformdirs

from mirror import resources
from mirror.core import recipes as recipe_files
from mirror.core.errors import BadInputError
from mirror.core.misses import OnDemand
from mirror.core.model import Base
from mirror.core.recipes import Recipes
from mirror.core.tables import TableProblem, summary
from mirror.core.text import visible
from mirror.core.upstreams import FurtherUpstream
from mirror.ports import Limits
from mirror.settings_files import File, read_file
from mirror.settings_keys import read_environment, read_flags, read_values
from mirror.settings_project import NAME, Standing, Trust, Untrusted, judged, standing

CA_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
"""Where a machine says what its programs trust; the first that names a file counts."""

GIBIBYTE = 2**30
NO_TRUST = Trust()


class SettingsError(BadInputError):
    """Something is wrong with the settings; `problems` are all there are."""

    def __init__(self, problems: Sequence[TableProblem], stands: Standing = Standing.TRUSTED) -> None:
        hint = "; ".join(filter(None, ("mend what is listed, then run again", stands.value)))
        super().__init__("settings", summary(problems), hint=hint, details=[*map(str, problems)])
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What defaults depend on: the size of this machine, and where the platform wants files to be."""

    processors: int
    memory_bytes: int
    config: Path
    data: Path
    cache: Path

    @classmethod
    def this(cls) -> Machine:
        """The machine we run on."""
        try:
            memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        except (AttributeError, ValueError, OSError):  # not on every platform
            memory_bytes = 8 * GIBIBYTE
        return cls(
            processors=os.cpu_count() or 1,
            memory_bytes=memory_bytes,
            config=_place(platformdirs.user_config_path),
            data=_place(platformdirs.user_data_path),
            cache=_place(platformdirs.user_cache_path),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every setting, decided. config/mirror.toml says what each means.

    `base` None: Alpine when it can be pulled, else the bootstrap. `index_url` None: an index of our own; `upstream`
    None: devpi's default. `registry` "": Docker Hub. `proxy` are variables, say `https_proxy`. `recipe_sources` are
    (file, TOML) in the order in which recipes are merged, `recipes` what is in them.
    """

    python: tuple[str, ...]
    alpine: str
    base: Base | None = None
    jobs: int
    index_url: str | None = None
    server: str | None = None
    user: str | None = None
    password_file: Path | None = None
    password: str | None = field(default=None, repr=False)
    port: int
    listen: str
    reading: str = "open"
    hostnames: tuple[str, ...] = ("localhost",)
    upstream: str | None = None
    further_upstreams: tuple[FurtherUpstream, ...] = ()
    on_demand: OnDemand = field(default_factory=OnDemand)
    data: Path
    cache: Path
    ca_bundle: Path | None = None
    registry: str = ""
    apk_repositories: tuple[str, ...] = ()
    apk_keys: Path | None = None
    refresh_after_s: int = 30 * 86_400
    runtime: str | None = None
    accept_missing_limits: tuple[str, ...] = ()
    proxy: Mapping[str, str]
    memory_bytes: int
    scratch_bytes: int
    processes: int
    open_files: int
    wall_clock_s: int
    silence_s: int
    log_bytes: int
    output_bytes: int
    recipe_sources: tuple[tuple[str, Mapping[str, object]], ...] = field(repr=False)
    recipes: Recipes = field(repr=False)

    def limits(self) -> Limits:
        """What one sandbox may use."""
        return Limits(**{name.name: getattr(self, name.name) for name in fields(Limits)})

    def read_password(self) -> str:
        """The password of `user`: the environment's, else the file's. Raises BadInputError where there is none."""
        if self.password:
            return self.password
        hint = "set MIRROR_PASSWORD in the environment, or name a file with password-file"
        if self.password_file is None:
            raise BadInputError("no-password", f"there is no password for {visible(str(self.user))}", hint=hint)
        try:
            password = self.password_file.read_text(encoding="utf-8").strip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            what = f"the password file {visible(str(self.password_file), 500)} cannot be read"
            raise BadInputError("no-password", what, hint=hint, details=[type(error).__name__]) from error
        if not password:
            what = f"the password file {visible(str(self.password_file), 500)} is empty"
            raise BadInputError("no-password", what, hint=hint)
        return password


def load(
    *,
    environment: Mapping[str, str],
    folder: Path,
    flags: Mapping[str, object],
    machine: Machine | None = None,
    trust: Trust = NO_TRUST,
) -> Settings:
    """Decide every setting; `flags` are named after the fields of Settings, `folder` is the project's.

    Of the project's file counts what it may say by itself, and where `trust` says so, all of it.
    Raises SettingsError with the problems of all files, variables and flags.
    """
    here = machine or Machine.this()
    read = _Read.of(here, environment, folder, flags)
    problems, values = read.problems, read.values
    kept, untrusted = read.judged()
    stands = standing(read.project, folder, trust, environment) if untrusted else Standing.TRUSTED
    if stands is Standing.TRUSTED:
        kept = read.project.table
    else:
        problems += [one.problem(here.config / NAME) for one in untrusted]
    values |= read_values(NAME, kept, folder, problems)
    values |= read.later
    problems += [*read.later_problems, *_homeless(values, here)]
    sources = (*read.sources, (NAME, kept))
    recipes, recipe_problems = recipe_files.read(sources)
    if problems := [*problems, *recipe_problems]:
        raise SettingsError(problems, stands)
    proxy: dict[str, str] = {
        name: values.pop(name) for name in ("http_proxy", "https_proxy", "no_proxy") if name in values
    }
    return Settings(
        **values,
        proxy=MappingProxyType(proxy),
        password=environment.get("MIRROR_PASSWORD") or None,
        recipe_sources=sources,
        recipes=recipes,
    )


def ask_for_trust(
    *, environment: Mapping[str, str], folder: Path, machine: Machine | None = None
) -> tuple[File, tuple[Untrusted, ...]]:
    """The project's file as it stands now, and what of it only its user may say.

    Raises SettingsError where that file cannot be read.
    """
    read = _Read.of(machine or Machine.this(), environment, folder, {})
    if broken := [problem for problem in read.problems if problem.where.partition(":")[0] == NAME]:
        raise SettingsError(broken)
    return read.project, read.judged()[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """All sources, each read once: what goes before the project's file, that file, and what goes after it."""

    values: dict[str, Any]
    sources: tuple[tuple[str, Mapping[str, object]], ...]
    project: File
    later: Mapping[str, Any]
    problems: list[TableProblem]
    later_problems: list[TableProblem]

    @classmethod
    def of(cls, machine: Machine, environment: Mapping[str, str], folder: Path, flags: Mapping[str, object]) -> _Read:
        problems: list[TableProblem] = []
        later_problems: list[TableProblem] = []
        values = _machine_values(machine, environment)
        shipped, own = resources.config(), machine.config / NAME
        sources = [("recipes.toml", read_file(shipped / "recipes.toml", "recipes.toml", problems).table)]
        files = [(shipped / NAME, "config/mirror.toml"), (own, str(own))]
        # Relative it is of a user without a home, and would be the project's.
        for path, name in files if own.is_absolute() else files[:1]:
            table = read_file(path, name, problems).table
            values |= read_values(name, table, path.parent, problems)
            sources.append((name, table))
        later = read_environment(environment, folder, later_problems) | read_flags(flags, folder, later_problems)
        return cls(
            values=values,
            sources=tuple(sources),
            project=_project_file(folder, (shipped, machine.config), problems),
            later=later,
            problems=problems,
            later_problems=later_problems,
        )

    def judged(self) -> tuple[Mapping[str, object], tuple[Untrusted, ...]]:
        """What of the project's file counts by itself, and what does not."""
        return judged(self.project.table, {**self.values, **self.later}, self.later)


def _project_file(folder: Path, read: Sequence[Path], problems: list[TableProblem]) -> File:
    """What the current folder has, unless it is one whose file was `read` already: the user's own is no project's."""
    if folder.resolve() in [one.resolve() for one in read if one.is_absolute()]:
        return File(name=NAME)
    return read_file(folder / NAME, NAME, problems)


def _homeless(values: Mapping[str, Any], machine: Machine) -> list[TableProblem]:
    return [
        TableProblem(where=key, code="no-home", what="there is no home folder for it", hint="set HOME, or this one")
        for key in ("data", "cache")
        if values[key] == getattr(machine, key) and not values[key].is_absolute()
    ]


def _place(where: Callable[[str], Path]) -> Path:
    """Where the platform wants our files; below a folder that is not there, for a user without a home."""
    try:
        return where("mirror")
    except RuntimeError:  # other versions of platformdirs answer just so
        return Path("~/mirror")


def _machine_values(machine: Machine, environment: Mapping[str, str]) -> dict[str, Any]:
    """The defaults that no file can hold."""
    memory_bytes = min(16 * GIBIBYTE, machine.memory_bytes * 3 // 4)
    values: dict[str, Any] = {
        "jobs": max(1, min(4, machine.processors)),
        "memory_bytes": memory_bytes,
        # The scratch folder lies in memory and counts as such: half of it stays for the programs.
        "scratch_bytes": min(8 * GIBIBYTE, memory_bytes // 2),
        "data": machine.data,
        "cache": machine.cache,
    }
    for variable in CA_VARIABLES:
        bundle = environment.get(variable)
        if bundle and Path(bundle).is_file():
            values.setdefault("ca_bundle", Path(bundle))
    for variable in ("http_proxy", "https_proxy", "no_proxy"):
        proxy = environment.get(variable) or environment.get(variable.upper())
        # One with a password in it stays out of image builds, whose arguments the engine remembers.
        if proxy and "@" not in proxy:
            values[variable] = proxy
    return values
