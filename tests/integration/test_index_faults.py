"""Everything that can go wrong between us and a real devpi-server, and between it and upstream."""

from __future__ import annotations

import hashlib
import math
import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from packaging.utils import NormalizedName, canonicalize_name

from fakes.proxy import Fault, FaultyProxy
from fakes.small_disk import SmallDisk
from fakes.upstream import Upstream
from fakes.wheels import checked_wheel
from mirror.adapters.devpi.http import Login
from mirror.adapters.devpi.index import DevpiIndex
from mirror.adapters.devpi.listening import free_port
from mirror.adapters.devpi.patience import Patience, Recovery
from mirror.adapters.devpi.server import EmbeddedServer, ServerInfo
from mirror.adapters.store import Store
from mirror.core.errors import MirrorError, UnusableError
from mirror.core.model import CheckedWheel, IndexFile

TAGS = "cp311-cp311-musllinux_1_2_x86_64"
QUICK = Patience(first_pause_s=0.01, longest_pause_s=0.2, total_s=30.0, answer_s=20.0)
"""Pauses short, patience long: what heals does so in time on a busy machine too."""
SHORT = replace(QUICK, total_s=0.5)
SDIST = b"an sdist" * 5000


class House:
    """A devpi-server with a faulty way to it, and one from it to upstream."""

    def __init__(self, server: EmbeddedServer, upstream: Upstream, outside: FaultyProxy) -> None:
        self.server = server
        self.upstream = upstream
        self.outside = outside
        self.info: ServerInfo = server.ensure_running(lambda _: None)
        self.inside = FaultyProxy(self.info.url)

    def open(self, store: Path, patience: Patience = QUICK, **recovery: Any) -> DevpiIndex:
        """A client whose every request goes through the proxy."""
        return self.opened(DevpiIndex, store, Recovery(patience=patience, **recovery))

    def opened(self, kind: type[DevpiIndex], store: Path, recovery: Recovery) -> DevpiIndex:
        return kind(
            self.inside.instead_of(self.info.url),
            self.info.login,
            Store(store),
            administrator=self.info.administrator,
            recovery=recovery,
        )

    def kept_by_devpi(self, name: str) -> list[bytes]:
        """What devpi holds of a project on its disk, half files too."""
        files = (self.server._files.server / "+files").rglob(f"*{name}*")
        return [path.read_bytes() for path in files if path.is_file()]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One server for all tests that let it live: each takes project names of its own."""
    upstream = Upstream()
    upstream.start()
    with FaultyProxy(upstream.url) as outside:
        server = EmbeddedServer(
            tmp_path_factory.mktemp("devpi"), free_port(), upstream=outside.instead_of(upstream.url)
        )
        try:
            house = House(server, upstream, outside)
            with house.inside:
                yield house
        finally:
            server.stop()
            upstream.stop()


@pytest.fixture
def house(shared: House) -> Iterator[House]:
    yield shared
    shared.inside.heal()
    shared.outside.heal()
    shared.inside.seen.clear()
    shared.outside.seen.clear()


@pytest.fixture
def name() -> NormalizedName:
    return canonicalize_name(f"demo{uuid4().hex[:12]}")


def a_wheel(name: str, payload: bytes = b"") -> CheckedWheel:
    return checked_wheel(f"{name}-1.0-{TAGS}.whl", payload=payload)


def listed(files: tuple[IndexFile, ...]) -> list[tuple[str, str]]:
    return sorted((file.filename, file.sha256) for file in files)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def error_of(act: Callable[[], Any]) -> MirrorError:
    with pytest.raises(MirrorError) as caught:
        act()
    assert caught.value.hint
    return caught.value


NOT_ARRIVED = {
    "429": Fault(forward=False, status=429),
    "500": Fault(forward=False, status=500),
    "502": Fault(forward=False, status=502),
    "503": Fault(forward=False, status=503),
    "504": Fault(forward=False, status=504),
    "reset": Fault(forward=False, reset=True),
}
ARRIVED = {
    "dropped reply": Fault(reset=True),
    "cut reply": Fault(cut=True),
    "502 in place of the reply": Fault(status=502),
}


@pytest.mark.parametrize("fault", [*NOT_ARRIVED.values()], ids=[*NOT_ARRIVED])
@pytest.mark.parametrize("times", [1, 4])
def test_an_upload_that_did_not_arrive_is_sent_again(
    house: House, name: NormalizedName, tmp_path: Path, fault: Fault, times: int
) -> None:
    """Absent on the index: sent again, as often as it takes."""
    wheel = a_wheel(name)
    house.inside.plan("POST", "/mirror/alpine/", fault, times)
    index = house.open(tmp_path)
    assert wheel.sha256 == index.publish(wheel).sha256
    assert [(wheel.filename, wheel.sha256)] == listed(index.files(name))
    assert times + 1 == house.inside.count("POST", "/mirror/alpine/")


@pytest.mark.parametrize("fault", [*ARRIVED.values()], ids=[*ARRIVED])
def test_an_upload_that_arrived_is_not_sent_again(
    house: House, name: NormalizedName, tmp_path: Path, fault: Fault
) -> None:
    """Equal on the index, though the reply was lost: done."""
    wheel = a_wheel(name)
    house.inside.plan("POST", "/mirror/alpine/", fault)
    index = house.open(tmp_path)
    assert wheel.sha256 == index.publish(wheel).sha256
    assert [(wheel.filename, wheel.sha256)] == listed(index.files(name))
    assert 1 == house.inside.count("POST", "/mirror/alpine/")


@pytest.mark.parametrize("fault", [NOT_ARRIVED["reset"], NOT_ARRIVED["503"]], ids=["reset", "503"])
def test_an_upload_that_finds_other_bytes_is_a_conflict(
    house: House, name: NormalizedName, tmp_path: Path, fault: Fault
) -> None:
    """Different on the index: a conflict, at once, and the bytes that were there stay."""
    first = a_wheel(name)
    house.open(tmp_path / "a").publish(first)
    house.inside.seen.clear()
    house.inside.plan("POST", "/mirror/alpine/", fault)
    index = house.open(tmp_path / "b")
    assert "conflict" == error_of(lambda: index.publish(a_wheel(name, b"OTHER = 1\n"))).code
    assert 1 == house.inside.count("POST", "/mirror/alpine/")
    (file,) = index.files(name)
    assert first.content == house.open(tmp_path / "c").fetch(file).read_bytes()


class Blind(DevpiIndex):
    """What a publisher that does not read back before it sends again would be."""

    def _publish_once(self, wheel: CheckedWheel) -> IndexFile:
        self._upload(wheel)
        (file,) = (file for file in self._read_stage(wheel.name) if file.filename == wheel.filename)
        return file


def test_without_reading_back_it_is_sent_twice(house: House, name: NormalizedName, tmp_path: Path) -> None:
    """Control: a lost reply alone would have the wheel sent again."""
    house.inside.plan("POST", "/mirror/alpine/", ARRIVED["dropped reply"])
    house.opened(Blind, tmp_path, Recovery(patience=QUICK)).publish(a_wheel(name))
    assert 2 == house.inside.count("POST", "/mirror/alpine/")


@pytest.mark.parametrize(("kind", "ends_as"), [(DevpiIndex, "first"), (Blind, "second")])
def test_where_files_may_change_reading_back_is_what_saves_them(
    house: House, name: NormalizedName, tmp_path: Path, kind: type[DevpiIndex], ends_as: str
) -> None:
    """Control: on an index whose files may change (which we refuse), sending blindly again overwrites."""
    root = DevpiIndex(house.info.url, house.info.administrator, Store(tmp_path))
    loose = house.info.url.replace("mirror/alpine", f"root/{name}")
    root._client.send("PUT", loose, json={"type": "stage", "volatile": True, "bases": [], "mirror_whitelist": []})
    wheels = {"first": a_wheel(name), "second": a_wheel(name, b"OTHER = 1\n")}
    DevpiIndex(loose, house.info.administrator, Store(tmp_path)).publish(wheels["first"])
    house.inside.plan("POST", f"/root/{name}/", NOT_ARRIVED["reset"])
    index = kind(
        house.inside.instead_of(loose), house.info.administrator, Store(tmp_path), recovery=Recovery(patience=QUICK)
    )
    try:
        index.publish(wheels["second"])
    except MirrorError as error:
        assert "conflict" == error.code
    assert [wheels[ends_as].sha256] == [file.sha256 for file in index.files(name)]


@pytest.mark.parametrize(
    ("status", "code", "posts"), [(401, "index-forbidden", 2), (403, "index-forbidden", 1), (409, "conflict", 1)]
)
def test_a_refusal_is_not_tried_again(
    house: House, name: NormalizedName, tmp_path: Path, status: int, code: str, posts: int
) -> None:
    """401, 403 and 409 are answers, told at once; a token may have run out: 401 is asked once more with a new one."""
    house.inside.plan("POST", "/mirror/alpine/", Fault(forward=False, status=status), math.inf)
    began = time.monotonic()
    assert code == error_of(lambda: house.open(tmp_path).publish(a_wheel(name))).code
    assert posts == house.inside.count("POST", "/mirror/alpine/")
    assert time.monotonic() - began < QUICK.total_s


@pytest.mark.parametrize("fault", [*NOT_ARRIVED.values(), *ARRIVED.values()], ids=[*NOT_ARRIVED, *ARRIVED])
@pytest.mark.parametrize(("method", "part"), [("POST", "/+login"), ("PATCH", "/mirror/alpine"), ("GET", "/+simple/")])
def test_every_step_of_publishing_is_patient(
    house: House, name: NormalizedName, tmp_path: Path, fault: Fault, method: str, part: str
) -> None:
    """Login, whitelist and reading back are tried again like the upload itself."""
    house.inside.plan(method, part, fault, 3)
    wheel = a_wheel(name)
    assert wheel.sha256 == house.open(tmp_path).publish(wheel).sha256
    whitelist = house.open(tmp_path)._client.get(f"{house.info.url}?no_projects=").result()
    assert whitelist is not None
    assert 1 == whitelist["mirror_whitelist"].count(name)


@pytest.mark.parametrize("fault", [*NOT_ARRIVED.values(), *ARRIVED.values()], ids=[*NOT_ARRIVED, *ARRIVED])
def test_reading_is_patient(house: House, name: NormalizedName, tmp_path: Path, fault: Fault) -> None:
    """Pages and files are asked for again; a body that was cut is no page and no file."""
    house.upstream.add(name, f"{name}-1.0.tar.gz", SDIST)
    for part in ("/+simple/", "/+f/"):
        house.inside.plan("GET", part, fault, 2)
    index = house.open(tmp_path)
    (file,) = index.files(name)
    assert index.fetch(file).read_bytes() == SDIST


def test_slow_is_not_lost(house: House, name: NormalizedName, tmp_path: Path) -> None:
    """An index that takes its time is waited for: nothing is sent twice."""
    house.inside.plan("POST", "/mirror/alpine/", Fault(delay_s=1.0))
    house.open(tmp_path).publish(a_wheel(name))
    assert 1 == house.inside.count("POST", "/mirror/alpine/")


def test_an_upload_that_arrives_late_is_published_once(house: House, name: NormalizedName, tmp_path: Path) -> None:
    """Taken for gone, sent again, and the first one arrives after all: one file, the same bytes."""
    wheel = a_wheel(name)
    house.inside.plan("POST", "/mirror/alpine/", Fault(delay_s=2.0))
    index = house.open(tmp_path, replace(QUICK, answer_s=1.0))
    index.publish(wheel)
    time.sleep(2.0)
    index.forget(name)
    assert [(wheel.filename, wheel.sha256)] == listed(index.files(name))
    assert 2 <= house.inside.count("POST", "/mirror/alpine/")


def test_patience_ends(house: House, name: NormalizedName, tmp_path: Path) -> None:
    """An index that goes on failing is told with what it says; the wheel is published by the next one who tries."""
    said: list[str] = []
    house.inside.plan("POST", "/mirror/alpine/", Fault(forward=False, status=503), math.inf)
    index = house.open(tmp_path, replace(SHORT, first_pause_s=2.0, longest_pause_s=2.0), say=said.append)
    error = error_of(lambda: index.publish(a_wheel(name)))
    url = house.inside.instead_of(house.info.url)
    assert ("index-failed", f"the index answers HTTP 503 for {url}/") == (error.code, error.what)
    assert [f"the index answers HTTP 503 for {url}/; trying again for up to 0 s"] == said
    assert () == house.open(tmp_path).files(name)
    house.inside.heal()
    wheel = a_wheel(name)
    assert wheel.sha256 == index.publish(wheel).sha256


def test_waits_as_long_as_it_is_told(house: House, name: NormalizedName, tmp_path: Path) -> None:
    """Retry-After is honoured: nothing is asked again before."""
    fault = Fault(forward=False, status=429, headers=(("Retry-After", "1"),))
    house.inside.plan("POST", "/mirror/alpine/", fault)
    house.open(tmp_path).publish(a_wheel(name))
    refused, accepted = (seen.at for seen in house.inside.seen if seen.method == "POST" and "alpine" in seen.path)
    assert accepted - refused >= 1.0


def test_is_not_told_to_wait_for_ever(house: House, name: NormalizedName, tmp_path: Path) -> None:
    """A Retry-After beyond all patience ends it: nothing is asked sooner than it may be."""
    fault = Fault(forward=False, status=429, headers=(("Retry-After", "3600"),))
    house.inside.plan("POST", "/mirror/alpine/", fault)
    assert "index-failed" == error_of(lambda: house.open(tmp_path).publish(a_wheel(name))).code
    assert 1 == house.inside.count("POST", "/mirror/alpine/")


SLEEPY = replace(QUICK, first_pause_s=60.0, longest_pause_s=60.0, total_s=300.0, answer_s=60.0)


@pytest.mark.parametrize(
    "fault", [Fault(forward=False, status=503), Fault(delay_s=60.0)], ids=["in a pause", "in a request"]
)
def test_stopping_ends_every_wait(house: House, name: NormalizedName, tmp_path: Path, fault: Fault) -> None:
    """Who waits when the run is given up learns so at once; without it, they would go on waiting."""
    for method, part in (("POST", "/mirror/alpine/"), ("GET", "/+simple/")):
        house.inside.plan(method, part, fault, math.inf)
    index = house.open(tmp_path, SLEEPY)
    with ThreadPoolExecutor(2) as pool:
        waiting: list[Future[Any]] = [pool.submit(index.publish, a_wheel(name)), pool.submit(index.files, name)]
        while len({seen.path for seen in house.inside.seen if seen.fault == fault}) < 2:
            time.sleep(0.02)
        time.sleep(0.5)
        assert [False, False] == [future.done() for future in waiting]
        began = time.monotonic()
        index.stop()
        assert ["stopped", "stopped"] == [error_of(future.result).code for future in waiting]
        assert time.monotonic() - began < 10.0
    for act in (lambda: index.publish(a_wheel(name)), lambda: index.files(name), index.ensure_index):
        assert "stopped" == error_of(act).code


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[House]:
    """A server of the test's own, which it may kill."""
    upstream = Upstream()
    upstream.start()
    server = EmbeddedServer(tmp_path / "devpi", free_port(), upstream=upstream.url)
    try:
        with FaultyProxy(upstream.url) as outside:
            yield House(server, upstream, outside)
    finally:
        server.stop()
        upstream.stop()


def killed(house: House) -> Fault:
    """The server dies when half of the request has arrived."""
    return Fault(midway=lambda: os.kill(house.info.pid, signal.SIGKILL))


def direct(house: House, store: Path, recovery: Recovery) -> DevpiIndex:
    """A client that speaks to the server itself."""
    info = house.info
    return DevpiIndex(info.url, info.login, Store(store), administrator=info.administrator, recovery=recovery)


class Kills(DevpiIndex):
    """Sends its first upload through the proxy, where it kills the server, and all else to the server itself."""

    way: FaultyProxy
    tried = 0

    def _upload(self, wheel: CheckedWheel) -> None:
        self.tried += 1
        mine = self._url
        try:
            if self.tried == 1:
                self._url = self.way.instead_of(mine)
            super()._upload(wheel)
        finally:
            self._url = mine


def killing(house: House, store: Path, recovery: Recovery) -> Kills:
    info = house.info
    index = Kills(info.url, info.login, Store(store), administrator=info.administrator, recovery=recovery)
    index.way = house.inside
    house.inside.plan("POST", "/mirror/alpine/", killed(house))
    return index


def test_an_index_that_is_killed_is_started_again(mortal: House, tmp_path: Path) -> None:
    """kill -9 in the middle of an upload: the run itself brings its own index back, and the wheel lands."""
    said: list[str] = []
    revived = Recovery(patience=QUICK, revive=lambda: mortal.server.ensure_running(said.append))
    wheel = a_wheel("demo")
    with mortal.inside:
        index = killing(mortal, tmp_path / "store", revived)
        assert wheel.sha256 == index.publish(wheel).sha256
    assert [f"starting the index on port {mortal.info.port}"] == said
    assert 2 == index.tried
    status = mortal.server.status()
    assert status is not None
    assert status.pid != mortal.info.pid


def test_a_killed_index_that_comes_back_is_waited_for(mortal: House, tmp_path: Path) -> None:
    """Somebody else starts it again (`mirror up`): the wheel lands then."""
    wheel = a_wheel("demo")
    with mortal.inside, ThreadPoolExecutor(1) as pool:
        publishing = pool.submit(killing(mortal, tmp_path / "store", Recovery(patience=QUICK)).publish, wheel)
        while mortal.server.status() is not None:
            time.sleep(0.02)
        time.sleep(0.5)
        assert not publishing.done()
        mortal.server.ensure_running(lambda _: None)
        assert wheel.sha256 == publishing.result().sha256


def test_a_killed_index_that_stays_dead_is_told(mortal: House, tmp_path: Path) -> None:
    """Control: nobody starts it again, and patience ends."""
    with mortal.inside:
        index = killing(mortal, tmp_path / "store", Recovery(patience=SHORT))
        error = error_of(lambda: index.publish(a_wheel("demo")))
    assert "index-unreachable" == error.code


def test_an_index_whose_address_is_right_may_come_late(mortal: House, tmp_path: Path) -> None:
    """A team's builder asks an index that is being started again; the control: a mistyped address is told soon."""
    mortal.server.stop()
    mistyped = direct(mortal, tmp_path / "store", Recovery(patience=QUICK, at_first=SHORT))
    assert "index-unreachable" == error_of(mistyped.ensure_index).code
    with mortal.inside, ThreadPoolExecutor(1) as pool:
        greeting = pool.submit(direct(mortal, tmp_path / "store", Recovery(at_first=QUICK)).ensure_index)
        time.sleep(0.5)
        assert not greeting.done()
        mortal.server.ensure_running(lambda _: None)
        greeting.result()


def test_an_index_that_cannot_be_started_again_says_why(mortal: House, tmp_path: Path) -> None:
    """What the start says is what is told, not that nobody answers."""

    def fails() -> None:
        raise UnusableError("index-start", "devpi-server does not start", hint="look")

    with mortal.inside:
        index = killing(mortal, tmp_path / "store", Recovery(patience=SHORT, revive=fails))
        assert "index-start" == error_of(lambda: index.publish(a_wheel("demo"))).code


def test_a_slow_index_is_not_started_again(house: House, name: NormalizedName, tmp_path: Path) -> None:
    """Only one where nobody listens is: a server that is busy would be killed by its own clients."""
    revived: list[None] = []
    for fault in (Fault(delay_s=1.0), NOT_ARRIVED["503"], NOT_ARRIVED["reset"]):
        house.inside.plan("POST", "/mirror/alpine/", fault)
    index = house.open(tmp_path, replace(QUICK, answer_s=0.5), revive=lambda: revived.append(None))
    index.publish(a_wheel(name))
    assert [] == revived


SERVER_ON_A_SMALL_DISK = """
from mirror.adapters.devpi.server import EmbeddedServer
server = EmbeddedServer(DISK / "devpi", PORT, upstream=UPSTREAM)
info = server.ensure_running(lambda _: None)
tell([info.url, info.password_file.read_text(), info.root_password_file.read_text()])
for line in sys.stdin:
    {"fill": fill, "free": free}[line.strip()]()
    tell("done")
server.stop()
"""


def test_all_wheels_land_when_the_disk_of_the_index_has_room_again(house: House, tmp_path: Path) -> None:
    """devpi answers 500 while its disk is full; nothing is lost, and what was there can be read all the time."""
    settings = f"PORT, UPSTREAM = {free_port()}, {house.upstream.url!r}\n"
    wheels = [a_wheel(f"full{n}", b"#" * 200_000) for n in range(4)]
    with SmallDisk(tmp_path / "disk", 8 << 20, settings + SERVER_ON_A_SMALL_DISK) as disk:
        url, password, root_password = disk.hear()
        mine, root = Login("mirror", lambda: password), Login("root", lambda: root_password)

        def opened(store: str, patience: Patience) -> DevpiIndex:
            return DevpiIndex(
                url, mine, Store(tmp_path / store), administrator=root, recovery=Recovery(patience=patience)
            )

        index, before = opened("a", QUICK), a_wheel("before")
        index.publish(before)
        disk.say("fill")
        disk.hear()
        error = error_of(lambda: opened("b", SHORT).publish(wheels[0]))
        assert ("index-failed", True) == (error.code, "HTTP 500" in error.what)
        assert [(before.filename, before.sha256)] == listed(opened("c", QUICK).files(before.name))
        with ThreadPoolExecutor(len(wheels)) as pool:
            publishing = [pool.submit(index.publish, wheel) for wheel in wheels]
            time.sleep(1.0)
            assert not any(future.done() for future in publishing)
            disk.say("free")
            disk.hear()
            assert [wheel.sha256 for wheel in wheels] == [future.result().sha256 for future in publishing]
        again = opened("d", QUICK)
        assert [[(wheel.filename, wheel.sha256)] for wheel in wheels] == [listed(again.files(w.name)) for w in wheels]


def broken_page(content: bytes) -> bytes:
    return content[: len(content) // 2]


PAGE_FAULTS = {
    "429": (Fault(status=429), "429 status on GET URL('{url}')"),
    "500": (Fault(status=500), "500 status on GET URL('{url}')"),
    "503": (Fault(forward=False, status=503), "503 status on GET URL('{url}')"),
    "reset": (Fault(reset=True), "-1 status on GET URL('{url}')"),
    "truncated": (Fault(cut=True), "-1 status on GET URL('{url}')"),
}


@pytest.mark.parametrize(("fault", "said"), PAGE_FAULTS.values(), ids=PAGE_FAULTS)
def test_a_page_that_upstream_fails_to_give(
    house: House, name: NormalizedName, tmp_path: Path, fault: Fault, said: str
) -> None:
    """devpi hides the failure behind an empty page: we wait, and name what upstream said where it stays so."""
    house.upstream.add(name, f"{name}-1.0.tar.gz", SDIST)
    house.outside.plan("GET", f"/simple/{name}/", fault, math.inf)
    error = error_of(lambda: house.open(tmp_path, SHORT).files(name))
    page = house.inside.instead_of(f"{house.info.url.removesuffix('/mirror/alpine')}/root/pypi/+simple/{name}/")
    upstream = f"{house.outside.url}/simple/{name}/"
    assert (
        "upstream-unreachable",
        f"the index cannot read {name} from the upstream of root/pypi",
        (f"the index answers HTTP 502 for {page}", f"502 Bad Gateway {said.format(url=upstream)}"),
    ) == (error.code, error.what, error.details)
    house.outside.heal()
    house.outside.plan("GET", f"/simple/{name}/", fault, 3)
    assert [(f"{name}-1.0.tar.gz", sha256(SDIST))] == listed(house.open(tmp_path).files(name))


def test_a_page_of_upstreams_that_is_no_page(house: House, name: NormalizedName, tmp_path: Path) -> None:
    """Half a page with a length to match makes devpi answer 500: that is waited for, too."""
    house.upstream.add(name, f"{name}-1.0.tar.gz", SDIST)
    house.outside.plan("GET", f"/simple/{name}/", Fault(body=broken_page), 3)
    assert [(f"{name}-1.0.tar.gz", sha256(SDIST))] == listed(house.open(tmp_path).files(name))


def test_a_project_that_upstream_lacks_is_no_failure(house: House, name: NormalizedName, tmp_path: Path) -> None:
    """404 is an answer: no such project, and nothing is asked again."""
    assert () == house.open(tmp_path).files(name)
    assert 1 == house.outside.count("GET", f"/simple/{name}/")


def longer(content: bytes) -> bytes:
    return content + b"more"


def shorter(content: bytes) -> bytes:
    return content[:-4]


def other(content: bytes) -> bytes:
    return b"x" * len(content)


FILE_FAULTS = {
    "404": (Fault(status=404), "download-failed"),
    "429": (Fault(status=429), "download-failed"),
    "500": (Fault(status=500), "download-failed"),
    "503": (Fault(forward=False, status=503), "download-failed"),
    "reset": (Fault(reset=True), "download-failed"),
    "truncated": (Fault(cut=True), "download-failed"),
    "too short": (Fault(body=shorter), "hash-mismatch"),
    "too long": (Fault(body=longer), "hash-mismatch"),
    "other bytes": (Fault(body=other), "hash-mismatch"),
}


@pytest.mark.parametrize(("fault", "code"), FILE_FAULTS.values(), ids=FILE_FAULTS)
def test_a_file_that_upstream_fails_to_give(
    house: House, name: NormalizedName, tmp_path: Path, fault: Fault, code: str
) -> None:
    """Refused where it stays so; no byte is kept by us or by devpi, and the right ones come when it heals."""
    house.upstream.add(name, f"{name}-1.0.tar.gz", SDIST)
    index = house.open(tmp_path, SHORT)
    (file,) = index.files(name)
    house.outside.plan("GET", f"/files/{name}/", fault, math.inf)
    error = error_of(lambda: index.fetch(file))
    assert (code, True) == (error.code, any(file.url in text for text in (error.what, *error.details)))
    assert ([], []) == ([path for path in tmp_path.rglob("*") if path.is_file()], house.kept_by_devpi(name))
    house.outside.heal()
    assert SDIST == index.fetch(file).read_bytes()
    assert SDIST == house.open(tmp_path / "another").fetch(file).read_bytes()
    assert {SDIST} >= set(house.kept_by_devpi(name))  # it keeps a file some time after its last byte was sent


@pytest.mark.parametrize(
    "fault",
    [fault for fault, _ in FILE_FAULTS.values() if fault.status != 404],
    ids=[i for i in FILE_FAULTS if i != "404"],
)
def test_a_file_that_upstream_fails_to_give_at_first(
    house: House, name: NormalizedName, tmp_path: Path, fault: Fault
) -> None:
    """What may pass is tried again, bytes that may have been changed on the way too."""
    house.upstream.add(name, f"{name}-1.0.tar.gz", SDIST)
    index = house.open(tmp_path)
    (file,) = index.files(name)
    house.outside.plan("GET", f"/files/{name}/", fault, 2)
    assert SDIST == index.fetch(file).read_bytes()


def test_wrong_bytes_are_told_with_both_hashes(house: House, name: NormalizedName, tmp_path: Path) -> None:
    """Expected, got, and from where; after three tries, since it will not change for a fourth."""
    house.upstream.add(name, f"{name}-1.0.tar.gz", SDIST)
    index = house.open(tmp_path)
    (file,) = index.files(name)
    house.outside.plan("GET", f"/files/{name}/", Fault(body=other), math.inf)
    error = error_of(lambda: index.fetch(file))
    expected = (
        f"{name}-1.0.tar.gz is not what the index promised: sha256 {sha256(other(SDIST))} instead of {sha256(SDIST)}",
        (f"{len(SDIST)} bytes came from {file.url}",),
    )
    assert expected == (error.what, error.details)
    assert 3 == house.outside.count("GET", f"/files/{name}/")


def test_a_file_that_upstream_lacks_is_told_at_once(house: House, name: NormalizedName, tmp_path: Path) -> None:
    """404 is an answer; what upstream said is told."""
    house.upstream.add(name, f"{name}-1.0.tar.gz", SDIST)
    index = house.open(tmp_path)
    (file,) = index.files(name)
    house.outside.plan("GET", f"/files/{name}/", Fault(status=404), math.inf)
    error = error_of(lambda: index.fetch(file))
    upstream = f"{house.outside.url}/files/{name}/{name}-1.0.tar.gz"
    assert ("HTTP 404", f"error 404 getting {upstream}") == error.details
    assert 1 == house.outside.count("GET", f"/files/{name}/")


@pytest.fixture
def resting(tmp_path: Path) -> Iterator[House]:
    """A server of the test's own: when its upstream rests, it does so for all."""
    upstream = Upstream()
    upstream.start()
    with FaultyProxy(upstream.url) as outside:
        server = EmbeddedServer(tmp_path / "devpi", free_port(), upstream=outside.instead_of(upstream.url))
        try:
            house = House(server, upstream, outside)
            with house.inside:
                yield house
        finally:
            server.stop()
            upstream.stop()


@pytest.mark.parametrize("status", [429, 503])
def test_an_upstream_that_asks_for_it_is_left_alone(resting: House, tmp_path: Path, status: int) -> None:
    """Retry-After is honoured through devpi, for pages and files, whoever asks for them meanwhile."""
    for name in ("one", "two"):
        resting.upstream.add(name, f"{name}-1.0.tar.gz", SDIST)
    rest = Fault(forward=False, status=status, headers=(("Retry-After", "2"),))
    resting.outside.plan("GET", "/simple/", rest)
    resting.outside.plan("GET", "/files/", rest)
    index = resting.open(tmp_path)

    def fetched(name: str) -> bytes:
        (file,) = index.files(canonicalize_name(name))
        return index.fetch(file).read_bytes()

    with ThreadPoolExecutor(2) as pool:
        assert [SDIST, SDIST] == [*pool.map(fetched, ("one", "two"))]
    seen = resting.outside.seen
    refused = [request for request in seen if request.fault == rest]
    assert 2 == len(refused)
    for request in refused:
        assert [] == [other.path for other in seen if request.at + 0.5 < other.at < request.at + 2.0]


def test_without_being_asked_it_is_not(resting: House, tmp_path: Path) -> None:
    """Control: without a Retry-After, upstream is asked again sooner."""
    resting.upstream.add("one", "one-1.0.tar.gz", SDIST)
    resting.outside.plan("GET", "/simple/", Fault(forward=False, status=429), 3)
    assert 1 == len(resting.open(tmp_path).files(canonicalize_name("one")))
    times = [request.at for request in resting.outside.seen]
    assert times[3] - times[0] < 2.0


def test_a_long_rest_is_told(resting: House, tmp_path: Path) -> None:
    """Beyond our patience: refused at once, and upstream is asked no more."""
    resting.upstream.add("one", "one-1.0.tar.gz", SDIST)
    resting.outside.plan("GET", "/simple/", Fault(forward=False, status=429, headers=(("Retry-After", "3600"),)))
    index = resting.open(tmp_path)
    for _ in range(3):
        assert "upstream-unreachable" == error_of(lambda: index.files(canonicalize_name("one"))).code
    assert 1 == resting.outside.count("GET")
