"""Where clients are told to find the index, and what is told where no journal can be read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

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
