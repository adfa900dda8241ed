"""`mirror trust`: let a folder's mirror.toml say what otherwise only its user may."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import click

from mirror.cli import options
from mirror.core.errors import BadInputError, ExitStatus
from mirror.core.text import visible
from mirror.settings import ask_for_trust
from mirror.settings_project import NAME, Untrusted

_LONGEST = 4_000


@click.command(short_help="Trust the mirror.toml of this folder, as it is now.")
@click.option("--revoke", is_flag=True, help="Trust it no more.")
@options.common
def trust(**parameters: Any) -> int:
    """Trust the mirror.toml of this folder, as it is now: read it first. Any change of it asks again.

    Without that, a project's mirror.toml may not name hosts, files, folders or a runtime, nor raise a limit. In CI
    (where CI is set) what is trusted here does not count; there, a call says --trust-project.
    """
    with options.console(parameters) as console:
        trusted, folder = options.trusted_folders(), Path.cwd().resolve()
        if parameters["revoke"]:
            was = trusted.revoke(folder)
            console.note(f"{NAME} is not trusted any more" if was else f"no {NAME} was trusted here")
            return ExitStatus.OK
        file, untrusted = ask_for_trust(environment=os.environ, folder=folder)
        if not file.sha256:
            raise BadInputError("no-project-file", f"there is no {NAME} in {folder}", hint="go to where it is")
        if not untrusted:
            console.note(f"{NAME} says nothing that needs trust")
            return ExitStatus.OK
        if os.environ.get("CI"):
            hint = "let the one call that needs it say --trust-project"
            raise BadInputError("trust-in-ci", "in CI, what is trusted once does not count", hint=hint)
        for one in untrusted:
            console.text(_line(one))
        trusted.trust(folder, file.sha256)
        console.note(f"trusted, until {NAME} changes; `mirror trust --revoke` takes it back")
        return ExitStatus.OK


def _line(one: Untrusted) -> str:
    value = json.dumps(one.value, ensure_ascii=False, default=str)
    return f"{visible(one.key)} = {visible(value, _LONGEST)}"
