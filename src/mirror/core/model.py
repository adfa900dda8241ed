"""The frozen values that go through the house, named after the PEPs and the packaging glossary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from packaging.utils import NormalizedName
from packaging.version import Version


class Base(Enum):
    """Where the base image comes from."""

    ALPINE = "alpine"
    """`python:X-alpineY` from a registry: what users build from."""
    BOOTSTRAP = "bootstrap"
    """The equivalent made from Debian's source packages, where no registry is in reach."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Target:
    """One Python, musl version and architecture: what a wheel is compiled for.

    `python` is "X.Y"; `musl` is (major, minor) of PEP 656; `architecture` as in platform tags ("x86_64").
    `alpine` is the release of the base image, None where that is no Alpine; targets that differ in it alone are equal,
    since they install the same files.
    """

    python: str
    musl: tuple[int, int] = (1, 2)
    architecture: str = "x86_64"
    alpine: tuple[int, int] | None = field(default=None, compare=False)

    @property
    def platform(self) -> str:
        """The newest platform tag of the target, say `musllinux_1_2_x86_64` (PEP 656)."""
        return f"musllinux_{self.musl[0]}_{self.musl[1]}_{self.architecture}"

    def __str__(self) -> str:
        return f"cp{self.python.replace('.', '')}-{self.platform}"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Location:
    """A place in a file that a person wrote; line and column count from 1."""

    file: str
    line: int
    column: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RequirementLine:
    """One dependency specifier of the user's (PEP 508), with the `--hash` options beside it.

    `text` is the specifier alone; `hashes` are `algorithm:hexdigest`, as written.
    """

    text: str
    name: NormalizedName
    location: Location
    hashes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirements:
    """What the user asked for: every requirements and constraints file, parsed and without a problem left."""

    requirements: tuple[RequirementLine, ...]
    constraints: tuple[RequirementLine, ...] = ()
    pre_releases: bool = False
    """`--pre` stood in a file or on the command line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexFile:
    """One file of a project as a simple page lists it (PEP 503, 691).

    `url` is absolute, without a fragment; `sha256` is lower-case hexadecimal.
    """

    filename: str
    url: str
    sha256: str
    requires_python: str | None = None
    yanked: str | bool = False
    size_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedPackage:
    """One package of a lock (PEP 751): the exact files that may be installed for it on the target."""

    name: NormalizedName
    version: Version
    sdist: IndexFile | None
    wheels: tuple[IndexFile, ...]

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """The packages that answer some requirements on one target, sorted by name."""

    target: Target
    packages: tuple[LockedPackage, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What we know about building a project; `reasons` says why, a sentence for each section it was made from.

    `system_packages` are apk names. `build_constraints` are PEP 508 specifiers that bound the project's build
    requirements. `oddities` are codes of gate findings that are expected of this project. `import_names` replace what
    verify would import; `timeout_s` is the wall clock of one compile.
    """

    system_packages: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    config_settings: Mapping[str, str] = field(default_factory=dict)
    build_constraints: tuple[str, ...] = ()
    oddities: tuple[str, ...] = ()
    import_names: tuple[str, ...] | None = None
    timeout_s: int | None = None
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class JobKey:
    """What makes two jobs the same: one compile for each sdist and target in a run."""

    name: NormalizedName
    version: Version

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One sdist to be compiled for one target with one recipe."""

    key: JobKey
    sdist: IndexFile
    target: Target
    recipe: Recipe

    def __str__(self) -> str:
        return str(self.key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reuse:
    """A wheel that already exists for a package of the lock."""

    name: NormalizedName
    version: Version
    wheel: IndexFile


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a lock asks for, compared with what the index holds: compile these, take those as they are."""

    lock: Lock
    jobs: tuple[Job, ...]
    reuses: tuple[Reuse, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildSystem:
    """The `[build-system]` table of an sdist (PEP 517, 518), or what stands for it where there is none."""

    requires: tuple[str, ...]
    backend: str
    backend_path: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFacts:
    """What reading an sdist, without running it, tells about its build."""

    build_system: BuildSystem
    has_native_sources: bool
    """It holds C, C++, Fortran, Cython or Rust sources: a pure wheel made from it is suspect."""


class Severity(Enum):
    """Whether a finding stops publication."""

    ERROR = "error"
    ALLOWED = "allowed"
    """It is true, and a recipe expects it of this project."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Finding:
    """One thing the gate found in a wheel. `code` is stable (`elf-glibc`); `member` is the archive member, if one."""

    code: str
    message: str
    member: str = ""

    def __str__(self) -> str:
        where = f" ({self.member})" if self.member else ""
        return f"{self.code}: {self.message}{where}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedWheel:
    """A wheel that the gate has read whole and found nothing wrong with. Only such a wheel can be published.

    `content` is the canonical re-pack, `sha256` its hash. `core_metadata` is its METADATA file.
    """

    filename: str
    name: NormalizedName
    version: Version
    content: bytes = field(repr=False)
    sha256: str
    requires_python: str | None
    core_metadata: bytes = field(repr=False)
    import_names: tuple[str, ...] = ()
    """Top-level names the wheel provides."""
    upstream: str | None = None
    """Where its sdist is listed, as in MadeOf; None for a project of our own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """Outcome: compiled in this run, published and read back. `cache_key` as in `Failed`."""

    job: Job
    wheel: IndexFile
    seconds: float
    size_bytes: int
    log: str
    cache_key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reused:
    """Outcome: there was a wheel for it, upstream's or ours, or another run published one in the meantime."""

    reuse: Reuse


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """Outcome: it could not be built.

    `code` is stable; `reason` is one sentence; `log` is the path of the build log, or "". `cache_key` names all that
    the failure depends on: while that stays, trying again can only fail again. "" where it may go well next time.
    """

    job: Job
    code: str
    reason: str
    hint: str
    seconds: float
    log: str
    cache_key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocked:
    """Outcome: it was not tried to the end, because `cause`, a build requirement of it, failed."""

    job: Job
    cause: JobKey


Outcome = Built | Reused | Failed | Blocked


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What the clean room measured."""

    seconds: float
    installed: tuple[tuple[str, str], ...]
    """(name, version), sorted."""
    imported: tuple[str, ...]
    """The projects that we have compiled, sorted; each was imported in a clean room of its own."""
    downloaded_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The end of a run over one target: every package of the plan in exactly one outcome."""

    target: Target
    outcomes: tuple[Outcome, ...]
    seconds: float
    verified: Verified | None = None
    """None where verification was not asked for or an outcome made it pointless."""
    verify_error: str = ""

    @property
    def succeeded(self) -> bool:
        return not self.verify_error and all(isinstance(o, Built | Reused) for o in self.outcomes)
