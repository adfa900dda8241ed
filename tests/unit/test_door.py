"""Which requests an index answers at all, by their heads."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mirror.core.door import FORM, JSON, LARGEST_JSON, LARGEST_OF_STRANGERS, Head, Hosts, Refusal, refuse

LOCAL = Hosts.of(["wheels.example", "FD00::7"], ["127.0.0.1:3141", "172.17.0.1:3141"])
EVERYWHERE = Hosts.of(["wheels.example"], ["0.0.0.0:3141"])
HERE = "127.0.0.1:3141"
LOGIN = Head(method="POST", path="/+login", host=HERE, content_type=JSON, size_bytes=50)
PUSH = replace(LOGIN, path="/mirror/alpine")
UPLOAD = replace(LOGIN, path="/mirror/alpine/", content_type=FORM, size_bytes=10**9, has_login=True)


def refused(head: Head, hosts: Hosts | None = LOCAL) -> int:
    """The status, 0 where it may go on."""
    found = refuse(head, hosts)
    return found.status if found else 0


@pytest.mark.parametrize(
    ("host", "local", "everywhere"),
    [
        *((host, True, True) for host in ("localhost", "LOCALHOST:3141", "127.0.0.1:3141", "127.8.9.1", "[::1]:3141")),
        *((host, True, True) for host in ("host.docker.internal:3141", "172.17.0.1:3141", "wheels.example.")),
        *((host, True, True) for host in ("Wheels.Example:443", "[fd00:0::7]", "wheels.localhost:3141")),
        *((host, False, True) for host in ("192.168.1.5:3141", "[2001:db8::1]", "172.17.0.2", "0.0.0.0:3141")),
        *((host, False, False) for host in ("evil.example:3141", "localhost.evil.example", "127.0.0.1.evil.example")),
        *((host, False, False) for host in ("", ":3141", "evil.example/localhost", "localhost@evil", "a b", "[x]")),
        *((host, False, False) for host in ("localhost:99999999", "127.1", "2130706433", "0x7f.1")),
        *((host, False, False) for host in ("evillocalhost", ".localhost.evil.example")),
    ],
)
def test_an_index_answers_to_its_names(host: str, local: bool, everywhere: bool) -> None:
    """Loopback, where it listens, what was named; one that listens everywhere, to every address too and to no name."""
    assert (local, everywhere) == (LOCAL.know(host), EVERYWHERE.know(host))


def test_reading_asks_for_the_name_too() -> None:
    """Whoever has pointed a name of theirs at this machine would read everything."""
    page = Head(method="GET", path="/mirror/alpine/+simple/", host="evil.example:3141")
    assert [421, 0, 0] == [refused(page), refused(page, None), refused(replace(page, host=HERE))]
    assert 0 == refused(replace(page, host=""))
    assert Refusal(
        status=421,
        code="unknown-host",
        what="this index does not answer to that name",
        hint="add it to the setting `hostnames` (TEAM_HOSTNAMES beside compose.yaml), and start the index again",
    ) == refuse(page, LOCAL)


@pytest.mark.parametrize(
    ("origin", "fetch_site", "status"),
    [
        ("", "", 0),
        (f"http://{HERE}", "same-origin", 0),
        (f"http://{HERE}", "", 0),
        ("", "none", 0),
        ("http://evil.example", "cross-site", 403),
        ("http://evil.example", "", 403),
        ("http://127.0.0.1:8000", "same-site", 403),
        ("", "same-site", 403),
        ("", "cross-site", 403),
        ("null", "", 403),
        ("null", "same-origin", 403),
        ("http://[", "", 403),
        ("http://127.0.0.1:3141@evil.example", "", 403),
        ("127.0.0.1:3141", "", 403),
    ],
)
def test_pages_of_other_hosts_change_nothing(origin: str, fetch_site: str, status: int) -> None:
    """They may be read from there: a link to the page is one."""
    head = replace(LOGIN, origin=origin, fetch_site=fetch_site)
    assert [status, 0] == [refused(head), refused(replace(head, method="GET", content_type="", size_bytes=0))]


@pytest.mark.parametrize(
    "content_type", ["", "text/plain", "application/x-www-form-urlencoded", "application/jsonp", "*"]
)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "PUSH", "ANY"])
def test_what_a_form_can_send_is_no_json(method: str, content_type: str) -> None:
    """Whatever devpi would make of it; a body of a DELETE likewise."""
    paths = (
        "/+login",
        "/mirror/alpine",
        "/mirror",
        "/mirror/alpine/+f/a/b/x-1.whl",
        "/+mirror/builds",
        "/a/+token-create",
    )
    heads = [replace(LOGIN, method=method, path=path, content_type=content_type) for path in paths]
    assert [415] * len(paths) == [refused(head) for head in heads]
    assert [0] * len(paths) == [refused(replace(head, content_type=JSON)) for head in heads]
    assert 415 == refused(replace(LOGIN, method="DELETE", content_type=content_type))
    assert 0 == refused(replace(LOGIN, method="DELETE", content_type=content_type, size_bytes=0))


@pytest.mark.parametrize(
    ("charset", "status"), [("", 0), ("UTF-8", 0), ("utf-8", 0), ("utf-7", 415), ("nonsense", 415)]
)
def test_there_is_one_way_to_read_a_body(charset: str, status: int) -> None:
    """Whoever looks at it for what it asks, and devpi, must not see two requests in it."""
    heads = (LOGIN, PUSH, UPLOAD, replace(LOGIN, method="DELETE"))
    assert [status] * len(heads) == [refused(replace(head, charset=charset)) for head in heads]


def test_uploads_are_forms() -> None:
    """To an index, with or without the slash, and nowhere else; the button on devpi's page sends a short one."""
    paths = ("/mirror/alpine", "/mirror/alpine/", "/mirror/alpine/x/", "/+mirror/builds", "/mirror", "/+login")
    assert [0, 0, 415, 415, 415, 415] == [refused(replace(UPLOAD, path=path)) for path in paths]
    assert 415 == refused(replace(UPLOAD, method="PUT"))
    short = replace(LOGIN, content_type="application/x-www-form-urlencoded", path="/root/pypi/+simple/six/refresh")
    assert [0, 415] == [refused(short), refused(replace(short, path="/root/pypi/+simple/six"))]


def test_who_shows_no_login_sends_little() -> None:
    """Enough to log in; and whoever does, no more than the largest request of ours."""
    sizes = (LARGEST_OF_STRANGERS, LARGEST_OF_STRANGERS + 1, LARGEST_JSON, LARGEST_JSON + 1)
    strangers = [refused(replace(PUSH, size_bytes=size)) for size in sizes]
    others = [refused(replace(PUSH, size_bytes=size, has_login=True)) for size in sizes]
    assert ([0, 413, 413, 413], [0, 0, 0, 413]) == (strangers, others)
