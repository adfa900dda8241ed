"""Strangers who would have the index do something for them: send files to any address, answer to a name of theirs.

Everything is sent to a real devpi-server of the test's own; what that sends on is heard by a listener on loopback.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests

from fakes.unguarded import Unguarded
from fakes.wheels import checked_wheel
from mirror.adapters.devpi.http import DevpiClient
from mirror.adapters.devpi.index import DevpiIndex
from mirror.adapters.devpi.layout import BUILDER, INTERNAL, OWNER, STAGE, tend_builder
from mirror.adapters.devpi.listening import free_port
from mirror.adapters.devpi.server import EmbeddedServer, ServerInfo, Team
from mirror.adapters.devpi.tokens import Tokens
from mirror.adapters.queue import Queue
from mirror.adapters.store import Store

DOOR, GUARD = "mirror.server.door.keep", "mirror.server.changes.guard"
WHEEL = checked_wheel("treasure-1.0-py3-none-any.whl")
FORM = {"Content-Type": "text/plain"}
LONE = r'{"user": "\ud800", "password": "\ud800", "name": "\ud800", "version": "1", "targetindex": "mirror/alpine"}'


@contextmanager
def listener() -> Iterator[tuple[str, list[bytes]]]:
    """An address that takes uploads, and what it has heard."""
    heard: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append(self.rfile.read(int(self.headers.get("Content-Length", 0))))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/", heard
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def index(folder: Path, *walls: str, team: bool = False, counts: str = "") -> Iterator[ServerInfo]:
    """An index that holds a wheel; without these walls."""
    settings = {
        "upstream": "http://127.0.0.1:9/simple/",
        "journal": folder,
        "team": Team(queue=folder / "queue", counts=counts) if team else None,
    }
    port = free_port()
    data = folder / "devpi"
    server = Unguarded(data, port, walls=walls, **settings) if walls else EmbeddedServer(data, port, **settings)  # type: ignore[arg-type]
    if team:
        Queue(folder / "queue")
    info = server.ensure_running(lambda _: None)
    try:
        DevpiIndex(info.url, info.login, Store(folder / "store"), administrator=info.administrator).publish(WHEEL)
        yield info
    finally:
        server.stop()


@pytest.fixture(scope="module")
def index_of_many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerInfo]:
    """One for all tests that leave it as it was."""
    with index(tmp_path_factory.mktemp("many"), team=False) as info:
        yield info


def administrator(info: ServerInfo) -> DevpiClient:
    """Root's own."""
    return DevpiClient(info.url.removesuffix(f"/{STAGE}"), info.administrator)


def push(info: ServerInfo, to: str, headers: dict[str, str], auth: tuple[str, str] | None = None) -> int:
    """Ask for the wheel to be sent somewhere; the status."""
    body = {"name": "treasure", "version": "1.0", "posturl": to, "username": "u", "password": "p"}
    return requests.post(info.url, data=json.dumps(body), headers=headers, auth=auth, timeout=60).status_code


JSON = {"Content-Type": "application/json"}


def test_nobody_has_files_sent_anywhere(tmp_path: Path) -> None:
    """Neither a stranger nor a page in a developer's browser nor who may only read; whoever may upload there may."""
    with index(tmp_path) as info, listener() as (address, heard):
        tokens = Tokens(administrator(info))
        reader = tokens.create("reader", publish_to=None, expires_s=None)
        publisher = tokens.create("publisher", publish_to=STAGE, expires_s=None)
        assert 401 == push(info, address, JSON)
        assert 403 == push(info, address, JSON, ("reader", reader))
        assert 415 == push(info, address, FORM)
        assert 415 == push(info, address, FORM, ("publisher", publisher))
        for origin in ("http://evil.example", "null"):
            assert 403 == push(info, address, {**JSON, "Origin": origin}, ("publisher", publisher))
        assert 421 == push(info, address, {**JSON, "Host": "evil.example"}, ("publisher", publisher))
        assert [] == heard
        assert 200 == push(info, address, JSON, ("publisher", publisher))
        assert [True] == [WHEEL.content in body for body in heard]


def test_without_the_walls_they_are_sent(tmp_path: Path) -> None:
    """devpi itself sends them for everybody, and takes any form for JSON."""
    with index(tmp_path, DOOR, GUARD) as info, listener() as (address, heard):
        assert [200, 200] == [push(info, address, FORM), push(info, address, {**FORM, "Host": "evil.example"})]
        assert [True, True] == [WHEEL.content in body for body in heard]


def two_faced(info: ServerInfo, to: str, auth: tuple[str, str]) -> int:
    """Ask for what is nobody's where it is read as UTF-8, and as UTF-7 for the wheel to be sent somewhere."""
    body = (
        '{"name": "nothing", "+AG4-ame": "treasure", "version": "1.0", "username": "u", "password": "p", '
        f'"posturl": "{to}", "targetindex": "{INTERNAL}", "+AHQ-argetindex": null}}'
    )
    headers = {"Content-Type": "application/json; charset=utf-7"}
    return requests.post(info.url, data=body, headers=headers, auth=auth, timeout=60).status_code


@pytest.mark.parametrize(
    ("walls", "status"), [((), 415), ((GUARD,), 415), ((DOOR,), 403), ((DOOR, GUARD), 200)], ids=str
)
def test_a_body_is_read_in_one_way(walls: tuple[str, ...], status: int, tmp_path: Path) -> None:
    """Who may upload to another index has nothing sent from this one; without the walls devpi sends it."""
    with index(tmp_path, *walls, team=True) as info, listener() as (address, heard):
        token = Tokens(administrator(info)).create("ci", publish_to=INTERNAL, expires_s=None)
        assert status == two_faced(info, address, ("ci", token))
        assert status == 200 or [] == heard


@pytest.mark.parametrize(("wall", "other"), [(DOOR, JSON), (GUARD, {**JSON, "Host": "evil.example"})])
def test_each_wall_stands_alone(wall: str, other: dict[str, str], tmp_path: Path) -> None:
    """Without the one, the other one still refuses what is its own to refuse."""
    with index(tmp_path, wall) as info, listener() as (address, heard):
        assert push(info, address, other) in (401, 421)
        assert [] == heard


def test_a_strangers_name_reads_nothing(tmp_path: Path) -> None:
    """Of whoever has pointed a name at this machine: no page, no file; nor with devpi's header for proxies."""
    disguises = [{"Host": "evil.example:3141"}, {"X-outside-url": "http://localhost"}]
    with index(tmp_path) as info:
        for path in ("/mirror/alpine/+simple/treasure/", "/", "/+api", "/+mirror/", "/+status", "/nothing"):
            address = info.url.removesuffix(f"/{STAGE}") + path
            asked = [requests.get(address, headers=headers, timeout=60) for headers in disguises]
            assert [421, 421] == [answer.status_code for answer in asked], path
            assert not [answer for answer in asked if "treasure" in answer.text]
        page = requests.get(f"{info.url}/+simple/treasure/", timeout=60)
        assert (200, True) == (page.status_code, "treasure-1.0" in page.text)


def test_whoever_names_no_host_is_no_page(tmp_path: Path) -> None:
    """A load balancer's check by HTTP/1.0 is answered: every browser names a host."""
    with index(tmp_path) as info, closing(HTTPConnection("127.0.0.1", info.port, timeout=60)) as connection:
        connection.putrequest("GET", "/+api", skip_host=True)
        connection.endheaders()
        assert 200 == connection.getresponse().status


def test_without_the_door_it_reads_everything(tmp_path: Path) -> None:
    """It is the door that stops it."""
    with index(tmp_path, DOOR) as info:
        answer = requests.get(f"{info.url}/+simple/treasure/", headers={"Host": "evil.example:3141"}, timeout=60)
        assert (200, True) == (answer.status_code, "treasure-1.0" in answer.text)


def test_a_name_can_be_made_known(tmp_path: Path) -> None:
    """With `hostnames`, which a running index is started again for."""
    port = free_port()
    settings = {"upstream": "http://127.0.0.1:9/simple/"}
    named = {"Host": f"wheels.example:{port}"}
    try:
        for hostnames, status in (((), 421), (("wheels.example",), 200), ((), 421)):
            server = EmbeddedServer(tmp_path / "devpi", port, hostnames=hostnames, **settings)  # type: ignore[arg-type]
            url = server.ensure_running(lambda _: None).url.removesuffix(f"/{STAGE}")
            assert status == requests.get(f"{url}/+api", headers=named, timeout=60).status_code
    finally:
        server.stop()


def test_whoever_may_not_upload_sends_nothing_large(tmp_path: Path) -> None:
    """Refused by their heads and by who they are, before anybody takes the body apart."""
    large = b"x" * 1_000_000
    with index(tmp_path, team=True) as info:
        root = info.url.removesuffix(f"/{STAGE}")
        token = Tokens(administrator(info)).create("alice", publish_to=None, expires_s=None)

        def send(path: str, auth: tuple[str, str] | None = None, **body: Any) -> int:
            return requests.post(root + path, auth=auth, timeout=60, **body).status_code

        form: dict[str, Any] = {
            "files": {"content": ("a-1.0.tar.gz", large)},
            "data": {":action": "file_upload", "name": "a"},
        }
        for path in ("/mirror/alpine/", "/mirror/alpine", "/root/pypi/", "/nobody/nothing/"):
            assert [401, 403, 415] == [send(path, **form), send(path, ("alice", token), **form), send(path, data=large)]
            assert 413 == send(path, data=large, headers=JSON)
            # A login that is none lets nobody past.
            assert 413 == send(path, ("alice", "wrong"), data=large, headers=JSON)
        assert [413, 413] == [send(path, data=large, headers=JSON) for path in ("/+login", "/+mirror/builds")]
        assert 400 == send("/+mirror/builds", ("alice", token), data=large, headers=JSON)  # read, and no JSON


@pytest.mark.parametrize("body", ["[]", "1", '"x"', "null", "{}", "{", '{"user": 1, "password": []}', LONE])
def test_what_is_no_request_is_no_defect(body: str, index_of_many: ServerInfo) -> None:
    """JSON that devpi would fail of, whoever sends it: 400, and no traceback in the log for each."""
    root = index_of_many.url.removesuffix(f"/{STAGE}")
    owner = (OWNER, index_of_many.password_file.read_text())
    sent: dict[str, Any] = {"data": body.encode(), "headers": JSON}
    assert 400 == requests.post(f"{root}/+login", timeout=60, **sent).status_code
    assert requests.post(index_of_many.url, timeout=60, **sent).status_code in (400, 401)
    assert 400 == requests.post(index_of_many.url, auth=owner, timeout=60, **sent).status_code
    if not body.startswith("{"):
        assert 400 == requests.patch(f"{root}/mirror", timeout=60, **sent).status_code


def test_odd_heads_are_no_defect(index_of_many: ServerInfo) -> None:
    """Each was a 500, with a traceback of some kilobytes in the log: all but the last from strangers."""
    root = index_of_many.url.removesuffix(f"/{STAGE}")
    login = {"user": "a", "password": "b"}
    for odd, status in (({"Origin": "http://["}, 403), ({"Content-Type": "application/json; charset=nonsense"}, 415)):
        assert status == requests.post(f"{root}/+login", json=login, headers=odd, timeout=60).status_code
    for uri in ("http://[", "/%ff", "gopher://x"):
        assert 400 == requests.get(f"{root}/+authcheck", headers={"X-Original-URI": uri}, timeout=60).status_code
    file = f"{root}/root/pypi/+f/000/0000000000000/a-1.0-py3-none-any.whl"
    assert 401 == requests.post(file, json={}, timeout=60).status_code
    owner = (OWNER, index_of_many.password_file.read_text())
    for form in ("multipart/form-data", "multipart/form-data; boundary=x; charset=latin1"):
        answer = requests.post(index_of_many.url, data=b"--x--", headers={"Content-Type": form}, auth=owner, timeout=60)
        assert answer.status_code in (400, 415)


@pytest.mark.parametrize(("reading", "statuses"), [("open", [404, 200, 403, 200]), ("token", [401, 401, 401, 401])])
def test_a_token_that_is_good_no_more_is_no_defect(reading: str, statuses: list[int], tmp_path: Path) -> None:
    """Whoever still sends it is told so, or reads what everybody reads."""
    Queue(tmp_path / "queue")
    team = Team(queue=tmp_path / "queue", reading=reading)
    server = EmbeddedServer(tmp_path / "devpi", free_port(), upstream="http://127.0.0.1:9/simple/", team=team)
    try:
        info = server.ensure_running(lambda _: None)
        root, tokens = info.url.removesuffix(f"/{STAGE}"), Tokens(administrator(info))
        login = ("alice", tokens.create("alice", publish_to=None, expires_s=None))
        tokens.revoke("alice")
        paths = ("/mirror/prod/+simple/six/", "/mirror/prod/+simple/", "/+mirror/", "/mirror/alpine")
        assert statuses == [requests.get(root + path, auth=login, timeout=60).status_code for path in paths]
    finally:
        server.stop()


def registered(info: ServerInfo, method: str, who: tuple[str, str], text: str = "") -> int:
    """Register or forget a lock; the status."""
    address = f"{info.url.removesuffix(f'/{STAGE}')}/+mirror/locks/{OWNER}/lock-{'a' * 40}"
    body = {"custom_data": text} if text else None
    return requests.request(method, address, json=body, auth=who, timeout=60).status_code


def test_nobody_ends_somebody_elses_lock(index_of_many: ServerInfo) -> None:
    """Two may publish, and each may replace and forget what was registered by them; the index's owner all of it."""
    tokens = Tokens(administrator(index_of_many))
    ci, other = ((name, tokens.create(name, publish_to=STAGE, expires_s=None)) for name in ("ci", "other"))
    owner = (OWNER, index_of_many.password_file.read_text())
    lock = {"version": 1, "project": "", "path": "", "host": "", "asked": "", "files": [], "target": "", "wheels": []}
    text = json.dumps({**lock, "registered": 1.0})
    for mine, theirs in ((ci, other), (owner, ci)):
        assert [200, 200] == [registered(index_of_many, "PUT", mine, text) for _ in range(2)]
        assert 403 == registered(index_of_many, "PUT", theirs, text)
        assert 403 == registered(index_of_many, "DELETE", theirs)
        assert 200 == registered(index_of_many, "DELETE", mine)
    assert [200, 200] == [registered(index_of_many, "PUT", ci, text), registered(index_of_many, "DELETE", owner)]
    for odd in ("1e300", "NaN", "-1", "1" + "0" * 400):
        assert 400 == registered(index_of_many, "PUT", ci, text.replace("1.0}", f"{odd}}}"))


def test_a_lock_without_a_name_is_the_builders(index_of_many: ServerInfo, tmp_path: Path) -> None:
    """A team's builder registered them before names stood on them: it goes on to, and nobody else does."""
    root = administrator(index_of_many)
    tend_builder(root, tmp_path / "builder")
    builder = (BUILDER, (tmp_path / "builder").read_text())
    other = ("third", Tokens(root).create("third", publish_to=STAGE, expires_s=None))
    lock = {"version": 1, "project": "", "path": "", "host": "", "asked": "", "files": [], "target": "", "wheels": []}
    text = json.dumps({**lock, "registered": 1.0})
    old = {"type": "stage", "bases": [], "volatile": True, "acl_upload": [], "custom_data": text}
    assert 200 == root.send("PUT", f"{root.root}/{OWNER}/lock-{'a' * 40}", json=old).status
    assert [403, 200, 403] == [registered(index_of_many, "PUT", who, text) for who in (other, builder, other)]
    assert [403, 200] == [registered(index_of_many, "DELETE", who) for who in (other, builder)]


@pytest.mark.parametrize(("walls", "status"), [((), 403), (("pyramid.request.RequestLocalCache.clear",), 200)])
def test_a_token_for_one_index_is_for_no_other(walls: tuple[str, ...], status: int, tmp_path: Path) -> None:
    """Where reading needs a login, too: whom devpi took somebody for before it knew the index is not remembered."""
    team = Team(queue=tmp_path / "queue", reading="token")
    settings: dict[str, Any] = {"upstream": "http://127.0.0.1:9/simple/", "team": team}
    server = Unguarded(tmp_path / "devpi", free_port(), walls=walls, **settings)
    try:
        info = server.ensure_running(lambda _: None)
        root = administrator(info)
        Tokens(root).create("ci", publish_to=INTERNAL, expires_s=None)
        limited = {"allowed": ["pkg_read", "upload"], "indexes": [STAGE], "expires": "never"}
        token = (root.send("POST", f"{root.root}/ci/+token-create", json=limited).result() or {})["token"]
        form = {":action": "file_upload", "name": "treasure", "version": "1.0"}
        files = {"content": (WHEEL.filename, WHEEL.content)}
        address = f"{root.root}/{INTERNAL}/"
        answer = requests.post(address, data=form, files=files, auth=("ci", token), timeout=60)
        assert status == answer.status_code
    finally:
        server.stop()


def test_without_the_walls_a_strangers_body_is_read(tmp_path: Path) -> None:
    """devpi takes it apart, whole, before it asks who has sent it: what is wrong with it is the answer."""
    with index(tmp_path, DOOR, GUARD) as info:
        fields = {"files": {"content": (None, b"x" * 1_000_000)}}
        assert 400 == requests.post(info.url, timeout=60, **fields).status_code  # type: ignore[arg-type]
        assert 400 == requests.post(info.url, timeout=60, data=b"x" * 1_000_000, headers=JSON).status_code


def test_one_datagram_stops_no_download(tmp_path: Path) -> None:
    """Whatever it says, every installer gets the wheel, and what the proxy tells of truly is counted."""
    port = free_port()
    with index(tmp_path, team=True, counts=f"127.0.0.1:{port}") as info:
        page = requests.get(f"{info.url}/+simple/treasure/", headers={"Accept": "text/html"}, timeout=60).text
        path = f"/{STAGE}/+f/" + page.split("+f/")[1].partition("#")[0]
        said = {"method": "GET", "status": "200", "path": path, "agent": "pip/26.0"}
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for size in (10**30, -1, 1e300, 10):
                sender.sendto(json.dumps({**said, "size": str(size)}).encode(), ("127.0.0.1", port))
        root = info.url.removesuffix(f"/{STAGE}")
        for _ in range(3):
            time.sleep(2.1)  # counts are written every two seconds
            assert 200 == requests.get(root + path, headers={"User-Agent": "pip/26.0"}, timeout=60).status_code
        saved = requests.get(f"{root}/+mirror/api/status", timeout=60).json()["saved"]
        assert (4, 10 + 3 * len(WHEEL.content)) == (saved["downloads"], saved["bytes"])
