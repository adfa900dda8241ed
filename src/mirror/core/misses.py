"""What an installer missed on the index: the newest release that it could use has an sdist, and no wheel for it.

And who may have that built: whoever the team trusts, for what the team wants, as often as it can afford.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from typing import Any

from packaging.utils import InvalidSdistFilename, canonicalize_name, parse_sdist_filename, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from mirror.core.model import Target
from mirror.core.target import takes_python, usable

LONGEST_USER_AGENT = 4_000
_INSTALLER = re.compile(r"(pip|uv)/\S+ (\{.*\})", re.DOTALL)
_VERSION = re.compile(r"(\d{1,3})\.(\d{1,3})(?:\.|$)")
_ARCHITECTURES = frozenset({"x86_64", "aarch64", "armv7l", "i686", "ppc64le", "s390x", "riscv64", "loongarch64"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A file as a page lists it. `yanked` is its reason, or whether it is."""

    filename: str
    requires_python: str | None = None
    yanked: str | bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OnDemand:
    """Who may have something built by asking the index for it, and what.

    Whoever has logged in may, and who asks from one of `networks`. `deny` are patterns of project names that are not
    compiled so, not as what another project requires either. No more than `per_hour` builds begin so in any hour; 0
    turns it off. The first request waits up to `wait_s` for its wheel.
    """

    networks: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    per_hour: int = 60
    wait_s: int = 0

    def trusts(self, address: str) -> bool:
        """Whether an address is in one of the networks."""
        try:
            asker = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(asker in ipaddress.ip_network(network) for network in self.networks)

    def wants(self, project: str) -> bool:
        """Whether a project may be built so."""
        return self.per_hour > 0 and not self.denies(project)

    def denies(self, project: str) -> bool:
        """Whether it is on the list of what is not built so, for whichever project it would be needed."""
        return any(fnmatchcase(canonicalize_name(project), one) for one in self.deny)

    def to_json(self) -> str:
        """As `read_on_demand` reads it."""
        return json.dumps(asdict(self), indent=2)


def read_on_demand(text: str) -> OnDemand:
    """What `OnDemand.to_json` wrote."""
    found = json.loads(text)
    return OnDemand(**{**found, "networks": tuple(found["networks"]), "deny": tuple(found["deny"])})


def parse_client(user_agent: str) -> Target | None:
    """The musl target that pip or uv says it installs on; None for any other client.

    Both send what they run on as JSON behind their name: `pip/26.0 {"cpu": ..., "distro": {"libc": {...}}, ...}`.
    """
    match = _INSTALLER.match(user_agent[:LONGEST_USER_AGENT])
    try:
        found = json.loads(match[2]) if match else None
    except (ValueError, RecursionError):
        return None
    if match is None or not isinstance(found, dict):
        return None
    libc = _libc(match[1], _table(found, "distro"))
    if libc.get("lib") != "musl" or _table(found, "system").get("name") != "Linux":
        return None
    if _table(found, "implementation").get("name") != "CPython" or found.get("cpu") not in _ARCHITECTURES:
        return None
    python, musl = _release(found.get("python")), _release(libc.get("version"))
    if python is None or musl is None or python[0] != 3:
        return None
    return Target(python=f"{python[0]}.{python[1]}", musl=musl, architecture=str(found["cpu"]))


def missed(links: Iterable[Link], target: Target) -> Version | None:
    """The release that pip on the target would take the sdist of; None where it finds a wheel, or nothing at all.

    As pip does: the newest release with a file for the target, a pre-release only where there is no other, nothing that
    was yanked. A plain linux wheel, which pip would take, counts as none: nobody knows its libc.
    """
    wheels: set[Version] = set()
    sdists: set[Version] = set()
    for link in links:
        if link.yanked or not takes_python(link.requires_python, target.python):
            continue
        if link.filename.endswith(".whl"):
            if usable(link.filename, target):
                wheels.add(_wheel_version(link.filename))
        elif (version := _sdist_version(link.filename)) is not None:
            sdists.add(version)
    releases = wheels | sdists
    finished = {version for version in releases if not version.is_prerelease}
    newest = max(finished or releases, default=None)
    return newest if newest is not None and newest not in wheels else None


def topic(project: str, version: Version, target: Target) -> str:
    """What a build for a miss is about: the same for everybody who misses the same."""
    return f"{project}=={version} for {target}"


def _libc(installer: str, distro: dict[str, Any]) -> dict[str, Any]:
    """What it says of its C library; {} where it says nothing, and nothing can be told from that.

    uv names musl as it names glibc. pip names glibc alone: a distribution without it has musl, of the version that
    every Alpine since 3.13 has. Where pip names no distribution either, it may be on an Android.
    """
    if installer == "pip" and distro and not distro.get("libc"):
        return {"lib": "musl", "version": "1.2"}
    return _table(distro, "libc")


def _table(found: dict[str, Any], key: str) -> dict[str, Any]:
    value = found.get(key)
    return value if isinstance(value, dict) else {}


def _release(text: object) -> tuple[int, int] | None:
    match = _VERSION.match(text) if isinstance(text, str) else None
    return (int(match[1]), int(match[2])) if match else None


def _wheel_version(filename: str) -> Version:
    """Of a usable wheel, whose name could be parsed."""
    return parse_wheel_filename(filename)[1]


def _sdist_version(filename: str) -> Version | None:
    try:
        return parse_sdist_filename(filename)[1]
    except (InvalidSdistFilename, InvalidVersion):
        return None


def parse_network(text: str) -> str:
    """A network in CIDR notation. Raises ValueError(what, hint)."""
    try:
        return str(ipaddress.ip_network(text))
    except ValueError as error:
        raise ValueError(f"it is no network ({error})", "write it as in 10.0.0.0/8") from error
