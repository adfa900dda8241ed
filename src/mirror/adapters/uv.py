"""The resolver: uv, in a sandbox on the target itself, reading the index through a window."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from mirror import attempts
from mirror.core.asked import Dependencies, Untold, asked_for
from mirror.core.errors import MirrorError, UnusableError
from mirror.core.hashes import NO_HASHES, Hashes
from mirror.core.lock import Pin, read_pins
from mirror.core.model import Target
from mirror.core.text import visible
from mirror.ports import CandidWindow, End, Journal, Sandbox
from mirror.tasks import Workshop, resolve_task

CHECK_S = 120
"""How long the metadata of a lock's packages may take to be read; a thousand of them take a few seconds."""
_LONGEST_LINE = 1000
_MOST_LINES = 100


class UvResolver:
    """Implements `Resolver`. Each resolution has a sandbox and a window of its own, so threads may share this."""

    def __init__(
        self,
        sandbox: Sandbox,
        workshop: Workshop,
        target: Target,
        window: Callable[[Hashes], CandidWindow],
        journal: Journal,
    ) -> None:
        self._sandbox = sandbox
        self._workshop = workshop
        self._target = target
        self._window = window
        self._journal = journal

    def resolve(
        self,
        requirements: Sequence[str],
        constraints: Sequence[str],
        *,
        pre_releases: bool = False,
        hashes: Hashes = NO_HASHES,
    ) -> tuple[Pin, ...]:
        """Lock `requirements`. What is in the lock and nothing asks for is left out, and told in the log.

        Raises MirrorError (`unresolvable`, `resolver-failed`, `bad-lock`, a limit's code).
        """
        if not requirements:
            return ()
        log = self._journal.log_path("resolve")
        window = self._window(hashes)
        task = resolve_task(
            self._workshop, requirements, constraints, pre_releases=pre_releases, window=window, log=log
        )
        ended = attempts.run(self._sandbox, task, lambda _: None)
        if window.failures:  # the client in the sandbox saw a bare 502, and may have taken it for "no such project"
            raise window.failures[0]
        if ended.end is End.LOST:
            raise UnusableError("engine-lost", ended.message, hint="look at the Docker engine, then run it again")
        if stopped := attempts.limit_that_stopped(ended, task.limits, log):
            code, reason, hint = stopped
            raise MirrorError(code, f"resolving stopped: {reason}", hint=f"{hint}; its log is {log}")
        if ended.end is not End.FINISHED:
            raise MirrorError(
                "resolver-failed",
                f"resolving did not come to its end ({ended.end.value}): {ended.message}",
                hint=f"its log is {log}",
            )
        if not ended.value.get("ok"):
            raise MirrorError(
                "unresolvable",
                "nothing on the index answers these requirements on the target",
                details=[visible(line, _LONGEST_LINE) for line in _lines(ended.value.get("message", ""))],
                hint="loosen one of the requirements named above, or add a constraint",
            )
        pins = read_pins(ended.outputs.get("0", b"").decode(errors="replace"))
        asked = asked_for(pins, requirements, constraints, self._target, _in_time(window.dependencies))
        _tell(log, sorted({*pins} - {*asked}))
        return asked


def _in_time(told: Dependencies) -> Dependencies:
    """The same, for CHECK_S seconds. Then it raises MirrorError (`bad-lock`)."""
    deadline = time.monotonic() + CHECK_S

    def tell(pin: Pin) -> Sequence[str] | Untold:
        if time.monotonic() > deadline:
            raise MirrorError(
                "bad-lock",
                f"what the packages of the resolver's lock ask for was not read in {CHECK_S} s",
                hint="a metadata hook may have written it: see the resolver's log",
            )
        return told(pin)

    return tell


def _tell(log: Path, dropped: Sequence[Pin]) -> None:
    """Say at the end of the log what the lock has that nothing asks for."""
    if dropped:
        shown = ", ".join(f"{name} {visible(str(version))}" for name, version in dropped[:_MOST_LINES])
        with suppress(OSError), log.open("a") as file:
            file.write(f"left out of the lock, since nothing asks for them: {len(dropped)} packages: {shown}\n")


def _lines(message: object) -> list[str]:
    """The last lines of what uv said, or of what somebody said in its place."""
    return str(message).splitlines()[-_MOST_LINES:]
