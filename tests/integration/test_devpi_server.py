"""The embedded devpi-server: starts, survives, stops, and keeps its secrets."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sqlite3
import ssl
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
import requests
from packaging.utils import canonicalize_name

from fakes.upstream import Upstream
from fakes.wheels import checked_wheel
from mirror.adapters.devpi import processes
from mirror.adapters.devpi.index import DevpiIndex
from mirror.adapters.devpi.listening import EVERYWHERE, free_port
from mirror.adapters.devpi.server import EmbeddedServer, ServerInfo
from mirror.adapters.store import Store
from mirror.core.errors import UnusableError

WHEEL = "demo-1.0-cp311-cp311-musllinux_1_2_x86_64.whl"
DEMO = canonicalize_name("demo")


def quiet(_: str) -> None:
    """Hear nothing."""


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    upstream = Upstream()
    upstream.start()
    yield upstream
    upstream.stop()


@pytest.fixture(scope="session")
def initialised(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of a server that was started once: a first start costs seconds."""
    folder = tmp_path_factory.mktemp("initialised") / "index"
    server = EmbeddedServer(folder, free_port(), upstream="http://127.0.0.1:9/simple/")
    server.ensure_running(quiet)
    server.stop()
    (folder / "state.json").unlink()
    return folder


def copied(initialised: Path, folder: Path) -> Path:
    return Path(shutil.copytree(initialised, folder / "index"))


@pytest.fixture
def server(tmp_path: Path, upstream: Upstream, initialised: Path) -> Iterator[EmbeddedServer]:
    """A server over a data folder that was used before."""
    server = EmbeddedServer(copied(initialised, tmp_path), free_port(), upstream=upstream.url)
    yield server
    server.stop()


@pytest.fixture
def new_server(tmp_path: Path, upstream: Upstream) -> Iterator[EmbeddedServer]:
    """A server that has never been started."""
    server = EmbeddedServer(tmp_path / "index", free_port(), upstream=upstream.url)
    yield server
    server.stop()


def open_index(info: ServerInfo, folder: Path) -> DevpiIndex:
    return DevpiIndex(info.url, info.login, Store(folder), administrator=info.administrator)


def processes_over(folder: Path) -> list[int]:
    """Processes that were told of the folder, by their argument lists."""
    needle = os.fsencode(folder)
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if needle in path.read_bytes():
                found.append(int(path.parent.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def test_starts_once_and_is_found_quickly(server: EmbeddedServer, tmp_path: Path) -> None:
    """The first call starts it, the second finds it; stopping leaves no process."""
    said: list[str] = []
    info = server.ensure_running(said.append)
    assert 1 == len(said)
    began = time.monotonic()
    assert info == server.ensure_running(said.append)
    assert time.monotonic() - began < 0.3
    assert (info, 1) == (server.status(), len(said))
    assert [info.pid] == processes_over(tmp_path)
    assert server.stop()
    assert ([], None, False) == (processes_over(tmp_path), server.status(), server.stop())


def test_several_at_once_start_one(new_server: EmbeddedServer, tmp_path: Path) -> None:
    """Several that want it at the same moment get the same server."""
    with ThreadPoolExecutor(4) as pool:
        infos = set(pool.map(lambda _: new_server.ensure_running(quiet), range(4)))
    assert 1 == len(infos)
    assert 1 == len(processes_over(tmp_path))


def test_starts_again_after_kill_9(server: EmbeddedServer, tmp_path: Path) -> None:
    """What was published is there after a kill -9, at the same address."""
    info = server.ensure_running(quiet)
    open_index(info, tmp_path / "a").publish(checked_wheel(WHEEL))
    os.kill(info.pid, signal.SIGKILL)
    again = server.ensure_running(quiet)
    assert (info.port, True) == (again.port, info.pid != again.pid)
    (file,) = open_index(again, tmp_path / "b").files(DEMO)
    assert checked_wheel(WHEEL).content == open_index(again, tmp_path / "b").fetch(file).read_bytes()


def test_mends_a_hot_journal(server: EmbeddedServer, tmp_path: Path) -> None:
    """A database left in the middle of a transaction is rolled back before the server opens it."""
    server.ensure_running(quiet)
    server.stop()
    database = tmp_path / "index" / "server" / ".sqlite"
    dies = (
        "import os, sqlite3, sys\n"
        "c = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "c.execute('PRAGMA cache_size=1')\n"
        "c.execute('PRAGMA cache_spill=1')\n"
        "c.execute('BEGIN IMMEDIATE')\n"
        "c.execute('CREATE TABLE half_written (x)')\n"
        "c.executemany('INSERT INTO half_written VALUES (?)', [('x' * 4000,)] * 200)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", dies, str(database)], check=False)
    assert database.with_name(".sqlite-journal").stat().st_size > 0
    server.ensure_running(quiet)
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master")]
    assert "half_written" not in tables


def test_never_stops_a_stranger(server: EmbeddedServer, tmp_path: Path) -> None:
    """A process that got the number of a server that is gone is left alone."""
    info = server.ensure_running(quiet)
    server.stop()
    state = tmp_path / "index" / "state.json"
    stranger = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        state.write_text(json.dumps(json.loads(state.read_text()) | {"pid": stranger.pid}))
        assert (None, False) == (server.status(), server.stop())
        assert server.ensure_running(quiet).pid not in (info.pid, stranger.pid)
        assert stranger.poll() is None
    finally:
        stranger.communicate(b"\n")


def test_takes_another_port_and_stays_there(tmp_path: Path, upstream: Upstream, initialised: Path) -> None:
    """Where the port is taken it says so, takes another, and keeps that while the setting is the same."""
    said: list[str] = []
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        server = EmbeddedServer(copied(initialised, tmp_path), port, upstream=upstream.url)
        try:
            info = server.ensure_running(said.append)
            assert port != info.port
            assert f"port {port} is taken by somebody else: the index uses {info.port}" == said[0]
        finally:
            server.stop()
    try:
        assert info.port == server.ensure_running(quiet).port
    finally:
        server.stop()


def test_restarts_for_a_new_address(server: EmbeddedServer, tmp_path: Path, upstream: Upstream) -> None:
    """An address that it does not listen on yet is added by a restart; fewer addresses change nothing."""
    info = server.ensure_running(quiet)
    wider = EmbeddedServer(tmp_path / "index", info.port, ("127.0.0.2",), upstream=upstream.url)
    assert ("127.0.0.1", "127.0.0.2") == wider.ensure_running(quiet).addresses
    assert 200 == requests.get(f"http://127.0.0.2:{info.port}/+api", timeout=10).status_code
    assert wider.status() == server.ensure_running(quiet)


def test_leaves_all_interfaces_when_no_longer_told(server: EmbeddedServer, tmp_path: Path, upstream: Upstream) -> None:
    """Listening everywhere ends with the setting that asked for it."""
    everywhere = EmbeddedServer(tmp_path / "index", free_port(), (EVERYWHERE,), upstream=upstream.url)
    assert (EVERYWHERE,) == everywhere.ensure_running(quiet).addresses
    assert ("127.0.0.1",) == server.ensure_running(quiet).addresses


def test_refuses_an_address_of_another_machine(tmp_path: Path) -> None:
    """An address that is none of ours is told before anything is started."""
    server = EmbeddedServer(tmp_path / "index", free_port(), ("192.0.2.1",))
    with pytest.raises(UnusableError) as caught:
        server.ensure_running(quiet)
    assert ("index-address", []) == (caught.value.code, processes_over(tmp_path))


def test_keeps_its_secrets(new_server: EmbeddedServer, tmp_path: Path) -> None:
    """Secrets are the owner's alone, differ, and stand in no argument list, environment or log."""
    folder = tmp_path / "index"
    seen: set[bytes] = set()
    with ThreadPoolExecutor(1) as pool:
        started = pool.submit(new_server.ensure_running, quiet)
        while not started.done():
            seen |= snapshot()
        info = started.result()
    open_index(info, tmp_path / "store").publish(checked_wheel(WHEEL))
    seen |= snapshot()
    assert 0o700 == stat.S_IMODE(folder.stat().st_mode)
    files = {name: folder / name for name in ("secret", "root-password", "mirror-password")}
    assert dict.fromkeys(files, 0o600) == {name: stat.S_IMODE(p.stat().st_mode) for name, p in files.items()}
    secrets = {path.read_bytes() for path in files.values()}
    assert 3 == len(secrets)
    logged = (folder / "devpi.log").read_bytes()
    state = (folder / "state.json").read_bytes()
    assert os.fsencode(folder) in b"".join(seen)
    for secret in secrets:
        assert secret not in logged + state + b"".join(seen) + repr(info).encode() + repr(info.login).encode()
    leftovers = [p.name for p in folder.iterdir() if p.is_file() and p.read_bytes().count(b"root-passwd")]
    assert [] == leftovers


def snapshot() -> set[bytes]:
    """Every argument list and environment that can be read now."""
    seen = set()
    for kind in ("cmdline", "environ"):
        for path in Path("/proc").glob(f"[0-9]*/{kind}"):
            try:
                seen.add(path.read_bytes())
            except OSError:
                continue
    return seen


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs Linux's /proc")
def test_temporary_files_lie_in_its_own_folder(server: EmbeddedServer, tmp_path: Path) -> None:
    """Uploads wait there, and not in a /tmp that may be small; what killed processes left half-written is gone."""
    folder = tmp_path / "index"
    left = [folder / ".state.json-abc", folder / ".secret-abc", folder / "tmp" / "upload"]
    (folder / "tmp").mkdir(exist_ok=True)
    for path in left:
        path.touch()
    info = server.ensure_running(quiet)
    assert f"TMPDIR={folder / 'tmp'}" in Path(f"/proc/{info.pid}/environ").read_text().split("\0")
    assert [] == [path for path in left if path.exists()]


def test_strangers_cannot_change_it(server: EmbeddedServer) -> None:
    """Nobody creates users, and nobody logs in as root with devpi's empty default."""
    base = server.ensure_running(quiet).url.removesuffix("/mirror/alpine")
    created = requests.put(f"{base}/stranger", json={"password": "x"}, timeout=10)
    login = requests.post(f"{base}/+login", json={"user": "root", "password": ""}, timeout=10)
    assert (403, 401) == (created.status_code, login.status_code)


def test_starts_after_a_killed_first_start(new_server: EmbeddedServer, tmp_path: Path) -> None:
    """A first start that died half-way, with everything half-made, is no obstacle."""
    folder = tmp_path / "index"
    (folder / "server.new").mkdir(parents=True)
    (folder / "server.new" / ".nodeinfo").write_text("{}")
    (folder / "state.json").write_text('{"pid":')
    (folder / "root-password").write_text("0" * 64)
    assert new_server.ensure_running(quiet) == new_server.status()


def test_says_why_it_does_not_start(server: EmbeddedServer, tmp_path: Path) -> None:
    """A server that dies at once is an error with the end of its log."""
    server.ensure_running(quiet)
    server.stop()
    (tmp_path / "index" / "server" / ".serverversion").write_text("99")
    with pytest.raises(UnusableError) as caught:
        server.ensure_running(quiet)
    assert "index-start" == caught.value.code
    assert any("99" in line for line in caught.value.details)
    assert [] == processes_over(tmp_path)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_runs_in_the_foreground(tmp_path: Path, upstream: Upstream, initialised: Path, number: signal.Signals) -> None:
    """In the foreground it serves until it is told to stop, also where SIGINT was ignored by who started it."""
    port = free_port()
    code = (
        "import sys; from pathlib import Path\n"
        "from mirror.adapters.devpi.server import EmbeddedServer\n"
        "server = EmbeddedServer(Path(sys.argv[1]), int(sys.argv[2]), upstream=sys.argv[3])\n"
        "sys.exit(server.run_foreground(lambda line: print(line, flush=True)))\n"
    )
    arguments = [sys.executable, "-c", code, str(copied(initialised, tmp_path)), str(port), upstream.url]
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
    finally:
        signal.signal(signal.SIGINT, before)
    assert process.stdout is not None
    assert f"starting the index on port {port}\n" == process.stdout.readline()
    assert f"http://127.0.0.1:{port}/mirror/alpine/+simple/" in process.stdout.readline()
    server = EmbeddedServer(tmp_path / "index", port, upstream=upstream.url)
    found = server.ensure_running(quiet)
    assert processes.identity(found.pid)
    process.send_signal(number)
    process.communicate(timeout=30)
    assert (0, None, []) == (process.returncode, server.status(), processes_over(tmp_path))


def test_refuses_a_bundle_that_is_none(tmp_path: Path) -> None:
    """A CA bundle without a certificate is told before anything is started."""
    bundle = tmp_path / "ca.pem"
    bundle.write_text("")
    with pytest.raises(UnusableError) as caught:
        EmbeddedServer(tmp_path / "index", free_port(), ca_bundle=str(bundle)).ensure_running(quiet)
    assert ("bad-ca-bundle", []) == (caught.value.code, processes_over(tmp_path / "index"))


@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes a certificate with openssl")
def test_trusts_the_given_bundle(tmp_path: Path, initialised: Path) -> None:
    """An upstream behind a company's CA is read as soon as the settings have its CA bundle, and not before."""
    certificate, key = tmp_path / "ca.pem", tmp_path / "key.pem"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=test -addext subjectAltName=IP:127.0.0.1"
    subprocess.run([*command.split(), "-out", certificate, "-keyout", key], check=True, capture_output=True)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, key)
    upstream = Upstream(tls=tls)
    upstream.add("demo", "demo-1.0.tar.gz", b"an sdist")
    upstream.start()
    folder, port, listed = copied(initialised, tmp_path), free_port(), []
    try:
        for bundle in (None, str(certificate)):
            server = EmbeddedServer(folder, port, ca_bundle=bundle, upstream=upstream.url)
            url = f"{server.ensure_running(quiet).url}/+simple/demo/"
            page = requests.get(url, headers={"Accept": "application/vnd.pypi.simple.v1+json"}, timeout=30)
            listed.append(page.text.count('"demo-1.0.tar.gz"'))
        assert [0, 1] == listed
    finally:
        EmbeddedServer(folder, port).stop()
        upstream.stop()


def test_goes_through_the_proxy(tmp_path: Path, initialised: Path, upstream: Upstream) -> None:
    """The proxy of the settings is asked for what is upstream's."""
    server = EmbeddedServer(
        copied(initialised, tmp_path),
        free_port(),
        upstream="http://upstream.invalid/simple/",
        proxy={"http_proxy": upstream.url.removesuffix("/simple/")},
    )
    try:
        requests.get(f"{server.ensure_running(quiet).url}/+simple/demo/", timeout=30)
        assert ["http://upstream.invalid/simple/demo/"] == upstream.asked
    finally:
        server.stop()


def test_knows_a_server_that_another_version_started(server: EmbeddedServer, tmp_path: Path) -> None:
    """A state file with more or less in it than ours still says which process it was: never two over one folder."""
    info = server.ensure_running(quiet)
    state = tmp_path / "index" / "state.json"
    kept = {key: json.loads(state.read_text())[key] for key in ("pid", "known_as", "port")}
    state.write_text(json.dumps(kept | {"news": 1}))
    assert info.pid != server.ensure_running(quiet).pid
    assert 1 == len(processes_over(tmp_path))
