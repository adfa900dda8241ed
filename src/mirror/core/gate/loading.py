"""What musl's loader finds of a wheel's libraries, once they are installed.

It looks for the file's name in the search path of the file that needs it, then of the file that had that one loaded,
and so on; a library's soname means nothing to it. What it found by its name it knows by that name until the process
ends; what was loaded by its path it does not. (ldso/dynlink.c: load_library, fixup_rpath, path_open, load_deps.)
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from mirror.core.gate.elf import Elf
from mirror.core.gate.installed import Installed

ROOT = "/prefix"
"""Where everything is installed, for whoever reads a path here."""
_ORIGIN = re.compile(r"\$ORIGIN|\$\{ORIGIN\}")
_ITSELF = re.compile(r"lib(c|pthread|rt|m|dl|util|xnet)\..*", re.DOTALL)


class TooManyError(Exception):
    """The libraries need each other in more ways than are followed."""


def is_musl(library: str) -> bool:
    """Whether musl takes a library of this name for itself, and looks no further."""
    return _ITSELF.fullmatch(library) is not None


class Tree:
    """Where a wheel's files lie when it is installed, under `ROOT`; and which folders there are for certain."""

    def __init__(self, placed: tuple[Installed, ...], python: str) -> None:
        self.site = f"{ROOT}/lib/python{python}/site-packages"
        folders = {"scripts": f"{ROOT}/bin", "data": ROOT, "headers": f"{ROOT}/include/site"}
        self.paths = {file.member: f"{folders.get(file.scheme, self.site)}/{file.path}" for file in placed}
        self.members = {path: member for member, path in self.paths.items()}
        self.own_folders = {posixpath.dirname(path) for path in self.members}
        known = (f"{ROOT}/bin", self.site, *self.own_folders)
        self.folders = {ancestor for folder in known for ancestor in _with_ancestors(folder)}

    def folder(self, path: str) -> str | None:
        """Follow a path as the system does, which goes through no folder that is not there; None where it cannot."""
        here = ""
        for part in filter(None, path.split("/")):
            if part == "..":
                here = posixpath.dirname(here)
            elif part != ".":
                here = f"{here}/{part}"
            if here not in self.folders:
                return None
        return here

    def search(self, member: str, elf: Elf) -> tuple[str, ...]:
        """The folders of the search path of an installed file, as far as they are known to be there."""
        rest = _ORIGIN.sub("", elf.search_path)
        if "$" in rest:  # then it has none at all
            return ()
        path = _ORIGIN.sub(lambda _: posixpath.dirname(self.paths[member]), elf.search_path)
        found = (self.folder(entry) for entry in re.split("[:\n]+", path) if entry.startswith(f"{ROOT}/"))
        return tuple(dict.fromkeys(folder for folder in found if folder is not None))


def _with_ancestors(folder: str) -> Iterator[str]:
    while folder != "/":
        yield folder
        folder = posixpath.dirname(folder)


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A library in memory; `by` had it loaded."""

    member: str
    by: _Loaded | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What is in memory once `root` is loaded, itself first, and the (member, library) that were not found."""

    root: str
    members: tuple[str, ...]
    missing: tuple[tuple[str, str], ...]


@dataclass(kw_only=True)
class Loader:
    """Loads each of a wheel's ELF files as a process would that loads nothing else of it."""

    tree: Tree
    elves: Mapping[str, Elf]
    system: frozenset[str]
    """The libraries that are there without the wheel."""
    most_lookups: int = 2_000_000
    """In one wheel: scipy, with a hundred extension modules, takes some hundreds."""
    _folders: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _lookups: int = 0

    def loads(self) -> Iterator[Load]:
        """Load what nothing else of the wheel loads, and every extension module. Raises TooManyError."""
        needed = {library for elf in self.elves.values() for library in elf.needed}
        later: list[str] = []
        seen: set[str] = set()
        for member in self.elves:
            if posixpath.basename(member) in needed and not _is_extension(member):
                later.append(member)
                continue
            load = self._load(member)
            seen.update(load.members)
            yield load
        for member in later:
            if member not in seen:
                load = self._load(member)
                seen.update(load.members)
                yield load

    def _load(self, root: str) -> Load:
        queue = [_Loaded(root, None)]
        by_name: set[str] = set()
        there = {root}
        missing: list[tuple[str, str]] = []
        for one in queue:  # which grows
            for library in self.elves[one.member].needed:
                if library in by_name or library in self.system or is_musl(library):
                    continue
                found = self._find(one, library)
                if found is None:
                    missing.append((one.member, library))
                    continue
                by_name.add(library)
                if found not in there:
                    there.add(found)
                    queue.append(_Loaded(found, one))
        return Load(root=root, members=tuple(one.member for one in queue), missing=tuple(missing))

    def _find(self, needed_by: _Loaded | None, library: str) -> str | None:
        """The member that musl opens for a library; None where there is none, or the first that it opens is no ELF."""
        while needed_by is not None:
            folders = self._search(needed_by.member)
            self._lookups += 1 + len(folders)
            if self._lookups > self.most_lookups:
                raise TooManyError
            for folder in folders:
                path = f"{folder}/{library}"
                if path in self.tree.members or path in self.tree.folders:
                    member = self.tree.members.get(path, "")
                    return member if member in self.elves else None
            needed_by = needed_by.by
        return None

    def _search(self, member: str) -> tuple[str, ...]:
        if member not in self._folders:
            self._folders[member] = self.tree.search(member, self.elves[member])
        return self._folders[member]


def _is_extension(member: str) -> bool:
    """Whether Python imports it by its path, whoever else needs it."""
    return re.search(r"\.(cpython-[^/]*|abi3)\.so$", member) is not None
