"""Which wheels of our index may be an answer, by what they were made of: each is read once for that."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from packaging.utils import NormalizedName

from mirror.core.errors import MirrorError, UnusableError
from mirror.core.hashes import Hashes
from mirror.core.lock import is_answer, is_ours
from mirror.core.made_of import LONGEST, MADE_OF, UNKNOWN, MadeOf, read_made_of
from mirror.core.model import IndexFile, Target
from mirror.core.target import usable
from mirror.ports import Index
from mirror.window import Notes, View, read_dist_info


class Provenance:
    """Reads what wheels of `index` were made of, and remembers it by their hash. May be used from several threads."""

    def __init__(self, index: Index, notes: Notes, target: Target) -> None:
        self._index = index
        self._notes = notes
        self._target = target

    def answering(self, files: Sequence[IndexFile], hashes: Collection[str] = ()) -> tuple[IndexFile, ...]:
        """These files of one project, without the wheels of ours for the target that are no answer.

        `hashes` are those that the user allows, or none. Raises UnusableError.
        """
        return tuple(file for file in files if not self.is_ours(file) or self._is_answer(file, files, hashes))

    def is_ours(self, file: IndexFile) -> bool:
        """Whether it is a wheel for the target that lies on our index, whoever put it there."""
        is_there = is_ours(file, self._index.simple_url) and file.filename.endswith(".whl")
        return is_there and usable(file.filename, self._target)

    def made_of(self, wheel: IndexFile) -> MadeOf | None:
        """What the wheel says it was made of; None for one that the gate has not written that into.

        UNKNOWN where it cannot be read. Raises UnusableError.
        """
        note = f"{wheel.filename}.made-of"
        kept = self._notes.read_note(wheel.sha256, note)
        if kept is None:
            try:
                kept = read_dist_info(self._index.fetch(wheel), wheel.filename, MADE_OF, LONGEST) or b""
            except UnusableError:
                raise
            except MirrorError:
                return UNKNOWN
            self._notes.keep_note(wheel.sha256, note, kept)
        return read_made_of(kept) if kept else None

    def view(self, view: View, hashes: Hashes) -> View:
        """The same view without what is no answer; `hashes` are the user's, by project."""
        return _Answering(view, self, hashes)

    def _is_answer(self, wheel: IndexFile, files: Sequence[IndexFile], hashes: Collection[str]) -> bool:
        return is_answer(wheel, self.made_of(wheel), files, hashes)


class _Answering:
    def __init__(self, view: View, provenance: Provenance, hashes: Hashes) -> None:
        self._view = view
        self._provenance = provenance
        self._hashes = hashes

    def files(self, name: NormalizedName) -> tuple[IndexFile, ...]:
        return self._provenance.answering(self._view.files(name), self._hashes.get(name, ()))

    def fetch(self, file: IndexFile) -> Path:
        return self._view.fetch(file)
