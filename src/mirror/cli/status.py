"""`mirror status`: what runs, and how the last runs ended."""

from __future__ import annotations

from typing import Any

import click

from mirror.adapters.engine import reach
from mirror.adapters.journal.sqlite import Run, SqliteJournal
from mirror.cli import options
from mirror.cli.wiring import embedded_server
from mirror.core.errors import ExitStatus


@click.command(short_help="Say what runs, and how the last runs ended.")
@options.as_json
@options.common
def status(**parameters: Any) -> int:
    """Say whether engine and index run, and how the last runs ended. Starts nothing."""
    with options.console(parameters) as console:
        settings = options.settings(parameters)
        client = reach()
        engine = str(client.version()["Version"]) if client else None
        server = embedded_server(settings, client).status()
        with SqliteJournal(settings.data) as journal:
            runs = journal.last_runs()
        if parameters["as_json"]:
            console.json(
                {
                    "version": 1,
                    "engine": engine,
                    "index": f"{server.url}/+simple/" if server else None,
                    "page": server.page_url if server else None,
                    "runs": [_run_json(run) for run in runs],
                }
            )
            return ExitStatus.OK
        console.text(f"engine: Docker {engine}" if engine else "engine: not reachable (`mirror up` says more)")
        console.text(f"index:  {server.url}/+simple/" if server else "index:  stopped (`mirror up` starts it)")
        if server:
            console.text(f"page:   {server.page_url}")
        if runs:
            console.table(
                ("started", "command", "built", "reused", "failed", "blocked", "status"),
                [_row(run) for run in runs],
            )
        return ExitStatus.OK


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
