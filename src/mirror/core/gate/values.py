"""What the rooms of the gate hand to each other: bounds, members, and findings that are safe to print."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from packaging.utils import NormalizedName
from packaging.version import Version

from mirror.core.made_of import MadeOf
from mirror.core.model import CheckedWheel, Finding, Target
from mirror.core.text import visible

ALLOWABLE = frozenset(
    {
        "case-collision",
        "data-library",
        "data-scheme",
        "elf-execstack",
        "elf-external-library",
        "elf-libpython",
        "elf-library-not-found",
        "elf-not-on-alpine",
        "elf-rpath",
        "elf-rpath-escape",
        "elf-static-tls",
        "extension-suffix",
        "foreign-file",
        "foreign-module",
        "foreign-top-level",
        "metadata-direct-reference",
        "metadata-repeated",
        "no-extension",
        "pth-file",
        "script-shadows",
        "startup-module",
    }
)
"""The findings that a recipe may expect of a project. All others say that the file is broken or lies."""

OF_OTHERS = frozenset({"foreign-file", "foreign-module", "foreign-top-level"})
"""The findings that may come from what is installed beside a wheel: with another lock there may be none."""

_LONGEST_MESSAGE, _LONGEST_NAME = 600, 160
_FINDINGS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How much of a stranger's wheel is read before it is refused. Sizes in bytes.

    `ratio` is uncompressed over compressed; it is only looked at in members (and wheels) of `ratio_from` and more,
    since a small file of zeros harms nobody.
    """

    archive: int = 2 << 30
    total: int = 4 << 30
    member: int = 1 << 30
    text: int = 4 << 20
    """METADATA, WHEEL and entry_points.txt are read into memory and parsed: each at most this long."""
    record: int = 32 << 20
    members: int = 65_534
    ratio: int = 250
    ratio_from: int = 16 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What a project has installed, to be compared with what another would install. Paths are below one root.

    `files` maps each to its SHA-256 (b"" where nobody knows it), `modules` what can be imported to the files that it
    may come from; `packages` are folders with an `__init__` of their own, `namespaces` folders to import from that have
    none (PEP 420, or one that says just that), `folders` all folders. `compiled` says that it comes from this run.
    """

    project: NormalizedName
    files: Mapping[str, bytes]
    modules: Mapping[str, frozenset[str]]
    packages: frozenset[str]
    namespaces: frozenset[str]
    folders: frozenset[str]
    compiled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What the job says of the wheel that it should bring.

    `oddities` are codes of findings that a recipe allows; `native_sources` says that the sdist holds sources to
    compile; `beside` is what the other projects of the lock install whose wheels are there, `other_names` are those
    of which nothing but the name is known.
    """

    name: NormalizedName
    version: Version
    target: Target
    oddities: tuple[str, ...] = ()
    native_sources: bool = False
    other_names: frozenset[str] = frozenset()
    beside: tuple[Layout, ...] = ()
    made_of: MadeOf | None = None
    """What the re-pack writes into it."""
    build: int = 0
    """The number it gets among the wheels of its release (PEP 427, build tag); 0 leaves it as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What the gate says of a wheel: `wheel` is there exactly where `findings` is empty.

    `allowed` are findings that are true and that the recipe expects, `layout` is what the wheel installs.
    """

    wheel: CheckedWheel | None
    findings: tuple[Finding, ...]
    allowed: tuple[Finding, ...]
    layout: Layout | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One entry of the archive whose two headers agree. `start` and `stored` are the place of its data, in bytes."""

    name: str
    start: int
    stored: int
    size: int
    crc: int
    deflated: bool
    executable: bool

    @property
    def is_directory(self) -> bool:
        return self.name.endswith("/")


class RefusedError(Exception):
    """The wheel cannot be read further. Never leaves the gate."""

    def __init__(self, code: str, message: str, member: str = "") -> None:
        super().__init__(message)
        self.finding = finding(code, message, member)


def finding(code: str, message: str, member: str = "") -> Finding:
    """Make a finding whose words a terminal can be given, whatever the wheel put into them."""
    return Finding(code=code, message=visible(message, _LONGEST_MESSAGE), member=visible(member, _LONGEST_NAME))


def sort_findings(findings: Iterable[Finding], oddities: Iterable[str]) -> tuple[list[Finding], list[Finding]]:
    """Sort findings into those that stop the wheel and those that are allowed; of each so many and no more.

    A stranger chooses their number, so this stops asking for more when the wheel is stopped by enough.
    """
    expected = ALLOWABLE.intersection(oddities)
    stopping: set[Finding] = set()
    allowed: set[Finding] = set()
    for found in findings:
        kind = allowed if found.code in expected else stopping
        if len(kind) < _FINDINGS:
            kind.add(found)
        elif kind is stopping:
            stopping.add(finding("too-many-findings", f"more than {_FINDINGS} findings; the rest is not shown"))
            break
    return sorted(stopping), sorted(allowed)


def remedy(findings: Iterable[Finding]) -> str:
    """What a person can do about findings, in a sentence."""
    found = frozenset(finding.code for finding in findings)
    allowable = ", ".join(f'"{code}"' for code in sorted(found & ALLOWABLE))
    others = ", ".join(sorted(found - ALLOWABLE))
    told = f"no recipe may allow {others}: tell the project's maintainers, or choose another version"
    allowed = f"where it is right for this project, a recipe may allow it: oddities = [{allowable}]"
    return "; ".join(filter(None, (others and told, allowable and allowed)))
