"""Judge the ELF files of a wheel: with nothing but the base image, musl's loader must be able to load each.

PEP 656 leaves to the builder that everything else stands in the wheel.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mirror.core.gate.elf import Elf
from mirror.core.gate.values import finding
from mirror.core.model import Finding, Target


@dataclass(frozen=True, slots=True)
class _Machine:
    """How an architecture shows in an ELF header, and what it is called.

    `loader` is musl's name for it, which the loader's file bears. `alpine` are Alpine's own names, one of which libc's
    soname bears: abuild makes `libc.musl-$CARCH.so.1`.
    """

    number: int
    bits: int
    little_endian: bool
    loader: str
    alpine: tuple[str, ...]


_MACHINES = {
    "x86_64": _Machine(62, 64, True, "x86_64", ("x86_64",)),
    "i686": _Machine(3, 32, True, "i386", ("x86",)),
    "aarch64": _Machine(183, 64, True, "aarch64", ("aarch64",)),
    "armv7l": _Machine(40, 32, True, "armhf", ("armv7", "armhf")),
    "ppc64le": _Machine(21, 64, True, "powerpc64le", ("ppc64le",)),
    "s390x": _Machine(22, 64, False, "s390x", ("s390x",)),
    "riscv64": _Machine(243, 64, True, "riscv64", ("riscv64",)),
    "loongarch64": _Machine(258, 64, True, "loongarch64", ("loongarch64",)),
}
"""musl takes any name that begins with `libc.` for itself, so Alpine's armv7 runs what was linked on its armhf."""

WATCHED_SYMBOLS = re.compile(rb"fts(?:64)?_(?:open|read|children|set|close)")
"""Debian's musl has the fts family, Alpine's has not."""

_GLIBC = re.compile(
    r"(ld-linux.*|ld64)\.so\.\d+"
    r"|lib(c|pthread|dl|m|mvec|rt|util|resolv|nsl|crypt|anl|thread_db|BrokenLocale|nss_\w+)\.so\.\d+",
    re.ASCII,
)
_ZLIB = "libz.so.1"
"""Alpine's package manager stands on it, so every Alpine has it; auditwheel's musllinux policy leaves it out too."""
_LIBPYTHON = re.compile(r"libpython\d.*\.so.*")
_ORIGIN = re.compile(r"\$(?:ORIGIN|\{ORIGIN\})(/.*)?", re.DOTALL)
_RELOCATABLE = 1
"""e_type of an object file: a linker's input, which no loader sees."""


def judge_libraries(elves: Mapping[str, Elf], target: Target) -> Iterator[Finding]:
    """Judge every ELF file, by itself and by what the others bring."""
    machine = _MACHINES[target.architecture]
    brought = {posixpath.basename(member) for member in elves} | {elf.soname for elf in elves.values() if elf.soname}
    defined = frozenset[str]().union(*(elf.defined for elf in elves.values()))
    for member, elf in elves.items():
        if (elf.machine, elf.bits, elf.little_endian) != (machine.number, machine.bits, machine.little_endian):
            yield finding("elf-machine", f"expected {target.architecture}, got {_machine_name(elf)}", member)
        elif elf.kind != _RELOCATABLE:
            yield from _judge_loading(elf, machine, member)
            yield from _judge_needed(elf, machine, brought, member)
            yield from _judge_search_path(elf, member)
            missing = ", ".join(sorted(elf.undefined - defined))
            if missing:
                yield finding("elf-not-on-alpine", f"needs what Alpine's musl lacks: {missing}", member)


def _machine_name(elf: Elf) -> str:
    order = "little" if elf.little_endian else "big"
    known = (name for name, machine in _MACHINES.items() if machine.number == elf.machine)
    return f"{next(known, f'machine {elf.machine}')} with {elf.bits} bits, {order}-endian"


def _judge_loading(elf: Elf, machine: _Machine, member: str) -> Iterator[Finding]:
    loader = f"/lib/ld-musl-{machine.loader}.so.1"
    if elf.interpreter not in {None, loader}:
        yield finding("elf-interpreter", f"expected {loader}, got {elf.interpreter}", member)
    glibc = sorted({version for _, version in elf.versions if version.startswith("GLIBC_")})
    if glibc:
        yield finding("elf-glibc-symbols", f"needs symbols of glibc: {', '.join(glibc)}", member)
    if elf.has_text_relocations:
        yield finding("elf-textrel", "its code must be changed when it is loaded (text relocations)", member)
    if elf.has_executable_stack:
        yield finding("elf-execstack", "asks for an executable stack", member)


def _judge_needed(elf: Elf, machine: _Machine, brought: set[str], member: str) -> Iterator[Finding]:
    # musl's own soname is libc.so; Alpine's linker writes the name with the architecture.
    base = {f"ld-musl-{machine.loader}.so.1", "libc.so", _ZLIB}
    base |= {f"libc.musl-{architecture}.so.1" for architecture in machine.alpine}
    for library in dict.fromkeys(elf.needed):
        if library in base:
            continue
        if _GLIBC.fullmatch(library):
            yield finding("elf-glibc", f"needs {library} of glibc", member)
        elif _LIBPYTHON.fullmatch(library):
            yield finding("elf-libpython", f"needs {library}; extensions get Python from the process", member)
        elif "/" in library:
            yield finding("elf-needed-path", f"needs {library}: expected a name, got a path", member)
        elif library not in brought:
            yield finding("elf-external-library", f"needs {library}, which is not in the wheel", member)


def _judge_search_path(elf: Elf, member: str) -> Iterator[Finding]:
    for entry in dict.fromkeys(elf.search_path):
        origin = _ORIGIN.fullmatch(entry)
        if origin is None:
            yield finding("elf-rpath", f"expected $ORIGIN/..., got {entry or 'an empty entry'}", member)
            continue
        place = posixpath.normpath(posixpath.join(posixpath.dirname(member), f".{origin[1] or ''}"))
        if place == ".." or place.startswith("../"):
            yield finding("elf-rpath-escape", f"looks for libraries outside the wheel: {entry}", member)
