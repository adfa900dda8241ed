"""Run the bootstrap's shell scripts, several at a time, and keep what each made under a name made of its inputs."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from mirror.adapters.host import explained, make_folder, ready_folder, refuse_if_full
from mirror.core.errors import UnusableError

DETAIL_LINES = 20
FLOOR_BYTES = 2_000_000_000
"""The room that making the images must find free: half a gigabyte stays, and beside it lie the unpacked sources of the
steps that run (gcc's and Python's among them) with what is compiled of them. Five minutes end better at once."""
_NEXT_TO_NOTHING_BYTES = 10_000_000
"""A script that failed with less than this free has failed for want of room: tar and gcc take their files back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One script of builders/bootstrap/steps and everything its result depends on.

    `needs` are steps; `reads` are globs in what was fetched, `files` globs in builders/bootstrap; `extra` are files
    of elsewhere, by the variable that tells the script where they are.
    """

    name: str
    needs: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    extra: tuple[tuple[str, Path], ...] = ()


def digest(*parts: bytes) -> str:
    """The SHA-256 of some byte strings, each kept apart from the next."""
    total = hashlib.sha256()
    for part in parts:
        total.update(len(part).to_bytes(8, "big") + part)
    return total.hexdigest()


def step_keys(
    steps: Sequence[Step], scripts: Path, manifest: str, known: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Name each step's result after its inputs; `steps` come after what they need, `manifest` is of sha256sum.

    `known` are the keys of finished steps that are not among `steps`.
    """
    keys = dict(known or {})
    hashes = {name: checksum for checksum, name in (line.split(maxsplit=1) for line in manifest.splitlines())}
    for step in steps:
        fetched = sorted(name for name in hashes if any(Path(name).match(glob) for glob in step.reads))
        files = [scripts / "common.sh", scripts / "steps" / f"{step.name}.sh"]
        files += sorted(path for glob in step.files for path in scripts.glob(glob))
        files += [path for _, path in step.extra]
        parts = [path.read_bytes() for path in files]
        parts += [f"{hashes[name]}  {name}".encode() for name in fetched]
        keys[step.name] = digest(*parts, *(keys[need].encode() for need in step.needs))
    return keys


@dataclass(slots=True)
class Workshop:
    """A cache folder in which scripts run: finished results, logs, and the folders of those at work."""

    scripts: Path
    cache: Path
    environment: Mapping[str, str]
    say: Callable[[str], None]
    _running: set[subprocess.Popen[bytes]] = field(default_factory=set)
    _stopped: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other processes out of the cache folder, and clear what one that was killed left behind.

        Raises UnusableError where that folder cannot be written.
        """
        ready_folder(self.cache)
        with explained(self.cache):
            lock = (self.cache / "lock").open("w")
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self.say("bootstrap: another mirror is making the images; waiting for it")
                fcntl.flock(lock, fcntl.LOCK_EX)
            _end_orphans(self.cache / "work")
            shutil.rmtree(self.cache / "work", ignore_errors=True)
            yield

    def result(self, name: str, key: str) -> Path:
        """Where the finished result of a step stands, or will."""
        return self.cache / "done" / f"{name}-{key[:12]}"

    def forget(self, name: str) -> None:
        """Keep the results of a step no longer, so that it runs again."""
        with explained(self.cache):
            for result in (self.cache / "done").glob(f"{name}-*"):
                shutil.rmtree(result)

    def run(self, name: str, key: str, script: Path, variables: Mapping[str, str]) -> Path:
        """Run one script unless its result stands; the result's folder. Raises UnusableError."""
        result = self.result(name, key)
        if result.is_dir():
            return result
        with explained(self.cache):
            self._make(name, result, script, variables)
        return result

    def _make(self, name: str, result: Path, script: Path, variables: Mapping[str, str]) -> None:
        for folder in ("work", "done", "logs"):
            make_folder(self.cache / folder)
        started = time.monotonic()
        work = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.cache / "work"))
        out = Path(tempfile.mkdtemp(prefix=f"{name}-out-", dir=self.cache / "work"))
        out.chmod(0o755)
        self._execute(name, script, {**variables, "HERE": str(self.scripts), "OUT": str(out), "WORK": str(work)})
        out.rename(result)
        shutil.rmtree(work, ignore_errors=True)
        self.say(f"bootstrap: {name} done in {time.monotonic() - started:.0f} s")

    def run_all(self, steps: Sequence[Step], keys: Mapping[str, str], variables: Mapping[str, str], jobs: int) -> None:
        """Run every step whose result is needed, `jobs` at a time, each as soon as what it needs stands.

        Steps that come first in `steps` are started first. After a failure nothing more is started, and what runs comes
        to its end, so that it needs not be done again. Raises the UnusableError of the first that failed.
        """
        left = [step for step in steps if not self.result(step.name, keys[step.name]).is_dir()]
        finished = set(keys) - {step.name for step in left}
        running: dict[Future[Path], Step] = {}
        failures: list[UnusableError] = []
        with ThreadPoolExecutor(jobs) as pool:
            try:
                while running or (left and not failures):
                    ready = [step for step in left if finished.issuperset(step.needs)][: jobs - len(running)]
                    for step in ready if not failures else []:
                        left.remove(step)
                        running[pool.submit(self._step, step, keys, variables)] = step
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        finished.add(running.pop(future).name)
                        try:
                            future.result()
                        except UnusableError as error:
                            failures.append(error)
            except BaseException:
                self.stop()
                raise
        if failures:
            raise failures[0]

    def stop(self) -> None:
        """End the scripts that run, with everything they started."""
        self._stopped.set()
        for process in tuple(self._running):
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                continue

    def _step(self, step: Step, keys: Mapping[str, str], variables: Mapping[str, str]) -> Path:
        needs = {f"STEP_{need.replace('-', '_')}": str(self.result(need, keys[need])) for need in step.needs}
        extra = {name: str(path) for name, path in step.extra}
        script = self.scripts / "steps" / f"{step.name}.sh"
        return self.run(step.name, keys[step.name], script, {**variables, **needs, **extra})

    def _execute(self, name: str, script: Path, variables: Mapping[str, str]) -> None:
        log = self.cache / "logs" / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["sh", str(script)],
                env={**self.environment, **variables},
                cwd=variables["WORK"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            self._running.add(process)
            if self._stopped.is_set():
                self.stop()
            try:
                status = process.wait()
            except BaseException:
                self.stop()
                raise
            finally:
                self._running.discard(process)
        if status != 0:
            refuse_if_full(self.cache, _NEXT_TO_NOTHING_BYTES)
            raise UnusableError(
                "bootstrap-step-failed",
                f"the bootstrap images' step {name} failed (exit status {status})",
                hint=f"its whole log is {log}; when what it says is mended, the next run goes on from this step",
                details=log.read_text(errors="replace").splitlines()[-DETAIL_LINES:],
            )


def _end_orphans(work: Path) -> None:
    """End the processes of scripts whose mirror was killed: those that were told to work in a folder of `work`."""
    mark = f"\0WORK={work}/".encode()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark in b"\0" + (process / "environ").read_bytes():
                os.kill(int(process.name), signal.SIGKILL)
        except OSError:
            # It ended while we looked, or is not ours.
            continue
