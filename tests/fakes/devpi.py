"""A real devpi-server over an upstream on loopback."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path

from fakes.upstream import Upstream
from mirror.adapters.devpi.claims import EXPIRES_S, DevpiClaims
from mirror.adapters.devpi.http import DevpiClient
from mirror.adapters.devpi.index import DevpiIndex
from mirror.adapters.devpi.locks import DevpiLocks
from mirror.adapters.devpi.patience import RECOVERY, Recovery
from mirror.adapters.devpi.server import ServerInfo
from mirror.adapters.store import Store


@dataclass
class Devpi:
    """A running server and the upstream that it mirrors."""

    info: ServerInfo
    upstream: Upstream

    def open(self, store: Path, recovery: Recovery = RECOVERY) -> DevpiIndex:
        """A new client, which remembers nothing yet."""
        return DevpiIndex(
            self.info.url, self.info.login, Store(store), administrator=self.info.administrator, recovery=recovery
        )

    def upload(self, name: str, version: str, filename: str, content: bytes) -> None:
        """Put a file on our index as twine does."""
        client = DevpiClient(f"http://127.0.0.1:{self.info.port}", self.info.login)
        form = {":action": "file_upload", "name": name, "version": version}
        answer = client.send("POST", f"{self.info.url}/", data=[*form.items()], files={"content": (filename, content)})
        assert 200 == answer.status, answer.said

    def whitelist(self, name: str) -> None:
        """Let upstream's files of a project show beside ours."""
        assert 200 == self._root().send("PATCH", self.info.url, json=[f"mirror_whitelist+={name}"]).status

    def claims(self, *, expires_s: float = EXPIRES_S) -> DevpiClaims:
        """The claims of one more run."""
        return DevpiClaims(self._root(), "mirror", expires_s=expires_s)

    def claim_indexes(self, key: str) -> list[str]:
        """The indexes that are claims of this key now."""
        indexes = (self._root().get(f"{self._root().root}/mirror").result() or {})["indexes"]
        return sorted(name for name in indexes if name.startswith(f"claim-{key}-"))

    def leave_claim(self, key: str, owner: str, *, age_s: float = 0.0) -> None:
        """Leave a claim as a run leaves it that was killed `age_s` ago: its count stands still."""
        settings = {"type": "stage", "bases": [], "volatile": True, "custom_data": self._data(owner, 0, age_s)}
        assert 200 == self._root().send("PUT", self._claim(key), json=settings).status

    def beat_claim(self, key: str, owner: str, beat: int) -> None:
        """Let the count of a claim that was left go up."""
        change = [f"custom_data={self._data(owner, beat)}"]
        assert 200 == self._root().send("PATCH", self._claim(key), json=change).status

    def locks(self) -> DevpiLocks:
        """The locks of one more run."""
        return DevpiLocks(self._root(), "mirror")

    def lock_indexes(self) -> list[str]:
        """The indexes that are locks now."""
        indexes = (self._root().get(f"{self._root().root}/mirror").result() or {})["indexes"]
        return sorted(name for name in indexes if name.startswith("lock-"))

    def leave_lock(self, key: str, data: str) -> None:
        """Leave an index that is named like a lock and holds something else."""
        settings = {"type": "stage", "bases": [], "volatile": True, "custom_data": data}
        assert 200 == self._root().send("PUT", f"{self._root().root}/mirror/lock-{key}", json=settings).status

    def _root(self) -> DevpiClient:
        return DevpiClient(f"http://127.0.0.1:{self.info.port}", self.info.administrator)

    def _claim(self, key: str) -> str:
        return f"{self._root().root}/mirror/claim-{key}-1"

    @staticmethod
    def _data(owner: str, beat: int, age_s: float = 0.0) -> str:
        return json.dumps({"beat": beat, "owner": owner, "renewed": time.time() - age_s})
