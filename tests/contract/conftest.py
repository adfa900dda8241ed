"""The two indexes that keep the same promises: the fake, and a real devpi-server over an upstream on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.devpi import Devpi
from fakes.index import UPSTREAM, FakeIndex
from fakes.upstream import Upstream
from mirror.adapters.devpi.listening import free_port
from mirror.adapters.devpi.server import EmbeddedServer
from mirror.ports import Index


class Subject:
    """An index under test, and the ways to give it upstream files and files of its own; `upstream` is what it says."""

    def __init__(self, index: Index, give: FakeIndex | Devpi) -> None:
        self.index = index
        self.upstream = UPSTREAM if isinstance(give, FakeIndex) else give.upstream.url
        self._give = give

    def add_upstream(self, name: str, filename: str, content: bytes) -> None:
        """Let upstream have this file."""
        if isinstance(self._give, FakeIndex):
            self._give.add_upstream(name, filename, content)
        else:
            self._give.upstream.add(name, filename, content)

    def add_own(self, name: str, version: str, filename: str, content: bytes) -> None:
        """Let somebody have uploaded this file."""
        if isinstance(self._give, FakeIndex):
            self._give.add_own(name, filename, content)
        else:
            self._give.upload(name, version, filename, content)


@pytest.fixture(scope="session")
def devpi(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Devpi]:
    """One devpi-server for the whole session: each test takes project names of its own."""
    upstream = Upstream()
    upstream.start()
    server = EmbeddedServer(tmp_path_factory.mktemp("devpi"), free_port(), upstream=upstream.url)
    try:
        yield Devpi(server.ensure_running(lambda _: None), upstream)
    finally:
        server.stop()
        upstream.stop()


@pytest.fixture(params=["fake", "devpi"])
def subject(request: pytest.FixtureRequest, tmp_path: Path) -> Subject:
    """Each test of the contract runs over both."""
    if request.param == "fake":
        fake = FakeIndex(tmp_path)
        return Subject(fake, fake)
    devpi: Devpi = request.getfixturevalue("devpi")
    return Subject(devpi.open(tmp_path), devpi)
