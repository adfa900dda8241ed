"""`mirror serve`: the index in the foreground."""

from __future__ import annotations

from typing import Any

import click

from mirror.adapters.engine import reach
from mirror.cli import options
from mirror.cli.wiring import embedded_server


@click.command(short_help="Run our own index in the foreground.")
@options.listen
@options.quiet
def serve(**parameters: Any) -> int:
    """Run our own index in the foreground, until Ctrl-C."""
    with options.console(parameters) as console:
        return embedded_server(options.settings(parameters), reach()).run_foreground(console.note)
