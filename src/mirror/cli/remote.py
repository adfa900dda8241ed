"""`mirror build --server`: the same command, built by a team's server."""

from __future__ import annotations

import hashlib
import re
import sys
from typing import Any

from mirror.adapters.devpi.http import DevpiClient, Login
from mirror.adapters.devpi.layout import PROD
from mirror.adapters.devpi.patience import RECOVERY, Waiter
from mirror.adapters.devpi.remote import RemoteBuild, with_server
from mirror.cli import options
from mirror.cli.interrupts import first_is_gentle
from mirror.console import Console
from mirror.core import emit
from mirror.core.build_request import BASE_IMAGE, BuildRequest, source_files
from mirror.core.errors import BadInputError, ExitStatus
from mirror.core.model import Requirements
from mirror.settings import Settings

_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,300}")
"""A name of an image, as it may stand behind FROM: nothing that another line or instruction could begin with."""


def build_remotely(parameters: dict[str, Any], settings: Settings, requirements: Requirements, console: Console) -> int:
    """Have the server build; its output is ours, and so is its exit status."""
    if not settings.server or not settings.user:
        raise BadInputError(
            "no-user", "the server wants to know who asks", hint="give --user, and its password in MIRROR_PASSWORD"
        )
    waiter = Waiter(RECOVERY.patience, say=console.step)
    login = Login(settings.user, settings.read_password)
    ca_bundle = str(settings.ca_bundle) if settings.ca_bundle else None
    client = DevpiClient(settings.server, login, ca_bundle=ca_bundle, waiter=waiter)
    client.check_is_devpi()
    build = RemoteBuild.ask_for(client, _request(parameters, settings, requirements))

    def ask() -> bool:
        build.cancel()
        return True

    def waits(ahead: int) -> None:
        console.step(f"waiting: {ahead} builds go before this one" if ahead else "waiting for the builder")

    document: list[str] = []
    images: list[str] = []

    def write(stream: str, text: str) -> None:
        if stream == BASE_IMAGE:
            images.append(text)
            return
        if stream == "stdout" and parameters["as_json"]:
            document.append(text)
            return
        file = sys.stdout if stream == "stdout" else sys.stderr
        file.write(text)
        file.flush()

    with first_is_gentle(ask, console.note):
        status = build.follow(write, waits)
    sys.stdout.write(with_server("".join(document), settings.server))
    if status == ExitStatus.OK and not parameters["as_json"] and not parameters["quiet"]:
        url = f"{settings.server}/{PROD}/+simple/"
        address = emit.IndexAddress(host_url=url, image_url=url)
        base_image = base_image_of("".join(images), settings)
        install = options.install(parameters, address, base_image, settings.ca_bundle)
        console.text("\n" + emit.lines_to_paste(install).rstrip("\n"))
    return status


def base_image_of(said: str, settings: Settings) -> str:
    """What the server builds for, and has proved on; where it does not say, what our own settings are about."""
    if _IMAGE.fullmatch(said):
        return said
    prefix = f"{settings.registry.rstrip('/')}/" if settings.registry else ""
    return f"{prefix}python:{settings.python[0]}-alpine{settings.alpine}"


def _request(parameters: dict[str, Any], settings: Settings, requirements: Requirements) -> BuildRequest:
    volume = "quiet" if parameters["quiet"] else "verbose" if parameters["verbose"] else "normal"
    return BuildRequest(
        files=source_files(requirements),
        python=settings.python,
        retry=bool(parameters.get("retry")),
        as_json=bool(parameters["as_json"]),
        volume=volume,
        origin=_origin(parameters),
    )


def _origin(parameters: dict[str, Any]) -> str:
    """The folder is nobody's business: its digest tells one from another."""
    here = options.origin(parameters)
    host = re.sub(r"[^A-Za-z0-9_.-]", "_", here.host)[:99].lstrip(".-") or "somewhere"
    return f"{host}:{hashlib.sha256(here.folder.encode()).hexdigest()}"
