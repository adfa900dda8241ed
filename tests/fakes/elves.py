"""ELF files for tests, written by hand: headers, one loaded segment, and a dynamic section that says what is asked."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

X86_64, AARCH64, I386, S390X = 62, 183, 3, 22
NEEDED, HASH, STRTAB, SYMTAB, STRSZ, SYMENT, SONAME, RPATH = 1, 4, 5, 6, 10, 11, 14, 15
RELA, RELASZ, REL, RELSZ, RELR, FLAGS_1 = 7, 8, 17, 18, 36, 0x6FFFFFFB
TEXTREL, RUNPATH, FLAGS, GNU_HASH, VERNEED, VERNEEDNUM = 22, 29, 30, 0x6FFFFEF5, 0x6FFFFFFE, 0x6FFFFFFF
LOAD, DYNAMIC, INTERP, STACK = 1, 2, 3, 0x6474E551
BASE = 0x10000
"""Where the file is loaded: addresses differ from offsets, so that a reader which mixes them up is seen."""


@dataclass(frozen=True, kw_only=True)
class AnElf:
    """What an ELF file should say; `bytes()` writes it. `dynamic` are (tag, value) pairs added as they are."""

    machine: int = X86_64
    bits: int = 64
    order: str = "<"
    kind: int = 3
    interpreter: str | None = None
    needed: tuple[str, ...] = ("libc.musl-x86_64.so.1",)
    soname: str | None = None
    rpath: str | None = None
    runpath: str | None = None
    versions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    dynamic: tuple[tuple[int, int], ...] = ()
    stack_flags: int = 6
    undefined: tuple[str, ...] = ()
    defined: tuple[str, ...] = ()
    weak: tuple[str, ...] = ()
    tls: tuple[str, ...] = ()
    ifuncs: tuple[str, ...] = ()
    """Of the symbols, those that are weak, that are variables of threads, and whose function a resolver chooses."""
    relocations: tuple[tuple[int, str], ...] = ()
    """(number, symbol) of what is to be relocated, the symbol "" for none."""
    with_addends: bool = True
    hash_style: str = "gnu"
    segments: tuple[tuple[int, int, int, int, int, int], ...] = ()
    """More program headers: (type, flags, offset, address, size in file, size in memory)."""
    dynamic_shift: int = 0
    """How far the dynamic segment's address lies from where it is mapped."""

    def __bytes__(self) -> bytes:
        return _Writer(self).write()


def two_faced(mapped: AnElf, shown: AnElf) -> bytes:
    """A file that musl maps as `mapped`, and that reads as `shown` where its addresses are taken for exact places.

    Its segment is said to begin in the middle of a page of the file, and at the start of one in memory: the loader maps
    the whole page. Both must be of one form and length.
    """
    content, shift = bytes(mapped), 0x800
    other = bytes(shown)
    assert len(content) == len(other) <= shift and mapped.bits == 64 and mapped.order == "<"
    dynamic = struct.unpack_from("<Q", content, 64 + 56 + 8)[0]
    header = bytearray(content.ljust(shift, b"\0"))
    struct.pack_into("<Q", header, 64 + 8, shift)
    struct.pack_into("<Q", header, 64 + 56 + 8, dynamic + shift)
    return bytes(header) + other


class _Writer:
    def __init__(self, elf: AnElf) -> None:
        self.elf = elf
        self.is64 = elf.bits == 64
        self.names = bytearray(b"\0")

    def write(self) -> bytes:
        elf = self.elf
        header_size, entry_size = (64, 56) if self.is64 else (52, 32)
        count = 3 + (elf.interpreter is not None) + len(elf.segments)
        body = bytearray(header_size + count * entry_size)
        entries = self._dynamic_texts()
        entries += self._tables(body)
        interpreter = self._add(body, (elf.interpreter or "").encode() + b"\0")
        strings = self._add(body, bytes(self.names))
        entries += [(STRTAB, BASE + strings), (STRSZ, len(self.names)), *elf.dynamic, (0, 0)]
        table = b"".join(self._pack("2Q" if self.is64 else "2I", *entry) for entry in entries)
        dynamic = self._add(body, table)
        segments = [
            (LOAD, 5, 0, BASE, len(body), len(body)),
            (DYNAMIC, 6, dynamic, BASE + dynamic + elf.dynamic_shift, len(table), len(table)),
            (STACK, elf.stack_flags, 0, 0, 0, 0),
        ]
        if elf.interpreter is not None:
            size = len(elf.interpreter.encode()) + 1
            segments.append((INTERP, 4, interpreter, BASE + interpreter, size, size))
        headers = b"".join(self._segment(*segment) for segment in (*segments, *elf.segments))
        body[header_size : header_size + len(headers)] = headers
        body[:header_size] = self._header(header_size, entry_size, count)
        return bytes(body)

    def _pack(self, layout: str, *values: int) -> bytes:
        return struct.pack(self.elf.order + layout, *values)

    def _add(self, body: bytearray, part: bytes) -> int:
        body += bytes(-len(body) % 8)
        place = len(body)
        body += part
        return place

    def _name(self, text: str) -> int:
        place = len(self.names)
        self.names += text.encode() + b"\0"
        return place

    def _dynamic_texts(self) -> list[tuple[int, int]]:
        elf = self.elf
        entries = [(NEEDED, self._name(library)) for library in elf.needed]
        entries += [(SONAME, self._name(elf.soname))] if elf.soname is not None else []
        entries += [(RPATH, self._name(elf.rpath))] if elf.rpath is not None else []
        entries += [(RUNPATH, self._name(elf.runpath))] if elf.runpath is not None else []
        return entries

    def _tables(self, body: bytearray) -> list[tuple[int, int]]:
        elf = self.elf
        numbers = {name: number for number, name in enumerate(("", *elf.undefined, *elf.defined))}
        symbols = [self._symbol("", 0), *(self._symbol(name, 0) for name in elf.undefined)]
        first_defined = len(symbols)
        symbols += [self._symbol(name, 1) for name in elf.defined]
        entries = [(SYMTAB, BASE + self._add(body, b"".join(symbols))), (SYMENT, len(symbols[0]))]
        if elf.hash_style == "sysv":
            table = self._pack("4I", 1, len(symbols), 0, 0) + bytes(4 * len(symbols))
            entries.append((HASH, BASE + self._add(body, table)))
        elif elf.hash_style == "gnu":
            chains = [self._pack("I", int(place == len(symbols) - 1)) for place in range(first_defined, len(symbols))]
            bucket = self._pack("I", first_defined if elf.defined else 0)
            bloom = bytes(8 if self.is64 else 4)
            table = self._pack("4I", 1, first_defined, 1, 0) + bloom + bucket + b"".join(chains)
            entries.append((GNU_HASH, BASE + self._add(body, table)))
        if elf.versions:
            entries += [(VERNEED, BASE + self._add(body, self._needs())), (VERNEEDNUM, len(elf.versions))]
        if elf.relocations:
            table = b"".join(self._relocation(kind, numbers[name]) for kind, name in elf.relocations)
            tag, size_tag = (RELA, RELASZ) if elf.with_addends else (REL, RELSZ)
            entries += [(tag, BASE + self._add(body, table)), (size_tag, len(table))]
        return entries

    def _relocation(self, kind: int, symbol: int) -> bytes:
        info = symbol << 32 | kind if self.is64 else symbol << 8 | kind
        numbers = (BASE, info, 0)[: 3 if self.elf.with_addends else 2]
        return self._pack(f"{len(numbers)}{'Q' if self.is64 else 'I'}", *numbers)

    def _symbol(self, name: str, section: int) -> bytes:
        place = self._name(name) if name else 0
        kind = 6 if name in self.elf.tls else 10 if name in self.elf.ifuncs else 2
        info = (2 if name in self.elf.weak else 1) << 4 | kind
        if self.is64:
            return self._pack("I2BH2Q", place, info, 0, section, 0, 0)
        return self._pack("3I2BH", place, 0, 0, info, 0, section)

    def _needs(self) -> bytes:
        table = b""
        for number, (library, versions) in enumerate(self.elf.versions.items(), 1):
            size = 16 + 16 * len(versions)
            following = size if number < len(self.elf.versions) else 0
            table += self._pack("2H3I", 1, len(versions), self._name(library), 16, following)
            for place, version in enumerate(versions, 1):
                step = 16 if place < len(versions) else 0
                table += self._pack("I2H2I", 0, 0, 2, self._name(version), step)
        return table

    def _segment(self, kind: int, flags: int, offset: int, address: int, size: int, memory: int) -> bytes:
        if self.is64:
            return self._pack("2I6Q", kind, flags, offset, address, address, size, memory, 8)
        return self._pack("8I", kind, offset, address, address, size, memory, flags, 8)

    def _header(self, size: int, entry_size: int, count: int) -> bytes:
        elf = self.elf
        start = b"\x7fELF" + bytes([2 if self.is64 else 1, 1 if elf.order == "<" else 2, 1]) + bytes(9)
        word = "Q" if self.is64 else "I"
        return start + self._pack(
            f"2HI3{word}I6H", elf.kind, elf.machine, 1, 0, size, 0, 0, size, entry_size, count, 0, 0, 0
        )
