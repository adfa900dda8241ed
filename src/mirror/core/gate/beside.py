"""Judge what a wheel would change of what other projects have installed beside it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from packaging.utils import canonicalize_name

from mirror.core.gate.installed import NAMESPACES, SITE, module_of
from mirror.core.gate.paths import folders_of
from mirror.core.gate.values import Layout, finding
from mirror.core.model import Finding
from mirror.core.popular import owners

SHARED = frozenset({"tests", "test", "docs", "doc", "examples", "benchmarks", "scripts", "tools"})
"""Folders that many projects install by mistake, one over the other's: as names they are nobody's own."""


def judge_beside(mine: Layout, others: Iterable[Layout]) -> Iterator[Finding]:
    """Find what of others would no longer be there, or no longer be what is imported.

    Files that are the same are not in the way of each other.
    """
    for other in others:
        if other.project != mine.project:
            yield from _judge_files(mine, other)
            yield from _judge_modules(mine, other)
            yield from _judge_packages(mine, other)
            yield from _judge_programs(mine, other)


def _judge_files(mine: Layout, other: Layout) -> Iterator[Finding]:
    """A file at another's place; a file where another has a folder, and the other way round."""
    for path in sorted(mine.files.keys() & other.files.keys()):
        if not _says_the_same(mine.files[path], other.files[path]):
            yield finding("foreign-file", f"would be written over the same file of {other.project}", path)
    for path in sorted((mine.files.keys() & other.folders) | (mine.folders & other.files.keys())):
        yield finding("foreign-file", f"a file, and a folder of {other.project}, or the other way round", path)


def _says_the_same(mine: bytes, theirs: bytes) -> bool:
    """Whether two files are the same to the byte, or both say of a folder that many share it."""
    return bool(mine) and (mine == theirs or {mine, theirs} <= NAMESPACES)


def _judge_modules(mine: Layout, other: Layout) -> Iterator[Finding]:
    """What Python would import in another's place, although its file is still there."""
    for module in sorted(mine.modules.keys() & other.modules.keys()):
        if more := sorted(mine.modules[module] - other.modules[module]):
            yield finding("foreign-module", f"could be imported for a module of {other.project}", more[0])
    plain = other.modules.keys() - {f"{package}/__init__" for package in other.packages}
    for package in sorted(mine.packages & plain):
        yield finding("foreign-module", f"is imported for the module of {other.project}", package)
    for taken in sorted((mine.packages | mine.modules.keys()) & other.namespaces):
        if not _is_shared(taken) and not _is_host(taken, mine, other):
            message = f"stands before the files that {other.project} has in its folder"
            yield finding("foreign-module", message, taken)


def _judge_packages(mine: Layout, other: Layout) -> Iterator[Finding]:
    """Files in another's package: a host may load whatever lies there."""
    theirs = other.packages | _at_the_top(other)
    if theirs.isdisjoint(mine.folders) and theirs.isdisjoint(_at_the_top(mine)):
        return
    new = {path for path, digest in mine.files.items() if not _says_the_same(digest, other.files.get(path, b""))}
    folders = {folder for path in new for folder in folders_of(path)}
    modules = {module for module in _at_the_top(mine) if not new.isdisjoint(mine.modules[module])}
    reported: set[str] = set()
    for folder in sorted((folders | modules) & theirs):
        if not _is_shared(folder) and reported.isdisjoint(folders_of(folder)):
            reported.add(folder)
            yield finding("foreign-top-level", f"is a package or module of {other.project}", folder)


def _judge_programs(mine: Layout, other: Layout) -> Iterator[Finding]:
    """Scripts that every program in their folder would import in the place of another's: Python looks there first."""
    own = mine.modules.keys() | mine.packages | mine.namespaces
    theirs = (other.modules.keys() | other.packages | other.namespaces) - own
    for path in sorted(path for path in mine.files if path.startswith("bin/")):
        if module_of(f"{SITE}/{path.removeprefix('bin/')}") in theirs:
            yield finding("foreign-module", f"is imported by programs in the place of what {other.project} has", path)


def _at_the_top(layout: Layout) -> set[str]:
    """Modules that lie in no package."""
    return {module for module in layout.modules if module.count("/") == 1}


def _is_shared(folder: str) -> bool:
    return _top(folder) in SHARED


def _is_host(folder: str, mine: Layout, other: Layout) -> bool:
    """Whether others' files in that folder are plug-ins of mine: it is well-known, or their recipe said so before."""
    top = _top(folder)
    return mine.project in owners(top) or (other.compiled and canonicalize_name(top) == mine.project)


def _top(folder: str) -> str:
    return folder.removeprefix(f"{SITE}/").partition("/")[0]
