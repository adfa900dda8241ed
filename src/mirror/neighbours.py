"""Whose import names a compiled wheel may not take: those of the other packages that it will be installed beside."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path

from packaging.utils import NormalizedName, canonicalize_name

from mirror.core.errors import MirrorError
from mirror.core.model import Reuse
from mirror.ports import Index

FETCHES_AT_ONCE = 4
SHARED = frozenset({"tests", "test", "docs", "doc", "examples", "benchmarks", "scripts", "tools"})
"""Names that many projects install by mistake, one over the other's: nobody's own."""


class Neighbours:
    """The packages of a lock that are reused. Their wheels are read when the first compiled one is judged.

    The clean room downloads the same wheels afterwards, so nothing is fetched that would not be.
    """

    def __init__(self, index: Index, reuses: Sequence[Reuse]) -> None:
        self._index = index
        self._reuses = tuple(reuses)

    def names_beside(self, project: NormalizedName) -> frozenset[str]:
        """The top-level names, normalised like project names, of every package but `project`."""
        return frozenset(name for owner, names in self._names if owner != project for name in names)

    @cached_property
    def _names(self) -> tuple[tuple[NormalizedName, frozenset[str]], ...]:
        with ThreadPoolExecutor(FETCHES_AT_ONCE) as pool:
            return tuple(pool.map(self._read, self._reuses))

    def _read(self, reuse: Reuse) -> tuple[NormalizedName, frozenset[str]]:
        try:
            return reuse.name, top_level_names(self._index.fetch(reuse.wheel))
        except MirrorError:  # a wheel that cannot be had is the clean room's to tell, not the compiled project's fault
            return reuse.name, frozenset()


def top_level_names(wheel: Path) -> frozenset[str]:
    """What a wheel installs at the top level, normalised: modules, and packages that are no namespaces (PEP 420)."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            members = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return frozenset()
    return frozenset(canonicalize_name(name) for name in _names(members)) - SHARED


def _names(members: Iterable[str]) -> Iterable[str]:
    for member in members:
        folder, _, rest = member.partition("/")
        if rest.startswith("__init__."):
            yield folder
        elif not rest and folder.endswith((".py", ".so")):
            yield folder.partition(".")[0]
