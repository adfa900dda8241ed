"""`mirror prune`: remove what nothing needs any more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from mirror.cli import options
from mirror.cli.prune_images import prune_images
from mirror.cli.wiring import open_pruner
from mirror.console_prune import lock_lines, pruned_lines, question, retention_lines
from mirror.core.errors import BadInputError, ExitStatus
from mirror.core.retention import SETTLED_S, Policy
from mirror.core.retention_json import pruned_json, retention_json
from mirror.core.tables import parse_duration, parse_size


def _parsed(parse: Callable[[str], int]) -> Callable[[click.Context, click.Parameter, str | None], int | None]:
    def callback(_context: click.Context, _parameter: click.Parameter, value: str | None) -> int | None:
        try:
            return None if value is None else parse(value)
        except ValueError as error:
            raise click.BadParameter("; ".join(error.args)) from error

    return callback


def _age(text: str) -> int:
    age_s = parse_duration(text)
    if age_s < SETTLED_S:
        raise ValueError("less than a day is too little", "a build that runs now may need it; write days, such as 90d")
    return age_s


def _names(_context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    if not all(value.strip() for value in values):
        raise click.BadParameter("the name is empty; a list of the locks: `mirror prune --older-than 90d --dry-run`")
    return values


@click.command(short_help="Remove what no registered requirements file reaches any more.")
@click.option("--older-than", metavar="90d", callback=_parsed(_age), help="Remove what is older.")
@click.option(
    "--max-size", metavar="20GiB", callback=_parsed(parse_size), help="Remove the oldest until all of it is smaller."
)
@click.option("--forget", multiple=True, metavar="FILE", callback=_names, help="Forget what FILE (or a lock) reaches.")
@click.option(
    "--forget-older-than", metavar="180d", callback=_parsed(_age), help="Forget locks that no build has renewed since."
)
@click.option("--images", is_flag=True, help="Remove the images of ours that nothing uses; goes alone.")
@click.option("-n", "--dry-run", is_flag=True, help="Say what would go, and remove nothing.")
@options.index
@click.option("-y", "--yes", is_flag=True, help="Do not ask before anything is removed.")
@options.as_json
@options.common
def prune(**parameters: Any) -> int:
    """Remove wheels of our index, and upstream's files that devpi keeps, by age and size.

    What the last `mirror build` of any requirements file reaches is never removed, nor what is less than a day old.
    Upstream's files count from their last use, and go first: they are downloaded again when somebody asks for them.

    With --images: builder images that a newer one has taken the place of, what recipes have added to them, and what
    builds of images have left behind.
    """
    with options.console(parameters) as console:
        if parameters["images"]:
            return prune_images(parameters, console)
        policy = Policy(older_than_s=parameters["older_than"], max_size_bytes=parameters["max_size"])
        if policy == Policy() and not parameters["forget"] and parameters["forget_older_than"] is None:
            raise BadInputError(
                "usage",
                "it is not said what may go",
                hint="`mirror prune --older-than 90d --dry-run` shows what that would remove; --max-size 20GiB is the "
                "other bound",
            )
        settings = options.settings(parameters)
        pruner = open_pruner(settings, console)
        forgotten = pruner.to_forget(parameters["forget"], parameters["forget_older_than"])
        retention = pruner.survey(policy, forgotten)
        locks = pruner.locks.all()
        document = retention_json(retention, locks, forgotten) | {"dry_run": parameters["dry_run"], "pruned": None}
        if not parameters["as_json"]:
            lines = retention_lines(retention, policy, pruner.now_s, full=parameters["verbose"])
            console.text("\n".join((*lock_lines(locks, forgotten), "", *lines)))
        if parameters["dry_run"] or not (retention.removed or forgotten):
            if parameters["as_json"]:
                console.json(document)
            return ExitStatus.OK
        if not options.asker(parameters, console)(question(retention, forgotten)):
            raise BadInputError("not-confirmed", "nothing was removed", hint="--yes agrees to it beforehand")
        pruned = pruner.carry_out(retention, forgotten)
        if parameters["as_json"]:
            console.json(document | {"pruned": pruned_json(pruned.removed, pruned.spared, pruned.failed)})
        else:
            console.text("\n".join(pruned_lines(pruned.removed, pruned.spared, pruned.failed)))
        return ExitStatus.FAILED if pruned.failed else ExitStatus.OK
