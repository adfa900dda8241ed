"""An index in memory that keeps the promises of ports.Index; tests/contract holds it and the real one to them."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path
from threading import RLock

from packaging.utils import NormalizedName, canonicalize_name

from mirror.adapters.store import Store
from mirror.core.errors import MirrorError, UnusableError
from mirror.core.model import CheckedWheel, IndexFile

ORIGIN = "http://index.test"
UPSTREAM = "https://upstream.test/simple/"
STAGE, MIRROR = f"{ORIGIN}/mirror/alpine", f"{ORIGIN}/root/pypi"
"""As on a devpi-server, a file's address tells whether it is ours or upstream's."""


class FakeIndex:
    """Upstream's files and ours. `calls` counts what was asked of it; `down` makes it refuse everything."""

    def __init__(self, folder: Path) -> None:
        self.down = False
        self._stopped = False
        self.published: list[CheckedWheel] = []
        self.calls: Counter[str] = Counter()
        self.folder = folder
        self._store = Store(folder)
        self._upstream: dict[NormalizedName, dict[str, IndexFile]] = {}
        self._ours: dict[NormalizedName, dict[str, IndexFile]] = {}
        self._whitelist: set[NormalizedName] = set()
        self._contents: dict[str, bytes] = {}
        self._lock = RLock()

    @property
    def simple_url(self) -> str:
        return f"{STAGE}/+simple/"

    def add_upstream(
        self,
        name: str,
        filename: str,
        content: bytes,
        *,
        requires_python: str | None = None,
        yanked: str | bool = False,
    ) -> IndexFile:
        """Let upstream have this file; the file as the index lists it."""
        file = _index_file(MIRROR, filename, content, requires_python, yanked)
        with self._lock:
            self._upstream.setdefault(canonicalize_name(name), {})[filename] = file
            self._contents[file.url] = content
        return file

    def drop_upstream(self, name: str, filename: str) -> None:
        """Let upstream have this file no longer."""
        with self._lock:
            del self._upstream[canonicalize_name(name)][filename]

    def add_own(self, name: str, filename: str, content: bytes) -> IndexFile:
        """Let somebody have put this file on our index by other means; the file as the index lists it."""
        file = _index_file(STAGE, filename, content, None, False)
        with self._lock:
            self._ours.setdefault(canonicalize_name(name), {})[filename] = file
            self._contents[file.url] = content
        return file

    def corrupt(self, file: IndexFile, content: bytes) -> None:
        """Answer other bytes for `file` than its page promises."""
        self._contents[file.url] = content

    def whitelist(self, name: str) -> None:
        """Let upstream's files of this project show beside ours."""
        self._whitelist.add(canonicalize_name(name))

    def empty_store(self) -> None:
        """Keep nothing of what was downloaded."""
        self._store = Store(self.folder / "emptied")

    def files(self, name: NormalizedName) -> tuple[IndexFile, ...]:
        with self._lock:
            self._called(f"files {name}")
            ours = self._ours.get(name, {})
            hidden = ours and name not in self._whitelist
            merged = ours if hidden else self._upstream.get(name, {}) | ours
            return tuple(merged[filename] for filename in sorted(merged))

    def forget(self, name: NormalizedName) -> None:
        """Nothing is remembered here."""

    def fetch(self, file: IndexFile) -> Path:
        with self._lock:
            self._called(f"fetch {file.filename}")
            if not file.url.startswith(f"{ORIGIN}/"):
                raise MirrorError("download-failed", f"{file.filename} is not on the index", hint="check the index")
            kept = self._store.find(file.sha256, file.filename)
            if kept is not None:
                return kept
            if file.url not in self._contents:
                raise MirrorError("download-failed", f"{file.filename} is gone from the index", hint="try again")
            return self._store.keep(file.sha256, file.filename, [self._contents[file.url]])

    def upstream_of(self, file: IndexFile) -> str | None:
        return UPSTREAM if file.url.startswith(f"{MIRROR}/") else None

    def publish(self, wheel: CheckedWheel) -> IndexFile:
        with self._lock:
            self._called(f"publish {wheel.filename}")
            if wheel.upstream is not None:
                self._whitelist.add(wheel.name)
            ours = self._ours.setdefault(wheel.name, {})
            present = ours.get(wheel.filename)
            if present is not None and present.sha256 != wheel.sha256:
                raise MirrorError("conflict", f"other bytes stand under {wheel.filename}", hint="raise the version")
            file = _index_file(STAGE, wheel.filename, wheel.content, wheel.requires_python, False)
            if present is None:
                ours[wheel.filename] = file
                self._contents[file.url] = wheel.content
                self.published.append(wheel)
            return file

    def stop(self) -> None:
        self._stopped = True

    def _called(self, call: str) -> None:
        self.calls[call] += 1
        if self._stopped:
            raise UnusableError("stopped", "the run is being given up", hint="start it again")
        if self.down:
            raise UnusableError("index-unreachable", f"{ORIGIN} does not answer", hint="start it")


def _index_file(
    folder: str, filename: str, content: bytes, requires_python: str | None, yanked: str | bool
) -> IndexFile:
    sha256 = hashlib.sha256(content).hexdigest()
    return IndexFile(
        filename=filename,
        url=f"{folder}/+f/{sha256}/{filename}",
        sha256=sha256,
        requires_python=requires_python,
        yanked=yanked,
    )
