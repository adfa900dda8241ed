"""The wire to devpi against a server that answers as the test tells it to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from mirror.adapters.devpi.http import DevpiClient, Login
from mirror.adapters.devpi.patience import PassingError, Patience, Waiter
from mirror.core.errors import UnusableError

QUICK = Patience(first_pause_s=0.01, longest_pause_s=0.05, total_s=20.0)
Script = list[tuple[int, bytes]]
TOKEN = b'{"type": "proxyauth", "result": {"password": "the-token"}}'


class Scripted:
    """Answers each request with the next line of a script; `seen` has method, path and login header of each."""

    def __init__(self, script: Script) -> None:
        self.seen: list[tuple[str, str, bool]] = []
        scripted = self

        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                scripted.seen.append((self.command, self.path, "X-Devpi-Auth" in self.headers))
                status, body = script.pop(0)
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                if status == 302:
                    self.send_header("Location", "http://127.0.0.1:9/elsewhere")
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_PATCH = _answer  # noqa: N815 - the standard library's names

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture
def serve() -> Iterator[Callable[[Script], Scripted]]:
    running: list[tuple[Scripted, Thread]] = []

    def start(script: Script) -> Scripted:
        scripted = Scripted(script)
        thread = Thread(target=scripted.server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        running.append((scripted, thread))
        return scripted

    yield start
    for scripted, thread in running:
        scripted.server.shutdown()
        scripted.server.server_close()
        thread.join()


def client(scripted: Scripted, login: Login | None = None) -> DevpiClient:
    return DevpiClient(scripted.url, login, waiter=Waiter(QUICK))


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_reads_again_after_a_passing_failure(serve: Callable[[Script], Scripted], status: int) -> None:
    """A server's error may pass: the page is asked for again."""
    scripted = serve([(status, b""), (status, b""), (200, b"page")])
    assert b"page" == client(scripted).get(f"{scripted.url}/x").content
    assert [("GET", "/x", False)] * 3 == scripted.seen


@pytest.mark.parametrize("status", [302, 400, 401, 403, 404, 409])
def test_never_repeats_an_answer(serve: Callable[[Script], Scripted], status: int) -> None:
    """Every other answer is final, and a redirect is not followed."""
    scripted = serve([(status, b"")])
    assert status == client(scripted).get(f"{scripted.url}/x").status
    assert 1 == len(scripted.seen)


def test_gives_up_after_some_tries(serve: Callable[[Script], Scripted]) -> None:
    """The last failure is told, with what the server says of it."""
    scripted = serve([(503, b"busy")] * 100)
    mine = DevpiClient(scripted.url, None, waiter=Waiter(replace(QUICK, total_s=0.2)))
    with pytest.raises(UnusableError) as caught:
        mine.get(f"{scripted.url}/x")
    expected = ("index-failed", f"the index answers HTTP 503 for {scripted.url}/x", ("busy",))
    assert expected == (caught.value.code, caught.value.what, caught.value.details)
    assert 1 < len(scripted.seen) < 100


def test_never_repeats_a_change(serve: Callable[[Script], Scripted]) -> None:
    """What changes something is sent once, whatever the answer: it may have been done."""
    scripted = serve([(503, b"")])
    with pytest.raises(PassingError):
        client(scripted).send("PATCH", f"{scripted.url}/x", json=[])
    assert 1 == len(scripted.seen)


def test_logs_in_again_once(serve: Callable[[Script], Scripted]) -> None:
    """A token that ran out is replaced, once; the next request goes on with the new one."""
    script = [(200, TOKEN), (401, b""), (200, TOKEN), (200, b"done"), (200, b"again")]
    scripted = serve(script)
    mine = client(scripted, Login("me", lambda: "secret"))
    assert b"done" == mine.send("PATCH", f"{scripted.url}/x", json=[]).content
    assert b"again" == mine.send("PATCH", f"{scripted.url}/x", json=[]).content
    expected = [
        ("POST", "/+login", False),
        ("PATCH", "/x", True),
        ("POST", "/+login", False),
        ("PATCH", "/x", True),
        ("PATCH", "/x", True),
    ]
    assert expected == scripted.seen


def test_stays_refused(serve: Callable[[Script], Scripted]) -> None:
    """A login that is refused twice is not tried a third time."""
    scripted = serve([(200, TOKEN), (401, b""), (200, TOKEN), (401, b"")])
    assert 401 == client(scripted, Login("me", lambda: "secret")).send("PATCH", f"{scripted.url}/x", json=[]).status


def test_reads_without_a_login_where_it_can(serve: Callable[[Script], Scripted]) -> None:
    """Reading asks for a login only where the server does."""
    scripted = serve([(200, b"open"), (403, b""), (200, TOKEN), (200, b"closed")])
    mine = client(scripted, Login("me", lambda: "secret"))
    assert b"open" == mine.get(f"{scripted.url}/open").content
    assert b"closed" == mine.get(f"{scripted.url}/closed").content
    expected = [
        ("GET", "/open", False),
        ("GET", "/closed", False),
        ("POST", "/+login", False),
        ("GET", "/closed", True),
    ]
    assert expected == scripted.seen


@pytest.mark.parametrize("answer", [b"", b"[]", b'{"result": null}', b'{"result": {"password": 5}}'])
def test_refuses_a_login_without_a_token(serve: Callable[[Script], Scripted], answer: bytes) -> None:
    """An answer to a login that has no token is a refused login, whatever else it is."""
    scripted = serve([(200, answer)])
    with pytest.raises(UnusableError) as caught:
        client(scripted, Login("me", lambda: "secret")).login()
    assert "index-login" == caught.value.code
