"""`mirror prune --images`: remove the images of ours that nothing uses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import docker

from mirror.adapters.engine import reach
from mirror.adapters.images.choice import standing_images
from mirror.adapters.images.leftovers import held_images, label_of, remove_images
from mirror.adapters.journal.sqlite import SqliteJournal
from mirror.cli import options
from mirror.cli.wiring import image_settings
from mirror.console import Console
from mirror.core.errors import BadInputError, ExitStatus, UnusableError
from mirror.core.unused_images import HeldImage, unused
from mirror.settings import Settings

_ELSE = ("older_than", "max_size", "forget", "forget_older_than", "index_url", "user")


def prune_images(parameters: dict[str, Any], console: Console) -> int:
    """Say which images nothing uses, and remove them. Raises BadInputError, UnusableError."""
    if any(parameters[name] for name in _ELSE):
        raise BadInputError("usage", "--images goes alone", hint="prune images and the index one after the other")
    settings = options.settings(parameters)
    client = reach()
    if client is None:
        raise UnusableError("no-engine", "there is no Docker engine to be reached", hint="`mirror up` says more")
    gone = unused(held_images(client), _current(client, settings))
    if not parameters["as_json"]:
        console.text("\n".join([f"unused: {label_of(image)}" for image in gone]) or "no image of ours is unused")
    if parameters["dry_run"] or not gone:
        return _tell(parameters, console, gone, (), ())
    _refuse_while_building(settings)
    if not options.asker(parameters, console)(f"Remove {len(gone)} images?"):
        raise BadInputError("not-confirmed", "nothing was removed", hint="--yes agrees to it beforehand")
    return _tell(parameters, console, gone, *remove_images(client, gone))


def _current(client: docker.DockerClient, settings: Settings) -> frozenset[str]:
    """What the settings of this folder take, which may not be the newest."""
    found = (standing_images(client, image_settings(settings, python)) for python in settings.python)
    return frozenset(image for pair in found if pair for image in (pair.base, pair.builder))


def _refuse_while_building(settings: Settings) -> None:
    with SqliteJournal(settings.data) as journal:
        running = [run for run in journal.last_runs() if run.status is None and not run.killed]
    if running:
        raise UnusableError(
            "images-in-use",
            f"a run is at work since {running[0].started:%H:%M:%S}, and may take any of them for its next sandbox",
            hint="try again when it has ended; `mirror status` shows it",
        )


def _tell(
    parameters: dict[str, Any],
    console: Console,
    gone: Sequence[HeldImage],
    removed: Sequence[HeldImage],
    refused: Sequence[str],
) -> int:
    if parameters["as_json"]:
        document = {"version": 1, "dry_run": parameters["dry_run"], "unused": [label_of(image) for image in gone]}
        console.json(document | {"removed": [label_of(image) for image in removed], "refused": list(refused)})
    elif removed or refused:
        console.text("\n".join([f"{len(removed)} images removed", *(f"not removed: {line}" for line in refused)]))
    return ExitStatus.FAILED if refused else ExitStatus.OK
