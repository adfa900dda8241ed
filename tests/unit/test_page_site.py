"""Where clients are told to find the index, and what is told where no journal can be read."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from fakes.outcomes import TARGET, a_failed
from mirror.adapters.journal.history import History, NoHistory
from mirror.adapters.journal.sqlite import SqliteJournal
from mirror.core.emit import IndexAddress
from mirror.server.live import Slots
from mirror.server.served import Downloads
from mirror.server.site import Site, address


@dataclass
class Request:
    """What an address is made of."""

    host: str
    scheme: str = "http"
    script_name: str = ""


LISTEN = ("127.0.0.1:3141", "172.17.0.1:3141")
LOCAL = "http://127.0.0.1:3141/mirror/alpine/+simple/"


@pytest.mark.parametrize(
    ("request_", "listen", "host_url", "image_url"),
    [
        (Request("127.0.0.1:3141"), LISTEN, LOCAL, LOCAL.replace("127.0.0.1", "172.17.0.1")),
        (Request("127.0.0.1:3141"), LISTEN[:1], LOCAL, LOCAL.replace("127.0.0.1", "host.docker.internal")),
        (Request("127.0.0.1:3141"), ("0.0.0.0:3141",), LOCAL, LOCAL.replace("127.0.0.1", "host.docker.internal")),
        (
            Request("localhost:3141"),
            LISTEN,
            LOCAL.replace("127.0.0.1", "localhost"),
            LOCAL.replace("127.0.0.1", "172.17.0.1"),
        ),
        (
            Request("wheels.example", "https", "/pypi"),
            LISTEN,
            "https://wheels.example/pypi/mirror/alpine/+simple/",
            "https://wheels.example/pypi/mirror/alpine/+simple/",
        ),
        (
            Request("[2001:db8::1]:3141"),
            LISTEN,
            "http://[2001:db8::1]:3141/mirror/alpine/+simple/",
            "http://[2001:db8::1]:3141/mirror/alpine/+simple/",
        ),
    ],
)
def test_as_whoever_asks_reaches_it(request_: Request, listen: tuple[str, ...], host_url: str, image_url: str) -> None:
    """Who is on this machine needs another address for containers: the one that we listen on for them."""
    assert IndexAddress(host_url=host_url, image_url=image_url) == address(request_, listen)


@pytest.mark.parametrize("host", ["a;rm -rf ~", "$(id)", "a b", "`id`", "x\n", "", "a@b", "a/b"])
def test_a_host_that_is_none_is_not_repeated(host: str) -> None:
    """It would stand in a line that people paste into a shell."""
    assert "http://127.0.0.1/mirror/alpine/+simple/" == address(Request(host), ()).host_url


def test_where_no_journal_is(tmp_path: Path) -> None:
    """The page says so, and shows the rest: where nobody said where it is, and where none was made yet."""
    downloads, slots = Downloads(tmp_path / "served.sqlite"), Slots(50)
    for folder, code in ((None, "journal-unknown"), (tmp_path, "journal-none")):
        history, problem = Site(folder=folder, server=tmp_path, downloads=downloads, slots=slots).history()
        assert ((), code) == (history.attempts(1), problem and problem.code)


class Asked(History):
    """A journal that counts how often it is looked through."""

    times = 0

    def targets(self) -> tuple[str, ...]:
        self.times += 1
        return super().targets()


def test_what_nobody_has_written_since_is_remembered(tmp_path: Path) -> None:
    """Also while a run has it open; what is written is seen at once, though a file's times are coarse."""
    site = Site(folder=tmp_path, server=tmp_path, downloads=Downloads(tmp_path / "s.sqlite"), slots=Slots(50))
    history = Asked(tmp_path)

    def seen() -> tuple[int, int]:
        return len(site.targets(history)), history.times

    def wait_a_while() -> None:
        for path in tmp_path.glob("journal.sqlite*"):
            os.utime(path, ns=(0, path.stat().st_mtime_ns - 10**10))

    with SqliteJournal(tmp_path) as journal:
        journal.start_run("build a.txt")
        assert [(0, 1), (0, 2)] == [seen(), seen()]  # written just now: not to be relied on
        wait_a_while()
        assert [(0, 3), (0, 3)] == [seen(), seen()]
        journal.record(a_failed("cython", "0.29.32"), TARGET)
        assert [(1, 4), (1, 5)] == [seen(), seen()]
        wait_a_while()
        assert [(1, 6), (1, 6)] == [seen(), seen()]
    assert [(1, 7)] == [seen()]
    assert NoHistory().stamp() is None
    assert Asked(tmp_path / "none").stamp() is None
