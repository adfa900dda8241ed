"""The answers: each a function of a request, as a page and as JSON from the same values."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name
from pyramid.response import Response  # type: ignore[import-untyped]

from mirror.adapters.devpi.layout import STAGE
from mirror.adapters.journal.history import History
from mirror.adapters.queue import BuildState
from mirror.core import emit
from mirror.core.errors import UnusableError
from mirror.core.history import How, PastAttempt
from mirror.core.matrix import row
from mirror.core.page_json import error_json, history_json, log_json, project_json, projects_json, status_json
from mirror.server import logs
from mirror.server.disk import disk_json
from mirror.server.live import Shared, Stream, event
from mirror.server.metrics import CONTENT_TYPE, build_figures, exposition, page_figures, queue_figures
from mirror.server.rendering import STATIC, answer, json_answer, page, render, static_bytes
from mirror.server.shelf import Shelf
from mirror.server.site import STATES, Asked, Site
from mirror.server.team import coverage, coverage_json, queue_json

View = Callable[[Any], Response]
_RECENT, _HISTORY, _TAIL, _COVERED = 10, 50, 12, 50
_LONGEST_WORD = 100


class Views:
    """All answers of one server."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._now = Shared(self._render_now)

    def routes(self) -> tuple[tuple[str, View], ...]:
        """Pattern and view, those for people first."""
        pages = (
            ("", self.moved),
            ("/", self.front),
            ("/projects", self.projects),
            ("/projects/{name}", self.project),
            ("/history", self.history),
            ("/logs/{id:[0-9]{1,15}}", self.log),
            ("/logs/{id:[0-9]{1,15}}.txt", self.log_text),
            ("/install", self.install),
            ("/api", self.api),
        )
        machines = (
            ("/api/status", self.api_status),
            ("/api/projects", self.api_projects),
            ("/api/projects/{name}", self.api_project),
            ("/api/history", self.api_history),
            ("/api/logs/{id:[0-9]{1,15}}", self.api_log),
            ("/metrics", self.metrics),
            ("/live", self.live),
            ("/live/{id:[0-9]{1,15}}", self.live_log),
            ("/now", self.now),
        )
        guarded = [(pattern, _guarded(view)) for pattern, view in (*pages, *machines)]
        return (*guarded, ("/static/{file}", self.static))

    # Pages

    def moved(self, request: Any) -> Response:
        """To the address that the page's own links start from."""
        response = answer(b"", "text/plain", status=301)
        response.location = f"{request.path_url}/"
        return response

    def front(self, request: Any) -> Response:
        """What goes on, what it has come to, what failed last."""
        site, shelf = self._site, _shelf(request)
        history, problem = site.history()
        saved = site.saved(history)
        totals = history.totals()
        targets = site.targets(history)
        recent = history.attempts(_RECENT)
        return page(
            "front.html",
            **_frame("", "front", problem),
            now_html=self._now.get(),
            totals=totals,
            how=How,
            saved=saved,
            projects=len(shelf.projects()),
            disk=site.disk_use(),
            failures=site.failures(history, 5),
            recent=recent,
            logs=_kept(history, recent),
            runs=history.runs(5),
            covered=tuple(coverage(lock) for lock in shelf.locks()[:_COVERED]),
            pip=_lines(emit.pip_conf(site.install(request, targets))),
        )

    def projects(self, request: Any) -> Response:
        """The matrix, one page of it."""
        history, problem = self._site.history()
        asked = _asked(request)
        listed = self._site.projects(history, _shelf(request), asked)
        return page("projects.html", **_frame("", "projects", problem), listed=listed, asked=asked, states=STATES)

    def project(self, request: Any) -> Response:
        """One project: every target, every file, every attempt."""
        history, problem = self._site.history()
        found = _project(request, history)
        if found is None:
            return _missing("../", problem)
        matrix, files, attempts = found
        return page(
            "project.html",
            **_frame("../", "projects", problem),
            row=matrix,
            files=files,
            attempts=attempts,
            logs=_kept(history, attempts),
        )

    def history(self, request: Any) -> Response:
        """Every attempt, newest first."""
        history, problem = self._site.history()
        attempts, following = _history(request, history)
        kept = _kept(history, attempts)
        frame = _frame("", "history", problem)
        return page("history.html", **frame, attempts=attempts, following=following, logs=kept, runs=history.runs(20))

    def log(self, request: Any) -> Response:
        """The end of a log; it goes on by itself while the compile does."""
        history, problem = self._site.history()
        attempt, path = _log(request, history)
        if attempt is None:
            return _missing("../", problem)
        over = attempt.how is not How.BUILDING
        piece = logs.read_end(path, to_end=over) if path else logs.Piece(lines=(), offset=0, following=0)
        frame = _frame("../", "history", problem)
        return page("log.html", **frame, attempt=attempt, piece=piece, kept=path is not None, over=over)

    def log_text(self, request: Any) -> Response:
        """The whole log as text."""
        history, _ = self._site.history()
        _, path = _log(request, history)
        if path is None:
            return answer(b"this log is not kept\n", "text/plain; charset=utf-8", status=404)
        return answer(logs.whole(path), "text/plain; charset=utf-8")

    def install(self, request: Any) -> Response:
        """How to point pip, uv, Poetry and a Dockerfile at the index."""
        history, problem = self._site.history()
        install = self._site.install(request, self._site.targets(history))
        kinds = (
            ("pip", "pip, on the command line", emit.pip(install)),
            ("pip-conf", "pip, for good: pip.conf", emit.pip_conf(install)),
            ("uv", "uv", emit.uv(install)),
            ("poetry", "Poetry", emit.poetry(install)),
            ("dockerfile", "Dockerfile", emit.dockerfile(install)),
        )
        snippets = tuple((key, title, _lines(text)) for key, title, text in kinds)
        return page("install.html", **_frame("", "install", problem), snippets=snippets)

    def api(self, request: Any) -> Response:  # noqa: ARG002 - a view's
        """What the JSON means."""
        _, problem = self._site.history()
        return page("api.html", **_frame("", "api", problem))

    # For machines

    def api_status(self, request: Any) -> Response:
        """What goes on, and what it has all come to."""
        history = self._readable()
        projects = len(_shelf(request).projects())
        saved, queued = self._site.saved(history), queue_json(self._site.queued())
        found = status_json(history.totals(), history.building(), history.runs(20), saved, projects=projects)
        covered = [coverage_json(coverage(lock)) for lock in _shelf(request).locks()]
        disk = disk_json(self._site.disk_use())
        return json_answer({**found, "queue": queued, "requirements": covered, "disk": disk})

    def api_projects(self, request: Any) -> Response:
        """The matrix, one page of it."""
        listed = self._site.projects(self._readable(), _shelf(request), _asked(request))
        return json_answer(
            projects_json(listed.rows, listed.targets, page=listed.page, pages=listed.pages, total=listed.total)
        )

    def api_project(self, request: Any) -> Response:
        """One project."""
        found = _project(request, self._readable())
        if found is None:
            return json_answer(error_json("no-project", "nothing is known of such a project"), status=404)
        matrix, files, attempts = found
        return json_answer(project_json(matrix, [(file.filename, file.sha256) for file in files], attempts))

    def api_history(self, request: Any) -> Response:
        """Every attempt, newest first."""
        return json_answer(history_json(*_history(request, self._readable())))

    def api_log(self, request: Any) -> Response:
        """A log from a byte on."""
        attempt, path = _log(request, self._readable())
        if attempt is None or path is None:
            return json_answer(error_json("no-log", "this log is not kept"), status=404)
        over = attempt.how is not How.BUILDING
        piece = logs.read_from(path, _number(request, "from", 0), to_end=over)
        return json_answer(log_json(attempt, piece.lines, offset=piece.offset, following=piece.following, over=over))

    def metrics(self, request: Any) -> Response:
        """For Prometheus."""
        history, site = self._readable(), self._site
        projects = len(_shelf(request).projects())
        found = [*build_figures(history.totals(), history.durations(), site.saved(history), projects=projects)]
        if site.queue is not None:
            found += queue_figures(site.queued())
        if site.misses is not None:
            found += page_figures(hits=site.misses.hits, misses=site.misses.misses)
        return answer(exposition(found), CONTENT_TYPE)

    def now(self, request: Any) -> Response:  # noqa: ARG002 - a view's
        """What goes on, as the part of the front page that shows it: for a browser that found no stream free."""
        return json_answer({"html": self._now.get()})

    def live(self, request: Any) -> Response:  # noqa: ARG002 - a view's
        """The same, again whenever it changes."""

        def look() -> Iterator[bytes | None]:
            last = None
            while True:
                found = self._now.get()
                yield None if found == last else event("now", found)
                last = found

        return self._stream(look)

    def live_log(self, request: Any) -> Response:
        """What is added to a log."""
        history = self._readable()
        attempt, path = _log(request, history)
        if attempt is None or path is None:
            return answer(b"", "text/plain", status=204)  # which tells a browser not to ask again
        offset = _number(request, "from", 0)
        return self._stream(lambda: _follow(history, attempt.id, path, offset))

    def static(self, request: Any) -> Response:
        """Style, script and icon; nothing else has a name here."""
        name = request.matchdict["file"]
        if name not in STATIC:
            return answer(b"not found\n", "text/plain", status=404)
        response = answer(static_bytes(name), STATIC[name])
        response.headers["Cache-Control"] = (
            "public, max-age=31536000, immutable" if request.query_string else "no-cache"
        )
        return response

    def _stream(self, look: Callable[[], Iterator[bytes | None]]) -> Response:
        if not self._site.slots.take():
            response = answer(b"every stream is taken\n", "text/plain", status=503)
            response.headers["Retry-After"] = "10"
            return response
        response = answer(Stream(self._site.slots, look), "text/event-stream; charset=utf-8")
        response.headers["X-Accel-Buffering"] = "no"  # nginx would hold it back
        return response

    def _render_now(self) -> str:
        history, _ = self._site.history()
        building = history.building()
        running = tuple(run for run in history.runs(20) if run.ended is None and not run.killed)
        tails = {attempt.id: logs.last_lines(history.log(attempt.id), _TAIL) for attempt in building}
        queued = [build for build in self._site.queued() if build.state is BuildState.QUEUED]
        return render("now.html", building=building, running=running, tails=tails, queued=queued, root="")

    def _readable(self) -> History:
        """The journal. Machines are not told of an empty one where it cannot be read."""
        history, problem = self._site.history()
        if problem is not None and problem.code != "journal-none":
            raise problem
        return history


def _guarded(view: View) -> View:
    """Answer whoever may read the index, and nobody else; say it where the journal is in no state to be read."""

    @wraps(view)
    def guarded(request: Any) -> Response:
        if not _shelf(request).may_read(request):
            return _refused(request)
        try:
            return view(request)
        except UnusableError as problem:
            if "/api/" in request.path_info:
                return json_answer(error_json(problem.code, problem.what), status=503)
            return answer(f"{problem.what}\n".encode(), "text/plain; charset=utf-8", status=503)

    return guarded


def _refused(request: Any) -> Response:
    if request.authenticated_userid is not None:
        return answer(b"you may not read this index\n", "text/plain", status=403)
    response = answer(b"who may not read this index may not read about it\n", "text/plain", status=401)
    response.headers["WWW-Authenticate"] = 'Basic realm="mirror"'
    return response


def _frame(root: str, here: str, problem: UnusableError | None) -> dict[str, Any]:
    """What every page needs. `root` leads from its address to the page's own."""
    return {"root": root, "here": here, "problem": problem, "index": f"{root}../{STAGE}"}


def _missing(root: str, problem: UnusableError | None) -> Response:
    return page("missing.html", status=404, **_frame(root, "", problem))


def _shelf(request: Any) -> Shelf:
    return Shelf(request.registry["xom"])


def _lines(text: str) -> tuple[str, ...]:
    return tuple(text.rstrip("\n").split("\n"))


def _number(request: Any, name: str, otherwise: int) -> int:
    text = request.params.get(name, "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 15 else otherwise


def _asked(request: Any) -> Asked:
    state = request.params.get("state", "")
    return Asked(
        text=request.params.get("q", "")[:_LONGEST_WORD],
        state=state if state in STATES else "",
        page=_number(request, "page", 1),
    )


def _project(request: Any, history: History) -> Any:
    """The project's row, files and attempts; None where nobody has heard of it."""
    name = canonicalize_name(request.matchdict["name"])
    files = _shelf(request).files(name)
    attempts = history.attempts(200, name=name)
    if not files and not attempts:
        return None
    filenames = [file.filename for file in files]
    return row(name, filenames, history.latest([name]), history.targets()), files, attempts


def _history(request: Any, history: History) -> tuple[tuple[PastAttempt, ...], int | None]:
    """A page of attempts, and the number that the next page begins before."""
    before = _number(request, "before", 0) or None
    found = history.attempts(_HISTORY + 1, before=before)
    shown = found[:_HISTORY]
    return shown, shown[-1].id if len(found) > _HISTORY else None


def _log(request: Any, history: History) -> tuple[PastAttempt | None, Path | None]:
    number = int(request.matchdict["id"])
    attempt = history.attempt(number)
    return attempt, history.log(number) if attempt else None


def _kept(history: History, attempts: tuple[PastAttempt, ...]) -> frozenset[int]:
    """Those attempts whose log is still there."""
    return frozenset(one.id for one in attempts if one.has_log and history.log(one.id))


def _follow(history: History, number: int, path: Path, offset: int) -> Iterator[bytes | None]:
    while True:
        attempt = history.attempt(number)
        over = attempt is None or attempt.how is not How.BUILDING
        piece = logs.read_from(path, offset, to_end=over)
        offset = piece.following
        at_end = over and not piece.lines
        if piece.lines or at_end:
            how = attempt.how.value if attempt else ""
            yield event("lines", {"lines": piece.lines, "next": offset, "over": at_end, "outcome": how})
        else:
            yield None
        if at_end:
            return
