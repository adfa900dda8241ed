"""Settings: what ships, the user's file, the project's file, the environment and flags, in this order, as one value."""

from __future__ import annotations

import os
import tomllib
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
from mirror.settings_keys import read_environment, read_flags, read_values

CA_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
"""Where a machine says what its programs trust; the first that names a file counts."""

GIBIBYTE = 2**30


class SettingsError(BadInputError):
    """Something is wrong with the settings; `problems` are all there are."""

    def __init__(self, problems: Sequence[TableProblem]) -> None:
        super().__init__(
            "settings", summary(problems), hint="mend what is listed, then run again", details=[*map(str, problems)]
        )
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
    *, environment: Mapping[str, str], folder: Path, flags: Mapping[str, object], machine: Machine | None = None
) -> Settings:
    """Decide every setting; `flags` are named after the fields of Settings, `folder` is the project's.

    Raises SettingsError with the problems of all files, variables and flags.
    """
    here = machine or Machine.this()
    problems: list[TableProblem] = []
    values = _machine_values(here, environment)
    shipped = resources.config()
    sources: list[tuple[str, Mapping[str, object]]] = [
        ("recipes.toml", _toml(shipped / "recipes.toml", "recipes.toml", problems))
    ]
    for path, name in (
        (shipped / "mirror.toml", "config/mirror.toml"),
        (here.config / "mirror.toml", str(here.config / "mirror.toml")),
        (folder / "mirror.toml", "mirror.toml"),
    ):
        table = _toml(path, name, problems)
        values |= read_values(name, table, path.parent, problems)
        sources.append((name, table))
    values |= read_environment(environment, folder, problems)
    values |= read_flags(flags, folder, problems)
    problems += [
        TableProblem(where=key, code="no-home", what="there is no home folder for it", hint="set HOME, or this one")
        for key in ("data", "cache")
        if values[key] == getattr(here, key) and not values[key].is_absolute()
    ]
    recipes, recipe_problems = recipe_files.read(sources)
    if problems := [*problems, *recipe_problems]:
        raise SettingsError(problems)
    proxy: dict[str, str] = {
        name: values.pop(name) for name in ("http_proxy", "https_proxy", "no_proxy") if name in values
    }
    return Settings(
        **values,
        proxy=MappingProxyType(proxy),
        password=environment.get("MIRROR_PASSWORD") or None,
        recipe_sources=tuple(sources),
        recipes=recipes,
    )


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


def _toml(path: Path, name: str, problems: list[TableProblem]) -> Mapping[str, object]:
    """The tables of a file, none where there is no file."""

    def problem(code: str, what: str, hint: str, place: str = "") -> Mapping[str, object]:
        problems.append(TableProblem(where=name + place, code=code, what=what, hint=hint))
        return {}

    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        reason = visible(error.strerror or type(error).__name__)
        return problem("file-unreadable", f"it cannot be read ({reason})", "check the file and its permissions")
    try:
        return tomllib.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return problem("encoding", f"byte 0x{content[error.start]:02x} is not UTF-8", "save it as UTF-8", f":{line}")
    except tomllib.TOMLDecodeError as error:
        return problem("bad-toml", visible(str(error), 200), "mend it, or see config/mirror.toml for an example")
    except RecursionError:
        return problem("bad-toml", "values are nested too deep", "see config/mirror.toml for an example")
