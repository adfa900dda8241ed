"""Runs a sandbox's task, once more where that may help, and has the words for how a sandbox ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from mirror.core.diagnose import diagnose, says_no_process, says_no_room
from mirror.core.errors import MirrorError
from mirror.core.text import plain, visible
from mirror.ports import End, Ended, Limits, Sandbox, Task

_LONGEST = 1000
ENGINE_LOST = ("engine-lost", "the Docker engine or the container went away", "look at the engine, then run it again")

_ENDS: Mapping[End, tuple[str, str, str]] = {
    End.CRASHED: (
        "build-crashed",
        "the sandbox ended without a result",
        "a build that kills every process it sees does this",
    ),
    End.WALL_CLOCK: ("timed-out", "it ran into its wall clock", "give the project a longer `timeout` in a recipe"),
    End.SILENCE: (
        "silent",
        "it said nothing for too long",
        "raise `silence` in the settings, if the project is just slow",
    ),
    End.OUT_OF_MEMORY: ("out-of-memory", "it ran out of memory", "raise `memory` in the settings, or lower `jobs`"),
    End.OUTPUT_TOO_LARGE: ("output-too-large", "its wheel is too large", "raise `output` in the settings"),
    End.PROTOCOL: (
        "wire-broken",
        "it sent what the agent never sends",
        "do not trust this sdist: read it before you try again",
    ),
    End.LOST: ENGINE_LOST,
}
"""How a sandbox ended, if not with a result: code, reason, hint."""
_LITTLE = 0.25
"""Of the scratch folder, where the log says that a disk is full.

What found no room may have been larger than what was left, and the agent looks only now and then. It is no more than
that, since /dev/shm can be full as well.
"""

_MOST = 0.95
"""Of the scratch folder, in use as memory: it was as good as full, or programs had as much, and the log decides."""


def run(sandbox: Sandbox, task: Task, on_stage: Callable[[str], None]) -> Ended:
    """Run the task; once more where the engine or the container went away: nobody's fault in there, and often over.

    The sandbox has waited for an engine that restarts. Raises as `Sandbox.run` does.
    """
    try:
        ended = sandbox.run(task, on_stage)
        if ended.end is End.LOST:
            ended = sandbox.run(task, on_stage)
    except MirrorError as error:
        if task.log:
            keep_reason(task.log, error)
        raise
    if task.log:
        _keep(task.log, [_last_word(ended)])
    return ended


def keep_reason(log: Path, error: MirrorError) -> None:
    """Write down in a log that is empty why nothing was begun, or came out: whoever is sent there finds it."""
    _keep(log, [f"error[{error.code}]: {error.what}", *error.details, *([f"hint: {error.hint}"] if error.hint else [])])


def _last_word(ended: Ended) -> str:
    said = visible(str(ended.value.get("message") or ended.message), _LONGEST)
    end = f"It printed nothing, and ended after {ended.seconds:.1f} s: {ended.end.value}"
    return f"{end} ({said})" if said else end


def _keep(log: Path, lines: Sequence[str]) -> None:
    with suppress(OSError):  # a disk that is full is told of elsewhere
        if log.stat().st_size == 0:
            log.write_text("".join(f"{plain(line)}\n" for line in lines), encoding="utf-8", errors="backslashreplace")


def explain(ended: Ended) -> tuple[str, str, str]:
    """Code, reason and hint of an end that is no result."""
    code, reason, hint = _ENDS[ended.end]
    return code, ": ".join(filter(None, (reason, ended.message))), hint


def limit_that_stopped(ended: Ended, limits: Limits, log: Path) -> tuple[str, str, str] | None:
    """Code, reason and hint where a task that is no compile failed for a limit; None where it did not."""
    if ended.end is End.OUT_OF_MEMORY:
        return explain(ended)
    if ended.end is not End.FINISHED or ended.value.get("ok"):
        return None
    return limit_that_was_hit(ended.value.get("pressure"), limits, end_of(log))


def limit_that_was_hit(pressure: object, limits: Limits, log: str) -> tuple[str, str, str] | None:
    """Code, reason and hint where a build that failed had no room or no process left; None where neither is seen.

    `pressure` is what the agent's `Pressure.seen` saw, or a stranger in its place: it only decides about words. Many
    programs do with fewer threads than they ask for: a refusal counts where the log tells of it, or of nothing else.
    """
    seen = pressure if isinstance(pressure, dict) else {}
    enough = _LITTLE if says_no_room(log) else 0.0
    if _number(seen, "refused_processes") > 0 and (says_no_process(log) or not diagnose(log).reason):
        return (
            "too-many-processes",
            f"it wanted more than the {limits.processes} processes and threads it may have",
            "raise `processes` in the settings",
        )
    if _number(seen, "free_inodes", 1 << 62) <= enough * limits.scratch_inodes:
        return (
            "scratch-full",
            f"it wanted more than the {limits.scratch_inodes} files that fit into its scratch folder",
            "raise `scratch` in the settings: each 4 KiB of it are room for one file more",
        )
    was_full = says_no_room(log) and _number(seen, "peak_bytes") >= _MOST * limits.scratch_bytes
    if was_full or _number(seen, "free_bytes", 1 << 62) <= enough * limits.scratch_bytes:
        return (
            "scratch-full",
            f"it wanted more than the {limits.scratch_bytes / 2**30:.2f} GiB of its scratch folder",
            "raise `scratch` in the settings; it lies in memory, so `memory` may have to be raised too",
        )
    return None


def end_of(log: Path) -> str:
    """The last mebibyte of a log: what went wrong stands there."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - (1 << 20)))
        return file.read().decode(errors="replace")


def _number(seen: Mapping[str, Any], key: str, otherwise: int = 0) -> int:
    value = seen.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else otherwise
