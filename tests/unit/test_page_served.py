"""What counts as a download, and what the downloads have spared."""

from __future__ import annotations

import json
import socket
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mirror.core.history import Saved, Served
from mirror.server.served import Downloads, NginxCounts, count_downloads, read_datagram, saved_by

WHEEL = "demo-1.0-cp311-cp311-musllinux_1_2_x86_64.whl"
PATH = f"/mirror/alpine/+f/ab1/cdef/{WHEEL}"


@dataclass
class Request:
    """What the tween looks at."""

    path_info: str = PATH
    method: str = "GET"
    user_agent: str | None = 'pip/24.0 {"ci":null}'


@dataclass
class Response:
    """Likewise."""

    status_code: int = 200
    content_length: int | None = 1000


@dataclass
class Counter:
    """Keeps what was counted."""

    counted: list[tuple[str, int]] = field(default_factory=list)

    def count(self, filename: str, size_bytes: int) -> None:
        self.counted.append((filename, size_bytes))


def counted(request: Request, response: Response | None = None) -> list[tuple[str, int]]:
    counter, answer = Counter(), response or Response()
    assert answer is count_downloads(lambda _: answer, {"mirror_downloads": counter})(request)
    return counter.counted


@pytest.mark.parametrize("agent", ["pip/24.0 {}", "uv/0.9.1", "poetry/2.0", "devpi-server/6 pip/1"])
def test_installers_count(agent: str) -> None:
    """Whole wheels of ours."""
    assert [(WHEEL, 1000)] == counted(Request(user_agent=agent))


@pytest.mark.parametrize(
    "request_",
    [
        Request(user_agent="python-requests/2.32"),
        Request(user_agent=None),
        Request(user_agent="not-pip/1"),
        Request(method="HEAD"),
        Request(path_info=PATH + ".metadata"),
        Request(path_info=PATH.replace("mirror/alpine", "root/pypi")),
    ],
)
def test_what_does_not_count(request_: Request) -> None:
    """Mirror's own reading back, questions about a file, and what upstream has."""
    assert [] == counted(request_)


@pytest.mark.parametrize("status", [304, 404, 500])
def test_what_was_not_sent_does_not_count(status: int) -> None:
    """Only a whole file is one."""
    assert [] == counted(Request(), Response(status_code=status))


def test_counts_are_kept(tmp_path: Path) -> None:
    """Added up, and found again by the next server."""
    file = tmp_path / "served.sqlite"
    downloads = Downloads(file)
    downloads.count(WHEEL, 10)
    downloads.count(WHEEL, 10)
    downloads.all()
    downloads.count(WHEEL, 10)
    expected = (Served(filename=WHEEL, downloads=3, size_bytes=30),)
    assert (expected, expected) == (downloads.all(), Downloads(file).all())


def test_counts_are_written_now_and_then(tmp_path: Path) -> None:
    """Not at every download; a killed server loses two seconds of them."""
    now = [100.0]
    downloads = Downloads(tmp_path / "served.sqlite", lambda: now[0])
    downloads.count(WHEEL, 10)
    assert () == Downloads(tmp_path / "served.sqlite").all()
    now[0] += 2
    downloads.count(WHEEL, 10)
    assert (Served(filename=WHEEL, downloads=2, size_bytes=20),) == Downloads(tmp_path / "served.sqlite").all()


def test_a_disk_that_does_not_take_it(tmp_path: Path) -> None:
    """Nobody's download fails of it; what is not known is not said to be 0; and what was counted is kept for later."""
    downloads = Downloads(tmp_path / "later" / "served.sqlite")
    downloads.count(WHEEL, 10)
    assert downloads.all() is None
    (tmp_path / "later").mkdir()
    assert (Served(filename=WHEEL, downloads=1, size_bytes=10),) == downloads.all()


def test_what_was_spared() -> None:
    """Each download as long as its version's compile; one of unknown length spares nothing that is known."""
    served = [
        Served(filename=WHEEL, downloads=3, size_bytes=30),
        Served(filename="other-1-py3-none-any.whl", downloads=2, size_bytes=5),
        Served(filename="garbage", downloads=1, size_bytes=1),
    ]
    assert Saved(downloads=6, size_bytes=36, compile_seconds=180.0) == saved_by(served, {("demo", "1.0"): 60.0})


def datagram(**changes: str) -> bytes:
    """What nginx sends (RFC 3164, with JSON for its message), about a wheel that pip got."""
    said = {
        "method": "GET",
        "status": "200",
        "size": "1000",
        "path": "/mirror/alpine/+f/abc/def/numpy-1.0-py3-none-any.whl",
        "agent": "pip/26.0 {}",
    }
    return b"<190>Nov 25 12:00:00 nginx: " + json.dumps({**said, **changes}).encode()


def test_what_the_proxy_has_served_is_counted() -> None:
    """A wheel of ours that an installer got whole, and nothing else that is told, or could not have been."""
    assert ("numpy-1.0-py3-none-any.whl", 1000) == read_datagram(datagram())
    others = (
        datagram(method="HEAD"),
        datagram(status="206"),
        datagram(agent="Mozilla/5.0"),
        datagram(path="/root/pypi/+f/abc/def/numpy-1.0-py3-none-any.whl"),
        datagram(path="/mirror/alpine/+f/abc/def/numpy-1.0.tar.gz"),
        datagram(size="much"),
        b"<190>nginx: {",
        b"<190>nginx: []",
        b"\xff",
        b"{" * 8000,
        b"",
    )
    assert [None] * len(others) == [read_datagram(one) for one in others]


def test_the_proxys_datagrams_reach_the_counts(tmp_path: Path) -> None:
    """One for each download."""
    downloads = Downloads(tmp_path / "served.sqlite")
    counts = NginxCounts(downloads, ("127.0.0.1", 0))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for message in (datagram(), b"nonsense", datagram()):
            sender.sendto(message, counts.address)
    deadline = time.monotonic() + 30
    while sum(one.downloads for one in downloads.all() or ()) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert (Served(filename="numpy-1.0-py3-none-any.whl", downloads=2, size_bytes=2000),) == downloads.all()
