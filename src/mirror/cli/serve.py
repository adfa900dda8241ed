"""`mirror serve`: the index in the foreground."""

from __future__ import annotations

from typing import Any

import click

from mirror.adapters.certificate import ensure_certificate
from mirror.adapters.devpi.server import Team
from mirror.adapters.engine import reach
from mirror.cli import options
from mirror.cli.wiring import embedded_server

_TEAMS = ("packages", "queue", "builder_token", "counts")


@click.command(short_help="Run our own index in the foreground.")
@options.listen
@click.option("--team", is_flag=True, help="With a team's indexes: internal, alpine and prod.")
@options.team_folders
@options.common
def serve(**parameters: Any) -> int:
    """Run our own index in the foreground, until Ctrl-C. compose.yaml starts a team's with it."""
    with options.console(parameters) as console:
        settings = options.settings(parameters)
        if parameters["tls"] and ensure_certificate(parameters["tls"], settings.hostnames):
            console.note(f"made a certificate for {', '.join(settings.hostnames)}, for trying, in {parameters['tls']}")
        team = (
            Team(on_demand=settings.on_demand, reading=settings.reading, **{name: parameters[name] for name in _TEAMS})
            if parameters["team"]
            else None
        )
        server = embedded_server(settings, reach(), team=team, journal=parameters["journal"])
        return server.run_foreground(console.note)
