"""`mirror plan`: what would be compiled and why, what is reused."""

from __future__ import annotations

from typing import Any

import click

from mirror.cli import options
from mirror.cli.wiring import make_ground
from mirror.core.errors import ExitStatus
from mirror.core.jsonform import plan_json


@click.command(short_help="Say what build would compile and why, and what it would reuse.")
@options.files
@options.target
@options.index
@options.shared
def plan(**parameters: Any) -> int:
    """Say what `mirror build FILE...` would compile and why, and what it would reuse. Runs no build."""
    with options.console(parameters) as console:
        requirements = options.read_requirements(parameters)
        settings = options.settings(parameters)
        if options.is_nothing(requirements, parameters, console):
            return ExitStatus.OK
        ground = make_ground(settings, console, options.asker(parameters, console))
        plans = [ground.pipeline(images).plan(requirements) for images in ground.images]
        if parameters["as_json"]:
            console.json({"version": 1, "targets": [plan_json(found) for found in plans]})
            return ExitStatus.OK
        for found in plans:
            console.plan(found)
        return ExitStatus.OK
