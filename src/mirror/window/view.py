"""What a window shows: the files of a project, and their bytes. The index itself is the widest view."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from packaging.utils import NormalizedName

from mirror.core.model import IndexFile


class View(Protocol):
    """The part of ports.Index that a window needs; each narrower view is made over another one."""

    def files(self, name: NormalizedName) -> tuple[IndexFile, ...]:
        """As ports.Index.files."""
        ...

    def fetch(self, file: IndexFile) -> Path:
        """As ports.Index.fetch."""
        ...
