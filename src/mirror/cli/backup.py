"""`mirror backup` and `mirror restore`: all that our own index is, as one file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from mirror.adapters import backup as backups
from mirror.cli import options
from mirror.core.errors import BadInputError, ExitStatus


@click.command(short_help="Write all that our own index is to stdout, as a tar.")
@options.team_folders
@options.common
def backup(**parameters: Any) -> int:
    """Write all that our own index is to stdout, while it runs: packages, users, secrets, history.

    Whoever has it has the index's passwords: keep it as you keep those. Where compose.yaml runs:
    docker compose exec -T index mirror backup > index.tar
    """
    with options.console(parameters) as console:
        if sys.stdout.isatty():
            raise BadInputError("usage", "a backup is no text", hint="write it to a file: mirror backup > index.tar")
        count = backups.write_backup(sys.stdout.buffer, _folders(parameters))
        console.note(f"{count} files")
        return ExitStatus.OK


@click.command(short_help="Make our own index of a backup on stdin.")
@options.team_folders
@options.common
def restore(**parameters: Any) -> int:
    """Make our own index of a backup on stdin, where there is none yet.

    For compose.yaml: docker compose run --rm -T index restore < index.tar
    """
    with options.console(parameters) as console:
        count = backups.restore(sys.stdin.buffer, _folders(parameters))
        console.note(f"{count} files; start the index now")
        return ExitStatus.OK


def _folders(parameters: dict[str, Any]) -> dict[str, Path]:
    """Each part of an index by its name in a backup."""
    settings = options.settings(parameters)
    token = parameters["builder_token"]
    found = {
        "index": settings.data / "devpi",
        "packages": parameters["packages"],
        "queue": parameters["queue"],
        "journal": parameters["journal"],
        "token": token.parent if token else None,
        "tls": parameters["tls"],
    }
    return {name: folder for name, folder in found.items() if folder is not None}
