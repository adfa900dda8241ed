"""Read of an ELF file what the dynamic loader would: segments and the dynamic section, never the section headers.

After the System V ABI (gABI 4.1) and the GNU extensions for symbol versions. Section headers are for linkers and
debuggers: a file can lie in them, or have none, and still load. Every table is bounded, and every place is looked up
as the loader looks it up, through the segments it maps.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mirror.core.gate.elf_image import DYNAMIC, INTERP, MAGIC, STACK, ElfError, Image
from mirror.core.gate.elf_tables import Relocations, Symbols, Tables
from mirror.core.gate.machines import BY_NUMBER

__all__ = ["MAGIC", "Elf", "ElfError", "read_elf"]

_EXECUTABLE_FLAG = 1
_NEEDED, _SONAME, _RPATH, _TEXTREL, _RUNPATH, _FLAGS, _RELR = 1, 14, 15, 22, 29, 30, 36
_FLAGS_1 = 0x6FFFFFFB
_FLAG_TEXTREL = 4
_FLAG_1_PIE = 0x08000000
_MOST_DYNAMIC = 4096
_NO_SYMBOLS, _NO_RELOCATIONS = Symbols(), Relocations()


@dataclass(frozen=True, slots=True, kw_only=True)
class Elf:
    """What one ELF file asks of the system that loads it.

    `bits` is 32 or 64; `machine` is e_machine, `kind` e_type. `search_path` is the one that musl takes: the last
    RUNPATH, else the last RPATH; `search_entries` are those of all of them. `versions` are (library, version) pairs of
    the symbols it needs.
    """

    bits: int
    little_endian: bool
    machine: int
    kind: int
    interpreter: str | None = None
    needed: tuple[str, ...] = ()
    soname: str | None = None
    search_path: str = ""
    search_entries: tuple[str, ...] = ()
    versions: tuple[tuple[str, str], ...] = ()
    has_text_relocations: bool = False
    has_executable_stack: bool = False
    has_packed_relocations: bool = False
    is_pie: bool = False
    symbols: Symbols = _NO_SYMBOLS
    relocations: Relocations = _NO_RELOCATIONS


def read_elf(content: bytes, symbols: re.Pattern[bytes]) -> Elf:
    """Read an ELF file of either word size and byte order; `symbols` are the names to look for in its symbol table.

    Raises ElfError where it is malformed.
    """
    image = Image(content)
    dynamic = tuple(_dynamic(image))
    tables = Tables(image, dict(dynamic)) if dynamic else None
    machine = BY_NUMBER.get(image.machine)
    paths = {tag: _texts(tables, dynamic, tag) for tag in (_RPATH, _RUNPATH)}
    sonames = _texts(tables, dynamic, _SONAME)
    return Elf(
        bits=64 if image.is64 else 32,
        little_endian=image.order == "<",
        machine=image.machine,
        kind=image.kind,
        interpreter=_interpreter(image),
        needed=tuple(_texts(tables, dynamic, _NEEDED)),
        soname=sonames[-1] if sonames else None,
        search_path=(paths[_RUNPATH] or paths[_RPATH] or [""])[-1],
        # musl's loader parts a path at line ends, too.
        search_entries=tuple(e for tag in paths for path in paths[tag] for e in re.split("[:\n]", path)),
        versions=tuple(tables.versions()) if tables else (),
        has_text_relocations=any(t == _TEXTREL or (t == _FLAGS and v & _FLAG_TEXTREL) for t, v in dynamic),
        has_executable_stack=any(s.kind == STACK and s.flags & _EXECUTABLE_FLAG for s in image.segments),
        has_packed_relocations=any(tag == _RELR for tag, _ in dynamic),
        is_pie=any(tag == _FLAGS_1 and value & _FLAG_1_PIE for tag, value in dynamic),
        symbols=tables.symbols(symbols) if tables else _NO_SYMBOLS,
        relocations=tables.relocations(machine) if tables and machine else _NO_RELOCATIONS,
    )


def _texts(tables: Tables | None, dynamic: Sequence[tuple[int, int]], wanted: int) -> list[str]:
    return [tables.text(value) for tag, value in dynamic if tag == wanted] if tables else []


def _interpreter(image: Image) -> str | None:
    segment = image.only(INTERP)
    if segment is None:
        return None
    return image.string(segment.offset, min(len(image.content), segment.offset + segment.size))


def _dynamic(image: Image) -> Iterator[tuple[int, int]]:
    """Yield the dynamic section's (tag, value) pairs, up to DT_NULL.

    musl asks for nothing but the segment's address: what the header says of its size and of its place in the file must
    be so in memory, or another reader sees another section. A file with nothing but debugging information has left its
    own behind: there are zeros.
    """
    segment = image.only(DYNAMIC)
    if segment is None or image.is_zero(segment.address):
        return
    place, end = image.span(segment.address)
    if place != segment.offset:
        raise ElfError("the dynamic section is mapped from elsewhere than its header says")
    step, layout = (16, "2Q") if image.is64 else (8, "2I")
    for number in range(min(segment.memory // step, _MOST_DYNAMIC)):
        tag, value = image.unpack(layout, place + step * number, end)
        if tag == 0:
            return
        yield tag, value
    raise ElfError("the dynamic section does not end")
