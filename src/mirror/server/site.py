"""What a request is answered from: the journal, the index, the counts; read anew for each."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

from packaging.utils import canonicalize_name

from mirror.adapters.devpi.layout import STAGE
from mirror.adapters.journal.history import History, NoHistory
from mirror.adapters.queue import Queue, QueuedBuild
from mirror.core import emit
from mirror.core.errors import UnusableError
from mirror.core.history import How, PastAttempt, Saved, by_project
from mirror.core.matrix import Row, parse_target, row
from mirror.server.disk import Disk, DiskUse
from mirror.server.live import Slots
from mirror.server.misses import Misses
from mirror.server.served import Downloads, saved_by
from mirror.server.shelf import Shelf

T = TypeVar("T")

PER_PAGE = 50
STATES: Mapping[str, str] = {
    "": "every project",
    "wheel": "on the index",
    "building": "building now",
    "failed": "failed or blocked",
    "interrupted": "interrupted",
}
"""What the list can be narrowed to, and how that is called."""
_HOWS = {
    "building": (How.BUILDING,),
    "interrupted": (How.INTERRUPTED,),
}
_HOST = re.compile(r"[A-Za-z0-9._-]+(?::[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](?::[0-9]{1,5})?")
_NO_JOURNAL = UnusableError(
    "journal-unknown",
    "This index does not know where builds are recorded, so it can only say what it holds.",
    hint="Start it with `mirror up` or `mirror serve`.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What part of the list of projects is wanted."""

    text: str = ""
    state: str = ""
    page: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One page of that list. `total` is how many projects there are on all `pages`."""

    rows: tuple[Row, ...]
    targets: tuple[str, ...]
    page: int
    pages: int
    total: int


@dataclass(slots=True, kw_only=True)
class Site:
    """The parts. `folder` is where the journal and its logs lie, None where nobody said so; `server` is devpi's."""

    folder: Path | None
    server: Path
    downloads: Downloads
    slots: Slots
    listen: Sequence[str] = ()
    """Where the server listens, as `HOST:PORT`."""
    index: str = STAGE
    """What to install from."""
    queue: Queue | None = None
    misses: Misses | None = None
    disk: Disk | None = field(init=False)
    _memory: dict[str, tuple[tuple[int, ...], object]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.disk = Disk(self.server, self.folder) if self.folder else None

    def history(self) -> tuple[History, UnusableError | None]:
        """The journal; where it cannot be read an empty one, and why."""
        if self.folder is None:
            return NoHistory(), _NO_JOURNAL
        history = History(self.folder)
        try:
            history.check()
        except UnusableError as problem:
            return NoHistory(), problem
        return history, None

    def queued(self) -> tuple[QueuedBuild, ...]:
        """What a team has asked to be built and is not built yet, in the order of asking."""
        return self.queue.open() if self.queue else ()

    def disk_use(self) -> DiskUse | None:
        """What the index and its builds take; None where it is not known, or not yet."""
        return self.disk.use() if self.disk else None

    def saved(self, history: History) -> Saved | None:
        """What downloads have spared; None where it is not known."""
        served = self.downloads.all()
        if served is None:
            return None
        return saved_by(served, self._remembered(history, "compile seconds", history.compile_seconds))

    def targets(self, history: History) -> tuple[str, ...]:
        """Every target that something was tried for."""
        return self._remembered(history, "targets", history.targets)

    def projects(self, history: History, shelf: Shelf, asked: Asked) -> Listed:
        """The projects that are asked for, in the order of their names."""
        targets = self.targets(history)
        names = sorted(self._names(history, shelf, asked))
        pages = max(1, -(-len(names) // PER_PAGE))
        page = min(max(1, asked.page), pages)
        shown = names[(page - 1) * PER_PAGE : page * PER_PAGE]
        latest = by_project(history.latest(shown))
        rows = tuple(row(name, shelf.filenames(name), latest.get(name, ()), targets) for name in shown)
        return Listed(rows=rows, targets=targets, page=page, pages=pages, total=len(names))

    def failures(self, history: History, count: int) -> tuple[PastAttempt, ...]:
        """The newest failures after which nothing else was tried, newest first."""
        return self._remembered(history, f"{count} failures", lambda: history.latest_that((How.FAILED,), count))

    def _remembered(self, history: History, name: str, ask: Callable[[], T]) -> T:
        """What takes a look at the whole journal, and stays as it is until something is written there."""
        stamp = history.stamp()  # before the journal is read: what is written meanwhile has another one
        if stamp is not None and (found := self._memory.get(name)) and found[0] == stamp:
            return cast("T", found[1])
        answer = ask()
        if stamp is not None:
            self._memory[name] = stamp, answer
        return answer

    @staticmethod
    def _names(history: History, shelf: Shelf, asked: Asked) -> set[str]:
        if asked.state == "failed":
            names = set(history.names_that_failed())
        elif hows := _HOWS.get(asked.state):
            names = {attempt.name for attempt in history.latest_that(hows)}
        elif asked.state == "wheel":
            names = set(shelf.projects())
        else:
            names = set(shelf.projects() | history.names())
        wanted = canonicalize_name(asked.text.strip())
        return {name for name in names if wanted in name} if wanted else names

    def install(self, request: Any, targets: Sequence[str]) -> emit.Install:
        """How to install from here, as whoever asks reaches us."""
        target = parse_target(targets[-1]) if targets else None
        image = f"python:{target.python}-alpine" if target else "python:3-alpine"
        return emit.Install(address=address(request, self.listen, self.index), base_image=image)


def address(request: Any, listen: Sequence[str], index: str = STAGE) -> emit.IndexAddress:
    """Where the index is for this machine and for containers.

    Who came by a loopback address is on this machine, and containers need another one: the one that we listen on for
    them.
    """
    host = request.host if _HOST.fullmatch(request.host or "") else "127.0.0.1"
    base = f"{request.scheme}://{host}{request.script_name}"
    name = urlsplit(base).hostname or ""
    inside = base
    if name == "localhost" or _is(name, "loopback"):
        inside = f"{request.scheme}://{_for_containers(listen)}:{urlsplit(base).port or 80}{request.script_name}"
    page = f"/{index}/+simple/"
    return emit.IndexAddress(host_url=base + page, image_url=inside + page)


def _for_containers(listen: Sequence[str]) -> str:
    hosts = [one.rpartition(":")[0] for one in listen]
    return next((host for host in hosts if not _is(host, "loopback") and not _is(host, "any")), "host.docker.internal")


def _is(host: str, what: str) -> bool:
    """Whether it is an address that stands for this machine ("loopback"), or for every one of its own ("any")."""
    try:
        found = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return found.is_loopback if what == "loopback" else found.is_unspecified
