"""What counts as a download, and what the downloads have spared."""

from __future__ import annotations

import json
import socket
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mirror.core.history import Saved, Served
from mirror.server.served import Downloads, NginxCounts, Told, count_downloads, read_datagram, saved_by

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


NUMPY = "/mirror/alpine/+f/abc/0123456789abc/numpy-1.0-py3-none-any.whl"


def datagram(**changes: object) -> bytes:
    """What nginx sends (RFC 3164, with JSON for its message), about a wheel that pip got."""
    said = {
        "method": "GET",
        "status": "200",
        "size": "1000",
        "path": NUMPY,
        "agent": "pip/26.0 {}",
    }
    return b"<190>Nov 25 12:00:00 nginx: " + json.dumps({**said, **changes}).encode()


def test_what_the_proxy_has_served_is_counted() -> None:
    """A wheel of ours that an installer got whole, and nothing else that is told, or could not have been."""
    told = read_datagram(datagram())
    assert Told(path=NUMPY, size_bytes=1000) == told
    assert "numpy-1.0-py3-none-any.whl" == told.filename
    others = (
        datagram(method="HEAD"),
        datagram(status="206"),
        datagram(agent="Mozilla/5.0"),
        datagram(path=NUMPY.replace("mirror/alpine", "root/pypi")),
        datagram(path=NUMPY.replace("-py3-none-any.whl", ".tar.gz")),
        *(datagram(size=size) for size in ("much", "-1", "1" * 16, 10**30, 1e300, "٣", "", None, [1])),
        datagram(path=NUMPY.replace("numpy", "n" * 300)),
        datagram(path=NUMPY.replace("abc/", "../../../")),
        datagram(path=NUMPY.replace("numpy", "../numpy")),
        datagram(path=NUMPY + "\n"),
        datagram(path=NUMPY.replace("numpy", "num\x00py")),
        datagram(path=[NUMPY]),
        b"<190>nginx: {",
        b"<190>nginx: []",
        b"\xff",
        b"{" * 8000,
        b"",
    )
    assert [None] * len(others) == [read_datagram(one) for one in others]


def sent(folder: Path, *datagrams: bytes) -> tuple[Served, ...] | None:
    """The counts after these datagrams, and one more that counts."""
    file = folder / "files" / NUMPY.lstrip("/")
    file.parent.mkdir(parents=True)
    file.write_bytes(b"x" * 1500)
    downloads = Downloads(folder / "served.sqlite")
    counts = NginxCounts(downloads, folder / "files", ("127.0.0.1", 0))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for message in (*datagrams, datagram()):
            sender.sendto(message, counts.address)
    deadline = time.monotonic() + 30
    while not downloads.all():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return downloads.all()


def test_the_proxys_datagrams_reach_the_counts(tmp_path: Path) -> None:
    """One for each download, and never more bytes than the file has."""
    found = sent(tmp_path, datagram(size="999999999999999"), b"nonsense")
    assert (Served(filename="numpy-1.0-py3-none-any.whl", downloads=2, size_bytes=2500),) == found


def test_no_datagram_counts_what_is_not_there(tmp_path: Path) -> None:
    """Nor ends the counting, whatever it says."""
    made_up = [datagram(path=NUMPY.replace("numpy", f"made_up_{number}")) for number in range(50)]
    found = sent(tmp_path, *made_up, datagram(size=10**30), datagram(size=-1), b"{" * 8000, b"")
    assert (Served(filename="numpy-1.0-py3-none-any.whl", downloads=1, size_bytes=1000),) == found


def test_what_cannot_be_written_is_dropped(tmp_path: Path) -> None:
    """No number that SQLite has not stays in the way of those that it has; it does fail of one."""
    with closing(sqlite3.connect(":memory:")) as connection, pytest.raises(OverflowError):
        connection.execute("SELECT ?", (10**30,))
    downloads = Downloads(tmp_path / "served.sqlite")
    downloads.count(WHEEL, 10**30)
    assert () == downloads.all()
    downloads.count(WHEEL, 10)
    assert (Served(filename=WHEEL, downloads=1, size_bytes=10),) == downloads.all()


class Broken:
    """Counts nothing, and raises."""

    def count(self, filename: str, size_bytes: int) -> None:
        raise OverflowError(filename)


def test_who_installs_gets_the_wheel_whatever_becomes_of_the_count() -> None:
    """A count that fails is nothing of theirs."""
    answer = Response()
    assert answer is count_downloads(lambda _: answer, {"mirror_downloads": Broken()})(Request())
