"""`mirror log`: the logs of a project's builds."""

from __future__ import annotations

from typing import Any

import click
from packaging.utils import canonicalize_name

from mirror.adapters.journal.sqlite import SqliteJournal
from mirror.cli import options
from mirror.core.errors import ExitStatus, MirrorError
from mirror.core.text import plain


@click.command(short_help="Show the newest build log of a project.")
@click.argument("project")
@click.option("--all", "every", is_flag=True, help="List where every kept log of the project is, newest first.")
@options.common
def log(**parameters: Any) -> int:
    """Show the newest build log of PROJECT ("resolve" and "verify" have logs too)."""
    with options.console(parameters) as console:
        with SqliteJournal(options.settings(parameters).data) as journal:
            paths = journal.logs(canonicalize_name(parameters["project"]))
        if not paths:
            raise MirrorError(
                "no-log",
                f"no log of {parameters['project']} is kept",
                hint="only what was compiled has a log; `mirror status` lists the last runs",
            )
        if parameters["every"]:
            for path in paths:
                console.text(str(path))
        else:
            console.text(plain(paths[0].read_text(errors="replace")))
        return ExitStatus.OK
