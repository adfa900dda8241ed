"""A resolver that does not resolve again what can only come out the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock

from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

from mirror.core.hashes import NO_HASHES, Hashes
from mirror.core.lock import Pin
from mirror.core.model import IndexFile
from mirror.ports import Resolver
from mirror.window import Notes, View

PAGES_AT_ONCE = 8
RULES = 3
"""To be raised when, by our doing, the same question over the same pages may be answered otherwise."""


class RememberedResolver:
    """Implements `Resolver` over another one.

    What a resolution comes to is a function of what was asked, of the image it ran in, and of the pages it read, since
    a file of an index never changes. So the pages are noted beside the answer, and while each of them still lists the
    same files, the answer holds: no sandbox has to start. `resolver` makes the real one over a view that takes notes.
    """

    def __init__(self, resolver: Callable[[View], Resolver], view: View, notes: Notes, image: str) -> None:
        self._resolver = resolver
        self._view = view
        self._notes = notes
        self._image = image

    def resolve(
        self,
        requirements: Sequence[str],
        constraints: Sequence[str],
        *,
        pre_releases: bool = False,
        hashes: Hashes = NO_HASHES,
    ) -> tuple[Pin, ...]:
        """As ports.Resolver.resolve."""
        asked = [RULES, self._image, sorted(requirements), sorted(constraints), pre_releases, sorted(hashes.items())]
        key = hashlib.sha256(json.dumps(asked).encode()).hexdigest()
        remembered = self._recall(key)
        if remembered is not None:
            return remembered
        view = _NotedPages(self._view)
        pins = self._resolver(view).resolve(requirements, constraints, pre_releases=pre_releases, hashes=hashes)
        note = {"pages": view.pages(), "pins": [[name, str(version)] for name, version in pins]}
        self._notes.keep_note(key, "resolution.json", json.dumps(note).encode())
        return pins

    def _recall(self, key: str) -> tuple[Pin, ...] | None:
        kept = self._notes.read_note(key, "resolution.json")
        if kept is None:
            return None
        try:
            note = json.loads(kept)
            pages = {str(name): str(digest) for name, digest in note["pages"].items()}
            pins = tuple((canonicalize_name(name), Version(version)) for name, version in note["pins"])
        except (ValueError, KeyError, TypeError, AttributeError):
            return None  # of another version of us, or of a disk that was full
        return pins if self._still_the_same(pages) else None

    def _still_the_same(self, pages: Mapping[str, str]) -> bool:
        def same(page: tuple[str, str]) -> bool:
            name, digest = page
            return _digest(self._view.files(canonicalize_name(name))) == digest

        with ThreadPoolExecutor(PAGES_AT_ONCE) as pool:
            return all(pool.map(same, pages.items()))


class _NotedPages:
    """A view that notes which pages were read through it, and what stood there."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._pages: dict[str, str] = {}
        self._lock = Lock()

    def pages(self) -> dict[str, str]:
        """Project to a digest of its page."""
        with self._lock:
            return dict(sorted(self._pages.items()))

    def files(self, name: NormalizedName) -> tuple[IndexFile, ...]:
        files = self._view.files(name)
        digest = _digest(files)
        with self._lock:
            # The first one: a page that changed meanwhile is not what the whole answer was made from.
            self._pages.setdefault(name, digest)
        return files

    def fetch(self, file: IndexFile) -> Path:
        return self._view.fetch(file)


def _digest(files: Iterable[IndexFile]) -> str:
    """Everything of a page that a resolver may go by."""
    lines = sorted(f"{f.filename} {f.sha256} {f.requires_python} {f.yanked}" for f in files)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
