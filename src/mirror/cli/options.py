"""The options that several commands share, and how flags become settings."""

from __future__ import annotations

import os
import shlex
import socket
import sys
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import click

from mirror.adapters.trusted import TrustedFolders
from mirror.console import Console, Volume
from mirror.core import requirements as requirements_files
from mirror.core.build_request import ORIGIN
from mirror.core.emit import IndexAddress, Install
from mirror.core.errors import BadInputError
from mirror.core.model import Requirements
from mirror.core.requirements_text import LARGEST_FILE_BYTES
from mirror.core.retention import Origin
from mirror.settings import CA_VARIABLES, Machine, Settings, load
from mirror.settings_files import read_bytes
from mirror.settings_keys import TRUST_VARIABLE
from mirror.settings_project import Trust

Decorator = Callable[[Any], Any]


def _all(*options: Decorator) -> Decorator:
    """Several options as one decorator, in the order in which --help shows them."""

    def decorate(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


as_json = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON on stdout.")
common = _all(
    click.option(
        "--trust-project", is_flag=True, envvar=TRUST_VARIABLE, help="Trust the mirror.toml of this folder, this once."
    ),
    click.option("-v", "--verbose", is_flag=True, help="Say more."),
    click.option("-q", "--quiet", is_flag=True, help="Say only results and errors."),
)
"""Of every command: each of them reads the settings."""
shared = _all(
    click.option("-y", "--yes", is_flag=True, help="Do not ask before something is installed on this machine."),
    as_json,
    common,
)
target = _all(
    click.option("--python", multiple=True, metavar="X.Y", help="Python to build for; may be repeated."),
    click.option("--alpine", metavar="X.Y", help="Alpine release of the base image."),
    click.option("--base", type=click.Choice(["alpine", "bootstrap"]), help="Base image; default: what can be had."),
)
index = _all(
    click.option("--index-url", metavar="URL", help="An existing devpi index (http://host/user/index), not our own."),
    click.option("--user", metavar="NAME", help="Who publishes there; the password is read from MIRROR_PASSWORD."),
)
constraint = click.option(
    "-c", "--constraint", "constraints", multiple=True, metavar="FILE", help="Constraints file; may be repeated."
)
files = _all(click.argument("files", nargs=-1, required=True, metavar="FILE..."), constraint)
listen = _all(
    click.option("--port", type=click.IntRange(1, 65535), help="Port of our own index."),
    click.option(
        "--listen", type=click.Choice(["local", "all"]), help="Who reaches it: this machine and its containers, or all."
    ),
)


def not_empty(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    """An option's value, which may be left out but not be nothing."""
    if value is not None and not str(value).strip():
        raise click.BadParameter("it is empty")
    return value


def as_origin(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    """An option's value as a build request has it."""
    if value is not None and not ORIGIN.fullmatch(value):
        raise click.BadParameter("it is not HOST:DIGEST")
    return value


def as_address(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str:
    """An option's value as ADDRESS:PORT; "" where there is none."""
    host, _, port = (value or "").rpartition(":")
    try:
        is_one = not value or (bool(ip_address(host)) and port.isdecimal() and int(port) < 2**16)
    except ValueError:
        is_one = False
    if not is_one:
        raise click.BadParameter("it is no ADDRESS:PORT, as in 127.0.0.1:5140")
    return value or ""


class _Place(click.Path):
    """A path that may not exist yet: of a folder, or of a file."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        if not str(value).strip():
            self.fail("it is empty", param, ctx)
        return Path(os.fsdecode(super().convert(value, param, ctx)))


FOLDER = _Place(file_okay=False, readable=False)
"""Whether it can be read is seen later: compose.yaml starts the builder as root without the right to read it."""
FILE = _Place(dir_okay=False)
team_folders = _all(
    click.option("--packages", type=FOLDER, envvar="TEAM_PACKAGES", help="A team's: for the files of packages."),
    click.option("--queue", type=FOLDER, envvar="TEAM_QUEUE", help="A team's: that builds are queued in."),
    click.option("--journal", type=FOLDER, envvar="TEAM_JOURNAL", help="A team's: the builder's data folder."),
    click.option(
        "--builder-token", type=_Place(dir_okay=False), envvar="TEAM_BUILDER_TOKEN", help="A team's: file for a token."
    ),
    click.option(
        "--counts",
        metavar="ADDRESS:PORT",
        envvar="TEAM_COUNTS",
        callback=as_address,
        help="A team's: heard from its proxy.",
    ),
    click.option("--tls", type=FOLDER, envvar="TEAM_CERTIFICATES", help="A team's: for a certificate, if none is."),
)
"""Where a team's index keeps what it shares with other services. compose.yaml says it once, in the environment."""


FLAGS = ("python", "alpine", "base", "index_url", "user", "jobs", "listen", "port", "server")
"""Click parameters that are settings under the same name."""


def settings(parameters: dict[str, Any]) -> Settings:
    """The settings of this call: files, environment, and the flags among `parameters` that were given."""
    flags = {name: value for name, value in parameters.items() if name in FLAGS and value not in (None, ())}
    trust = Trust(given=bool(parameters.get("trust_project")), remembered=trusted_folders().sha256)
    return load(environment=os.environ, folder=Path.cwd(), flags=flags, trust=trust)


def trusted_folders() -> TrustedFolders:
    """The project folders that this user trusts."""
    return TrustedFolders(Machine.this().data / "trusted")


def console(parameters: dict[str, Any]) -> Console:
    """The console of this call; --json leaves stdout to the result."""
    if parameters.get("verbose") and parameters.get("quiet"):
        raise BadInputError("bad-options", "--verbose and --quiet contradict each other", hint="leave one of them out")
    volume = Volume.QUIET if parameters.get("quiet") else Volume.VERBOSE if parameters.get("verbose") else Volume.NORMAL
    return Console.for_process(os.environ, volume)


def read_requirements(parameters: dict[str, Any]) -> Requirements:
    """Parse every file. Raises BadInputError with all problems of all files."""
    return _read(parameters)[0]


def _read(parameters: dict[str, Any]) -> tuple[Requirements, tuple[str, ...]]:
    """What they say, and the path of every file that was read: those that are included, too. Read once for a call."""
    if "_read" in parameters:
        return parameters["_read"]  # type: ignore[no-any-return]
    read: list[str] = []
    named = {*parameters["files"], *parameters["constraints"]}

    def content(path: str) -> bytes:
        read.append(path)
        if path in named:  # by the user, who may have meant a pipe
            with Path(path).open("rb") as file:
                return file.read(LARGEST_FILE_BYTES + 1)
        return read_bytes(Path(path), LARGEST_FILE_BYTES + 1)

    found = requirements_files.parse(parameters["files"], parameters["constraints"], content)
    parameters["_read"] = (found, tuple(read))
    return found, tuple(read)


def origin(parameters: dict[str, Any]) -> Origin:
    """Where the requirements of this call lie: here, or where the server was told."""
    given = parameters.get("origin")
    if given is None:
        return Origin(host=socket.gethostname(), folder=str(Path.cwd()))
    host, _, folder = given.partition(":")
    return Origin(host=host, folder=folder)


def is_nothing(requirements: Requirements, parameters: dict[str, Any], shown: Console) -> bool:
    """Whether the requirements are empty; that is told, and to a script as an answer about no target."""
    if requirements.requirements:
        return False
    shown.note("nothing to build: the requirements are empty")
    if parameters["as_json"]:
        shown.json({"version": 1, "targets": []})
    return True


def asker(parameters: dict[str, Any], shown: Console) -> Callable[[str], bool]:
    """How the user is asked before this machine is changed: --yes answers for them; nobody at a pipe can."""

    def ask(question: str) -> bool:
        shown.stop()
        if parameters.get("yes"):
            shown.note(question + " yes (--yes)")
            return True
        return sys.stdin.isatty() and click.confirm(question, err=True)

    return ask


def install(
    parameters: dict[str, Any], address: IndexAddress, base_image: str, ca_bundle: Path | None, *, read: bool = True
) -> Install:
    """What the lines to paste are about: the files of this call, and what those include unless they are not read."""
    return Install(
        address=address,
        base_image=base_image,
        requirements=tuple(parameters["files"]),
        constraints=tuple(parameters["constraints"]),
        included=_read(parameters)[1] if read else (),
        ca_bundle=_of_its_own(ca_bundle),
    )


def _of_its_own(ca_bundle: Path | None) -> str:
    """The path of a bundle that was set for mirror; one that this machine has for every program is nobody else's."""
    machines = {os.environ.get(name) for name in CA_VARIABLES}
    if ca_bundle is None or str(ca_bundle) in machines:
        return ""
    here = Path.cwd()
    return str(ca_bundle.relative_to(here) if ca_bundle.is_relative_to(here) else ca_bundle)


def command_line() -> str:
    """This call, as the journal remembers it. No option of ours carries a secret."""
    return shlex.join(["mirror", *sys.argv[1:]])
