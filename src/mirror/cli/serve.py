"""`mirror serve`: the index in the foreground."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mirror.adapters.certificate import ensure_certificate
from mirror.adapters.engine import reach
from mirror.cli import options
from mirror.cli.wiring import embedded_server


@click.command(short_help="Run our own index in the foreground.")
@options.listen
@click.option("--team", is_flag=True, help="With a team's indexes: internal, alpine and prod.")
@click.option("--files", "packages", type=click.Path(path_type=Path), help="Folder for the files of packages.")
@click.option("--tls", type=click.Path(path_type=Path), help="Folder that a certificate is made in, if it has none.")
@options.quiet
def serve(**parameters: Any) -> int:
    """Run our own index in the foreground, until Ctrl-C. compose.yaml starts a team's with it."""
    with options.console(parameters) as console:
        settings = options.settings(parameters)
        if parameters["tls"] and ensure_certificate(parameters["tls"], settings.hostnames):
            console.note(f"made a certificate for {', '.join(settings.hostnames)}, for trying, in {parameters['tls']}")
        server = embedded_server(settings, reach(), team=parameters["team"], packages=parameters["packages"])
        return server.run_foreground(console.note)
