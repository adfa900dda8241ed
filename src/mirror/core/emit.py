"""The few lines to paste: how pip, uv, Poetry and a Dockerfile install from the index.

One index URL, always: pip has no index priority, so `--extra-index-url` would mix sources. Always `--only-binary :all:`
too: pip prefers the highest version, so a newer sdist upstream would beat our older wheel and ask for a compiler.
"""

from __future__ import annotations

import ipaddress
import json
import re
import shlex
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import urlsplit, urlunsplit

from packaging.utils import NormalizedName
from packaging.version import Version

from mirror.core.errors import MirrorError
from mirror.core.model import Built, IndexFile, Lock, LockedPackage, Outcome, Reused

_SAFE = re.compile(r"[\w@%+=:,./~!-]+", re.ASCII)
"""What a Dockerfile reads as it stands."""
_WIDEST = 100
"""A command longer than this is broken over lines."""
_ANOTHER_NAME = "# An image build reaches this machine by another name: give it as --build-arg INDEX_URL=..."


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexAddress:
    """Where clients find the index: URLs of simple pages (PEP 503).

    `host_url` is for this machine (`http://127.0.0.1:3141/mirror/alpine/+simple/`), `image_url` for containers and
    image builds (`http://172.17.0.1:3141/...`, the Docker bridge's gateway). A team server has the same for both.
    """

    host_url: str
    image_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Install:
    """What is to be installed where: the same files that were built from, on the base image that was built for."""

    address: IndexAddress
    base_image: str
    requirements: tuple[str, ...] = ("requirements.txt",)
    constraints: tuple[str, ...] = ()
    included: tuple[str, ...] = ()
    """Files that those name in turn (`-r`, `-c`): an image build needs them beside them."""
    pre_releases: bool = False
    ca_bundle: str = ""
    """File with the authorities that an https index is trusted by, where those of the system are not enough."""

    @property
    def authority(self) -> str:
        """What clients of this index have to be given; "" where it is none, or they need none."""
        return self.ca_bundle if urlsplit(self.address.image_url).scheme == "https" else ""


def trusted_host(url: str) -> str | None:
    """The host that pip must be told to trust for `url`, or None.

    That is: http, and not this machine. pip holds https, localhost, 127.0.0.0/8 and ::1 for secure by themselves.
    """
    parts = urlsplit(url)
    host = parts.hostname
    if parts.scheme != "http" or host is None or _is_here(url):
        return None
    return host


def pip(install: Install) -> str:
    """The pip command, for a container and, where the index has another address there, for this machine."""
    return _for_both(install, _pip)


def uv(install: Install) -> str:
    """The uv command, likewise. uv takes an http index as it is; on this machine it fills the virtual environment."""
    return _for_both(install, _uv)


def pip_conf(install: Install) -> str:
    """A pip.conf for the base image (`/etc/pip.conf`), so that plain `pip install` finds the index."""
    url = install.address.image_url
    host = trusted_host(url)
    lines = ["[global]", f"index-url = {_public(url)}", *([f"trusted-host = {host}"] if host else [])]
    lines += [f"cert = {install.authority}"] if install.authority else []
    return "\n".join([*lines, "only-binary = :all:", ""])


def poetry(install: Install) -> str:
    """What makes Poetry (1.5 and newer) install from the index alone: a part of its pyproject.toml, and one command.

    The address that containers reach: pyproject.toml is the same on this machine and in an image.
    """
    source = ["[[tool.poetry.source]]", 'name = "mirror"', f"url = {json.dumps(_public(install.address.image_url))}"]
    source.append('priority = "primary"')
    commands = ["poetry config --local installer.only-binary :all:"]
    if install.authority:
        commands.append(f"poetry config certificates.mirror.cert {shlex.quote(install.authority)}")
    return "\n".join(["# in pyproject.toml:", *source, "", "# once, beside it:", *commands, ""])


def dockerfile(install: Install) -> str:
    """A Dockerfile that installs the requirements; it needs no compiler.

    The address is a build argument: it can be replaced (`--build-arg INDEX_URL=...`), and the environment of the final
    image knows nothing of it.
    """
    url = install.address.image_url
    host = trusted_host(url)
    options = ["--no-cache-dir", "--only-binary", ":all:", "--index-url", '"$INDEX_URL"']
    options += ["--trusted-host", '"$INDEX_HOST"'] if host else []
    paths = dict.fromkeys((*install.requirements, *install.constraints, *install.included))
    if install.authority:
        paths[install.authority] = None
        options += ["--cert", shlex.quote(str(_inside(install.authority)))]
    lines = [
        f"FROM {install.base_image}",
        *([_ANOTHER_NAME] if _is_here(url) else []),
        f"ARG INDEX_URL={_argument(_public(url))}",
        *([f"ARG INDEX_HOST={_argument(host)}"] if host else []),
        *(f"COPY {_copy(path)}" for path in paths),
        f"RUN pip install {' '.join(options)} \\",
        f"    {shlex.join(_files(install, in_image=True))}",
    ]
    return "\n".join([*lines, ""])


def lines_to_paste(install: Install) -> str:
    """All three as they are used in a container or an image build, under headings."""
    url = install.address.image_url
    return f"# pip\n{_pip(install, url)}\n\n# uv\n{_uv(install, url)}\n\n# Dockerfile\n{dockerfile(install)}"


def hashed_requirements(lock: Lock, outcomes: Iterable[Outcome]) -> str:
    """A requirements file that pins each package of `lock` to the wheel it was built or reused as.

    For `pip install --require-hashes --only-binary :all:`. Raises MirrorError (`wheel-missing`) naming every package
    that has no wheel.
    """
    wheels = dict(_wheels(outcomes))
    missing = [str(p) for p in lock.packages if (p.name, p.version) not in wheels]
    if missing:
        raise MirrorError(
            "wheel-missing",
            f"There is no wheel for {len(missing)} of {len(lock.packages)} packages, so they cannot be pinned.",
            details=missing,
            hint="Build them first: `mirror build` says why one failed.",
        )
    return "\n".join([f"# for {lock.target}", *(_pin(p, wheels[p.name, p.version]) for p in lock.packages), ""])


def _wheels(outcomes: Iterable[Outcome]) -> Iterable[tuple[tuple[NormalizedName, Version], IndexFile]]:
    for outcome in outcomes:
        match outcome:
            case Built():
                yield (outcome.job.key.name, outcome.job.key.version), outcome.wheel
            case Reused():
                yield (outcome.reuse.name, outcome.reuse.version), outcome.reuse.wheel
            case _:
                continue


def _pin(package: LockedPackage, wheel: IndexFile) -> str:
    return f"{package.name}=={package.version} \\\n    --hash=sha256:{wheel.sha256}"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_here(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return host == "localhost" or _is_loopback(host)


def _public(url: str) -> str:
    """Leave user and password out of a URL: what is pasted is committed, sooner or later."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _pip(install: Install, url: str) -> str:
    host = trusted_host(url)
    index = ["--index-url", _public(url), *(["--trusted-host", host] if host else [])]
    index += ["--cert", install.authority] if install.authority else []
    return _command("pip install", index, install)


def _uv(install: Install, url: str) -> str:
    start = "uv pip install --system" if url == install.address.image_url else "uv pip install"
    if install.authority:
        start = f"SSL_CERT_FILE={shlex.quote(install.authority)} {start}"
    return _command(start, ["--default-index", _public(url)], install)


def _for_both(install: Install, command: Callable[[Install, str], str]) -> str:
    address = install.address
    inside, outside = command(install, address.image_url), command(install, address.host_url)
    if address.host_url == address.image_url:
        return f"{inside}\n"
    return f"# in a container or an image build:\n{inside}\n# on this machine:\n{outside}\n"


def _command(start: str, index: Sequence[str], install: Install) -> str:
    parts = [f"{start} --only-binary :all:", shlex.join(index), shlex.join(_files(install, in_image=False))]
    line = " ".join(parts)
    return line if len(line) <= _WIDEST else " \\\n    ".join(parts)


def _files(install: Install, *, in_image: bool) -> list[str]:
    def path(file: str) -> str:
        return str(_inside(file)) if in_image else file

    return [
        *(["--pre"] if install.pre_releases else []),
        *(word for file in install.requirements for word in ("-r", path(file))),
        *(word for file in install.constraints for word in ("-c", path(file))),
    ]


def _inside(file: str) -> PurePosixPath:
    """The path of a file in the build context and in the image: what is outside the context is expected at its top."""
    path = PurePosixPath(file)
    return PurePosixPath(path.name) if path.is_absolute() or ".." in path.parts else path


def _copy(file: str) -> str:
    path = _inside(file)
    folder = "./" if path.parent == PurePosixPath() else f"{path.parent}/"
    return f"{path} {folder}" if _SAFE.fullmatch(str(path)) else json.dumps([str(path), folder], ensure_ascii=False)


def _argument(value: str) -> str:
    return value if _SAFE.fullmatch(value) else '"' + re.sub(r'(["\\$])', r"\\\1", value) + '"'
