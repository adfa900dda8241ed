"""Everything a person sees. Data goes to stdout, progress and errors to stderr.

A terminal gets live lanes; a pipe, CI, NO_COLOR or TERM=dumb get plain lines without a control sequence. No text is
ever read as rich markup, and text of strangers is made visible before it is shown.
"""

from __future__ import annotations

import io
import json
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from types import TracebackType
from typing import Any, Self, TextIO

from rich.console import Console as RichConsole
from rich.live import Live
from rich.text import Text

from mirror.console_lanes import Lanes
from mirror.console_lines import ended_line, error_lines, plan_lines, report_lines, stage_text, waiting_text
from mirror.console_text import Line, columns, visible, visible_lines
from mirror.core.errors import MirrorError
from mirror.core.model import Built, Outcome, Plan, Report, Reused

__all__ = ["Console", "Terminal", "Volume", "visible"]

_REFRESHES_PER_SECOND = 4


class Volume(Enum):
    """How much is said on the way; results and errors are always shown."""

    QUIET = "quiet"
    NORMAL = "normal"
    VERBOSE = "verbose"


@dataclass(frozen=True, slots=True, kw_only=True)
class Terminal:
    """What the two streams can do: `live` is for stderr's lanes and colour, `colour` for stdout."""

    live: bool = False
    colour: bool = False

    @classmethod
    def detect(cls, out: TextIO, err: TextIO, environment: Mapping[str, str]) -> Terminal:
        """Judge the streams and what the environment says about them (https://no-color.org)."""
        plain = (
            bool(environment.get("NO_COLOR")) or bool(environment.get("CI")) or environment.get("TERM", "") == "dumb"
        )
        return cls(live=err.isatty() and not plain, colour=out.isatty() and not plain)


class Console:
    """Shows a run and its results; implements Reporter. Every method may be called from any thread.

    The lanes start with the first event and end with the first result, with `stop()` or with the `with` block.
    """

    def __init__(
        self,
        *,
        out: TextIO,
        err: TextIO,
        terminal: Terminal | None = None,
        volume: Volume = Volume.NORMAL,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        terminal = terminal or Terminal()
        self._volume = volume
        self._lanes = Lanes(clock)
        self._out = _Printer(out, styled=terminal.colour)
        self._err = _Printer(err, styled=terminal.live)
        self._shows_lanes = terminal.live and volume is not Volume.QUIET
        self._live: Live | None = None
        self._live_lock = threading.Lock()

    @classmethod
    def for_process(cls, environment: Mapping[str, str], volume: Volume = Volume.NORMAL) -> Console:
        """A console on this process's stdout and stderr; what their encoding lacks is shown as an escape."""
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")
        terminal = Terminal.detect(sys.stdout, sys.stderr, environment)
        return cls(out=sys.stdout, err=sys.stderr, terminal=terminal, volume=volume)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def step(self, message: str) -> None:
        """Something that happens once: preparing, resolving, verifying."""
        if self._lanes.step(message):
            self._event(Line(visible(message), "bold"), stays=False)

    def waiting(self, job: str, for_what: tuple[str, ...]) -> None:
        """A job waits for others."""
        if self._lanes.waiting(job, for_what):
            self._event(Line(waiting_text(job, for_what), "dim"), stays=False)

    def stage(self, job: str, stage: str) -> None:
        """A job has reached a stage."""
        if self._lanes.stage(job, stage):
            self._event(Line(f"{visible(job)}: {stage_text(stage)}", "dim"), stays=False)

    def ended(self, outcome: Outcome) -> None:
        """A job has come to its outcome. A reuse, being nothing new, is said only when verbose."""
        self._lanes.ended(outcome)
        if isinstance(outcome, Reused) and self._volume is not Volume.VERBOSE:
            return
        line = ended_line(outcome)
        if isinstance(outcome, Built) and outcome.log and self._volume is Volume.VERBOSE:
            line = Line(f"{line.text}, log: {visible(outcome.log)}", line.style)
        self._event(line, stays=True)

    def note(self, message: str) -> None:
        """Say something on stderr that stays there, unless quiet."""
        self._event(Line(visible(message)), stays=True)

    def report(self, report: Report) -> None:
        """Print the end of a run to stdout."""
        self._result(report_lines(report, full=self._volume is Volume.VERBOSE))

    def plan(self, plan: Plan) -> None:
        """Print what would be compiled and why, and what is reused, to stdout."""
        self._result(plan_lines(plan, full=self._volume is Volume.VERBOSE))

    def table(self, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Print a table to stdout; every cell is made visible."""
        first, *more = columns(header, [[visible(cell) for cell in row] for row in rows])
        self._result([Line(first, "bold"), *(Line(line) for line in more)])

    def text(self, text: str) -> None:
        """Print lines to stdout as they are, but for characters that are not visible: emitted files, logs."""
        self._result([Line(line) for line in visible_lines(text.removesuffix("\n"))])

    def json(self, value: Mapping[str, Any]) -> None:
        """Print a JSON document to stdout, in ASCII, so that nothing in it can reach the terminal as a control."""
        self._result([Line(json.dumps(value, indent=2))])

    def error(self, error: MirrorError) -> None:
        """Print an error to stderr."""
        self.stop()
        with suppress(OSError, ValueError):
            self._err.print(error_lines(error))

    def stop(self) -> None:
        """Take the lanes away, say before asking something; the next event brings them back."""
        with self._live_lock:
            live, self._live = self._live, None
            if live:
                live.stop()

    def _event(self, line: Line, *, stays: bool) -> None:
        """Say an event; where there are lanes, which show it anyway, only what `stays`. Never raises."""
        if self._volume is Volume.QUIET:
            return
        with suppress(OSError, ValueError):  # a closed or broken stderr is no reason to stop a build
            if self._shows_lanes:
                self._start()
            if not self._shows_lanes or stays or self._volume is Volume.VERBOSE:
                self._err.print([line])

    def _result(self, lines: Iterable[Line]) -> None:
        self.stop()
        self._out.print(lines)

    def _start(self) -> None:
        with self._live_lock:
            if self._live is None:
                self._live = Live(
                    self._lanes,
                    console=self._err.rich,
                    refresh_per_second=_REFRESHES_PER_SECOND,
                    transient=True,
                    redirect_stdout=False,
                    redirect_stderr=False,
                )
                self._live.start()


class _Printer:
    """Writes lines to one stream, whole; through rich only where there is colour."""

    def __init__(self, stream: TextIO, *, styled: bool) -> None:
        self._stream = stream
        self._styled = styled
        self._lock = threading.Lock()
        self.rich = RichConsole(file=stream, force_terminal=styled, markup=False, emoji=False, highlight=False)

    def print(self, lines: Iterable[Line]) -> None:
        lines = list(lines)
        if self._styled:
            text = Text("\n").join(Text(line.text, style=line.style) for line in lines)
            self.rich.print(text, soft_wrap=True)
            return
        with self._lock:
            self._stream.write("".join(f"{line.text}\n" for line in lines))
            self._stream.flush()
