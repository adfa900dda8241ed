"""Builds that people and installers ask a team's server for: below `/+mirror/builds`, and what the builder needs.

A request is put into the queue, and whoever made it reads what the build says piece by piece, so that nobody's thread
is held: a connection that breaks, or a server that is started again, costs the asker nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import wraps
from typing import Any

from packaging.utils import canonicalize_name
from pyramid.response import Response  # type: ignore[import-untyped]

from mirror.adapters.devpi.layout import BUILDER, INTERNAL, OWNER, PAGE, STAGE
from mirror.adapters.devpi.locks import LOCK, read_lock
from mirror.adapters.queue import BuildState, Queue, QueuedBuild, QueueFullError
from mirror.core.build_request import read_build_request
from mirror.core.errors import BadInputError, MirrorError, UnusableError
from mirror.core.page_json import error_json
from mirror.server.rendering import json_answer
from mirror.server.shelf import Shelf

LARGEST_REQUEST = 5_000_000
View = Callable[[Any], Response]


class Builds:
    """The answers. `queue` is None where nobody builds for a team."""

    def __init__(self, queue: Queue | None) -> None:
        self._queue = queue

    def add_to(self, pyramid_config: Any) -> None:
        """Add the routes."""
        one = f"/{PAGE}/builds/{{id:[0-9a-f]{{32}}}}"
        routes = (
            ("POST", f"/{PAGE}/builds", self.submit),
            ("GET", one, self.output),
            ("DELETE", one, self.cancel),
            ("POST", f"/{PAGE}/allow/{{user}}/{{index}}/{{project}}", allow),
            ("PUT", f"/{PAGE}/locks/{{owner}}/{{name}}", keep_lock),
            ("DELETE", f"/{PAGE}/locks/{{owner}}/{{name}}", drop_lock),
        )
        for method, pattern, view in routes:
            name = f"{method} {pattern}"
            pyramid_config.add_route(name, pattern, request_method=method)
            pyramid_config.add_view(_told(view), route_name=name)

    def submit(self, request: Any) -> Response:
        """Queue a build; where its output is."""
        asked_by = _somebody(request)
        if (request.content_length or LARGEST_REQUEST + 1) > LARGEST_REQUEST:
            raise BadInputError("bad-request", f"a request has at most {LARGEST_REQUEST} bytes", hint="ask in parts")
        try:
            value = json.loads(request.body)
        except (ValueError, RecursionError) as error:
            raise BadInputError("bad-request", "the request is no JSON", hint="send a JSON object") from error
        build = self._open().submit(read_build_request(value), asked_by=asked_by)
        return json_answer(self._json(build, []), status=201)

    def output(self, request: Any) -> Response:
        """How a build goes, and what it has said from the byte `from` on."""
        if not Shelf(request.registry["xom"]).may_read(request):
            raise _Refused(
                403 if request.authenticated_userid else 401, "who may not read this index may not read this"
            )
        build = self._find(request)
        start = request.params.get("from", "0")
        offset = int(start) if start.isascii() and start.isdecimal() and len(start) <= 15 else 0
        # In this order: what a build says comes before its end.
        said, following = self._open().said(build.id, offset)
        return json_answer({**self._json(build, said), "next": following})

    def cancel(self, request: Any) -> Response:
        """End a build of one's own."""
        asked_by = _somebody(request)
        build = self._find(request)
        if asked_by not in (build.asked_by, "root"):
            raise _Refused(403, f"this build was asked for by {build.asked_by}")
        self._open().cancel(build.id)
        return json_answer({"version": 1})

    def _open(self) -> Queue:
        if self._queue is None:
            raise _Refused(404, "nobody builds for this index: compose.yaml has what does")
        return self._queue

    def _find(self, request: Any) -> QueuedBuild:
        build = self._open().find(request.matchdict["id"])
        if build is None:
            raise _Refused(404, "there is no such build, or none any more")
        return build

    def _json(self, build: QueuedBuild, said: list[tuple[str, str]]) -> dict[str, Any]:
        waits = build.state is BuildState.QUEUED
        return {
            "version": 1,
            "id": build.id,
            "state": build.state.value,
            "status": build.status,
            "ahead": self._open().ahead_of(build) if waits else 0,
            "output": said,
            "next": 0,
        }


def allow(request: Any) -> Response:
    """Let upstream's files of a project go on to show once the index of wheels holds one of its own: its whitelist.

    Whoever may upload there may have that done, on that index and on no other: the index that people install from
    unites the whitelists of all its bases. For a project of the team's own nothing is done: it has no upstream, and a
    stranger's files of the same name would show beside the team's.
    """
    stage = request.context.stage
    if stage.name != STAGE:
        raise _Refused(403, f"only {STAGE} has public names")
    if not request.has_permission("upload", stage):
        raise _Refused(403 if request.authenticated_userid else 401, f"you may not upload to {stage.name}")
    project = canonicalize_name(request.matchdict["project"])
    if is_internal(request.registry["xom"], project):
        return json_answer({"version": 1, "allowed": False})
    config = stage.get()
    allowed = list(config.get("mirror_whitelist") or ())
    if project not in allowed:
        stage.modify(**{**config, "mirror_whitelist": [*allowed, project]}, _keep_unknown=True)
    return json_answer({"version": 1, "allowed": True})


def keep_lock(request: Any) -> Response:
    """Register a lock, in the place of the one of its name, for whoever may upload but not make indexes."""
    user, name = _lock(request)
    text = _custom_data(request)
    stage = _registered(request, user, name)
    if stage is None:
        settings = {"type": "stage", "bases": (), "volatile": True, "acl_upload": [], "acl_toxresult_upload": []}
        user.create_stage(name, **settings, custom_data=text, title=_title(request))
    else:
        config = stage.get()
        stage.modify(**{**config, "custom_data": text, "title": config.get("title") or _title(request)})
    return json_answer({"version": 1})


def drop_lock(request: Any) -> Response:
    """Forget one."""
    user, name = _lock(request)
    stage = _registered(request, user, name)
    if stage is None:
        raise _Refused(404, "there is no such lock")
    stage.delete()
    return json_answer({"version": 1})


def _lock(request: Any) -> tuple[Any, str]:
    """The user whose lock is meant, and its index's name. Raises _Refused where it is not the asker's to change."""
    model = request.registry["xom"].model
    owner, name = request.matchdict["owner"], request.matchdict["name"]
    stage = model.getstage(STAGE)
    if stage is None or owner != OWNER or not LOCK.fullmatch(name):
        raise _Refused(404, "there is no such lock")
    if not request.has_permission("upload", stage):
        raise _Refused(403 if request.authenticated_userid else 401, f"you may not upload to {stage.name}")
    return model.get_user(owner), name


def _registered(request: Any, user: Any, name: str) -> Any:
    """The lock that is there, None where there is none. Raises _Refused where somebody else has registered it."""
    stage = request.registry["xom"].model.getstage(user.name, name)
    if stage is None or request.authenticated_userid in ("root", OWNER):
        return stage
    title = stage.get().get("title")
    if title == _title(request) or (not title and request.authenticated_userid == BUILDER):
        return stage  # a team's builder has registered locks before names stood on them
    raise _Refused(403, "somebody else has registered this lock: `mirror prune --forget` of the index's owner ends it")


def _title(request: Any) -> str:
    return f"registered by {request.authenticated_userid}"


def _custom_data(request: Any) -> str:
    """The lock itself, if it is one."""
    if (request.content_length or LARGEST_REQUEST + 1) > LARGEST_REQUEST:
        raise BadInputError("bad-request", f"a lock has at most {LARGEST_REQUEST} bytes", hint="require less")
    try:
        text = json.loads(request.body)["custom_data"]
        read_lock(request.matchdict["name"].removeprefix("lock-"), text)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise BadInputError("bad-request", "this is no lock", hint="use the same mirror on both sides") from error
    return str(text)


def is_internal(xom: Any, project: str) -> bool:
    """Whether a project is one of the team's own."""
    internal = xom.model.getstage(INTERNAL)
    return internal is not None and internal.has_project_perstage(project)


class _Refused(Exception):  # noqa: N818 - an answer
    def __init__(self, status: int, what: str) -> None:
        super().__init__(what)
        self.status = status
        self.what = what


def _somebody(request: Any) -> str:
    """Who asks. Raises _Refused where that is nobody."""
    user = request.authenticated_userid
    if user is None:
        raise _Refused(401, "log in: builds are for users of this index")
    return str(user)


def _told(view: View) -> View:
    """Say what went wrong as JSON."""

    @wraps(view)
    def told(request: Any) -> Response:
        try:
            return view(request)
        except _Refused as refusal:
            response = json_answer(error_json("refused", refusal.what), status=refusal.status)
            if refusal.status == 401:
                response.headers["WWW-Authenticate"] = 'Basic realm="mirror"'
            return response
        except MirrorError as error:
            status = {BadInputError: 400, QueueFullError: 429, UnusableError: 503}.get(type(error), 400)
            value = {**error_json(error.code, error.what), "hint": error.hint, "details": list(error.details)}
            response = json_answer(value, status=status)
            if status == 429:
                response.headers["Retry-After"] = "30"
            return response

    return told
