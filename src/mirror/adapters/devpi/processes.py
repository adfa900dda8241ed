"""Background processes that outlive us, and how to know them again."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_SHELL = ("/bin/sh", "-c", 'read -r go && exec "$@" </dev/null', "sh")
"""Becomes its arguments after a line on its standard input, and nothing where that ends without one."""
_GIVE_UP_S = 10.0


def identity(pid: int) -> str | None:
    """Say what tells this process from every other that ever had or will have its number; None where none runs.

    Linux: the boot's id and the start time in clock ticks (proc(5), field 22). Elsewhere: what `ps` says. A zombie
    counts as gone, but not one whose other threads still run (field 20): they hold its sockets.
    """
    if (_PROC / "self" / "stat").exists():
        try:
            stat = (_PROC / str(pid) / "stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return None
        state, *fields = stat.rpartition(")")[2].split()
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        is_gone = state in "ZX" and int(fields[16]) <= 1
        return None if is_gone else f"{boot} {fields[18]}"
    ps = subprocess.run(
        ["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False, timeout=10
    )
    state, _, started = ps.stdout.strip().partition(" ")
    return None if not state or state.startswith("Z") else started.strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A process that waits to become what was asked for, and ends if we do before it was let go.

    So what is to outlive us can be written down before it runs: nothing ever runs that nobody can find again.
    """

    pid: int
    known_as: str
    _pipe: int

    def let_go(self) -> None:
        """Let it become what it is to be. Pid and identity stay."""
        with suppress(BrokenPipeError):  # it is gone, and whoever waits for it will see that
            os.write(self._pipe, b"\n")
        os.close(self._pipe)

    def give_up(self) -> None:
        """End it, before or after `let_go`."""
        with suppress(OSError):  # it has been closed
            os.close(self._pipe)
        stop(self.pid, self.known_as, grace_s=_GIVE_UP_S)


def hold(command: Sequence[str], *, environment: Mapping[str, str], log: Path) -> Held:
    """Start a process in a session of its own, its output appended to `log`, and hold it until `let_go`.

    It gets the default signal handlers back: started from a script's background job, we ourselves ignore SIGINT, and
    what we start would inherit that and could not be asked to stop.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    theirs, ours = os.pipe()  # not inherited by whatever else is started meanwhile (PEP 446)
    try:
        pid = os.posix_spawn(
            _SHELL[0],
            [*_SHELL, *command],
            dict(environment),
            file_actions=[
                (os.POSIX_SPAWN_DUP2, theirs, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(log), flags, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
            setsigmask=[],
            setsigdef=[signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE],
        )
    except BaseException:
        os.close(ours)
        raise
    finally:
        os.close(theirs)
    return Held(pid=pid, known_as=identity(pid) or "", _pipe=ours)


def is_running(pid: int, known_as: str) -> bool:
    """Whether the process that `identity` knew so still runs."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    return identity(pid) == known_as


def stop(pid: int, known_as: str, *, grace_s: float) -> None:
    """Ask the process to stop (SIGINT), and end it (SIGKILL) where it has not after `grace_s`.

    Does nothing where the number belongs to another process by now.
    """
    for number, patience_s in ((signal.SIGINT, grace_s), (signal.SIGKILL, 10.0)):
        if not is_running(pid, known_as):
            return
        with suppress(ProcessLookupError):
            os.kill(pid, number)
        deadline = time.monotonic() + patience_s
        while is_running(pid, known_as) and time.monotonic() < deadline:
            time.sleep(0.02)
