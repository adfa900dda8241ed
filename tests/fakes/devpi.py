"""A real devpi-server over an upstream on loopback."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fakes.upstream import Upstream
from mirror.adapters.devpi.index import DevpiIndex
from mirror.adapters.devpi.server import ServerInfo
from mirror.adapters.store import Store


@dataclass
class Devpi:
    """A running server and the upstream that it mirrors."""

    info: ServerInfo
    upstream: Upstream

    def open(self, store: Path) -> DevpiIndex:
        """A new client, which remembers nothing yet."""
        return DevpiIndex(self.info.url, self.info.login, Store(store), administrator=self.info.administrator)
