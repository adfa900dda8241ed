"""The command line: options to settings to core to exit status, one file a command. No logic."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import NoReturn

import click
import platformdirs

from mirror import __version__
from mirror.cli.backup import backup, restore
from mirror.cli.build import build
from mirror.cli.down import down
from mirror.cli.emit import emit
from mirror.cli.interrupts import INTERRUPTED, TERMINATED
from mirror.cli.log import log
from mirror.cli.plan import plan
from mirror.cli.prune import prune
from mirror.cli.serve import serve
from mirror.cli.status import status
from mirror.cli.token import token
from mirror.cli.trust import trust
from mirror.cli.up import up
from mirror.cli.verify import verify
from mirror.cli.work import work
from mirror.console import Console
from mirror.core.errors import BadInputError, ExitStatus, MirrorError
from mirror.core.host_errors import escaped
from mirror.core.jsonform import error_json


@click.group(no_args_is_help=False, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="mirror")
def mirror() -> None:
    """Compile the musllinux wheels that PyPI lacks, and serve them to Alpine images.

    Start with: mirror build requirements.txt

    \b
    Exit status: 0 all wheels are there, 1 something failed, 2 bad input or settings,
    3 the environment is not usable.
    """


for command in (build, plan, verify, up, down, serve, work, status, log, emit, prune, trust, token, backup, restore):
    mirror.add_command(command)


def main() -> NoReturn:
    """Run the command line; every way it can end is an exit status, and none is a traceback."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        outcome = mirror.main(standalone_mode=False)
        code = outcome if isinstance(outcome, int) else ExitStatus.OK
    except MirrorError as error:
        code = _show(error)
    except click.exceptions.Exit as error:
        code = error.exit_code
    except click.UsageError as error:
        hint = (
            f"`{error.ctx.command_path} --help` lists what there is"
            if error.ctx
            else "`mirror --help` lists what there is"
        )
        code = _show(BadInputError("usage", error.format_message(), hint=hint))
    except click.ClickException as error:
        code = _show(BadInputError("usage", error.format_message()))
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted; the next run goes on from here", err=True)
        code = INTERRUPTED
    except BrokenPipeError:
        _drop_stdout()
        code = ExitStatus.OK
    except Exception as error:
        code = _show(escaped(error) or _defect())
    sys.exit(code)


def _show(error: MirrorError) -> int:
    """Tell an error on stderr, and to a script that asked for JSON, as JSON on stdout."""
    try:
        sys.stdout.flush()
    except OSError:  # a full disk below stdout, say, which may be what the error is about
        _drop_stdout()
    console = Console.for_process(os.environ)
    console.error(error)
    if "--json" in sys.argv[1:]:
        try:
            console.json(error_json(error))
        except OSError:
            _drop_stdout()
    return int(error.status)


def _drop_stdout() -> None:
    """Let nothing take what stdout does not, so that the interpreter's last flush is silent."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _terminate(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(TERMINATED)


def _defect() -> MirrorError:
    """A defect of ours, told without a traceback; that is kept for the report."""
    text = traceback.format_exc()
    error = MirrorError("defect", f"mirror itself failed: {text.strip().splitlines()[-1]}")
    try:
        folder = Path(platformdirs.user_log_path("mirror"))
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        report = folder / f"defect-{datetime.now(UTC):%Y%m%dT%H%M%S}.txt"
        report.write_text(text)
        error.hint = f"please report it, with {report}"
    except (OSError, RuntimeError):  # the latter: nobody's home
        error.hint = "please report it; with HOME set to a folder that can be written, a report is kept there"
    return error
