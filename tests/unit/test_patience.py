"""How long is waited, by whom, and what ends it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from threading import Thread

import pytest

from mirror.adapters.devpi.http import Answer, read_retry_after
from mirror.adapters.devpi.patience import PATIENT, PassingError, Patience, Tries, Waiter
from mirror.core.errors import UnusableError

QUICK = Patience(first_pause_s=0.001, longest_pause_s=0.004, total_s=0.1)
ERROR = UnusableError("index-failed", "it fails", hint="wait")


def failures_until_given_up(tries: Tries, retry_after_s: float | None = None) -> int:
    """How many failures were waited for."""
    for count in range(10_000):
        try:
            tries.wait(PassingError(ERROR, retry_after_s))
        except UnusableError as error:
            assert error is ERROR
            return count
    raise AssertionError("it never ends")


def test_pauses_double_up_to_the_longest() -> None:
    """Exponential, with jitter of a half: two minutes of trying are about a dozen tries."""
    tries = Tries(Waiter(PATIENT))
    pauses = [tries._next_pause_s() for _ in range(12)]
    expected = [min(15.0, 0.2 * 2**n) for n in range(12)]
    assert all(0.5 * e <= pause <= 1.5 * e for e, pause in zip(expected, pauses, strict=True))
    assert len(set(pauses)) == len(pauses)


def test_patience_ends_with_the_error() -> None:
    """Several tries, within the time there is."""
    began = time.monotonic()
    assert failures_until_given_up(Waiter(QUICK).tries()) > 3
    assert time.monotonic() - began < 10


def test_there_is_always_one_more_try() -> None:
    """However long the first try took."""
    assert 1 == failures_until_given_up(Waiter(replace(QUICK, total_s=0.0)).tries())


def test_patience_is_shared() -> None:
    """Where one has waited in vain, the next has one more try; after a success it has all of them again."""
    waiter = Waiter(QUICK)
    failures_until_given_up(waiter.tries())
    time.sleep(2 * QUICK.longest_pause_s)  # what was left may have been enough for a first, short pause
    assert 1 == failures_until_given_up(waiter.tries())
    waiter.succeeded()
    assert failures_until_given_up(waiter.tries()) > 3


def test_trouble_long_ago_counts_for_nothing() -> None:
    """Who asks again hours later has all the patience there is."""
    waiter = Waiter(QUICK)
    failures_until_given_up(waiter.tries())
    time.sleep(QUICK.total_s * 1.5)
    assert failures_until_given_up(waiter.tries()) > 3


def test_never_asks_sooner_than_it_may() -> None:
    """What the other side asks for is waited, or, beyond all patience, not asked for at all."""
    tries = Waiter(replace(QUICK, total_s=5.0)).tries()
    began = time.monotonic()
    tries.wait(PassingError(ERROR, 0.3))
    assert time.monotonic() - began >= 0.3
    assert 0 == failures_until_given_up(tries, 6.0)


def test_stopping_ends_a_pause() -> None:
    """One that would last an hour; and that of others of the same run."""
    waiter = Waiter(Patience(first_pause_s=3600, longest_pause_s=3600, total_s=36000))
    beside = waiter.beside(waiter.patience)
    ended: list[str] = []

    def wait(tries: Tries) -> None:
        try:
            tries.wait(PassingError(ERROR))
        except UnusableError as error:
            ended.append(error.code)

    threads = [Thread(target=wait, args=(w.tries(),)) for w in (waiter, beside)]
    for thread in threads:
        thread.start()
    time.sleep(0.1)
    assert [] == ended
    waiter.stop()
    for thread in threads:
        thread.join(timeout=10)
    assert ["stopped", "stopped"] == ended
    with pytest.raises(UnusableError):
        beside.refuse_if_stopped()


def test_a_wait_is_told_once() -> None:
    """One line in each time of trouble, however many wait."""
    said: list[str] = []
    waiter = Waiter(Patience(first_pause_s=0.0, longest_pause_s=0.0, total_s=5.0), say=said.append)
    tell: Callable[[], None] = lambda: waiter.tell("it fails", 1.0)  # noqa: E731
    waiter.tell("it fails", 0.1)
    tell()
    tell()
    assert ["it fails; trying again for up to 5 s"] == said
    waiter.succeeded()
    tell()
    assert 2 == len(said)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"Retry-After": "5"}, 5.0),
        ({"Retry-After": "0"}, 0.0),
        ({"Retry-After": "-5"}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "9" * 30}, None),
        ({"Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT"}, None),
        ({"Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT", "Date": "Fri, 31 Dec 1999 23:59:29 GMT"}, 30.0),
        ({"Retry-After": "Fri, 31 Dec 1999 23:59:29 GMT", "Date": "Fri, 31 Dec 1999 23:59:59 GMT"}, 0.0),
        ({"Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT", "Date": "Fri, 31 Dec 1999 23:59:29"}, None),
    ],
)
def test_reads_how_long_to_wait(headers: dict[str, str], expected: float | None) -> None:
    """Seconds or a date, which is held against the answer's own and not against our clock."""
    assert expected == read_retry_after(headers)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", ()),
        (b'{"message": "no\\nroom"}', ("no room",)),
        (b'{"message": 5}', ("5",)),
        (b"502 Bad Gateway\n\n429 status\n", ("502 Bad Gateway 429 status",)),
        (b"at http://me:secret@x/", ("at http://***@x/",)),
        (b"\x1b[31m\xff", ("\\x1b[31m\N{REPLACEMENT CHARACTER}",)),
    ],
)
def test_shows_what_the_server_says(content: bytes, said: tuple[str, ...]) -> None:
    """One line that can be shown anywhere."""
    assert said == Answer(502, content).said
