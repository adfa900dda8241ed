"""`mirror build`: compile what is missing, publish it, prove it."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import click

from mirror.cli import options
from mirror.cli.running import run_for_each_target
from mirror.cli.wiring import Ground
from mirror.core import emit
from mirror.core.model import Base, Report


@click.command(short_help="Compile what is missing, publish it, prove it.")
@options.files
@options.target
@options.index
@click.option("-j", "--jobs", type=click.IntRange(min=1), help="Compiles that go on side by side.")
@click.option("--retry", is_flag=True, help="Try again what failed before, though nothing has changed since.")
@click.option("--server", metavar="URL", help="A team's server that builds for you; no engine is needed here.")
@click.option("--for-server", is_flag=True, hidden=True)  # the server's own call: its address is nobody else's
@click.option("--facts", hidden=True, type=options.FILE)  # likewise: where it reads which image the wheels are for
@click.option("--origin", hidden=True, callback=options.as_origin)  # likewise: whose requirements these are
@click.option("--on-demand", is_flag=True, hidden=True)  # likewise: an installer has missed it, and [on-demand] counts
@options.shared
def build(**parameters: Any) -> int:
    """Compile to musllinux wheels what FILE... needs and has no usable wheel; publish and prove it.

    On a machine where `mirror up` never ran, this does the same preparation itself.
    """

    def show(ground: Ground, reports: tuple[Report, ...]) -> None:
        if parameters["facts"] and ground.images[0].kind is Base.ALPINE:  # the other kind is on no other machine
            with suppress(OSError):  # the wheels are what was asked for
                parameters["facts"].write_text(ground.images[0].base_name)
        if all(report.succeeded for report in reports) and not parameters["quiet"] and not parameters["for_server"]:
            install = options.install(parameters, ground.address, ground.images[0].base_name, ground.settings.ca_bundle)
            ground.console.text("\n" + emit.lines_to_paste(install).rstrip("\n"))
            if any(line.hashes for line in options.read_requirements(parameters).requirements):
                ground.console.note(
                    "the hashes in the requirements are upstream's: `mirror emit requirements` prints them with ours"
                )

    return run_for_each_target(parameters, lambda pipeline, requirements: pipeline.build(requirements), show)
