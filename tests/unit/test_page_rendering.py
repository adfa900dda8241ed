"""The page's templates over values that a hostile stranger chose, and the headers of every answer."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import jinja2
import pytest

from fakes.hostile_text import ALL, runnable
from mirror.adapters.queue import BuildState, Origin, QueuedBuild
from mirror.core.errors import UnusableError
from mirror.core.history import How, PastAttempt, PastRun, Saved, Totals
from mirror.core.matrix import Cell, Row, State
from mirror.server import rendering
from mirror.server.disk import DiskUse
from mirror.server.logs import Piece
from mirror.server.shelf import ShelfFile
from mirror.server.site import STATES, Asked, Listed
from mirror.server.team import Coverage

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
ATTEMPT = PastAttempt(
    id=7,
    recorded=NOON,
    target=ALL,
    name=ALL,
    version=ALL,
    how=How.FAILED,
    code=ALL,
    reason=ALL,
    hint=ALL,
    seconds=73.0,
    size_bytes=1000,
    has_log=True,
)
RUN = PastRun(id=1, command=ALL, started=NOON, ended=None, status=None, reused=3, killed=False)
ROW = Row(
    name=ALL,
    cells=(
        Cell(target=ALL, state=State.FAILED, version=ALL, wheel="1.0" + ALL, reason=ALL, hint=ALL, attempt=7),
        Cell(target=ALL, state=State.NEVER),
    ),
)
PROBLEM = UnusableError("journal-unreadable", ALL, hint=ALL)
QUEUED = QueuedBuild(
    number=1,
    id=ALL,
    asked=ALL,
    asked_by=ALL,
    origin=Origin.REQUEST,
    topic=ALL,
    state=BuildState.QUEUED,
    started=None,
    ended=None,
    status=None,
    cancelled=False,
)
FRAME = {"root": "", "here": "front", "problem": PROBLEM, "index": "../mirror/alpine", "now": NOON}
PAGES: Mapping[str, Mapping[str, Any]] = {
    "now.html": {"building": [ATTEMPT], "running": [RUN], "tails": {7: [ALL, ALL]}, "queued": [QUEUED]},
    "front.html": {
        "now_html": "",
        "totals": Totals(attempts={How.BUILT: 1}, built_seconds=5.0),
        "how": How,
        "saved": Saved(downloads=1, size_bytes=1, compile_seconds=60.0),
        "projects": 1,
        "disk": DiskUse(parts=((ALL, 1),), free_bytes=1),
        "failures": [ATTEMPT],
        "recent": [ATTEMPT],
        "logs": {7},
        "runs": [RUN],
        "covered": [Coverage(files=ALL, host=ALL, target=ALL, wheels=1, missing=(ALL,), registered=NOON)],
        "pip": [ALL],
    },
    "projects.html": {
        "listed": Listed(rows=(ROW,), targets=(ALL, ALL), page=2, pages=3, total=120),
        "asked": Asked(text=ALL, state="failed", page=2),
        "states": STATES,
    },
    "project.html": {
        "row": ROW,
        "files": [ShelfFile(filename=ALL, url=ALL, sha256=ALL)],
        "attempts": [ATTEMPT],
        "logs": {7},
    },
    "history.html": {"attempts": [ATTEMPT], "following": 7, "logs": {7}, "runs": [RUN]},
    "log.html": {
        "attempt": ATTEMPT,
        "piece": Piece(lines=(ALL, ALL), offset=5, following=9),
        "kept": True,
        "over": False,
    },
    "install.html": {"snippets": [("pip", ALL, [ALL, ALL])]},
    "missing.html": {},
    "api.html": {},
}


def rendered(environment: jinja2.Environment, template: str) -> str:
    return environment.get_template(template).render({**FRAME, **PAGES[template]})


def test_every_template_is_here() -> None:
    """All but those that others are made of."""
    assert {"base.html", "parts.html", *PAGES} == set(rendering.TEMPLATES.list_templates())


@pytest.mark.parametrize("template", PAGES)
def test_nothing_of_a_stranger_runs(template: str) -> None:
    """No element, handler or address of theirs, no hidden character; yet all of it is there to be read."""
    html = rendered(rendering.TEMPLATES, template)
    assert [] == runnable(html)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert ("\\u202eecilA\\u2028" in html, "1337" in html) == (True, False)


@pytest.mark.parametrize("template", PAGES)
def test_without_escaping_it_would_run(template: str) -> None:
    """The same templates and values: the check sees it where escaping is off."""
    off = rendering.TEMPLATES.overlay(autoescape=False)
    assert {"<script>", "<img>", "<svg>", "<iframe>", "onerror"} <= set(runnable(rendered(off, template)))


@pytest.mark.parametrize("template", PAGES)
def test_without_making_visible_it_would_be_hidden(template: str) -> None:
    """The same for hidden characters."""
    off = rendering.TEMPLATES.overlay(finalize=lambda value: value)
    assert {"U+0000", "U+001B", "U+202E", "U+2028"} <= set(runnable(rendered(off, template)))


def test_long_strings_are_cut() -> None:
    """A stranger's megabyte is not everybody's download."""
    assert rendering.LONGEST == len(rendering.shown("x" * 1_000_000))


def test_every_answer_says_what_it_may_do() -> None:
    """Whatever it is: no inline code, no other host, no guessed type, no frame, no referrer."""
    json_answer = rendering.json_answer({"a": "<script>\u2028"})
    for response in (rendering.answer(b"", "text/plain"), json_answer, rendering.page("missing.html", **FRAME_OF_PAGE)):
        assert (
            "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; "
            "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
        ) == response.headers["Content-Security-Policy"]
        assert ("nosniff", "no-referrer") == (
            response.headers["X-Content-Type-Options"],
            response.headers["Referrer-Policy"],
        )
    assert b"\\u2028" in json_answer.body


FRAME_OF_PAGE: Mapping[str, Any] = {"root": "", "here": "", "problem": None, "index": "../mirror/alpine"}


def test_equal_documents_have_equal_etags() -> None:
    """And others have others."""
    first, same, other = (rendering.json_answer({"a": value}).etag for value in (1, 1, 2))
    assert (True, False) == (first == same, first == other)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "just now"), (-5, "just now"), (60, "1 minute ago"), (7300, "2 hours ago"), (3 * 86_400, "3 days ago")],
)
def test_how_long_ago(seconds: int, words: str) -> None:
    """As a person says it; a clock that was set back is no news from the future."""
    assert words == rendering.ago(NOON, NOON + timedelta(seconds=seconds))


def test_nothing_inline() -> None:
    """The policy would not let it run anyway."""
    source = "".join(
        rendering.TEMPLATES.loader.get_source(rendering.TEMPLATES, name)[0]  # type: ignore[union-attr]
        for name in rendering.TEMPLATES.list_templates()
    )
    assert [] == [word for word in ("style=", "onclick", "<style", "javascript:", "<script>") if word in source]
