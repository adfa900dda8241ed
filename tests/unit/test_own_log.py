"""The index's own log stays small, whatever is asked for."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mirror.server.own_log import LONGEST_MESSAGE, LONGEST_TRACEBACK, KeptSmall, Shortened


@contextmanager
def logger(log: Path, largest: int | None) -> Iterator[logging.Logger]:
    """A logger to a file that is only appended to, kept small if `largest` says so."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        one = logging.Logger("of tests")
        writing = logging.StreamHandler(stream)
        writing.addFilter(Shortened())
        one.addHandler(writing)
        if largest is not None:
            one.addHandler(KeptSmall(log, descriptor, largest))
        yield one
        os.write(descriptor, b"the last words\n")


def written(folder: Path, largest: int | None) -> tuple[int, int]:
    """Bytes of the log and of the one before it after a thousand messages."""
    log = folder / "devpi.log"
    with logger(log, largest) as one:
        for number in range(1_000):
            one.info("request %d", number)
    assert log.read_text().endswith("the last words\n")
    before = log.with_suffix(".log.1")
    return log.stat().st_size, before.stat().st_size if before.exists() else 0


def test_a_log_begins_anew_while_it_is_written(tmp_path: Path) -> None:
    """The one before it is kept, and what is written to the same file later is there."""
    size, before = written(tmp_path, 2_000)
    assert (True, True) == (size < 2_200, 2_000 < before < 2_200)
    assert not (tmp_path / "devpi.log").read_bytes().startswith(b"\0")


def test_without_that_it_grows(tmp_path: Path) -> None:
    """It is what keeps it small."""
    assert (True, 0) == ((found := written(tmp_path, None))[0] > 10_000, found[1])


def test_a_disk_that_takes_no_copy(tmp_path: Path) -> None:
    """The room is needed all the more."""
    (tmp_path / "devpi.log.1").mkdir()
    log = tmp_path / "devpi.log"
    with logger(log, 500) as one:
        for number in range(100):
            one.info("request %d", number)
    assert log.stat().st_size < 700


def test_no_message_is_longer_than_a_person_reads(tmp_path: Path) -> None:
    """Its beginning and its end are there, and of a traceback the cause; a short one is as it was."""
    log = tmp_path / "devpi.log"
    with logger(log, None) as one:
        one.info("%s %s", "GET", "/" + "%ff" * 20_000 + "/end")
        one.info("100%% of %s", "it")
        one.error("failed", exc_info=ValueError("x" * 100_000 + "the cause"))
    request, short, *traceback = log.read_text().splitlines()
    assert (True, True) == (request.startswith("GET /%ff"), request.endswith("/end"))
    assert len(request) < LONGEST_MESSAGE + 100
    assert "100% of it" == short
    assert ("failed", True) == (traceback[0], traceback[-2].endswith("the cause"))
    assert len("\n".join(traceback)) < LONGEST_TRACEBACK + 200
