"""`mirror work`: build what a team's server is asked for."""

from __future__ import annotations

import grp
import os
import pwd
import signal
import stat
import threading
from pathlib import Path
from typing import Any

import click

from mirror.adapters.queue import Queue
from mirror.cli import options
from mirror.core.errors import ExitStatus, MirrorError, UnusableError
from mirror.worker import Worker

SOCKET = Path("/var/run/docker.sock")


@click.command(short_help="Build what a team's server is asked for.")
@click.option("--queue", "folder", type=options.FOLDER, required=True, help="Folder that the index queues builds in.")
@click.option("--builds", type=click.IntRange(1, 16), default=2, show_default=True, help="Builds side by side.")
@click.option(
    "--run-as",
    metavar="USER",
    callback=options.not_empty,
    help="Become this user, but for the right to use Docker's socket.",
)
@options.common
def work(**parameters: Any) -> int:
    """Build what `mirror build --server` and installers ask a team's index for, until Ctrl-C.

    compose.yaml starts it.
    """
    with options.console(parameters) as console:
        if parameters["run_as"]:
            become(parameters["run_as"], SOCKET)
        os.umask(0o022)
        try:
            options.settings(parameters)
        except MirrorError as error:  # every build says it, to whoever would wait for ever without a builder
            console.error(error)
        worker = Worker(
            queue=Queue(parameters["folder"]), builds=parameters["builds"], environment=os.environ, say=console.note
        )
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: threading.Thread(target=worker.stop).start())
        worker.run()
        return ExitStatus.OK


def become(user: str, socket: Path) -> None:
    """Be `user` from now on, in the group that may use `socket`, whatever its number is on this machine.

    Does nothing where this process is not root. Raises UnusableError (`no-user`).
    """
    if os.geteuid() != 0:
        return
    try:
        known = pwd.getpwnam(user)
    except KeyError as error:
        raise UnusableError("no-user", f"there is no user {user}", hint="name one that the image has") from error
    groups = {known.pw_gid, *(group.gr_gid for group in grp.getgrall() if user in group.gr_mem)}
    if socket.exists() and socket.stat().st_mode & stat.S_IWGRP:
        groups.add(socket.stat().st_gid)
    os.setgroups(sorted(groups))
    os.setresgid(known.pw_gid, known.pw_gid, known.pw_gid)
    os.setresuid(known.pw_uid, known.pw_uid, known.pw_uid)
    os.environ["HOME"] = known.pw_dir
