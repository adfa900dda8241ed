"""What every Journal does, the fake one and the real one alike."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from packaging.utils import NormalizedName

from fakes.journal import FakeJournal
from fakes.outcomes import TARGET, a_blocked, a_built, a_failed, a_job, a_key, a_reused
from fakes.wheels import checked_wheel
from mirror.adapters.journal.lenient import LenientJournal
from mirror.adapters.journal.sqlite import SqliteJournal
from mirror.ports import Journal, KeptWheel

NUMPY = NormalizedName("numpy")


@pytest.fixture(params=["fake", "sqlite", "lenient"])
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Journal]:
    """An empty journal."""
    if request.param == "fake":
        yield FakeJournal(tmp_path)
        return
    with SqliteJournal(tmp_path) as real:
        yield LenientJournal(real, pytest.fail, lambda: None) if request.param == "lenient" else real


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


class TestFailures:
    """What failed is remembered by all that it depended on."""

    def test_a_failure_is_remembered_by_its_cache_key(self, journal: Journal) -> None:
        """As the last attempt said it, whatever run it was in."""
        journal.begin(a_job("numpy", "1.23.5"), "key", journal.log_path("numpy 1.23.5"))
        journal.record(replace(a_failed("numpy", "1.23.5", "It broke.", "mend it", "/logs/1"), cache_key="key"), TARGET)
        past = journal.failure("key")
        assert past is not None
        assert ("compile-failed", "It broke.", "mend it", "/logs/1") == (past.code, past.reason, past.hint, past.log)
        assert None is journal.failure("another key")

    def test_what_went_well_since_is_no_failure(self, journal: Journal) -> None:
        """With `--retry`, say."""
        journal.record(replace(a_failed("numpy", "1.23.5"), cache_key="key"), TARGET)
        journal.record(replace(a_built("numpy", "1.23.5", 73, 14_200_000), cache_key="key"), TARGET)
        assert None is journal.failure("key")

    def test_a_failure_that_may_pass_is_not_remembered(self, journal: Journal) -> None:
        """It has no cache key; nor does one that was begun and never ended."""
        journal.begin(a_job("numpy", "1.23.5"), "key", journal.log_path("numpy 1.23.5"))
        assert None is journal.failure("key")
        journal.record(a_failed("numpy", "1.23.5"), TARGET)
        assert (None, None) == (journal.failure("key"), journal.failure(""))


class TestKeptWheels:
    """A wheel is kept from the moment that the gate has passed it until it is on the index."""

    def test_a_wheel_is_kept_until_it_is_released(self, journal: Journal) -> None:
        """By the key of its compile, and kept anew where that key has one."""
        first, second = (checked_wheel(f"demo-{n}.0-py3-none-any.whl") for n in (1, 2))
        assert None is journal.kept("key")
        journal.keep("key", first)
        journal.keep("key", second)
        assert KeptWheel(filename=second.filename, content=second.content) == journal.kept("key")
        journal.release("key")
        assert None is journal.kept("key")
        journal.release("key")
