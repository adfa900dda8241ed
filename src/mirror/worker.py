"""What builds for a team: takes builds from the queue, and runs each as `mirror build` in a process of its own.

So a build that dies takes no other one with it, and what it says is what the same command says anywhere.
"""

from __future__ import annotations

import codecs
import hashlib
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from mirror.adapters.queue import Origin, Queue, QueuedBuild
from mirror.core.build_request import BASE_IMAGE, BuildRequest
from mirror.core.errors import MirrorError

FACTS = ".facts"
"""The file in which a build tells which base image its wheels are for; no file of a request begins with a dot."""
LOOKS_EVERY_S = 0.5
STOPS_WITHIN_S = 8.0
"""Less than the ten seconds that Docker gives a container."""
_MAIN = (sys.executable, "-P", "-c", "from mirror.cli import main; main()")


@dataclass(slots=True, kw_only=True)
class Worker:
    """Builds from `queue`, `builds` side by side; `command` is how mirror is started, `environment` what it sees."""

    queue: Queue
    builds: int
    environment: Mapping[str, str]
    say: Callable[[str], None]
    command: Sequence[str] = _MAIN
    _stopping: threading.Event = field(default_factory=threading.Event)
    _running: set[subprocess.Popen[bytes]] = field(default_factory=set)

    def run(self) -> None:
        """Build until `stop`. Raises UnusableError."""
        with self.queue.working():
            threads = [threading.Thread(target=self._work, name=f"build-{n}") for n in range(self.builds)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

    def stop(self) -> None:
        """Take no more, and end what runs within seconds; it is queued again."""
        self._stopping.set()
        for process in tuple(self._running):
            process.send_signal(signal.SIGTERM)

    def _work(self) -> None:
        while not self._stopping.is_set():
            try:
                taken = self.queue.take()
                if taken is not None:
                    self._build(*taken)
                    continue
            except MirrorError as error:  # a full disk, say: it is tried again
                self.say(f"{error.what}; {error.hint}")
            self._stopping.wait(LOOKS_EVERY_S)

    def _build(self, build: QueuedBuild, request: BuildRequest) -> None:
        self.say(f"build {build.number} ({build.topic}, asked for by {build.asked_by}) begins")
        with tempfile.TemporaryDirectory(prefix="build-") as folder:
            for one in request.files:
                (Path(folder) / one.name).write_text(one.text)
            facts = Path(folder) / FACTS
            status = self._run(build, [*self.command, *arguments(request, build)], Path(folder))
            if facts.is_file():
                self.queue.say(build.id, BASE_IMAGE, facts.read_text())
        if self._stopping.is_set() and not build.cancelled:
            self.queue.give_back(build.id)
            return
        self.queue.finish(build.id, status)
        self.say(f"build {build.number} ends with {status}")

    def _run(self, build: QueuedBuild, command: Sequence[str], folder: Path) -> int:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=dict(self.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self._running.add(process)
        try:
            streams = (("stdout", process.stdout), ("stderr", process.stderr))
            readers = [
                threading.Thread(target=self._read, args=(build.id, name, stream), daemon=True)
                for name, stream in streams
            ]
            for reader in readers:
                reader.start()
            status = self._wait(build, process)
            for reader in readers:
                reader.join(STOPS_WITHIN_S)
            return status
        finally:
            self._running.discard(process)

    def _wait(self, build: QueuedBuild, process: subprocess.Popen[bytes]) -> int:
        """Its exit status; on the way, end it gently when nobody wants it any more."""
        has_told = False
        while True:
            with suppress(subprocess.TimeoutExpired):
                status = process.wait(LOOKS_EVERY_S)
                return status if status >= 0 else 128 - status
            if self._stopping.is_set():
                with suppress(subprocess.TimeoutExpired):
                    process.wait(STOPS_WITHIN_S)
                process.kill()
            elif not has_told:
                with suppress(MirrorError):
                    now = self.queue.find(build.id)
                    if now is not None and now.cancelled:
                        process.send_signal(signal.SIGINT)
                        has_told = True

    def _read(self, build: str, name: str, stream: IO[bytes]) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        with stream:
            while chunk := stream.read1(1 << 16):  # type: ignore[attr-defined]
                try:
                    self.queue.say(build, name, decoder.decode(chunk))
                except MirrorError as error:  # what a build publishes matters more than what it says
                    self.say(f"{error.what}; {error.hint}")


def arguments(request: BuildRequest, build: QueuedBuild) -> list[str]:
    """The command line of mirror that does what is asked for.

    What an installer has asked for by missing it is built under the rules for that.
    """
    options = ["build", "--yes", "--for-server", f"--facts={FACTS}"]
    options += [f"--python={python}" for python in request.python]
    options += ["--retry"] if request.retry else []
    options += ["--json"] if request.as_json else []
    options += {"quiet": ["--quiet"], "verbose": ["--verbose"]}.get(request.volume, [])
    options += [f"--origin={_origin_of(request.origin, build.asked_by)}"]
    options += ["--on-demand"] if build.origin is Origin.MISS else []
    options += [f"--constraint={one.name}" for one in request.files if one.constraint]
    return [*options, "--", *(one.name for one in request.files if not one.constraint)]


def _origin_of(origin: str, asked_by: str) -> str:
    """Where requirements come from, and of whom: who names a folder of somebody else's replaces no lock of theirs."""
    host, _, folder = origin.partition(":")
    return f"{host}:{hashlib.sha256(f'{asked_by}/{folder}'.encode()).hexdigest()}" if host else ""
