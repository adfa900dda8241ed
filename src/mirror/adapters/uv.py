"""The resolver: uv, in a sandbox on the target itself, reading the index through a window."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mirror import attempts
from mirror.core.errors import MirrorError, UnusableError
from mirror.core.lock import Pin, read_pins
from mirror.core.text import visible
from mirror.ports import CandidWindow, End, Journal, Sandbox
from mirror.tasks import Workshop, resolve_task

_LONGEST_LINE = 1000
_MOST_LINES = 100


class UvResolver:
    """Implements `Resolver`. Each resolution has a sandbox and a window of its own, so threads may share this."""

    def __init__(
        self, sandbox: Sandbox, workshop: Workshop, window: Callable[[], CandidWindow], journal: Journal
    ) -> None:
        self._sandbox = sandbox
        self._workshop = workshop
        self._window = window
        self._journal = journal

    def resolve(
        self, requirements: Sequence[str], constraints: Sequence[str], *, pre_releases: bool = False
    ) -> tuple[Pin, ...]:
        """Lock `requirements`. Raises MirrorError (`unresolvable`, `resolver-failed`, `bad-lock`, a limit's code)."""
        if not requirements:
            return ()
        log = self._journal.log_path("resolve")
        window = self._window()
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
        return read_pins(ended.outputs.get("0", b"").decode(errors="replace"))


def _lines(message: object) -> list[str]:
    """The last lines of what uv said, or of what somebody said in its place."""
    return str(message).splitlines()[-_MOST_LINES:]
