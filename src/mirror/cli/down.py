"""`mirror down`: stop what `mirror up` started."""

from __future__ import annotations

from typing import Any

import click

from mirror.cli import options
from mirror.cli.wiring import embedded_server
from mirror.core.errors import ExitStatus


@click.command(short_help="Stop our own index.")
@options.common
def down(**parameters: Any) -> int:
    """Stop our own index. Wheels, images and the Docker engine stay."""
    with options.console(parameters) as console:
        stopped = embedded_server(options.settings(parameters), None).stop()
        console.note("the index is stopped" if stopped else "no index of ours was running")
        return ExitStatus.OK
