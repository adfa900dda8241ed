"""`mirror emit`: the lines to paste, one kind at a time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from mirror.cli import options
from mirror.cli.wiring import make_ground
from mirror.core import emit as lines
from mirror.core.errors import ExitStatus
from mirror.core.model import Reused

KINDS: dict[str, Callable[[lines.Install], str]] = {
    "pip": lines.pip,
    "pip.conf": lines.pip_conf,
    "uv": lines.uv,
    "poetry": lines.poetry,
    "dockerfile": lines.dockerfile,
}
PINNED = "requirements"
"""The one kind that has to look at the index: each package pinned to its wheel, with the wheel's hash."""


@click.command(short_help="Print how to install from the index: pip, uv, Poetry, Dockerfile, pinned requirements.")
@click.argument("kind", type=click.Choice([*KINDS, PINNED]))
@click.argument("files", nargs=-1, metavar="[FILE]...")
@options.constraint
@options.target
@options.index
@options.shared
def emit(**parameters: Any) -> int:
    """Print how to install FILE... (default: requirements.txt) from the index.

    `requirements` prints them pinned, each with the hash of its wheel, for `pip install --require-hashes`.
    """
    # What is named must be there and right, though most kinds only repeat its name.
    is_named = bool(parameters["files"] or parameters["constraints"])
    parameters["files"] = parameters["files"] or ("requirements.txt",)
    is_read = is_named or parameters["kind"] == PINNED
    # A Dockerfile has to bring what the file includes.
    is_read |= parameters["kind"] == "dockerfile" and Path(parameters["files"][0]).exists()
    with options.console(parameters) as console:
        requirements = options.read_requirements(parameters) if is_read else None
        ground = make_ground(options.settings(parameters), console, options.asker(parameters, console))
        if requirements and parameters["kind"] == PINNED:
            plan = ground.pipeline(ground.images[0]).plan(requirements)
            text = lines.hashed_requirements(plan.lock, [Reused(reuse=reuse) for reuse in plan.reuses])
        else:
            bundle, image = ground.settings.ca_bundle, ground.images[0].base_name
            install = options.install(parameters, ground.address, image, bundle, read=is_read)
            text = KINDS[parameters["kind"]](install)
        if parameters["as_json"]:
            console.json({"version": 1, "kind": parameters["kind"], "text": text})
        else:
            console.text(text.rstrip("\n"))
        return ExitStatus.OK
