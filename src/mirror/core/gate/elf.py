"""Read of an ELF file what the dynamic loader would: segments and the dynamic section, never the section headers.

After the System V ABI (gABI 4.1) and the GNU extensions for symbol versions. Section headers are for linkers and
debuggers: a file can lie in them, or have none, and still load. Every table is bounded, and every place is looked up
as the loader looks it up, through the segments it maps.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

MAGIC = b"\x7fELF"

_LOAD, _DYNAMIC, _INTERP, _STACK = 1, 2, 3, 0x6474E551
_EXECUTABLE_FLAG = 1
_NEEDED, _HASH, _STRTAB, _SYMTAB, _STRSZ = 1, 4, 5, 6, 10
_SONAME, _RPATH, _TEXTREL, _RUNPATH, _FLAGS = 14, 15, 22, 29, 30
_GNU_HASH, _VERNEED, _VERNEEDNUM = 0x6FFFFEF5, 0x6FFFFFFE, 0x6FFFFFFF
_FLAG_TEXTREL = 4
_S390X = 22
"""The one architecture of musl's whose hash table has words of 64 bits."""

_MOST_SEGMENTS = 1024
_MOST_DYNAMIC = 4096
_MOST_VERSIONS = 8192
_MOST_SYMBOLS = 2_000_000
_LONGEST_STRING = 4096


class ElfError(Exception):
    """The file has ELF's magic, and the loader could not make sense of it; or it would see what we do not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Elf:
    """What one ELF file asks of the system that loads it.

    `bits` is 32 or 64; `machine` is e_machine, `kind` e_type. `search_path` holds the entries of RPATH and RUNPATH.
    `versions` are (library, version) pairs of the symbols it needs.
    """

    bits: int
    little_endian: bool
    machine: int
    kind: int
    interpreter: str | None = None
    needed: tuple[str, ...] = ()
    soname: str | None = None
    search_path: tuple[str, ...] = ()
    versions: tuple[tuple[str, str], ...] = ()
    has_text_relocations: bool = False
    has_executable_stack: bool = False
    undefined: frozenset[str] = frozenset()
    """Of the symbols that were asked for, those it needs from elsewhere ..."""
    defined: frozenset[str] = frozenset()
    """... and those it brings."""


@dataclass(frozen=True, slots=True)
class _Segment:
    kind: int
    flags: int
    offset: int
    address: int
    size: int
    memory: int


class _Reader:
    """The file as the loader sees it: numbers of its word size and byte order, addresses through its segments."""

    def __init__(self, content: bytes) -> None:
        if len(content) < 20 or not content.startswith(MAGIC):
            raise ElfError("its header is cut off")
        if content[4] not in {1, 2} or content[5] not in {1, 2}:
            raise ElfError(f"unknown class {content[4]} or byte order {content[5]}")
        self.content = content
        self.is64 = content[4] == 2
        self.order = "<" if content[5] == 1 else ">"
        self.segments: tuple[_Segment, ...] = ()

    def unpack(self, layout: str, offset: int) -> tuple[int, ...]:
        try:
            return struct.unpack_from(self.order + layout, self.content, offset)
        except (struct.error, OverflowError):
            raise ElfError(f"a table at {offset} is outside the file") from None

    def offset(self, address: int, size: int = 1) -> int:
        """Look up where in the file the loader finds what it maps at `address`."""
        for segment in self.segments:
            if segment.kind == _LOAD and segment.address <= address < segment.address + segment.size:
                if address + size > segment.address + segment.size:
                    raise ElfError(f"a table at address {address:#x} leaves its segment")
                return address - segment.address + segment.offset
        raise ElfError(f"the address {address:#x} is in no loaded segment")

    def string(self, offset: int, end: int) -> str:
        stop = self.content.find(b"\0", offset, min(end, offset + _LONGEST_STRING))
        if stop < 0:
            raise ElfError("a string does not end")
        return self.content[offset:stop].decode("utf-8", "backslashreplace")


def read_elf(content: bytes, symbols: re.Pattern[bytes]) -> Elf:
    """Read an ELF file of either word size and byte order; `symbols` are the names to look for in its symbol table.

    Raises ElfError where it is malformed.
    """
    reader = _Reader(content)
    kind, machine = reader.unpack("2H", 16)
    reader.segments = tuple(_segments(reader))
    _judge_segments(reader)
    dynamic = tuple(_dynamic(reader))
    strings = _strings(reader, dict(dynamic)) if dynamic else (0, 0)
    texts = {tag: [_text(reader, strings, value) for t, value in dynamic if t == tag] for tag in (_NEEDED, _SONAME)}
    paths = [_text(reader, strings, value) for tag, value in dynamic if tag in {_RPATH, _RUNPATH}]
    undefined, defined = _symbols(reader, dict(dynamic), strings, symbols) if dynamic else (frozenset(), frozenset())
    return Elf(
        bits=64 if reader.is64 else 32,
        little_endian=reader.order == "<",
        machine=machine,
        kind=kind,
        interpreter=_interpreter(reader),
        needed=tuple(texts[_NEEDED]),
        soname=texts[_SONAME][-1] if texts[_SONAME] else None,
        search_path=tuple(entry for path in paths for entry in path.split(":")),
        versions=tuple(_versions(reader, dict(dynamic), strings)),
        has_text_relocations=any(t == _TEXTREL or (t == _FLAGS and v & _FLAG_TEXTREL) for t, v in dynamic),
        has_executable_stack=any(s.kind == _STACK and s.flags & _EXECUTABLE_FLAG for s in reader.segments),
        undefined=undefined,
        defined=defined,
    )


def _segments(reader: _Reader) -> Iterator[_Segment]:
    (table,) = reader.unpack("Q", 32) if reader.is64 else reader.unpack("I", 28)
    entry_size, count = reader.unpack("2H", 54 if reader.is64 else 42)
    if count and entry_size != (56 if reader.is64 else 32):
        raise ElfError(f"program headers of {entry_size} bytes")
    if count > _MOST_SEGMENTS:
        raise ElfError(f"{count} program headers")
    for number in range(count):
        if reader.is64:
            kind, flags, offset, address, _, size, memory = reader.unpack("2I5Q", table + 56 * number)
        else:
            kind, offset, address, _, size, memory, flags = reader.unpack("7I", table + 32 * number)
        yield _Segment(kind, flags, offset, address, size, memory)


def _judge_segments(reader: _Reader) -> None:
    """Refuse segments that two readers could place differently: outside the file, or over each other."""
    loaded = sorted((s for s in reader.segments if s.kind == _LOAD), key=lambda s: s.address)
    for segment in loaded:
        if segment.offset + segment.size > len(reader.content) or segment.size > segment.memory:
            raise ElfError("a loaded segment is longer than the file, or than its memory")
    for before, after in pairwise(loaded):
        if before.address + before.memory > after.address:
            raise ElfError("loaded segments overlap")
    for kind in (_DYNAMIC, _INTERP):
        if sum(segment.kind == kind for segment in reader.segments) > 1:
            raise ElfError(f"more than one segment of type {kind}")


def _interpreter(reader: _Reader) -> str | None:
    for segment in reader.segments:
        if segment.kind == _INTERP:
            return reader.string(segment.offset, min(len(reader.content), segment.offset + segment.size))
    return None


def _dynamic(reader: _Reader) -> Iterator[tuple[int, int]]:
    """Yield the dynamic section's (tag, value) pairs, up to DT_NULL."""
    segment = next((segment for segment in reader.segments if segment.kind == _DYNAMIC), None)
    if segment is None or not segment.size:
        return
    if reader.offset(segment.address) != segment.offset:
        raise ElfError("the dynamic section is mapped from elsewhere than its header says")
    step, layout = (16, "2Q") if reader.is64 else (8, "2I")
    for number in range(min(segment.memory // step, _MOST_DYNAMIC)):
        tag, value = reader.unpack(layout, segment.offset + step * number)
        if tag == 0:
            return
        yield tag, value
    raise ElfError("the dynamic section does not end")


def _strings(reader: _Reader, dynamic: dict[int, int]) -> tuple[int, int]:
    """Find the string table: where in the file it starts and ends."""
    if _STRTAB not in dynamic or _STRSZ not in dynamic:
        raise ElfError("a dynamic section without string table")
    start = reader.offset(dynamic[_STRTAB], dynamic[_STRSZ])
    return start, start + dynamic[_STRSZ]


def _text(reader: _Reader, strings: tuple[int, int], place: int) -> str:
    start, end = strings
    return reader.string(start + place, end)


def _versions(reader: _Reader, dynamic: dict[int, int], strings: tuple[int, int]) -> Iterator[tuple[str, str]]:
    """Yield the (library, version) pairs of the needed symbol versions (Verneed, Vernaux)."""
    if _VERNEED not in dynamic:
        return
    place = reader.offset(dynamic[_VERNEED])
    left = _MOST_VERSIONS
    for _ in range(min(dynamic.get(_VERNEEDNUM, 0), _MOST_VERSIONS)):
        _, count, library, first, following = reader.unpack("2H3I", place)
        auxiliary = place + first
        for _ in range(count):
            left -= 1
            if left < 0:
                raise ElfError("too many symbol versions")
            _, _, _, name, step = reader.unpack("I2H2I", auxiliary)
            yield _text(reader, strings, library), _text(reader, strings, name)
            if not step:
                break
            auxiliary += step
        if not following:
            break
        place += following


def _symbols(
    reader: _Reader, dynamic: dict[int, int], strings: tuple[int, int], wanted: re.Pattern[bytes]
) -> tuple[frozenset[str], frozenset[str]]:
    """Find the symbols whose name `wanted` matches: those that are undefined here, and those that are defined."""
    start, end = strings
    if _SYMTAB not in dynamic or not wanted.search(reader.content, start, end):
        return frozenset(), frozenset()
    found: tuple[set[str], set[str]] = (set(), set())
    table = reader.offset(dynamic[_SYMTAB])
    symbol = struct.Struct(reader.order + ("I2BH2Q" if reader.is64 else "3I2BH"))
    section_field = 3 if reader.is64 else 5
    count = _symbol_count(reader, dynamic, symbol.size)
    for fields in symbol.iter_unpack(memoryview(reader.content)[table : table + count * symbol.size]):
        place = start + fields[0]
        stop = reader.content.find(b"\0", place, min(end, place + _LONGEST_STRING))
        if stop >= 0 and wanted.fullmatch(reader.content, place, stop):
            found[fields[section_field] != 0].add(reader.content[place:stop].decode("ascii", "backslashreplace"))
    return frozenset(found[False]), frozenset(found[True])


def _symbol_count(reader: _Reader, dynamic: dict[int, int], size: int) -> int:
    """Count the dynamic symbols as the loader does, by the hash table; else by the string table that follows them."""
    table = reader.offset(dynamic[_SYMTAB])
    room = (len(reader.content) - table) // size
    if _HASH in dynamic:
        wide = reader.unpack("H", 18)[0] == _S390X and reader.is64
        count = reader.unpack("2Q" if wide else "2I", reader.offset(dynamic[_HASH]))[1]
    elif _GNU_HASH in dynamic:
        count = _gnu_symbol_count(reader, reader.offset(dynamic[_GNU_HASH]))
    else:
        count = (dynamic[_STRTAB] - dynamic[_SYMTAB]) // size
    if count > _MOST_SYMBOLS:
        raise ElfError(f"{count} symbols")
    return max(0, min(count, room))


def _gnu_symbol_count(reader: _Reader, place: int) -> int:
    buckets, first, bloom, _ = reader.unpack("4I", place)
    if buckets > _MOST_SYMBOLS:
        raise ElfError(f"a hash table of {buckets} buckets")
    heads = place + 16 + bloom * (8 if reader.is64 else 4)
    last = max(reader.unpack(f"{buckets}I", heads), default=0)
    if last < first:
        return first
    chains = heads + 4 * buckets
    while last <= _MOST_SYMBOLS and not reader.unpack("I", chains + 4 * (last - first))[0] & 1:
        last += 1
    return last + 1
