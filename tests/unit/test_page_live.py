"""Streams: bounded in number and time, and given back whatever happens."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from mirror.server.live import Shared, Slots, Stream, event


@pytest.mark.parametrize(("threads", "count"), [(50, 8), (100, 8), (20, 4), (4, 1), (1, 1)])
def test_installers_always_find_a_thread(threads: int, count: int) -> None:
    """At most a fifth of the threads, and at most eight, are streams."""
    slots = Slots(threads)
    assert [True] * count + [False, False] == [slots.take() for _ in range(count + 2)]


def endless() -> Iterator[bytes | None]:
    while True:
        yield b"data: x\n\n"


def test_a_slot_is_given_back_once() -> None:
    """When the server closes the stream, read or unread, once or twice, and where it forgets to."""
    slots = Slots(5)
    for _ in range(3):
        assert slots.take()
        stream = Stream(slots, endless)
        stream.close()
        stream.close()
    assert slots.take()
    stream = Stream(slots, endless)
    next(iter(stream))
    del stream
    gc.collect()
    assert (True, False) == (slots.take(), slots.take())


def test_a_stream_ends() -> None:
    """After its time: the browser comes again, and others have had their turn."""
    slots = Slots(5)
    slots.take()
    assert [b"retry: 2000\n\n", b"data: x\n\n"] == list(Stream(slots, endless, longest_s=-1.0))


def test_what_is_looked_at_by_many_is_made_once() -> None:
    """A second later it is made anew; what it raised is raised, and not remembered."""
    now, made = [0.0], []

    def make() -> int:
        made.append(now[0])
        if len(made) == 2:
            raise OSError
        return len(made)

    shared = Shared(make, lambda: now[0])
    assert [1, 1] == [shared.get(), shared.get()]
    now[0] = 1.5
    with pytest.raises(OSError):
        shared.get()
    assert 3 == shared.get()


def test_nothing_ends_an_event_early() -> None:
    """Line breaks of a stranger's are escaped by JSON."""
    assert b'event: now\ndata: "a\\n\\nevent: x\\r\\u2028"\n\n' == event("now", "a\n\nevent: x\r\u2028")
