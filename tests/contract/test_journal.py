"""What every Journal does, the fake one and the real one alike."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.utils import NormalizedName

from fakes.journal import FakeJournal
from fakes.outcomes import TARGET, a_blocked, a_built, a_failed, a_key, a_reused
from mirror.adapters.journal.sqlite import SqliteJournal
from mirror.ports import Journal

NUMPY = NormalizedName("numpy")


@pytest.fixture(params=["fake", "sqlite"])
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Journal]:
    """An empty journal."""
    if request.param == "fake":
        yield FakeJournal(tmp_path)
        return
    with SqliteJournal(tmp_path) as real:
        yield real


def test_log_path_is_an_empty_file(journal: Journal) -> None:
    """A log path can be written at once."""
    assert journal.log_path("numpy 1.23.5").read_bytes() == b""


def test_log_paths_differ(journal: Journal) -> None:
    """Two logs of one label get two files."""
    assert journal.log_path("numpy 1.23.5") != journal.log_path("numpy 1.23.5")


def test_logs_newest_first(journal: Journal) -> None:
    """A project's logs are found whatever its version or what follows it, newest first, others' are not."""
    first, second = journal.log_path("numpy 1.23.5"), journal.log_path("numpy 1.23.2 compile")
    journal.log_path("numpy-financial 1.0.0")
    journal.log_path("num 1.0.0")
    third = journal.log_path("numpy")
    assert (third, second, first) == journal.logs(NUMPY)


def test_logs_of_recorded_outcomes(journal: Journal, tmp_path: Path) -> None:
    """A log that an outcome names belongs to its project, whoever made it, and is listed once."""
    made, elsewhere = journal.log_path("numpy 1.23.5"), tmp_path / "elsewhere.log"
    elsewhere.touch()
    journal.record(a_built("numpy", "1.23.5", 73, 14_200_000, log=str(made)), TARGET)
    journal.record(a_failed("numpy", "1.23.2", log=str(elsewhere)), TARGET)
    assert (elsewhere, made) == journal.logs(NUMPY)


def test_logs_that_are_gone(journal: Journal) -> None:
    """A log that somebody removed is not listed."""
    journal.log_path("numpy 1.23.5").unlink()
    assert journal.logs(NUMPY) == ()


def test_every_outcome_can_be_recorded(journal: Journal) -> None:
    """No outcome is refused, and one without a log adds none."""
    for outcome in (
        a_built("numpy", "1.23.5", 73, 14_200_000),
        a_reused("numpy", "1.23.4"),
        a_failed("numpy", "1.23.3"),
        a_blocked("numpy", "1.23.2", a_key("cython", "0.29.32")),
    ):
        journal.record(outcome, TARGET)
    assert journal.logs(NUMPY) == ()


def test_verified_is_remembered(journal: Journal) -> None:
    """A key counts as verified from the first time it is remembered, and may be remembered again."""
    before = journal.was_verified("a")
    journal.remember_verified("a")
    journal.remember_verified("a")
    assert (False, True, False) == (before, journal.was_verified("a"), journal.was_verified("b"))
