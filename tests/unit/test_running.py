"""A run is ended in the journal, however it ends."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from mirror.adapters.journal.sqlite import SqliteJournal
from mirror.cli.running import exit_status, run_remembered
from mirror.core.errors import BadInputError, MirrorError, UnusableError

ENDS = [
    (MirrorError("unresolvable", "nothing answers"), 1),
    (BadInputError("hash-missing", "one has none"), 2),
    (UnusableError("index-unreachable", "it does not answer"), 3),
    (KeyboardInterrupt(), 130),
    (click.Abort(), 130),
    (SystemExit(143), 143),
    (ValueError("a defect of ours"), 1),
]


@pytest.mark.parametrize(("error", "status"), ENDS, ids=lambda value: repr(value)[:40])
def test_a_run_that_ends_in_an_error_has_ended(tmp_path: Path, error: BaseException, status: int) -> None:
    """`mirror status` shows its exit status, not a run that seems to go on; the error goes on its way."""
    with SqliteJournal(tmp_path) as journal:
        with pytest.raises(type(error)) as caught, run_remembered(journal, "mirror build x"):
            raise error
        (run,) = journal.last_runs()
    assert caught.value is error
    assert ("mirror build x", status, True) == (run.command, run.status, run.ended is not None)
    assert status == exit_status(error)


def test_a_run_that_comes_to_its_end_tells_it_itself(tmp_path: Path) -> None:
    """Its outcomes decide, and they are told by the body."""
    with SqliteJournal(tmp_path) as journal:
        with run_remembered(journal, "mirror build x"):
            journal.end_run(1)
        (run,) = journal.last_runs()
    assert 1 == run.status


def test_a_journal_that_cannot_be_written_does_not_hide_the_error(tmp_path: Path) -> None:
    """Why the run ended is what the user must hear."""
    journal = SqliteJournal(tmp_path)
    error = MirrorError("unresolvable", "nothing answers")
    with pytest.raises(MirrorError) as caught, run_remembered(journal, "mirror build x"):
        journal.close()
        raise error
    assert caught.value is error
