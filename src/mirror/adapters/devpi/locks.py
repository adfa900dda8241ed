"""The locks that builds have registered, on the index itself: whoever prunes it sees those of every machine.

devpi keeps nothing but indexes and files. So a lock is an empty index `USER/lock-KEY` beside the one that is published
to, with the lock as JSON in its `custom_data`. 500 packages are 63 kB there, written and read in a few milliseconds.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from mirror.adapters.devpi.http import DevpiClient
from mirror.adapters.devpi.layout import PAGE
from mirror.adapters.devpi.patience import SHORTLY
from mirror.core.errors import UnusableError
from mirror.core.retention import Reached, RegisteredLock

VERSION = 1
LOCK = re.compile(r"lock-([0-9a-f]{40})")
_LATEST_S = 253_370_764_800
"""The year 9999."""
_TRIES = 3
"""Between the two ways to write, somebody else may have made or removed the lock."""


class DevpiLocks:
    """Implements ports.Locks. `client` may create, change and delete indexes of `user`.

    With `by_plugin` it may not, but may upload, and our plugin does that for it: a team's builder has such a token.
    """

    def __init__(self, client: DevpiClient, user: str, *, by_plugin: bool = False) -> None:
        self._client = client
        self._waiter = client.waiter.beside(SHORTLY)
        self._user = user
        self._by_plugin = by_plugin

    def register(self, lock: RegisteredLock) -> None:
        """As ports.Locks.register."""
        now_s = self.now_s()
        data = _data(lock, now_s)
        settings = {"type": "stage", "bases": [], "volatile": True, "acl_upload": [], "custom_data": data}
        status = 0
        for _ in range(_TRIES):
            status = self._send("PUT", lock.key, settings)
            if status == 409:
                status = self._send("PATCH", lock.key, [f"custom_data={data}"])
            if status in (200, 201):
                return
        raise self._refused("may not register a lock", status)

    def all(self) -> tuple[RegisteredLock, ...]:
        """As ports.Locks.all."""
        return tuple(self._lock(key, config) for key, config in self._read())

    def forget(self, key: str) -> None:
        """As ports.Locks.forget."""
        status = self._send("DELETE", key, None)
        # Of an index that is not there devpi says 403 to some and 404 to others.
        if status not in (200, 201, 404) and key in dict(self._read()):
            raise self._refused("may not remove a lock", status)

    def now_s(self) -> float:
        """What the index's clock says (POSIX seconds); 0 where it does not say."""
        return self._client.get(f"{self._client.root}/+api", waiter=self._waiter).at

    def _read(self) -> list[tuple[str, object]]:
        """The key and settings of every lock, sorted by key."""
        answer = self._client.get(f"{self._client.root}/{self._user}", waiter=self._waiter)
        indexes = (answer.result() or {}).get("indexes")
        if answer.status != 200 or not isinstance(indexes, dict):
            raise self._refused("may not read the registered locks", answer.status)
        found = ((LOCK.fullmatch(name), config) for name, config in sorted(indexes.items()))
        return [(match[1], config) for match, config in found if match]

    def _send(self, method: str, key: str, body: object) -> int:
        place = f"{PAGE}/locks/{self._user}" if self._by_plugin else self._user
        url = f"{self._client.root}/{place}/lock-{key}"
        return self._client.patiently(lambda: self._client.send(method, url, json=body), self._waiter).status

    def _lock(self, key: str, config: object) -> RegisteredLock:
        try:
            return read_lock(key, config["custom_data"])  # type: ignore[index]
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise UnusableError(
                "lock-unreadable",
                f"the registered lock {self._user}/lock-{key} cannot be read, and may reach any file",
                hint="a newer version of mirror may have written it: use that one; "
                f"where nobody needs it, `devpi index --delete {self._user}/lock-{key}`",
            ) from error

    def _refused(self, what: str, status: int) -> UnusableError:
        return UnusableError(
            "index-forbidden",
            f"on {self._user}, this run {what}: HTTP {status}",
            hint="it needs a user who may create indexes beside the one that is published to",
        )


def _data(lock: RegisteredLock, now_s: float) -> str:
    return json.dumps(
        {
            "version": VERSION,
            "project": lock.project,
            "path": lock.path,
            "host": lock.host,
            "asked": lock.asked,
            "files": lock.files,
            "target": lock.target,
            "registered": now_s,
            "missing": lock.missing,
            "wheels": [[wheel.filename, wheel.sha256, wheel.needed_by] for wheel in lock.wheels],
        }
    )


def read_lock(key: str, text: str) -> RegisteredLock:
    """A lock as it stands on the index. Raises ValueError, TypeError, KeyError, AttributeError."""
    data: Mapping[str, Any] = json.loads(text)
    if data["version"] != VERSION:
        raise ValueError(data["version"])
    wheels = tuple(
        Reached(filename=_text(filename), sha256=_text(sha256), needed_by=_text(needed_by))
        for filename, sha256, needed_by in data["wheels"]
    )
    return RegisteredLock(
        key=key,
        project=_text(data["project"]),
        path=_text(data["path"]),
        host=_text(data["host"]),
        asked=_text(data["asked"]),
        files=tuple(_text(file) for file in data["files"]),
        target=_text(data["target"]),
        wheels=tuple(sorted(wheels)),
        registered_s=_moment(data["registered"]),
        missing=tuple(_text(name) for name in data.get("missing", ())),
    )


def _moment(value: object) -> float:
    """POSIX seconds of a year that has four digits, or 0."""
    if not isinstance(value, int | float) or not 0 <= value <= _LATEST_S:
        raise ValueError(value)
    return float(value)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    value.encode()  # half a surrogate pair can be written nowhere
    return value
