"""A process that is to outlive us runs only once it can be found again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mirror.adapters.devpi import processes

HOLDER = """
import os, signal, sys
from pathlib import Path
from mirror.adapters.devpi import processes
held = processes.hold(["/bin/sh", "-c", "echo it runs; exec sleep 60"], environment={}, log=Path(sys.argv[1]))
print(held.pid, held.known_as, flush=True)
if sys.argv[2] == "let go":
    held.let_go()
os.kill(os.getpid(), signal.SIGKILL)
"""


def wait_for(happened: Callable[[], bool]) -> bool:
    """Whether it happened within a generous time."""
    deadline = time.monotonic() + 20
    while not happened():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


@pytest.mark.parametrize("let_go", [True, False])
def test_killed_before_it_lets_go(tmp_path: Path, let_go: bool) -> None:
    """Killed in between, it leaves nothing that runs; killed after, what it has written down still runs."""
    log = tmp_path / "log"
    holder = subprocess.run(
        [sys.executable, "-c", HOLDER, str(log), "let go" if let_go else "hold"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert -signal.SIGKILL == holder.returncode, holder.stderr
    pid, _, known_as = holder.stdout.strip().partition(" ")
    if let_go:
        assert wait_for(lambda: "it runs\n" == log.read_text())
        assert processes.is_running(int(pid), known_as)
        os.kill(int(pid), signal.SIGKILL)
    assert wait_for(lambda: not processes.is_running(int(pid), known_as))
    assert ("it runs\n" if let_go else "") == log.read_text()


def test_given_up(tmp_path: Path) -> None:
    """One that was never let go ends without having run."""
    log = tmp_path / "log"
    held = processes.hold(["/bin/sh", "-c", "echo it runs"], environment={}, log=log)
    held.give_up()
    assert (False, "") == (processes.is_running(held.pid, held.known_as), log.read_text())
