"""`mirror verify`: the clean room alone."""

from __future__ import annotations

from typing import Any

import click

from mirror.cli import options
from mirror.cli.running import run_for_each_target


@click.command(short_help="Prove in a clean room that what was built installs and imports.")
@options.files
@options.target
@options.index
@options.shared
def verify(**parameters: Any) -> int:
    """Prove in a clean room, without a compiler, that pip installs FILE... from the index and that it imports."""
    return run_for_each_target(parameters, lambda pipeline, requirements: pipeline.verify(requirements))
