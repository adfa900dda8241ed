"""`mirror status`: what runs, and how the last runs ended."""

from __future__ import annotations

from typing import Any

import click
import docker

from mirror.adapters.engine import reach
from mirror.adapters.images.age import ImageAges, ages_of
from mirror.adapters.images.choice import standing_images
from mirror.adapters.journal.sqlite import Run, SqliteJournal
from mirror.cli import options
from mirror.cli.wiring import embedded_server, image_settings
from mirror.console import Console
from mirror.core.errors import ExitStatus, MirrorError
from mirror.settings import Settings


@click.command(short_help="Say what runs, and how the last runs ended.")
@options.as_json
@options.common
def status(**parameters: Any) -> int:
    """Say whether engine and index run, how old the images are, how the last runs ended. Starts nothing."""
    with options.console(parameters) as console:
        settings = options.settings(parameters)
        client = reach()
        engine = str(client.version()["Version"]) if client else None
        server = embedded_server(settings, client).status()
        ages = _ages(client, settings, console) if client else ()
        with SqliteJournal(settings.data) as journal:
            runs = journal.last_runs()
        if parameters["as_json"]:
            console.json(
                {
                    "version": 1,
                    "engine": engine,
                    "index": f"{server.url}/+simple/" if server else None,
                    "page": server.page_url if server else None,
                    "images": [_image_json(age, age.is_due(settings.refresh_after_s)) for age in ages],
                    "runs": [_run_json(run) for run in runs],
                }
            )
            return ExitStatus.OK
        console.text(f"engine: Docker {engine}" if engine else "engine: not reachable (`mirror up` says more)")
        console.text(f"index:  {server.url}/+simple/" if server else "index:  stopped (`mirror up` starts it)")
        if server:
            console.text(f"page:   {server.page_url}")
        for age in ages:
            console.text("\n".join(age.lines(settings.refresh_after_s)))
        if runs:
            console.table(
                ("started", "command", "built", "reused", "failed", "blocked", "status"),
                [_row(run) for run in runs],
            )
        return ExitStatus.OK


def _ages(client: docker.DockerClient, settings: Settings, console: Console) -> tuple[ImageAges, ...]:
    """Of the images that stand, one pair for each Python of the settings."""
    try:
        found = [standing_images(client, image_settings(settings, python)) for python in settings.python]
    except MirrorError as error:  # a key that cannot be read, say: what runs is told all the same
        console.note(f"images: {error.what}; {error.hint}")
        return ()
    return tuple(ages_of(client, pair) for pair in found if pair)


def _image_json(age: ImageAges, is_due: bool) -> dict[str, object]:
    return {
        "target": str(age.pair.target),
        "kind": age.pair.kind.value,
        "base": age.pair.base_name,
        "base_made": age.base.isoformat() if age.base else None,
        "builder": age.builder_name,
        "builder_made": age.builder.isoformat() if age.builder else None,
        "refresh_due": is_due,
    }


def _row(run: Run) -> tuple[str, ...]:
    ended = "killed" if run.killed else "running" if run.status is None else str(run.status)
    counts = (str(run.built), str(run.reused), str(run.failed), str(run.blocked))
    return (f"{run.started:%Y-%m-%d %H:%M:%S}", run.command, *counts, ended)


def _run_json(run: Run) -> dict[str, object]:
    return {
        "command": run.command,
        "started": run.started.isoformat(),
        "ended": run.ended.isoformat() if run.ended else None,
        "status": run.status,
        "killed": run.killed,
        "built": run.built,
        "reused": run.reused,
        "failed": run.failed,
        "blocked": run.blocked,
    }
