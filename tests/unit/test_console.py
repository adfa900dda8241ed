"""What people see: exact text, with and without a terminal, from several threads."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.outcomes import TARGET, a_blocked, a_built, a_failed, a_job, a_key, a_reused
from mirror.console import Console, Terminal, Volume, visible
from mirror.console_lanes import Lanes
from mirror.console_text import columns, seconds_text, size_text
from mirror.core.errors import BadInputError, MirrorError
from mirror.core.model import Lock, Outcome, Plan, Recipe, Report, Reuse, Verified
from mirror.ports import Reporter

BUILT = a_built("numpy", "1.23.5", 73.2, 14_200_000, log="/logs/numpy-1.log")
REUSED = a_reused("django", "4.1.13", 8_100_000)
FAILED = a_failed("lxml", "5.3.0", "xml2-config is missing.", "Add libxml2-dev to its recipe.", "/logs/lxml-1.log")
BLOCKED = a_blocked("pandas", "1.5.3", a_key("lxml", "5.3.0"))
VERIFIED = Verified(
    seconds=6.21,
    installed=(("django", "4.1.13"), ("numpy", "1.23.5")),
    imported=("django", "numpy"),
    downloaded_bytes=21_000_000,
)


class Shown:
    """A console on two streams in memory."""

    def __init__(self, volume: Volume = Volume.NORMAL, *, live: bool = False, colour: bool = False) -> None:
        self.streams = io.StringIO(), io.StringIO()
        self.console = Console(
            out=self.streams[0], err=self.streams[1], terminal=Terminal(live=live, colour=colour), volume=volume
        )

    @property
    def out(self) -> str:
        """What went to stdout."""
        return self.streams[0].getvalue()

    @property
    def err(self) -> str:
        """What went to stderr."""
        return self.streams[1].getvalue()


def a_run(reporter: Reporter) -> None:
    """Report a run in which everything happens once."""
    reporter.step("Resolving for cp311-musllinux_1_2_x86_64")
    reporter.step("Building")
    reporter.ended(REUSED)
    reporter.stage("numpy 1.23.5", "fetch")
    reporter.waiting("pandas 1.5.3", ("numpy 1.23.2", "lxml 5.3.0"))
    reporter.stage("numpy 1.23.5", "compile")
    reporter.ended(BUILT)
    reporter.ended(FAILED)
    reporter.ended(BLOCKED)


PLAIN = """\
Resolving for cp311-musllinux_1_2_x86_64
Building
numpy 1.23.5: fetch
pandas 1.5.3 waits for numpy 1.23.2, lxml 5.3.0
numpy 1.23.5: compile
numpy 1.23.5: built in 73 s (14.2 MB)
lxml 5.3.0: failed after 73 s: xml2-config is missing. (log: /logs/lxml-1.log)
pandas 1.5.3: blocked, because lxml 5.3.0 failed
"""


def test_plain_lines() -> None:
    """Without a terminal each event is one line on stderr, and stdout stays empty."""
    shown = Shown()
    a_run(shown.console)
    assert ("", PLAIN) == (shown.out, shown.err)


def test_verbose_lines() -> None:
    """Verbose adds reuses and where the logs of what was built are."""
    shown = Shown(Volume.VERBOSE)
    a_run(shown.console)
    expected = PLAIN.replace("Building\n", "Building\ndjango 4.1.13: reused (django-4.1.13-py3-none-any.whl)\n")
    expected = expected.replace("(14.2 MB)", "(14.2 MB), log: /logs/numpy-1.log")
    assert expected == shown.err


def test_quiet() -> None:
    """Quiet says nothing on the way, but shows results and errors."""
    shown = Shown(Volume.QUIET, live=True)
    a_run(shown.console)
    shown.console.note("Taking Alpine.")
    shown.console.error(MirrorError("no-engine", "No engine answers."))
    shown.console.text("FROM scratch\n")
    assert ("FROM scratch\n", "error[no-engine]: No engine answers.\n") == (shown.out, plain(shown.err))


def test_an_event_that_changes_nothing_is_said_once() -> None:
    """Repeated events and waiting for nothing make no lines."""
    shown = Shown()
    for _ in range(2):
        shown.console.step("Building")
        shown.console.waiting("pandas 1.5.3", ("numpy 1.23.2",))
    shown.console.waiting("pandas 1.5.3", ())
    for _ in range(2):
        shown.console.stage("pandas 1.5.3", "compile")
    assert "Building\npandas 1.5.3 waits for numpy 1.23.2\npandas 1.5.3: compile\n" == shown.err


def test_strangers_text_is_visible() -> None:
    """Nothing that a sandbox or a file says reaches the terminal as a control sequence or as markup."""
    shown = Shown(live=True, colour=True)
    evil = "\x1b[2J\x9b\r\u202e[bold]:smile:\n"
    made_visible = "\\x1b[2J\\x9b\\r\\u202e[bold]:smile:\\n"
    shown.console.note(evil)
    shown.console.ended(a_failed("numpy", "1.23.5", reason=evil, log=evil))
    shown.console.text(evil)
    shown.console.table(["a"], [[evil]])
    shown.console.report(Report(target=TARGET, outcomes=(a_failed("numpy", "1.23.5", reason=evil),), seconds=1))
    shown.console.stop()
    both = plain(shown.out + shown.err)
    assert (5, True) == (both.count(made_visible), both.startswith(made_visible.removesuffix("\\n") + "\n"))
    assert set("\n") == {c for c in both if not c.isprintable()}


def test_a_stage_is_short() -> None:
    """A sandbox cannot flood a lane with the name of a stage."""
    shown = Shown()
    shown.console.stage("numpy 1.23.5", "x" * 1_000_000)
    assert f"numpy 1.23.5: {'x' * 37}...\n" == shown.err


def test_live_keeps_only_what_stays() -> None:
    """On a terminal stages live in the lanes, endings stay above them, and the cursor comes back at the end."""
    shown = Shown(live=True)
    with shown.console as console:
        a_run(console)
    kept = [line for line in plain(shown.err).split("\n") if ": built" in line or ": failed" in line]
    assert [
        "numpy 1.23.5: built in 73 s (14.2 MB)",
        "lxml 5.3.0: failed after 73 s: xml2-config is missing. (log: /logs/lxml-1.log)",
    ] == kept
    assert shown.err.rindex("\x1b[?25l") < shown.err.rindex("\x1b[?25h")


def test_lanes_end_before_a_result() -> None:
    """A result is printed after the lanes are gone; a later event brings them back."""
    shown = Shown(live=True)
    shown.console.step("Building")
    shown.console.error(MirrorError("a-code", "It failed."))
    after_error = shown.err
    shown.console.step("Verifying")
    shown.console.stop()
    assert after_error.index("\x1b[?25h") < after_error.index("error[")
    assert "Verifying" in shown.err.removeprefix(after_error)


def lanes_at(seconds: float, tell: Callable[[Lanes], None], height: int = 24) -> list[str]:
    """The lanes some seconds after `tell` told them something at 0."""
    now = [0.0]
    lanes = Lanes(lambda: now[0])
    tell(lanes)
    now[0] = seconds
    return [line.text for line in lanes.lines(height)]


def test_lanes() -> None:
    """The lanes show the step, each running job's stage and seconds, what waits for what, and the counts."""

    def tell(lanes: Lanes) -> None:
        lanes.step("Building")
        lanes.ended(REUSED)
        lanes.stage("numpy 1.23.5", "compile")
        lanes.stage("markupsafe 2.1.5", "fetch")
        lanes.waiting("pandas 1.5.3", ("numpy 1.23.2", "numpy 1.23.5"))

    assert [
        "Building  73 s",
        "numpy 1.23.5      compile  73 s",
        "markupsafe 2.1.5  fetch    73 s",
        "pandas 1.5.3 waits for numpy 1.23.2, numpy 1.23.5",
        "0 built, 1 reused, 0 failed",
    ] == lanes_at(73.9, tell)


def test_nobody_waits_for_what_has_ended() -> None:
    """A job that ended leaves its lane and the waits of others; a job that waits for nothing any more is not shown."""

    def tell(lanes: Lanes) -> None:
        lanes.step("Building")
        lanes.stage("numpy 1.23.5", "compile")
        lanes.stage("lxml 5.3.0", "compile")
        lanes.waiting("pandas 1.5.3", ("numpy 1.23.5", "cython 0.29.32"))
        lanes.waiting("scipy 1.9.3", ("numpy 1.23.5",))
        lanes.ended(BUILT)
        lanes.ended(FAILED)

    assert [
        "Building  0 s",
        "pandas 1.5.3 waits for cython 0.29.32",
        "1 built, 0 reused, 1 failed",
    ] == lanes_at(0, tell)


def test_a_job_that_waits_has_no_lane() -> None:
    """A job that found build requirements to wait for leaves its lane until it goes on."""

    def waits(lanes: Lanes) -> None:
        lanes.stage("pandas 1.5.3", "prepare")
        lanes.waiting("pandas 1.5.3", ("numpy 1.23.2",))

    def goes_on(lanes: Lanes) -> None:
        waits(lanes)
        lanes.stage("pandas 1.5.3", "compile")

    counts = "0 built, 0 reused, 0 failed"
    assert ["pandas 1.5.3 waits for numpy 1.23.2", counts] == lanes_at(5, waits)
    assert ["pandas 1.5.3  compile  5 s", counts] == lanes_at(5, goes_on)


def test_lanes_keep_to_the_height_of_the_terminal() -> None:
    """What does not fit is counted, and running jobs go before waiting ones."""

    def tell(lanes: Lanes) -> None:
        lanes.step("Building")
        for n in range(2):
            lanes.stage(f"a 1.{n}", "compile")
        for n in range(10):
            lanes.waiting(f"b 1.{n}", ("a 1.0",))

    assert [
        "Building  0 s",
        "a 1.0  compile  0 s",
        "a 1.1  compile  0 s",
        "b 1.0 waits for a 1.0",
        "and 9 more",
        "0 built, 0 reused, 0 failed",
    ] == lanes_at(0, tell, height=7)


def test_a_report_with_failures() -> None:
    """The table has no sentences in it; reasons, hints and logs follow, then the totals; the worst comes last."""
    shown = Shown()
    outcomes = (FAILED, BUILT, BLOCKED, REUSED)
    shown.console.report(Report(target=TARGET, outcomes=outcomes, seconds=312.4))
    assert (
        """\
cp311-musllinux_1_2_x86_64:
project  version  outcome  time     size
django   4.1.13   reused          8.1 MB
numpy    1.23.5   built    73 s  14.2 MB
pandas   1.5.3    blocked
lxml     5.3.0    failed   73 s

pandas 1.5.3 blocked: it needs lxml 5.3.0 to be built, which failed.

lxml 5.3.0 failed [compile-failed]: xml2-config is missing.
  hint: Add libxml2-dev to its recipe.
  log: /logs/lxml-1.log

1 built, 1 reused, 1 failed, 1 blocked in 312 s
"""
        == shown.out
    )


def test_a_report_that_was_verified() -> None:
    """What the clean room measured follows the totals."""
    shown = Shown()
    shown.console.report(Report(target=TARGET, outcomes=(BUILT, REUSED), seconds=80.0, verified=VERIFIED))
    assert (
        """\
cp311-musllinux_1_2_x86_64:
project  version  outcome  time     size
django   4.1.13   reused          8.1 MB
numpy    1.23.5   built    73 s  14.2 MB

1 built, 1 reused, 0 failed in 80 s
verified: 2 installed, imported 2 in a clean room in 6.2 s, 21 MB
"""
        == shown.out
    )


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ((REUSED,) * 15, "Nothing to build: all 15 wheels are there (0.9 s).\n"),
        ((REUSED,), "Nothing to build: the only wheel is there (0.9 s).\n"),
        ((), "Nothing to build: nothing is required on this target (0.9 s).\n"),
    ],
)
def test_a_report_of_nothing_to_build(outcomes: tuple[Outcome, ...], expected: str) -> None:
    """A run that built nothing says so in one line."""
    shown = Shown()
    shown.console.report(Report(target=TARGET, outcomes=outcomes, seconds=0.93))
    assert expected == shown.out


def test_a_report_that_verify_refused() -> None:
    """Why the clean room failed is shown with all its lines."""
    shown = Shown()
    error = "import failed: numpy\nImportError: libopenblas.so.0"
    shown.console.report(Report(target=TARGET, outcomes=(REUSED,), seconds=0.9, verify_error=error))
    assert (
        """\
Nothing to build: the only wheel is there (0.9 s).
not verified: import failed: numpy
  ImportError: libopenblas.so.0
"""
        == shown.out
    )


def test_colour_changes_no_text() -> None:
    """With colour the same lines are shown, and without it no control sequence at all."""
    report = Report(target=TARGET, outcomes=(FAILED, BUILT, BLOCKED, REUSED), seconds=312.4)
    coloured, monochrome = Shown(colour=True), Shown()
    coloured.console.report(report)
    monochrome.console.report(report)
    assert monochrome.out == plain(coloured.out)
    assert "\x1b" in coloured.out
    assert "\x1b" not in monochrome.out


def test_a_long_line_is_not_broken() -> None:
    """Paths stay in one piece, with colour too, so that they can be copied."""
    shown = Shown(live=True)
    path = "/logs/" + "x" * 300
    shown.console.note(path)
    shown.console.stop()
    assert path in shown.err


PLAN = Plan(
    lock=Lock(target=TARGET, packages=()),
    jobs=(
        a_job("numpy", "1.23.5", size_bytes=10_700_000),
        a_job(
            "pandas",
            "1.5.3",
            Recipe(
                reasons=("pandas 1.5 imports pkg_resources.",),
                system_packages=("openblas-dev", "zlib-dev"),
                build_constraints=("setuptools<80",),
            ),
        ),
    ),
    reuses=(REUSED.reuse,),
)


def test_a_plan() -> None:
    """A plan says what is compiled, why, with which recipe, and what is reused."""
    shown = Shown()
    shown.console.plan(PLAN)
    assert (
        """\
cp311-musllinux_1_2_x86_64: 2 to compile, 1 to reuse

to compile, since no wheel of theirs can be installed on cp311-musllinux_1_2_x86_64:
  numpy 1.23.5 (numpy-1.23.5.tar.gz, 10.7 MB)
  pandas 1.5.3 (pandas-1.5.3.tar.gz)
    pandas 1.5 imports pkg_resources.
    system packages: openblas-dev, zlib-dev
    build constraints: setuptools<80

to reuse:
  django 4.1.13
"""
        == shown.out
    )


def test_a_verbose_plan_names_the_wheels() -> None:
    """Verbose adds which wheel each reuse takes."""
    shown = Shown(Volume.VERBOSE)
    reuses: tuple[Reuse, ...] = (REUSED.reuse, a_reused("pytz", "2024.1").reuse)
    shown.console.plan(Plan(lock=PLAN.lock, jobs=(), reuses=reuses))
    assert (
        """\
cp311-musllinux_1_2_x86_64: 0 to compile, 2 to reuse

to reuse:
  django 4.1.13  django-4.1.13-py3-none-any.whl
  pytz 2024.1    pytz-2024.1-py3-none-any.whl
"""
        == shown.out
    )


def test_an_error() -> None:
    """An error shows its code, what failed, what was seen and what to do, on stderr."""
    shown = Shown()
    shown.console.error(
        BadInputError(
            "bad-requirements",
            "Two lines cannot be read.",
            details=["requirements.txt:1:7: an operator is missing", "requirements.txt:2:1: \x1b is no name"],
            hint="Mend them;\nnothing was started.",
        )
    )
    assert ("", shown.err) == (
        shown.out,
        """\
error[bad-requirements]: Two lines cannot be read.
  requirements.txt:1:7: an operator is missing
  requirements.txt:2:1: \\x1b is no name
hint: Mend them;
      nothing was started.
""",
    )


def test_an_error_of_one_line() -> None:
    """An error without details or hint is one line."""
    shown = Shown()
    shown.console.error(MirrorError("no-such-log", "There is no log of numpy."))
    assert "error[no-such-log]: There is no log of numpy.\n" == shown.err


def test_json() -> None:
    """A JSON document is in ASCII, and what it says can be read back."""
    shown = Shown(colour=True)
    value = {"version": 1, "reason": "\x1b[31m\u202e é"}
    shown.console.json(value)
    assert value == json.loads(shown.out)
    assert shown.out.replace("\n", "").isprintable()
    assert shown.out.isascii()


def test_a_table() -> None:
    """A table aligns its columns and leaves nothing trailing."""
    shown = Shown()
    shown.console.table(["run", "status"], [["build a b c", "0"], ["plan", ""]])
    assert "run          status\nbuild a b c  0\nplan\n" == shown.out


def test_many_threads() -> None:
    """Events of many threads come out whole, one a line, and none is lost."""
    shown = Shown()

    def work(n: int) -> None:
        for i in range(50):
            shown.console.stage(f"job{n} 1.{i}", "compile")

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(f"job{n} 1.{i}: compile" for n in range(8) for i in range(50)) == sorted(shown.err.splitlines())


def test_many_threads_on_a_terminal() -> None:
    """Threads that report, print results and stop the lanes at the same time neither block nor lose an ending."""
    shown = Shown(live=True)

    def work(n: int) -> None:
        for i in range(10):
            shown.console.stage(f"job{n} 1.{i}", "compile")
            shown.console.ended(a_built(f"job{n}", f"1.{i}", 1.0, 1))
            shown.console.stop()

    threads = [threading.Thread(target=work, args=(n,), daemon=True) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    shown.console.stop()
    ended = re.findall(r"^(job\d 1\.\d+): built in 1\.0 s \(1 B\)$", plain(shown.err), re.MULTILINE)
    assert sorted(f"job{n} 1.{i}" for n in range(4) for i in range(10)) == sorted(ended)


def test_a_closed_stderr_stops_nothing() -> None:
    """Events never raise, even where stderr is gone."""
    shown = Shown()
    shown.streams[1].close()
    a_run(shown.console)
    shown.console.error(MirrorError("a-code", "It failed."))
    shown.console.text("still there")
    assert "still there\n" == shown.out


def test_a_process_whose_encoding_lacks_characters() -> None:
    """What stdout and stderr cannot encode is shown as an escape instead of failing."""
    program = (
        "from mirror.console import Console; c = Console.for_process({}); c.note('é'); c.text('é\\ud800 试');"
        " c.step('a'); c.stop()"
    )
    environment = {"PYTHONIOENCODING": "ascii:strict", "PYTHONPATH": os.pathsep.join(sys.path)}
    ended = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=False)
    assert (b"\\xe9\\ud800 \\u8bd5\n", b"\\xe9\na\n") == (ended.stdout, ended.stderr)


class Terminals(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Say so."""
        return True


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"TERM": "xterm-256color"}, Terminal(live=True, colour=True)),
        ({}, Terminal(live=True, colour=True)),
        ({"NO_COLOR": ""}, Terminal(live=True, colour=True)),
        ({"NO_COLOR": "1"}, Terminal()),
        ({"CI": "true"}, Terminal()),
        ({"TERM": "dumb"}, Terminal()),
    ],
)
def test_detecting_a_terminal(environment: dict[str, str], expected: Terminal) -> None:
    """A terminal gets lanes and colour, unless the environment says otherwise."""
    assert expected == Terminal.detect(Terminals(), Terminals(), environment)


def test_detecting_pipes() -> None:
    """Each stream is judged by itself."""
    pipe = io.StringIO()
    assert (Terminal(live=True), Terminal(colour=True)) == (
        Terminal.detect(pipe, Terminals(), {}),
        Terminal.detect(Terminals(), pipe, {}),
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("numpy 1.23.5", "numpy 1.23.5"),
        ("naïve 试", "naïve 试"),
        ("\x1b[31mred\x07", "\\x1b[31mred\\x07"),
        ("a\nb\tc\r", "a\\nb\\tc\\r"),
        ("\x7f\x85\x9b", "\\x7f\\x85\\x9b"),
        ("\u202eexe.\u2066\u200b\ufeff", "\\u202eexe.\\u2066\\u200b\\ufeff"),
        ("\u2028\ue000\udc80", "\\u2028\\ue000\\udc80"),
        ("\U000e0041", "\\U000e0041"),
    ],
)
def test_visible(text: str, expected: str) -> None:
    """Controls, escapes, bidi overrides, surrogates and other invisible characters are shown as escapes."""
    assert expected == visible(text)


@given(st.text())
def test_visible_is_always_printable(text: str) -> None:
    """Whatever the text, what is shown fits on one line, can be encoded, and is not changed a second time."""
    shown = visible(text)
    assert (shown, 0) == (visible(shown), len(re.findall(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e]", shown)))
    assert shown == shown.encode().decode()


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.04, "0.0 s"),
        (0.93, "0.9 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (73.4, "73 s"),
        (599.4, "599 s"),
        (599.6, "10 min 0 s"),
        (1005, "16 min 45 s"),
        (3599.7, "1 h 0 min"),
        (5520, "1 h 32 min"),
    ],
)
def test_seconds(seconds: float, expected: str) -> None:
    """Durations have the precision that matters to a person."""
    assert expected == seconds_text(seconds)


@pytest.mark.parametrize(
    ("size_bytes", "expected"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (1_340, "1.3 kB"),
        (155_000, "155 kB"),
        (999_499, "999 kB"),
        (999_500, "1 MB"),
        (14_200_000, "14.2 MB"),
        (21_000_000, "21 MB"),
        (427_400_000, "427 MB"),
        (999_500_000, "1 GB"),
        (1_400_000_000, "1.4 GB"),
    ],
)
def test_sizes(size_bytes: int, expected: str) -> None:
    """Sizes are in decimal units with about three figures."""
    assert expected == size_text(size_bytes)


def test_columns_align_numbers_to_the_right() -> None:
    """Columns named so end, and do not begin, at the same place."""
    assert ["a   n", "b  10", "c   1"] == columns(["a", "n"], [["b", "10"], ["c", "1"]], right=frozenset({1}))


def plain(text: str) -> str:
    """Take the control sequences that rich wrote out of a terminal's text; where it erased a line a new one begins."""
    return re.sub(r"\x1b\[[?0-9;]*[A-Za-z]|\r", "", text.replace("\x1b[2K", "\n"))
