"""What the bootstrap asks of a Debian host: whether it is one, the packages it lacks, and its own package mirror."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

RELEASE = "bookworm"
NEXT_RELEASE = "trixie"
_ONE_LINE = re.compile(r"deb\s+(\[(?P<options>[^]]*)\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)(?P<components>.*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class AptSource:
    """One entry of the host's apt sources; `options` by their one-line names (sources.list(5))."""

    uri: str
    suite: str
    components: tuple[str, ...]
    options: tuple[tuple[str, str], ...] = ()

    def line(self, kind: str, *, suite: str | None = None) -> str:
        """The entry in one-line style; `kind` is deb or deb-src."""
        options = " ".join(f"{name}={value}" for name, value in self.options)
        return " ".join([kind, *([f"[{options}]"] if options else []), self.uri, suite or self.suite, "main"])


def parse_one_line(text: str) -> tuple[AptSource, ...]:
    """Read a classic sources.list; entries that are no archive of binary packages are left out."""
    found = []
    for line in text.splitlines():
        entry = _ONE_LINE.fullmatch(line.partition("#")[0].strip())
        if entry:
            options = _kept(_option(*word.split("=", 1)) for word in (entry["options"] or "").split() if "=" in word)
            components = tuple(entry["components"].split())
            found.append(AptSource(uri=entry["uri"], suite=entry["suite"], components=components, options=options))
    return tuple(found)


def parse_deb822(text: str) -> tuple[AptSource, ...]:
    """Read a .sources file; entries that are disabled or no archive of binary packages are left out."""
    found = []
    for stanza in _stanzas(text):
        if "deb" not in stanza.get("types", "").split() or stanza.get("enabled", "yes").lower() in ("no", "false"):
            continue
        options = _kept(_option(name, value) for name, value in stanza.items())
        found += [
            AptSource(uri=uri, suite=suite, components=tuple(stanza.get("components", "").split()), options=options)
            for uri in stanza.get("uris", "").split()
            for suite in stanza.get("suites", "").split()
        ]
    return tuple(found)


def private_sources(sources: Iterable[AptSource]) -> tuple[str, str] | None:
    """Two sources.list texts made of the host's: this release with its source packages, and the next one.

    None where no entry offers this release's main component.
    """
    ours = [s for s in sources if s.suite.partition("-")[0] == RELEASE and "main" in s.components]
    main = next((s for s in ours if s.suite == RELEASE), None)
    if main is None:
        return None
    lines = dict.fromkeys(source.line(kind) for source in ours for kind in ("deb", "deb-src"))
    return "\n".join(lines) + "\n", main.line("deb", suite=NEXT_RELEASE) + "\n"


def host_sources(etc_apt: Path = Path("/etc/apt")) -> tuple[AptSource, ...]:
    """Read every enabled entry of the host's apt sources."""
    parts = etc_apt / "sources.list.d"
    classic = [etc_apt / "sources.list", *sorted(parts.glob("*.list"))]
    found = [source for path in classic if path.is_file() for source in parse_one_line(path.read_text())]
    return (*found, *(s for path in sorted(parts.glob("*.sources")) for s in parse_deb822(path.read_text())))


def why_not_here(os_release: str, machine: str, user_id: int, programs: Mapping[str, bool]) -> str | None:
    """Say why a host cannot make the bootstrap images; None when it can."""
    release = dict(line.split("=", 1) for line in os_release.splitlines() if "=" in line)
    name = release.get("PRETTY_NAME", "an unknown system").strip('"')
    if release.get("ID", "").strip('"') != "debian" or release.get("VERSION_ID", "").strip('"') != "12":
        return f"this host runs {name}, and they are made from Debian 12's packages, on Debian 12"
    if machine != "x86_64":
        return f"this host is {machine}, and they are for x86_64"
    if user_id != 0:
        return "that needs root on this host"
    lacking = [program for program, there in programs.items() if not there]
    return f"this host lacks {', '.join(lacking)}" if lacking else None


def host_problem() -> str | None:
    """Say why this host cannot make the bootstrap images; None when it can."""
    release = Path("/etc/os-release")
    text = release.read_text() if release.is_file() else ""
    programs = {program: shutil.which(program) is not None for program in ("apt-get", "dpkg-deb", "tar")}
    return why_not_here(text, platform.machine(), os.geteuid(), programs)


def missing_packages(wanted: Sequence[str], dpkg_output: str) -> tuple[str, ...]:
    """The packages of `wanted` that dpkg does not call installed; `dpkg_output` has "name status" lines."""
    installed = {line.split()[0] for line in dpkg_output.splitlines() if line.endswith(" installed")}
    return tuple(name for name in wanted if name not in installed)


def query_missing(wanted: Sequence[str]) -> tuple[str, ...]:
    """The packages of `wanted` that this host lacks."""
    command = ["dpkg-query", "--show", "--showformat", "${Package} ${db:Status-Status}\n", *wanted]
    # It fails when it knows nothing of one of them, having told of the others.
    return missing_packages(wanted, subprocess.run(command, capture_output=True, text=True, check=False).stdout)


def listed(text: str) -> tuple[str, ...]:
    """The entries of a list with one a line and # comments."""
    return tuple(line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#"))


def _stanzas(text: str) -> Iterable[dict[str, str]]:
    """The paragraphs of a deb822 file, field names in lower case, continued lines joined."""
    stanza: dict[str, str] = {}
    field = ""
    for line in [*text.splitlines(), ""]:
        if line.startswith("#"):
            continue
        if not line.strip():
            if stanza:
                yield stanza
            stanza, field = {}, ""
        elif line[0].isspace():
            stanza[field] = f"{stanza.get(field, '')}\n{line[1:]}"
        else:
            name, _, value = line.partition(":")
            field = name.strip().lower()
            stanza[field] = value.strip()


def _option(name: str, value: str) -> tuple[str, str]:
    return name.strip().lower(), value.strip()


def _kept(options: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """What decides whether the archive is trusted; a key given in the file itself has no one-line form."""
    wanted = ("signed-by", "trusted", "check-valid-until", "allow-insecure")
    return tuple((name, value) for name, value in options if name in wanted and "\n" not in value)
