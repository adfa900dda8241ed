"""A view without the wheels that leave their libc open."""

from __future__ import annotations

from pathlib import Path

from packaging.utils import NormalizedName

from mirror.core.model import IndexFile
from mirror.core.target import names_no_libc
from mirror.window.view import View


class NamedLibcs:
    """What real pip is shown: everything but plain `linux_*` wheels, which it would take and nobody has read."""

    def __init__(self, view: View) -> None:
        self._view = view

    def files(self, name: NormalizedName) -> tuple[IndexFile, ...]:
        return tuple(file for file in self._view.files(name) if not names_no_libc(file.filename))

    def fetch(self, file: IndexFile) -> Path:
        return self._view.fetch(file)
