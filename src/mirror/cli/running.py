"""What the commands that run a pipeline have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import click

from mirror.adapters.devpi.patience import AT_FIRST, PATIENT
from mirror.adapters.journal.sqlite import SqliteJournal
from mirror.builds import WindDown
from mirror.cli import options
from mirror.cli.interrupts import INTERRUPTED, first_is_gentle
from mirror.cli.remote import build_remotely
from mirror.cli.wiring import Ground, make_ground
from mirror.core.errors import ExitStatus, MirrorError, UnusableError
from mirror.core.host_errors import escaped
from mirror.core.jsonform import report_json
from mirror.core.model import Report, Requirements
from mirror.jobs import sentence
from mirror.pipeline import Pipeline


def run_for_each_target(
    parameters: dict[str, Any],
    run: Callable[[Pipeline, Requirements], Report],
    show: Callable[[Ground, tuple[Report, ...]], None] = lambda _ground, _reports: None,
) -> int:
    """Read every input before anything is started, then run for one Python after the other; the exit status."""
    with options.console(parameters) as console:
        requirements = options.read_requirements(parameters)
        settings = options.settings(parameters)
        if options.is_nothing(requirements, parameters, console):
            return ExitStatus.OK
        if "server" in parameters and settings.server:
            return build_remotely(parameters, settings, requirements, console)
        # The index that has asked for this is away for a while at most: its address is right.
        at_first = PATIENT if parameters.get("for_server") else AT_FIRST
        ground = make_ground(settings, console, options.asker(parameters, console), at_first)
        reports: list[Report] = []
        wind_down = WindDown()
        with (
            run_remembered(ground.journal, options.command_line()),
            first_is_gentle(wind_down.ask, console.note),
        ):
            try:
                for images in ground.images:
                    pipeline = ground.pipeline(
                        images,
                        retry=bool(parameters.get("retry")),
                        wind_down=wind_down,
                        origin=options.origin(parameters),
                        denied=settings.on_demand if parameters.get("on_demand") else None,
                    )
                    reports.append(run(pipeline, requirements))
                    if wind_down.asked:
                        break
            except MirrorError:
                if not parameters["as_json"]:  # of the Pythons before; in JSON the error is the one document
                    for report in reports:
                        console.report(report)
                raise
            status = int(ExitStatus.OK if all(report.succeeded for report in reports) else ExitStatus.FAILED)
            status = INTERRUPTED if wind_down.asked else status
            try:
                ground.journal.end_run(status)
            except UnusableError as error:  # the outcomes stand, and are told below
                console.note(f"the history lacks the end of this run: {sentence(error)}")
        if parameters["as_json"]:
            console.json({"version": 1, "targets": [report_json(report) for report in reports]})
            return status
        for report in reports:
            console.report(report)
        if wind_down.asked:
            console.note("interrupted; the next run goes on from here")
        else:
            show(ground, tuple(reports))
        return status


@contextmanager
def run_remembered(journal: SqliteJournal, command: str) -> Iterator[None]:
    """Remember a run in the journal, and its end where that is an error; any other end is for the body to tell."""
    journal.start_run(command)
    try:
        yield
    except BaseException as error:
        with suppress(Exception):  # a journal that cannot be written must not hide why
            journal.end_run(exit_status(error))
        raise


def exit_status(error: BaseException) -> int:
    """The exit status of a process that ends in this error."""
    if isinstance(error, MirrorError):
        return int(error.status)
    if isinstance(error, KeyboardInterrupt | click.Abort):
        return INTERRUPTED
    if isinstance(error, SystemExit) and isinstance(error.code, int):
        return error.code
    return int(ExitStatus.UNUSABLE if escaped(error) else ExitStatus.FAILED)
