"""`mirror up`: make whatever this machine still lacks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mirror.adapters.devpi.layout import page_url
from mirror.adapters.engine import connect
from mirror.adapters.images import team
from mirror.adapters.images.choice import ensure_images, refresh_images
from mirror.cli import options
from mirror.cli.wiring import image_settings, make_ground
from mirror.console import Console
from mirror.core.errors import ExitStatus


@click.command(short_help="Make what this machine lacks: engine, images, index.")
@options.target
@options.index
@options.listen
@click.option("--team", is_flag=True, help="Make what compose.yaml beside you is built from, and start nothing.")
@click.option("--refresh", is_flag=True, help="Pull the base image and make the builder anew, with today's packages.")
@options.shared
def up(**parameters: Any) -> int:
    """Reach or install a Docker engine, make the images, start the index. What stands already is left alone."""
    with options.console(parameters) as console:
        if parameters["team"]:
            return _prepare_team(parameters, console)
        make = refresh_images if parameters["refresh"] else ensure_images
        ask = options.asker(parameters, console)
        ground = make_ground(options.settings(parameters), console, ask, make_images=make)
        page = None if ground.settings.index_url else page_url(ground.address.host_url)
        if parameters["as_json"]:
            console.json(
                {
                    "version": 1,
                    "index": {"host_url": ground.address.host_url, "image_url": ground.address.image_url},
                    "page": page,
                    "images": [
                        {
                            "target": str(pair.target),
                            "kind": pair.kind.value,
                            "base": pair.base_name,
                            "builder": pair.builder,
                        }
                        for pair in ground.images
                    ],
                }
            )
            return ExitStatus.OK
        for pair in ground.images:
            console.text(f"{pair.target}: base image {pair.base_name}")
        console.text(f"index: {ground.address.host_url} (from containers: {ground.address.image_url})")
        if page:
            console.text(f"page:  {page}")
        return ExitStatus.OK


def _prepare_team(parameters: dict[str, Any], console: Console) -> int:
    settings = options.settings(parameters)
    ask = options.asker(parameters, console)
    client = connect(console.step, ask)
    if parameters["refresh"]:
        refresh_images(client, image_settings(settings, settings.python[0]), console.step, ask)
    variables = team.prepare(Path.cwd(), client, image_settings(settings, settings.python[0]), console.step, ask)
    if parameters["as_json"]:
        console.json({"version": 1, "environment": dict(variables)})
    else:
        console.text("\n".join(f"{name}={value}" for name, value in variables.items()))
        console.note("written to .env; now: docker compose up --build --detach")
    return ExitStatus.OK
