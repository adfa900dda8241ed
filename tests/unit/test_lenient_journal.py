"""The journal as a run has it: gaps are told, and nothing begins without room."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from fakes.journal import FakeJournal
from fakes.outcomes import TARGET, a_built, a_job, a_reused
from fakes.wheels import checked_wheel
from mirror.adapters.journal.lenient import LenientJournal
from mirror.core.errors import UnusableError
from mirror.core.model import CheckedWheel, Job, Outcome, Target

WHEEL = checked_wheel("demo-1.0-py3-none-any.whl")


@dataclass
class FullJournal(FakeJournal):
    """Takes nothing any more."""

    def begin(self, job: Job, cache_key: str, log: Path) -> None:
        raise full()

    def keep(self, cache_key: str, wheel: CheckedWheel) -> None:
        raise full()

    def release(self, cache_key: str) -> None:
        raise full()

    def record(self, outcome: Outcome, target: Target) -> None:
        raise full()

    def remember_verified(self, key: str) -> None:
        raise full()


def full() -> UnusableError:
    return UnusableError("disk-full", "there is no room for the journal")


def test_what_cannot_be_written_down_is_told(tmp_path: Path) -> None:
    """And the run goes on: the wheel is on the index."""
    heard: list[str] = []
    journal = LenientJournal(FullJournal(tmp_path), heard.append, lambda: None)
    journal.keep("key", WHEEL)
    journal.release("key")
    journal.record(a_built("numpy", "1.23.5", 73, 10), TARGET)
    journal.record(a_reused("django", "4.1.13"), TARGET)
    journal.remember_verified("key")
    assert [
        "demo-1.0-py3-none-any.whl is not kept until it is published: there is no room for the journal",
        "a wheel that is published stays in the data folder, too: there is no room for the journal",
        "the history lacks how numpy 1.23.5 ended: there is no room for the journal",
        "the history lacks how django ended: there is no room for the journal",
        "the history lacks that this was verified: there is no room for the journal",
    ] == heard


def test_a_compile_does_not_begin_unwritten(tmp_path: Path) -> None:
    """Intent comes before effect."""
    journal = LenientJournal(FullJournal(tmp_path), lambda _: None, lambda: None)
    with pytest.raises(UnusableError):
        journal.begin(a_job("numpy", "1.23.5"), "key", tmp_path / "log")


def test_nothing_begins_without_room(tmp_path: Path) -> None:
    """No log is made."""

    def refuse() -> None:
        raise full()

    fake = FakeJournal(tmp_path)
    with pytest.raises(UnusableError):
        LenientJournal(fake, lambda _: None, refuse).log_path("numpy 1.23.5")
    assert [] == fake.labelled
