"""What each event and each result looks like, as lines of text. Pure: nothing is written here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import assert_never

from mirror.console_text import Line, columns, seconds_text, short, size_text, visible, visible_lines
from mirror.core.errors import MirrorError
from mirror.core.model import Blocked, Built, Failed, Job, Outcome, Plan, Report, Reused, Verified

HEADER = ("project", "version", "outcome", "time", "size")
_NUMBERS = frozenset({3, 4})
_ORDER = ("reused", "built", "blocked", "failed")
"""What needs attention stands last, next to the prompt."""
_LONGEST_STAGE = 40
_STYLES = {"reused": "", "built": "green", "blocked": "yellow", "failed": "red"}


def subject(outcome: Outcome) -> str:
    """The project and version an outcome is about, as jobs are named in events."""
    return str(outcome.job) if not isinstance(outcome, Reused) else f"{outcome.reuse.name} {outcome.reuse.version}"


def word(outcome: Outcome) -> str:
    """The one word for an outcome."""
    match outcome:
        case Built():
            return "built"
        case Reused():
            return "reused"
        case Failed():
            return "failed"
        case Blocked():
            return "blocked"
        case _:  # pragma: no cover
            assert_never(outcome)


def stage_text(stage: str) -> str:
    """Show the name of a stage. It comes out of a sandbox, so from a stranger, and gets a bounded length."""
    return short(visible(stage[: _LONGEST_STAGE + 1]), _LONGEST_STAGE)


def waiting_text(job: str, for_what: Sequence[str]) -> str:
    """Say what a job waits for."""
    return visible(f"{job} waits for {', '.join(for_what)}")


def ended_line(outcome: Outcome) -> Line:
    """Say how one job ended."""
    match outcome:
        case Built():
            text = f"built in {seconds_text(outcome.seconds)} ({size_text(outcome.size_bytes)})"
        case Reused():
            text = f"reused ({outcome.reuse.wheel.filename})"
        case Failed():
            log = f" (log: {outcome.log})" if outcome.log else ""
            text = f"failed after {seconds_text(outcome.seconds)}: {outcome.reason}{log}"
        case Blocked():
            text = f"blocked, because {outcome.cause} failed"
        case _:  # pragma: no cover
            assert_never(outcome)
    return Line(visible(f"{subject(outcome)}: {text}"), _STYLES[word(outcome)])


def counts_text(counts: Counter[str]) -> str:
    """Say how many jobs ended in which outcome; `blocked` only where there are some."""
    words = ["built", "reused", "failed", *(["blocked"] if counts["blocked"] else [])]
    return ", ".join(f"{counts[w]} {w}" for w in words)


def report_lines(report: Report, *, full: bool = False) -> list[Line]:
    """Show the end of a run: table, failures with reason, hint and log, totals, what the clean room proved.

    Where nothing had to be built the table is left out, unless `full`.
    """
    counts = Counter(word(outcome) for outcome in report.outcomes)
    idle = counts["reused"] == len(report.outcomes)
    lines: list[Line] = []
    if full or not idle:
        lines += [*_table(report), Line("")]
    for outcome in _ordered(report.outcomes):
        lines += _trouble(outcome)
    if idle:
        lines.append(Line(_nothing_to_build(counts["reused"], report.seconds), "green"))
    else:
        lines.append(Line(f"{counts_text(counts)} in {seconds_text(report.seconds)}", "bold"))
    return [*lines, *_verification(report)]


def plan_lines(plan: Plan, *, full: bool = False) -> list[Line]:
    """Show what would be compiled and why, and what is reused; `full` adds which wheel each reuse takes."""
    target = plan.lock.target
    lines = [Line(f"{target}: {len(plan.jobs)} to compile, {len(plan.reuses)} to reuse", "bold")]
    if plan.jobs:
        lines += [Line(""), Line(f"to compile, since no wheel of theirs can be installed on {target}:")]
        for job in plan.jobs:
            lines += _job_lines(job)
    if plan.reuses:
        lines += [Line(""), Line("to reuse:")]
        rows = [(f"  {r.name} {r.version}", r.wheel.filename if full else "") for r in plan.reuses]
        lines += [Line(visible(text)) for text in columns(rows[0], rows[1:])]
    return lines


def error_lines(error: MirrorError) -> list[Line]:
    """Show an error: what failed with its code, what was seen, what to do."""
    first, *more = visible_lines(error.what)
    lines = [Line(f"error[{visible(error.code)}]: {first}", "bold red")]
    seen = [line for detail in error.details for line in visible_lines(detail)]
    lines += [Line(f"  {line}".rstrip()) for line in (*more, *seen)]
    if error.hint:
        lines += [Line(text, "cyan") for text in _labelled("hint: ", error.hint)]
    return lines


def _ordered(outcomes: Sequence[Outcome]) -> list[Outcome]:
    return sorted(outcomes, key=lambda outcome: (_ORDER.index(word(outcome)), subject(outcome)))


def _table(report: Report) -> list[Line]:
    outcomes = _ordered(report.outcomes)
    header, *rows = columns(HEADER, [_row(outcome) for outcome in outcomes], right=_NUMBERS)
    styles = [_STYLES[word(outcome)] for outcome in outcomes]
    return [
        Line(f"{report.target}:"),
        Line(header, "bold"),
        *(Line(row, style) for row, style in zip(rows, styles, strict=True)),
    ]


def _row(outcome: Outcome) -> tuple[str, ...]:
    seconds = seconds_text(outcome.seconds) if isinstance(outcome, Built | Failed) else ""
    size_bytes = _size_bytes(outcome)
    name, _, version = subject(outcome).partition(" ")
    return (
        visible(name),
        visible(version),
        word(outcome),
        seconds,
        "" if size_bytes is None else size_text(size_bytes),
    )


def _size_bytes(outcome: Outcome) -> int | None:
    match outcome:
        case Built():
            return outcome.size_bytes
        case Reused():
            return outcome.reuse.wheel.size_bytes
        case _:
            return None


def _trouble(outcome: Outcome) -> list[Line]:
    """Say below the table why a project has no wheel: sentences and paths have no place in a column."""
    match outcome:
        case Failed():
            lines = [Line(visible(f"{outcome.job} failed [{outcome.code}]: {outcome.reason}"), "red")]
            if outcome.hint:
                lines += [Line(text) for text in _labelled("  hint: ", outcome.hint)]
            if outcome.log:
                lines.append(Line(f"  log: {visible(outcome.log)}"))
            return [*lines, Line("")]
        case Blocked():
            text = f"{outcome.job} blocked: it needs {outcome.cause} to be built, which failed."
            return [Line(visible(text), "yellow"), Line("")]
        case _:
            return []


def _nothing_to_build(wheels: int, seconds: float) -> str:
    if not wheels:
        return f"Nothing to build: nothing is required on this target ({seconds_text(seconds)})."
    there = "the only wheel is there" if wheels == 1 else f"all {wheels} wheels are there"
    return f"Nothing to build: {there} ({seconds_text(seconds)})."


def _verification(report: Report) -> list[Line]:
    if report.verify_error:
        return [Line(text, "red") for text in _labelled("not verified: ", report.verify_error, indent=2)]
    return [Line(_verified_text(report.verified), "green")] if report.verified else []


def _verified_text(verified: Verified) -> str:
    return (
        f"verified: {len(verified.installed)} installed, imported {len(verified.imported)} in a clean room"
        f" in {seconds_text(verified.seconds)}, {size_text(verified.downloaded_bytes)}"
    )


def _job_lines(job: Job) -> list[Line]:
    size = f", {size_text(job.sdist.size_bytes)}" if job.sdist.size_bytes is not None else ""
    lines = [f"  {job} ({job.sdist.filename}{size})"]
    lines += [f"    {reason}" for reason in job.recipe.reasons]
    if job.recipe.system_packages:
        lines.append(f"    system packages: {', '.join(job.recipe.system_packages)}")
    if job.recipe.build_constraints:
        lines.append(f"    build constraints: {', '.join(job.recipe.build_constraints)}")
    return [Line(visible(line)) for line in lines]


def _labelled(label: str, text: str, *, indent: int | None = None) -> list[str]:
    first, *more = visible_lines(text)
    margin = " " * (len(label) if indent is None else indent)
    return [f"{label}{first}", *(f"{margin}{line}".rstrip() for line in more)]
