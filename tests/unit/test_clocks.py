"""Durations are measured by a clock that nobody sets; the wall clock is for dates that people and files read."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2] / "src" / "mirror"
WALL_CLOCKS = {
    "time": {"time", "time_ns", "localtime", "gmtime", "ctime"},
    "datetime": {"now", "utcnow", "today"},
    "date": {"today"},
}
DATES = {
    ("adapters/certificate.py", "datetime.now"): "how long a certificate is good for",
    ("adapters/devpi/tokens.py", "time.time"): "when a token expires, by the clock that it is checked with",
    ("adapters/images/age.py", "datetime.now"): "how old an image is, by the date that its engine gave it",
    ("adapters/queue.py", "datetime.now"): "when a build was asked for, as a person reads it",
    ("server/misses.py", "datetime.now"): "how long ago that was",
    ("adapters/host.py", "time.time"): "the age of a file, by the clock that dated it",
    ("adapters/journal/history.py", "time.time"): "likewise",
    ("adapters/journal/sqlite.py", "datetime.now"): "when a run began, as a person reads it",
    ("cli/__init__.py", "datetime.now"): "the name of a report",
    ("server/rendering.py", "datetime.now"): "how long ago something was, beside its date",
}
"""Where the wall clock is right, and why."""


def wall_clocks(source: str) -> Iterator[str]:
    """Every use of a wall clock in a module, as `time.time`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name | ast.Attribute):
            owner = node.value.id if isinstance(node.value, ast.Name) else node.value.attr
            if node.attr in WALL_CLOCKS.get(owner, ()):
                yield f"{owner}.{node.attr}"
        elif isinstance(node, ast.ImportFrom) and node.module == "time":
            yield from (f"time.{name.name}" for name in node.names if name.name in WALL_CLOCKS["time"])


def test_the_wall_clock_is_for_dates_alone() -> None:
    """Every other use of it would see the clock jump."""
    found = {
        (str(path.relative_to(ROOT)), used) for path in ROOT.rglob("*.py") for used in wall_clocks(path.read_text())
    }
    assert set(DATES) == found


def test_a_use_of_it_is_seen() -> None:
    """However it is written."""
    source = "import time, datetime\nfrom time import time_ns\ntime.time()\ndatetime.datetime.now()\ntime.monotonic()"
    assert ["time.time_ns", "time.time", "datetime.now"] == sorted(wall_clocks(source), reverse=True)
