"""The `mirror` beside this Python as a process: run to its end, or started, watched, and ended half-way."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

LONGEST_S = 300.0
"""No run of a test's takes so long, on however busy a machine."""


@dataclass(frozen=True)
class Mirror:
    """`mirror` in `folder`, over a data folder of its own; `program` are the arguments that start it."""

    folder: Path
    port: int
    environment: Mapping[str, str] = field(default_factory=dict)
    program: tuple[str, ...] = (str(Path(sys.executable).with_name("mirror")),)

    @property
    def data(self) -> Path:
        """Where index, journal and store lie."""
        return Path(self.environment.get("MIRROR_DATA", self.folder / "data"))

    @property
    def server(self) -> str:
        """Where our own index's devpi-server answers."""
        return f"http://127.0.0.1:{self.port}"

    def __call__(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self._command(arguments),
            check=False,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            cwd=self.folder,
            env=self._environment,
        )

    def json(self, *arguments: str | Path) -> dict[str, Any]:
        """The result of a command that must succeed."""
        done = self(*arguments, "--json")
        assert 0 == done.returncode, done.stderr
        result: dict[str, Any] = json.loads(done.stdout)
        return result

    def start(self, *arguments: str | Path) -> Run:
        """Start it in a process group of its own, as a shell does in a terminal. To be called from the main thread."""
        # In a script's background job SIGINT is ignored, and what we start would inherit that.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            return Run(
                subprocess.Popen(
                    self._command(arguments),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                    cwd=self.folder,
                    env=self._environment,
                    process_group=0,
                )
            )
        finally:
            signal.signal(signal.SIGINT, before)

    def _command(self, arguments: tuple[str | Path, ...]) -> list[str]:
        return [*self.program, *(str(argument) for argument in arguments)]

    @property
    def _environment(self) -> dict[str, str]:
        own = {"MIRROR_DATA": str(self.data), "MIRROR_PORT": str(self.port)}
        return {**os.environ, **own, **self.environment}


@dataclass(frozen=True)
class Line:
    """A line of stderr, and when it came: seconds since the start."""

    at_s: float
    text: str


class Run:
    """A `mirror` that has been started. Its lines are read as they come."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.pid = process.pid
        self._process = process
        self._started = time.monotonic()
        self._lines: list[Line] = []
        self._more = threading.Condition()
        self._out: list[str] = []
        streams = ((process.stdout, self._read_out), (process.stderr, self._read_lines))
        self._readers = [threading.Thread(target=read, args=(stream,), daemon=True) for stream, read in streams]
        for reader in self._readers:
            reader.start()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started

    @property
    def lines(self) -> tuple[Line, ...]:
        """What stderr has shown so far."""
        with self._more:
            return tuple(self._lines)

    @property
    def text(self) -> str:
        """What stderr has shown so far, as one text."""
        return "\n".join(line.text for line in self.lines)

    def wait_for(self, pattern: str, *, count: int = 1, timeout_s: float = LONGEST_S) -> Line:
        """Wait until `count` lines match (search); the last of these. AssertionError where the run ends without."""
        deadline = time.monotonic() + timeout_s
        expression = re.compile(pattern)
        while True:
            is_over = not self._readers[1].is_alive()  # asked first: the last line may come just before it
            found = [line for line in self.lines if expression.search(line.text)]
            if len(found) >= count:
                return found[count - 1]
            if is_over or time.monotonic() > deadline:
                raise AssertionError(f"{len(found)} of {count} lines match {pattern!r}:\n{self.text}")
            with self._more:
                self._more.wait(0.05)

    def interrupt(self) -> None:
        """Press Ctrl-C: the terminal sends SIGINT to the whole process group."""
        os.killpg(self.pid, signal.SIGINT)

    def terminate(self) -> None:
        """Send SIGTERM to the tool alone, as `docker stop` and systemd do at first."""
        self._process.terminate()

    def kill(self, *, after_s: float = 0.0) -> bool:
        """Send SIGKILL to the tool alone, so long from now, and see it gone; whether it was still there."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(after_s)
        self._process.kill()
        return self.wait() == -signal.SIGKILL

    def wait(self, timeout_s: float = LONGEST_S) -> int:
        """Wait for its end; the exit status."""
        status = self._process.wait(timeout_s)
        for reader in self._readers:
            reader.join(timeout_s)
        return status

    def json(self) -> dict[str, Any]:
        """What it printed on stdout, once it has ended."""
        self.wait()
        result: dict[str, Any] = json.loads("".join(self._out))
        return result

    def _read_lines(self, stream: IO[str]) -> None:
        with stream:
            for text in stream:
                with self._more:
                    self._lines.append(Line(self.elapsed_s, text.rstrip("\n")))
                    self._more.notify_all()

    def _read_out(self, stream: IO[str]) -> None:
        with stream:
            self._out.extend(stream)


def free_port() -> int:
    """A port of loopback that nobody listens on just now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
