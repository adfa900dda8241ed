"""A resolution is done again exactly when it could come out otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name
from packaging.version import Version

from fakes.index import FakeIndex
from mirror.adapters.store import Store
from mirror.core.hashes import NO_HASHES, Hashes
from mirror.core.lock import Pin
from mirror.remembered import RememberedResolver
from mirror.window import View

PINS = ((canonicalize_name("numpy"), Version("1.23.5")),)


class OnePageResolver:
    """Reads numpy's page, and always answers the same; counts how often."""

    def __init__(self) -> None:
        self.calls = 0

    def over(self, view: View) -> OnePageResolver:
        self._view = view
        return self

    def resolve(
        self,
        requirements: Sequence[str],
        constraints: Sequence[str],
        *,
        pre_releases: bool = False,
        hashes: Hashes = NO_HASHES,
    ) -> tuple[Pin, ...]:
        self.calls += 1
        self._view.files(canonicalize_name("numpy"))
        return PINS


@pytest.fixture
def index(tmp_path: Path) -> FakeIndex:
    found = FakeIndex(tmp_path / "index")
    found.add_upstream("numpy", "numpy-1.23.5.tar.gz", b"sdist")
    return found


def remembered(tmp_path: Path, index: FakeIndex, inner: OnePageResolver, image: str = "sha256:a") -> RememberedResolver:
    """A new one each time, as each run has: only what is on the disk is remembered."""
    return RememberedResolver(inner.over, index, Store(tmp_path / "store"), image)


def test_the_same_question_over_the_same_pages_is_answered_from_memory(tmp_path: Path, index: FakeIndex) -> None:
    """The order of the requirements is no difference."""
    inner = OnePageResolver()
    assert PINS == remembered(tmp_path, index, inner).resolve(["numpy", "a"], [])
    assert PINS == remembered(tmp_path, index, inner).resolve(["a", "numpy"], [])
    assert 1 == inner.calls


def test_another_question_is_resolved(tmp_path: Path, index: FakeIndex) -> None:
    """Requirements, constraints, pre-releases, the image."""
    inner = OnePageResolver()
    remembered(tmp_path, index, inner).resolve(["numpy"], [])
    remembered(tmp_path, index, inner).resolve(["numpy<2"], [])
    remembered(tmp_path, index, inner).resolve(["numpy"], ["numpy<2"])
    remembered(tmp_path, index, inner).resolve(["numpy"], [], pre_releases=True)
    remembered(tmp_path, index, inner, image="sha256:b").resolve(["numpy"], [])
    assert 5 == inner.calls


def test_a_page_that_has_changed_is_resolved_again(tmp_path: Path, index: FakeIndex) -> None:
    """A new release, and a yank, which changes no file."""
    inner = OnePageResolver()
    remembered(tmp_path, index, inner).resolve(["numpy"], [])
    index.add_upstream("numpy", "numpy-1.23.6.tar.gz", b"newer")
    remembered(tmp_path, index, inner).resolve(["numpy"], [])
    index.add_upstream("numpy", "numpy-1.23.6.tar.gz", b"newer", yanked="broken")
    remembered(tmp_path, index, inner).resolve(["numpy"], [])
    assert 3 == inner.calls


class WornNotes:
    """Has a note for everything, and it is always this one."""

    def __init__(self, note: bytes) -> None:
        self.note = note

    def read_note(self, sha256: str, name: str) -> bytes | None:
        return self.note

    def keep_note(self, sha256: str, name: str, content: bytes) -> None:
        self.note = content


@pytest.mark.parametrize(
    "note",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"pages": [], "pins": []}',
        b'{"pages": {}, "pins": [["numpy", "no version"]]}',
        b"\xff",
    ],
)
def test_a_note_that_cannot_be_read_is_no_answer(index: FakeIndex, note: bytes) -> None:
    """It is of another version of us, or of a disk that was full; it is replaced."""
    inner, notes = OnePageResolver(), WornNotes(note)
    resolver = RememberedResolver(inner.over, index, notes, "sha256:a")
    assert (PINS, PINS) == (resolver.resolve(["numpy"], []), resolver.resolve(["numpy"], []))
    assert 1 == inner.calls


def test_a_page_that_changed_while_it_was_resolved_is_resolved_again(tmp_path: Path, index: FakeIndex) -> None:
    """Part of the answer may have been made from the page as it was."""

    class ReadsTwice(OnePageResolver):
        def resolve(
            self,
            requirements: Sequence[str],
            constraints: Sequence[str],
            *,
            pre_releases: bool = False,
            hashes: Hashes = NO_HASHES,
        ) -> tuple[Pin, ...]:
            pins = super().resolve(requirements, constraints)
            if self.calls == 1:
                index.add_upstream("numpy", "numpy-1.23.6.tar.gz", b"newer")
            self._view.files(canonicalize_name("numpy"))
            return pins

    inner = ReadsTwice()
    for _ in range(3):
        remembered(tmp_path, index, inner).resolve(["numpy"], [])
    assert 2 == inner.calls
