"""The index's page from a real devpi-server, as requests see it; test_page_browser.py looks at it with Chromium."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import requests

from fakes.hostile_text import ALL, runnable
from fakes.outcomes import TARGET, a_job
from fakes.page import A_REASON, Page, opened_page
from mirror.adapters.devpi.listening import free_port
from mirror.adapters.devpi.server import EmbeddedServer
from mirror.server.rendering import HEADERS

PAGES = ("", "projects", "projects?q=num&state=wheel", "history", "install", "api")
DOCUMENTS = ("api/status", "api/projects", "api/history", "now")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A server with some wheels and a journal with all kinds of outcomes, hostile ones among them."""
    with opened_page(tmp_path_factory.mktemp("page")) as page:
        yield page


def wait_until(true: Callable[[], bool], what: str, timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def test_every_page_is_safe_and_says_so(page: Page) -> None:
    """200, our headers, and nothing of a stranger's that a browser would run; all of what they wrote is there."""
    paths = [*PAGES, *(f"projects/{name}" for name in page.names), *(f"logs/{number}" for number in page.logged)]
    seen = ""
    for path in paths:
        answer = page.get(path)
        assert (200, "text/html; charset=utf-8") == (answer.status_code, answer.headers["Content-Type"]), path
        assert dict(HEADERS) == {name: answer.headers[name] for name in HEADERS}, path
        assert [] == runnable(answer.text), path
        seen += answer.text
    assert (True, True) == (A_REASON in seen, "&lt;script&gt;alert(1)&lt;/script&gt;" in seen)


def test_every_document_is_json(page: Page) -> None:
    """With a version; asked again, 304; and the hostile strings are in it as they are: it is for programs."""
    for path in DOCUMENTS:
        answer = page.get(path)
        assert (200, "application/json", "nosniff") == (
            answer.status_code,
            answer.headers["Content-Type"],
            answer.headers["X-Content-Type-Options"],
        )
        again = page.get(path, headers={"If-None-Match": answer.headers["ETag"]})
        assert (304, b"") == (again.status_code, again.content), path
    assert ALL in {attempt["version"] for attempt in page.json("api/history")["attempts"]}


def test_the_matrix(page: Page) -> None:
    """What is on the index, what goes on and what failed, with its reason."""
    document = page.json("api/projects")
    found = {
        project["name"]: (cell["state"], cell["version"], cell["wheel"], cell["reason"])
        for project in document["projects"]
        for cell in project["targets"]
        if cell["target"] == str(TARGET)
    }
    assert {
        "numpy": ("wheel", "1.23.5", "1.23.5", None),
        "pyyaml": ("pure", "6.0", "6.0", None),
        "lxml": ("building", "4.9.3", None, None),
        "psycopg2": ("failed", "2.9.9", None, A_REASON),
        "scipy": ("blocked", "1.9.3", None, "cython 0.29 failed"),
    } == {name: found[name] for name in ("numpy", "pyyaml", "lxml", "psycopg2", "scipy")}
    failed = [project["name"] for project in page.json("api/projects?state=failed")["projects"]]
    assert ["hostile", "psycopg2", "scipy"] == [name for name in failed if name != ALL]
    assert ["numpy"] == [project["name"] for project in page.json("api/projects?q=NumP")["projects"]]


@pytest.mark.parametrize(
    "path",
    [
        "projects/none",
        "projects/..%2f..%2fx",
        "logs/999999",
        "logs/999999.txt",
        "api/projects/none",
        "api/logs/999999",
        "static/..%2fplugin.py",
        "static/page.cs",
        "static/",
        "builds",
        "logs/1%27",
    ],
)
def test_what_is_not_there(page: Page, path: str) -> None:
    """404, and never a file that is none of the page's."""
    answer = page.get(path)
    assert (404, False) == (answer.status_code, "hookimpl" in answer.text)


@pytest.mark.parametrize(
    "query", ["page=0", "page=-1", "page=x", "page=99999999999999999999", "state=x", "q=%00", "q=%"]
)
def test_odd_questions_have_an_answer(page: Page, query: str) -> None:
    """The nearest page there is, or an empty one."""
    assert [200, 200] == [page.get(f"{kind}?{query}").status_code for kind in ("projects", "api/projects")]


@pytest.mark.parametrize(
    "path", ["projects?q=%ff", "api/projects?page=%ff", "projects/%ff", "%ff", "../mirror/%ff/+simple/", "live?x=%c3"]
)
def test_what_is_no_text_is_refused(page: Page, path: str) -> None:
    """By whoever asks wrongly, not as a defect of the index; devpi's own addresses too."""
    answer = page.get(path)
    assert (400, "bad-request") == (answer.status_code, answer.json()["error"]["code"])


def test_only_reading(page: Page) -> None:
    """No method that changes anything is one of the page's."""
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        for path in ("", "api/status", "live", "metrics"):
            answer = requests.request(
                method, page.url + path, json={}, timeout=30
            )  # what may be changed, is so by JSON
            assert answer.status_code in (403, 404, 405), (method, path)
            bare = requests.request(method, page.url + path, timeout=30)
            assert bare.status_code == (answer.status_code if method == "DELETE" else 415), (method, path)


def test_logs(page: Page) -> None:
    """As a page, as text and as JSON from any byte on; colours left out, the rest visible."""
    number = page.number("psycopg2")
    text = page.get(f"logs/{number}.txt")
    assert ("text/plain; charset=utf-8", "gcc -c x.c\nError: \\x07no\n") == (text.headers["Content-Type"], text.text)
    first = page.json(f"api/logs/{number}")
    assert (["gcc -c x.c", "Error: \\x07no"], True) == (first["lines"], first["over"])
    assert [] == page.json(f"api/logs/{number}?from={first['next']}")["lines"]


CLOSED = """
from pluggy import HookimplMarker

@HookimplMarker("devpiserver")
def devpiserver_stage_get_principals_for_pkg_read(ixconfig):
    return ["mirror"]
"""
"""A plugin of devpi's, as a team has one: only its own users may read."""


def test_who_may_not_read_the_index_may_not_read_the_page(
    page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor its logs, figures or streams; whoever may, may, by the same login. The open index answers all of them."""
    log = page.logged[0]
    paths = (*PAGES, *DOCUMENTS, "metrics", f"logs/{log}", f"logs/{log}.txt", f"api/logs/{log}", "projects/numpy")
    assert [200] * len(paths) == [page.get(path).status_code for path in paths]
    plugin = tmp_path / "plugin"
    (plugin / "closed-1.dist-info").mkdir(parents=True)
    (plugin / "closed.py").write_text(CLOSED)
    (plugin / "closed-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: closed\nVersion: 1\n")
    (plugin / "closed-1.dist-info" / "entry_points.txt").write_text("[devpi_server]\nclosed = closed\n")
    monkeypatch.setenv("PYTHONPATH", str(plugin))
    with opened_page(tmp_path / "data") as closed:
        refused = [requests.get(closed.url + path, timeout=30) for path in (*paths, "live", "live/1", "none")]
        assert {(401, 'Basic realm="mirror"')} == {
            (answer.status_code, answer.headers.get("WWW-Authenticate")) for answer in refused[:-1]
        }
        login = (closed.info.user, closed.info.password_file.read_text())
        assert [200] * len(paths) == [
            requests.get(closed.url + path, auth=login, timeout=30).status_code for path in paths
        ]
        assert 200 == requests.get(f"{closed.url}static/page.css", timeout=30).status_code


def test_downloads_are_counted(page: Page) -> None:
    """What pip takes, as often as it does; not what mirror or a browser reads."""
    before = page.json("api/status")["saved"]
    (file,) = page.json("api/projects/numpy")["files"]
    links = requests.get(
        f"{page.info.url}/+simple/numpy/", headers={"Accept": "application/vnd.pypi.simple.v1+json"}, timeout=30
    ).json()["files"]
    url = requests.compat.urljoin(f"{page.info.url}/+simple/numpy/", links[0]["url"])
    content = b""
    for agent in ("pip/24.0 {}", "uv/0.9", "python-requests/2", "Mozilla/5.0"):
        content = requests.get(url, headers={"User-Agent": agent}, timeout=30).content
    after = page.json("api/status")["saved"]
    assert file["filename"] in links[0]["url"]
    assert {
        "downloads": before["downloads"] + 2,
        "bytes": before["bytes"] + 2 * len(content),
        "compile_seconds": before["compile_seconds"] + 2 * 211.0,
    } == after
    assert f"\nmirror_saved_seconds_total {after['compile_seconds']}\n" in page.get("metrics").text


def events(answer: requests.Response) -> Iterator[tuple[str, Any]]:
    """Events of a stream, name and data."""
    name = ""
    for line in answer.iter_lines(decode_unicode=True):
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))


def test_a_log_is_followed(page: Page) -> None:
    """Each line once, from where the page ends to the end of the compile."""
    log = page.journal.log_path("followed 1.0")
    page.journal.begin(a_job("followed", "1.0"), "followed", log)
    log.write_text("one\n")
    number = page.number("followed")
    assert 'data-from="4"' in page.get(f"logs/{number}").text
    with requests.get(f"{page.url}live/{number}?from=4", stream=True, timeout=60) as answer, log.open("a") as more:
        assert ("text/event-stream; charset=utf-8", "no") == (
            answer.headers["Content-Type"],
            answer.headers["X-Accel-Buffering"],
        )
        found = events(answer)
        more.write("two\n</pre><script>\nthr")
        more.flush()
        name, data = next(found)
        assert ("lines", ["two", "</pre><script>"], False) == (name, data["lines"], data["over"])
        more.write("ee")
        more.flush()
        page.journal.end_attempt("followed", "1.0", str(log))
        rest = [data for _, data in found]
    assert (["three"], [False, True]) == (
        [line for data in rest for line in data["lines"]],
        [data["over"] for data in rest],
    )


def test_what_goes_on_is_told(page: Page) -> None:
    """As the part of the page that shows it: at once, and again when it changes."""
    with requests.get(f"{page.url}live", stream=True, timeout=60) as answer:
        found = events(answer)
        name, first = next(found)
        assert ("now", True, False) == (name, "lxml" in first, "a new line" in first)
        with page.live_log.open("a") as log:
            log.write("a new line <b>\n")
        _, second = next(found)
        assert ("a new line &lt;b&gt;" in second, []) == (True, runnable(second))


def test_streams_take_no_thread_that_installers_need(page: Page) -> None:
    """Eight at once; one more is told to come later, and pages and wheels go on; who leaves makes room."""
    with ExitStack() as open_:
        streams = 0

        def open_one() -> bool:
            """Clients of other tests have gone, but their streams learn of it only when they next write."""
            nonlocal streams
            answer = open_.enter_context(requests.get(f"{page.url}live", stream=True, timeout=60))
            streams += answer.status_code == 200
            return streams == 8

        wait_until(open_one, "there are no eight streams")
        refused = page.get("live")
        assert (503, "10") == (refused.status_code, refused.headers["Retry-After"])
        for _ in range(20):
            assert [200, 200] == [
                page.get("").status_code,
                requests.get(f"{page.info.url}/+simple/numpy/", timeout=30).status_code,
            ]
    wait_until(lambda: head(page) == 200, "a client that has gone keeps its stream")


def head(page: Page) -> int:
    return requests.head(f"{page.url}live", timeout=30).status_code


def test_a_question_about_a_stream_takes_none(page: Page) -> None:
    """HEAD gives back at once what it took: one free stream is enough for any number of them."""
    wait_until(lambda: head(page) == 200, "a client that has gone keeps its stream")
    assert [200] * 20 == [head(page) for _ in range(20)]


def test_where_nobody_said_where_the_journal_is(page: Page, tmp_path: Path) -> None:
    """The page says so and shows what the index holds; machines get an error, not an empty answer.

    And a server that was started without is started again where it is wanted with.
    """
    port = free_port()
    server = EmbeddedServer(tmp_path / "devpi", port, upstream="http://127.0.0.1:9/simple/")
    try:
        without = server.ensure_running(lambda _: None)
        root = without.page_url
        text = requests.get(root, timeout=30).text
        assert "This index does not know where builds are recorded" in text
        assert "pip, uv, Poetry and Dockerfile" in text
        refused = requests.get(f"{root}api/status", timeout=30)
        assert (503, "journal-unknown") == (refused.status_code, refused.json()["error"]["code"])
        assert 503 == requests.get(f"{root}metrics", timeout=30).status_code
        server = EmbeddedServer(tmp_path / "devpi", port, upstream="http://127.0.0.1:9/simple/", journal=tmp_path)
        with_journal = server.ensure_running(lambda _: None)
        assert without.pid != with_journal.pid
        assert "Nothing has been built here yet." in requests.get(root, timeout=30).text
        assert 0 == requests.get(f"{root}api/status", timeout=30).json()["totals"]["builds"]["built"]
        (tmp_path / "journal.sqlite").write_bytes(b"this is no database, whatever its name says" * 100)
        assert "The journal cannot be read" in requests.get(root, timeout=30).text
        assert 503 == requests.get(f"{root}api/history", timeout=30).status_code
    finally:
        server.stop()


def test_it_stops_at_once_though_somebody_watches(page: Page, tmp_path: Path) -> None:
    """An open stream does not keep the server."""
    server = EmbeddedServer(tmp_path / "devpi", free_port(), upstream="http://127.0.0.1:9/simple/", journal=tmp_path)
    info = server.ensure_running(lambda _: None)
    try:
        with requests.get(f"{info.page_url}live", stream=True, timeout=60) as answer:
            next(events(answer))
            began = time.monotonic()
            assert server.stop()
            assert time.monotonic() - began < 9.0  # after ten it would have been killed
    finally:
        server.stop()
