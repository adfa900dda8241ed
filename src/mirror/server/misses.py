"""Sees what installers miss on a team's index, and has it built."""

from __future__ import annotations

import platform
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from packaging.utils import canonicalize_name

from mirror.adapters.devpi.layout import PROD, STAGE
from mirror.adapters.queue import BuildState, Origin, Queue, QueuedBuild
from mirror.core.build_request import BuildRequest, SourceFile
from mirror.core.errors import MirrorError
from mirror.core.misses import Link, OnDemand, missed, parse_client, topic
from mirror.core.model import Target
from mirror.server.builds import is_internal

AGAIN_AFTER = timedelta(hours=24)
"""What was built for a miss and is missed still is not built again before: it failed, or came out as something else."""
_OLDEST_MUSL = (1, 2)
"""Of the wheels that we build."""
_REMEMBERED_S = 30.0
_MOST_REMEMBERED = 10_000
_MOST_WAITING = 8
"""Requests that hold a thread until their wheel is there."""


class Misses:
    """Looks at what a page offers whoever asked for it. May be used from several threads."""

    def __init__(
        self,
        queue: Queue,
        policy: OnDemand,
        *,
        machine: str = "",
        clock: Callable[[], float] = time.monotonic,
        gateways: frozenset[str] = frozenset(),
    ) -> None:
        self._queue = queue
        self._policy = policy
        self._gateways = gateways
        self._machine = machine or platform.machine()
        self._clock = clock
        self._lock = threading.Lock()
        self._looked: OrderedDict[tuple[str, str, Target], float] = OrderedDict()
        self._waiting = threading.BoundedSemaphore(_MOST_WAITING)
        self.hits = 0
        """Pages for musl clients whose newest release has a wheel for them."""
        self.misses = 0

    def look(self, xom: Any, stage: str, project: str, user_agent: str, asker: str) -> QueuedBuild | None:
        """The build that makes up for what this client misses, if there is one now.

        `asker` is who has logged in, or the address that the request came from.
        """
        target = parse_client(user_agent)
        if target is None or self._has_just_looked(stage, project, target):
            return None
        with xom.keyfs.read_transaction(allow_reuse=True):
            links = _links(xom, stage, project)
            internal = is_internal(xom, project)
        version = missed(links, target)
        with self._lock:
            self.misses += version is not None
            self.hits += version is None and bool(links)
        can_build = target.architecture == self._machine and target.musl >= _OLDEST_MUSL
        if version is None or internal or not can_build or not self._policy.wants(project):
            return None
        return self._have_built(project, str(version), target, topic(project, version, target), asker)

    def trusts(self, address: str) -> bool:
        """Whether who asks from there may have something built. A gateway's address is everybody's who came by it."""
        return address not in self._gateways and self._policy.trusts(address)

    def wait(self, build: QueuedBuild) -> bool:
        """Wait for a build to end, as long as the policy says and not more than a few do; whether it has ended."""
        if not self._policy.wait_s or not self._waiting.acquire(blocking=False):
            return False
        try:
            deadline = self._clock() + self._policy.wait_s
            while self._clock() < deadline:
                found = self._queue.find(build.id)
                if found is None or found.state is BuildState.ENDED:
                    return True
                time.sleep(0.5)
            return False
        finally:
            self._waiting.release()

    def _have_built(self, project: str, version: str, target: Target, about: str, asker: str) -> QueuedBuild | None:
        last = self._queue.last_about(about)
        if last is not None:
            if last.state is not BuildState.ENDED:
                return last
            if datetime.now(UTC) - datetime.fromisoformat(last.ended or last.asked) < AGAIN_AFTER:
                return None
        if self._queue.asked_since(datetime.now(UTC) - timedelta(hours=1), Origin.MISS) >= self._policy.per_hour:
            return None
        text = SourceFile(name="requirements.txt", text=f"{project}=={version}\n")
        request = BuildRequest(files=(text,), python=(target.python,))
        return self._queue.submit(request, asked_by=asker, origin=Origin.MISS, topic=about)

    def _has_just_looked(self, stage: str, project: str, target: Target) -> bool:
        """One look for all who ask for the same at the same time: it costs as much as making the page."""
        key, now = (stage, project, target), self._clock()
        with self._lock:
            while self._looked and (
                len(self._looked) > _MOST_REMEMBERED or now - next(iter(self._looked.values())) > _REMEMBERED_S
            ):
                self._looked.popitem(last=False)
            if key in self._looked:
                return True
            self._looked[key] = now
            return False


def notice(handler: Callable[[Any], Any], registry: Any) -> Callable[[Any], Any]:
    """A tween: looks at every page of a project that an installer got. What goes wrong there is not the installer's."""

    def tween(request: Any) -> Any:
        response = handler(request)
        misses: Misses | None = registry.get("mirror_misses")
        parts = request.path_info.strip("/").split("/")
        is_page = len(parts) == 4 and parts[2] == "+simple" and f"{parts[0]}/{parts[1]}" in (PROD, STAGE)
        if misses is None or request.method != "GET" or response.status_code != 200 or not is_page:
            return response
        asker = _asker(request, registry["xom"], misses)
        if asker is None:
            return response
        with suppress(MirrorError):
            stage, project = f"{parts[0]}/{parts[1]}", canonicalize_name(parts[3])
            build = misses.look(registry["xom"], stage, project, request.user_agent or "", asker)
            if build is not None and misses.wait(build):
                return handler(request)
        return response

    return tween


def _asker(request: Any, xom: Any, misses: Misses) -> str | None:
    """Who may have something built; None for whoever may not.

    The proxy says where a request comes from, and takes away what a client says itself. Not as X-Forwarded-For, which
    devpi's server drops: every address would be the proxy's own, and trusted.
    """
    address = str(request.headers.get("X-Real-IP", "")).strip()
    if misses.trusts(address):
        return address
    # Not at the top: it warns of its own imports, and this module is used without it, too.
    from pyramid.httpexceptions import HTTPException  # type: ignore[import-untyped]  # noqa: PLC0415

    try:
        with xom.keyfs.read_transaction(allow_reuse=True):
            user = request.authenticated_userid
    except HTTPException:  # a token that was revoked, has expired, or is another user's
        return None
    return None if user is None else str(user)


def _links(xom: Any, stage: str, project: str) -> list[Link]:
    found = xom.model.getstage(stage)
    if found is None:
        return []
    return [
        Link(filename=link.basename, requires_python=link.require_python or None, yanked=link.yanked or False)
        for link in found.get_simplelinks(project)
    ]
