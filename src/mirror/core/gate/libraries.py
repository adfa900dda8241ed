"""Judge the ELF files of a wheel: with nothing but the base image, musl's loader must be able to load each.

PEP 656 leaves to the builder that everything else stands in the wheel.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping

from mirror.core.gate.alpine import OLDEST, lacking
from mirror.core.gate.elf import Elf
from mirror.core.gate.installed import Installed
from mirror.core.gate.loading import ROOT, Load, Loader, TooManyError, Tree, is_musl
from mirror.core.gate.machines import MACHINES, Machine
from mirror.core.gate.values import finding
from mirror.core.model import Finding, Target

_GLIBC = re.compile(
    r"(ld-linux.*|ld64)\.so\.\d+"
    r"|lib(c|pthread|dl|m|mvec|rt|util|resolv|nsl|crypt|anl|thread_db|BrokenLocale|nss_\w+)\.so\.\d+",
    re.ASCII,
)
_ZLIB = "libz.so.1"
"""Alpine's package manager stands on it, so every Alpine has it; auditwheel's musllinux policy leaves it out too."""
_LIBPYTHON = re.compile(r"libpython\d.*\.so.*")
_ORIGIN = re.compile(r"\$(?:ORIGIN|\{ORIGIN\})((?:/[^$]*)?)", re.DOTALL)
_RELOCATABLE, _EXECUTABLE = 1, 2
"""e_type of an object file, a linker's input which no loader sees; and of a program at a fixed address."""


def judge_libraries(elves: Mapping[str, Elf], placed: tuple[Installed, ...], target: Target) -> Iterator[Finding]:
    """Judge every ELF file, by itself and by what the others bring, where `placed` says that they are installed."""
    machine = MACHINES[target.architecture]
    tree = Tree(placed, target.python)
    system = _system(machine)
    loadable: dict[str, Elf] = {}
    for member, elf in elves.items():
        if (elf.machine, elf.bits, elf.little_endian) != (machine.number, machine.bits, machine.little_endian):
            yield finding("elf-machine", f"expected {target.architecture}, got {_machine_name(elf)}", member)
        elif elf.kind != _RELOCATABLE and member in tree.paths:
            loadable[member] = elf
            yield from _judge_loading(elf, machine, member)
            yield from _judge_relocations(elf, machine, member)
            yield from _judge_needed(elf, system, member)
            yield from _judge_search_path(elf, tree, member)
    yield from _judge_loads(Loader(tree=tree, elves=loadable, system=system), target)


def _machine_name(elf: Elf) -> str:
    order = "little" if elf.little_endian else "big"
    known = (name for name, machine in MACHINES.items() if machine.number == elf.machine)
    return f"{next(known, f'machine {elf.machine}')} with {elf.bits} bits, {order}-endian"


def _judge_loading(elf: Elf, machine: Machine, member: str) -> Iterator[Finding]:
    loader = f"/lib/ld-musl-{machine.loader}.so.1"
    if elf.interpreter not in {None, loader}:
        yield finding("elf-interpreter", f"expected {loader}, got {elf.interpreter}", member)
    glibc = sorted({version for library, version in elf.versions if _is_of_glibc(library, version)})
    if glibc:
        yield finding("elf-glibc-symbols", f"needs symbols of glibc: {', '.join(glibc)}", member)
    if elf.has_text_relocations:
        yield finding("elf-textrel", "its code must be changed when it is loaded (text relocations)", member)
    if elf.has_executable_stack:
        yield finding("elf-execstack", "asks for an executable stack", member)


def _is_of_glibc(library: str, version: str) -> bool:
    """Whether a symbol's version is glibc's: libgcc has a `GLIBC_2.0` of its own on some architectures."""
    return version.startswith("GLIBC_") and not library.startswith("libgcc_s")


def _judge_relocations(elf: Elf, machine: Machine, member: str) -> Iterator[Finding]:
    """Find what musl's loader stops at. A static program relocates itself, and is judged by nobody else."""
    if elf.is_pie and elf.interpreter is None and not elf.needed:
        return
    if elf.symbols.ifuncs:
        names = ", ".join(sorted(elf.symbols.ifuncs)[:5])
        yield finding("elf-ifunc", f"brings functions that are chosen when it is loaded (ifunc): {names}", member)
    elif machine.ifunc in elf.relocations.kinds:
        yield finding("elf-ifunc", "calls functions that are chosen when it is loaded (IRELATIVE relocations)", member)
    unknown = sorted(elf.relocations.kinds - machine.relocations - {machine.ifunc})
    if unknown:
        numbers = ", ".join(map(str, unknown[:5]))
        yield finding("elf-relocation", f"has relocations that musl does not know: type {numbers}", member)


def _system(machine: Machine) -> frozenset[str]:
    """The libraries that every Alpine has. musl's own soname is libc.so; Alpine's linker writes its own name for it."""
    libc = {f"libc.musl-{architecture}.so.1" for architecture in machine.alpine}
    return frozenset({f"ld-musl-{machine.loader}.so.1", "libc.so", _ZLIB, *libc})


def _judge_needed(elf: Elf, system: frozenset[str], member: str) -> Iterator[Finding]:
    """Judge the needed libraries that can be judged by their names alone."""
    for library in dict.fromkeys(elf.needed):
        if library in system:
            continue
        if _GLIBC.fullmatch(library):
            yield finding("elf-glibc", f"needs {library} of glibc", member)
        elif _LIBPYTHON.fullmatch(library):
            yield finding("elf-libpython", f"needs {library}; extensions get Python from the process", member)
        elif "/" in library:
            yield finding("elf-needed-path", f"needs {library}: expected a name, got a path", member)
        elif is_musl(library):
            yield finding("elf-external-library", f"needs {library}, for which musl takes itself", member)


def _judge_search_path(elf: Elf, tree: Tree, member: str) -> Iterator[Finding]:
    for entry in dict.fromkeys(elf.search_entries):
        origin = _ORIGIN.fullmatch(entry)
        if origin is None:
            yield finding("elf-rpath", f"expected $ORIGIN/..., got {entry or 'an empty entry'}", member)
        elif not _stays(tree, member, origin[1]):
            yield finding("elf-rpath-escape", f"looks for libraries outside the wheel: {entry}", member)


def _stays(tree: Tree, member: str, rest: str) -> bool:
    """Whether a path from a file's folder stays where the wheel is installed, on the whole way.

    That is site-packages; for what is installed elsewhere, also the folders there that the wheel has files in.
    """
    here = posixpath.dirname(tree.paths[member])
    floor = tree.site if _is_below(here, tree.site) else ROOT
    for part in rest.split("/"):
        here = posixpath.normpath(posixpath.join(here, part))
        if not _is_below(here, floor):
            return False
    return _is_below(here, tree.site) or here in tree.own_folders


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")


def _judge_loads(loader: Loader, target: Target) -> Iterator[Finding]:
    """Judge what comes of it when musl loads the files, each with what it needs."""
    named = {elf.soname: member for member, elf in loader.elves.items() if elf.soname}
    named |= {posixpath.basename(member): member for member in loader.elves}
    try:
        for load in loader.loads():
            yield from _judge_missing(load, named)
            yield from _judge_symbols(load, loader.elves, target)
            if not _is_program(load.root, loader.elves[load.root]):
                yield from _judge_static_tls(load, loader.elves)
    except TooManyError:
        yield finding("elf-library-not-found", "its libraries need each other in too many ways to follow")


def _judge_missing(load: Load, named: Mapping[str, str]) -> Iterator[Finding]:
    """Find libraries that musl does not find; `named` says where the wheel has a file or a soname of that name."""
    for member, library in load.missing:
        if _GLIBC.fullmatch(library) or _LIBPYTHON.fullmatch(library) or "/" in library:
            continue
        if library in named:
            where = f"the wheel has it at {named[library]}, where musl does not find it by this name"
            yield finding("elf-library-not-found", f"needs {library}: {where}", member)
        else:
            yield finding("elf-external-library", f"needs {library}, which is not in the wheel", member)


def _judge_symbols(load: Load, elves: Mapping[str, Elf], target: Target) -> Iterator[Finding]:
    brought = frozenset[str]().union(*(elves[member].symbols.defined for member in load.members))
    where = "{}.{}".format(*(target.alpine or OLDEST))
    for member in load.members:
        missing = ", ".join(lacking(elves[member], brought, target))
        if missing:
            yield finding("elf-not-on-alpine", f"needs what the musl of Alpine {where} lacks: {missing}", member)


def _judge_static_tls(load: Load, elves: Mapping[str, Elf]) -> Iterator[Finding]:
    """Find variables of threads at fixed offsets: musl has room for those that are there at the start alone."""
    brought = frozenset[str]().union({""}, *(elves[member].symbols.tls for member in load.members))
    for member in load.members:
        if elves[member].relocations.fixed_tls & brought:
            yield finding(
                "elf-static-tls",
                "has variables of threads that must be there when the process starts (initial-exec TLS)",
                member,
            )


def _is_program(member: str, elf: Elf) -> bool:
    """Whether it is what a process starts with: then all that it needs is there from the start."""
    return elf.kind == _EXECUTABLE or (elf.interpreter is not None and ".so" not in posixpath.basename(member))
