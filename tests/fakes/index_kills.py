"""An index of our own that is killed (SIGKILL) while wheels are published to it, at moments of somebody's choice."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from fakes.held_devpi import HeldServer, Moment
from fakes.proxy import Fault, FaultyProxy
from fakes.wheels import checked_wheel
from mirror.adapters.devpi.downloads import LostBytesError
from mirror.adapters.devpi.http import DevpiClient
from mirror.adapters.devpi.index import DevpiIndex
from mirror.adapters.devpi.patience import PATIENT, Patience, Recovery
from mirror.adapters.store import Store
from mirror.core.errors import MirrorError
from mirror.core.model import CheckedWheel, IndexFile

_WITHIN_S = 0.06
"""By chance: so long after the upload was sent, at most."""
_LARGEST = 500_000
_AT_ONCE = Patience(total_s=0.0)


class KillAt(Enum):
    """When the index is killed, in the order of an upload."""

    BY_CHANCE = "at any moment of the upload"
    WRITTEN = "written beside its place, not committed"
    COMMITTED = "committed, not renamed"
    OVERTAKEN = "committed, not renamed; another transaction since"
    RENAMED = "renamed, not answered"
    ANSWERED = "answered, while the page is read"
    LISTED = "listed, while the file is read back"


_HELD = {
    KillAt.WRITTEN: Moment.WRITTEN,
    KillAt.COMMITTED: Moment.COMMITTED,
    KillAt.OVERTAKEN: Moment.COMMITTED,
    KillAt.RENAMED: Moment.RENAMED,
}


@dataclass(frozen=True, kw_only=True)
class Publication:
    """What came of a wheel during whose publication the index was killed, and started again."""

    at: KillAt
    wheel: CheckedWheel
    error: str
    """What the publisher was told; "" where all went well."""
    was_without_bytes: bool
    """Whether the index, once it had started again, listed it and had no bytes."""
    seconds: float


class Kills:
    """Publishes one wheel after the other, with this patience, to a server that is killed meanwhile."""

    def __init__(self, server: HeldServer, folder: Path, *, seed: int, patience: Patience = PATIENT) -> None:
        self._server = server
        self._folder = folder
        self._chance = random.Random(seed)  # noqa: S311 - no secret
        self._patience = patience
        self._info = server.ensure_running(server.said.append)
        self._count = 0

    def publish(self, at: KillAt) -> Publication:
        """Publish one more wheel, kill the index at that moment, and start it again."""
        self._count += 1
        wheel = checked_wheel(
            f"killed{self._count}-1.0-cp311-cp311-musllinux_1_2_x86_64.whl",
            payload=self._chance.randbytes(self._chance.randrange(_LARGEST)),
        )
        began = time.monotonic()
        with FaultyProxy(self._info.url) as proxy, ThreadPoolExecutor(1) as pool:
            killed = self._plan(at, wheel, proxy)
            published = pool.submit(self._open(proxy.instead_of(self._info.url)).publish, wheel)
            self._kill(at, proxy, killed)
            self._server.ensure_running(self._server.said.append)
            was_without_bytes = self._is_without_bytes(wheel)
            error = _error_of(published)
        return Publication(
            at=at,
            wheel=wheel,
            error=error,
            was_without_bytes=was_without_bytes,
            seconds=time.monotonic() - began,
        )

    def copies(self, wheels: Sequence[CheckedWheel]) -> list[int]:
        """How often the index lists each, its bytes being there and right, for somebody who knows nothing yet."""
        reader = self._open(self._info.url, store="reader")
        return [_copies(reader, wheel) for wheel in wheels]

    def _plan(self, at: KillAt, wheel: CheckedWheel, proxy: FaultyProxy) -> threading.Event:
        """See to it that the kill comes at its moment; what is returned is set where nothing else is to be done."""
        killed = threading.Event()

        def kill() -> None:
            self._server.kill()
            killed.set()

        if moment := _HELD.get(at):
            self._server.hold(moment)
        elif at is KillAt.ANSWERED:
            proxy.plan("GET", f"/+simple/{wheel.name}/", Fault(midway=kill))
        elif at is KillAt.LISTED:
            proxy.plan("GET", "/+f/", Fault(midway=kill))
        return killed

    def _kill(self, at: KillAt, proxy: FaultyProxy, killed: threading.Event) -> None:
        if moment := _HELD.get(at):
            self._server.wait_until_held(moment)
            if at is KillAt.OVERTAKEN:
                self._commit_something_else()
            self._server.kill()
        elif at is KillAt.BY_CHANCE:
            while not proxy.count("POST", "/mirror/alpine/"):
                time.sleep(0.001)
            time.sleep(self._chance.uniform(0, _WITHIN_S))
            self._server.kill()
        else:
            assert killed.wait(60.0), f"nobody comes to be {at.value}"

    def _commit_something_else(self) -> None:
        """As other builds do all the time: a claim."""
        root = f"http://127.0.0.1:{self._info.port}"
        claim = {"type": "stage", "bases": [], "volatile": True}
        url = f"{root}/mirror/claim-{self._count}-1"
        assert 200 == DevpiClient(root, self._info.administrator).send("PUT", url, json=claim).status

    def _is_without_bytes(self, wheel: CheckedWheel) -> bool:
        reader = self._open(self._info.url, store=f"reader{self._count}", patience=_AT_ONCE)
        try:
            for file in reader.files(wheel.name):
                reader.fetch(file)
        except LostBytesError:
            return True
        except MirrorError:  # removed in between, by its publisher
            return False
        return False

    def _open(self, url: str, *, store: str = "store", patience: Patience | None = None) -> DevpiIndex:
        return DevpiIndex(
            url,
            self._info.login,
            Store(self._folder / store),
            administrator=self._info.administrator,
            recovery=Recovery(patience=patience or self._patience),
        )


def _error_of(published: Future[IndexFile]) -> str:
    try:
        published.result()
    except MirrorError as error:
        return f"{error.code}: {error.what}"
    return ""


def _copies(reader: DevpiIndex, wheel: CheckedWheel) -> int:
    files = [file for file in reader.files(wheel.name) if file.filename == wheel.filename]
    try:
        return sum(reader.fetch(file).read_bytes() == wheel.content for file in files)
    except MirrorError:
        return 0
