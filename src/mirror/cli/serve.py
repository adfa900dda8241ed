"""`mirror serve`: the index in the foreground."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mirror.adapters.certificate import ensure_certificate
from mirror.adapters.devpi.server import Team
from mirror.adapters.engine import reach
from mirror.cli import options
from mirror.cli.wiring import embedded_server

_FOLDER = click.Path(path_type=Path)
_TEAMS = ("packages", "queue", "builder_token")


@click.command(short_help="Run our own index in the foreground.")
@options.listen
@click.option("--team", is_flag=True, help="With a team's indexes: internal, alpine and prod.")
@click.option("--packages", type=_FOLDER, help="A team's: folder for the files of packages.")
@click.option("--queue", type=_FOLDER, help="A team's: folder that builds are queued in.")
@click.option("--journal", type=_FOLDER, help="A team's: the builder's data folder, for the page.")
@click.option("--builder-token", type=_FOLDER, help="A team's: file for the token that the builder publishes with.")
@click.option("--tls", type=_FOLDER, help="A team's: folder that a certificate is made in, if it has none.")
@options.quiet
def serve(**parameters: Any) -> int:
    """Run our own index in the foreground, until Ctrl-C. compose.yaml starts a team's with it."""
    with options.console(parameters) as console:
        settings = options.settings(parameters)
        if parameters["tls"] and ensure_certificate(parameters["tls"], settings.hostnames):
            console.note(f"made a certificate for {', '.join(settings.hostnames)}, for trying, in {parameters['tls']}")
        team = (
            Team(on_demand=settings.on_demand, **{name: parameters[name] for name in _TEAMS})
            if parameters["team"]
            else None
        )
        server = embedded_server(settings, reach(), team=team, journal=parameters["journal"])
        return server.run_foreground(console.note)
