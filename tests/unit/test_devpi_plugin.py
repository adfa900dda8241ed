"""Which upstream hosts are left alone, and for how long."""

from __future__ import annotations

import pytest

from mirror.adapters.devpi.plugin import LONGEST_REST_S, Rests

PAGE = "http://upstream.test/simple/demo/"


class Clock:
    """Stands still until it is moved."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("status", "retry_after", "left_s"),
    [
        (429, "5", 5.0),
        (503, " 5 ", 5.0),
        (429, "999999999", LONGEST_REST_S),
        (429, None, 0.0),
        (429, "-5", 0.0),
        (429, "Fri, 31 Dec 1999 23:59:59 GMT", 0.0),
        (500, "5", 0.0),
        (200, "5", 0.0),
    ],
)
def test_rests_as_long_as_it_asks(status: int, retry_after: str | None, left_s: float) -> None:
    """429 and 503 with seconds, up to ten minutes; nothing else."""
    rests = Rests(Clock())
    rests.note(PAGE, status, retry_after)
    assert (left_s, left_s) == (rests.left_s(PAGE), rests.longest_left_s())


def test_only_the_host_rests_and_only_for_its_time() -> None:
    """Its pages and files alike; other hosts go on, and so does it when the time is over."""
    clock = Clock()
    rests = Rests(clock)
    rests.note(PAGE, 429, "5")
    assert [5.0, 0.0] == [rests.left_s("http://upstream.test/files/x"), rests.left_s("http://other.test/simple/demo/")]
    clock.now += 4
    assert 1.0 == rests.left_s(PAGE)
    clock.now += 2
    assert (0.0, 0.0) == (rests.left_s(PAGE), rests.longest_left_s())
