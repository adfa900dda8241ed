"""The live lanes: what runs now, what waits for what, how much is done."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from mirror.console_lines import counts_text, stage_text, subject, waiting_text, word
from mirror.console_text import Line, columns, visible, whole_seconds_text
from mirror.core.model import Outcome

_FIXED_LINES = 3
"""The header, the counts, and the line where a prompt comes back."""
_RIGHT = frozenset({2})


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """One running job; `since_s` is when its stage began."""

    stage: str
    since_s: float


class Lanes:
    """What is known of a run at this moment, told by several threads at once.

    Events that change nothing answer False, so that they are said once. A rich renderable.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._step = Lane(stage="", since_s=clock())
        self._running: dict[str, Lane] = {}
        self._waiting: dict[str, tuple[str, ...]] = {}
        self._counts: Counter[str] = Counter()

    def step(self, message: str) -> bool:
        """A step of the run has begun."""
        with self._lock:
            if self._step.stage == message:
                return False
            self._step = Lane(stage=message, since_s=self._clock())
            return True

    def waiting(self, job: str, for_what: tuple[str, ...]) -> bool:
        """A job waits for others; it has no lane until it reaches a stage again."""
        with self._lock:
            if self._waiting.get(job) == for_what:
                return False
            self._running.pop(job, None)
            self._waiting[job] = for_what
            return bool(for_what)

    def stage(self, job: str, stage: str) -> bool:
        """A job has reached a stage; it keeps its place among the lanes."""
        with self._lock:
            self._waiting.pop(job, None)
            lane = self._running.get(job)
            if lane and lane.stage == stage:
                return False
            self._running[job] = Lane(stage=stage, since_s=self._clock())
            return True

    def ended(self, outcome: Outcome) -> None:
        """A job has come to its outcome: nobody waits for it any longer."""
        job = subject(outcome)
        with self._lock:
            self._running.pop(job, None)
            self._waiting.pop(job, None)
            self._waiting = {
                waiter: tuple(other for other in others if other != job) for waiter, others in self._waiting.items()
            }
            self._counts[word(outcome)] += 1

    def lines(self, height: int) -> list[Line]:
        """Show the moment in at most `height` lines; running jobs first, what does not fit is counted."""
        with self._lock:
            now = self._clock()
            step, running, counts = self._step, list(self._running.items()), self._counts.copy()
            waiting = [waiting_text(job, others) for job, others in self._waiting.items() if others]
        room = max(height - _FIXED_LINES, 1)
        lanes = _lane_texts(running, now)
        body = _cut([*lanes, *waiting], room)
        header = f"{visible(step.stage)}  {_since(step, now)}" if step.stage else ""
        styled = [Line(text, "" if i < len(lanes) else "dim") for i, text in enumerate(body)]
        footer = counts_text(counts) if body or counts else ""
        return [line for line in (Line(header, "bold"), *styled, Line(footer, "dim")) if line.text]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for line in self.lines(options.size.height):
            yield Text(line.text, style=line.style, no_wrap=True, overflow="ellipsis")


def _lane_texts(running: list[tuple[str, Lane]], now: float) -> list[str]:
    rows = [(visible(job), stage_text(lane.stage), _since(lane, now)) for job, lane in running]
    return columns(rows[0], rows[1:], right=_RIGHT) if rows else []


def _since(lane: Lane, now: float) -> str:
    return whole_seconds_text(int(now - lane.since_s))


def _cut(texts: list[str], room: int) -> list[str]:
    if len(texts) <= room:
        return texts
    return [*texts[: room - 1], f"and {len(texts) - room + 1} more"]
