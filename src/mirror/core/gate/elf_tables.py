"""The tables that an ELF file's dynamic section points to: needed versions, symbols, relocations."""

from __future__ import annotations

import re
import struct
import sys
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mirror.core.gate.elf_image import ElfError, Image
from mirror.core.gate.machines import Machine

_HASH, _STRTAB, _SYMTAB, _RELA, _RELASZ, _STRSZ = 4, 5, 6, 7, 8, 10
_REL, _RELSZ, _PLTREL, _JMPREL, _PLTRELSZ = 17, 18, 20, 23, 2
_GNU_HASH, _VERNEED, _VERNEEDNUM = 0x6FFFFEF5, 0x6FFFFFFE, 0x6FFFFFFF
_S390X = 22
"""The one architecture of musl's whose hash table has words of 64 bits."""
_LOCAL, _WEAK = 0, 2
_TLS, _IFUNC = 6, 10

_MOST_VERSIONS = 8192
_MOST_SYMBOLS = 2_000_000
_MOST_SPECIAL = 10_000
_MOST_RELOCATIONS = 20_000_000
_AT_ONCE = 1 << 16
_LONGEST_NAME = 4096
_SPECIAL = re.compile(b"[%s]" % re.escape(bytes(bind << 4 | kind for bind in range(16) for kind in (_TLS, _IFUNC))))
"""st_info of what is looked at whatever its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Symbols:
    """What the dynamic symbols say.

    Of those whose name was asked for, `undefined` are needed from elsewhere (weak ones are not: the loader does without
    them), and `defined` are brought. `tls` are the variables of each thread that it brings, `ifuncs` the functions that
    a resolver chooses when it is loaded.
    """

    undefined: frozenset[str] = frozenset()
    defined: frozenset[str] = frozenset()
    tls: frozenset[str] = frozenset()
    ifuncs: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Relocations:
    """What is relocated when it is loaded.

    `kinds` are the relocations' numbers. `fixed_tls` are the thread's variables that must lie at a fixed offset from
    the thread pointer; "" stands for its own.
    """

    kinds: frozenset[int] = frozenset()
    fixed_tls: frozenset[str] = frozenset()


class Tables:
    """The tables of one dynamic section, each read through the segments that hold it."""

    def __init__(self, image: Image, dynamic: Mapping[int, int]) -> None:
        self._image = image
        self._dynamic = dynamic
        if _STRTAB not in dynamic or _STRSZ not in dynamic:
            raise ElfError("a dynamic section without string table")
        self._start = image.offset(dynamic[_STRTAB], dynamic[_STRSZ])
        self._end = self._start + dynamic[_STRSZ]
        self._symbol = struct.Struct(image.order + ("I2BH2Q" if image.is64 else "3I2BH"))
        self._info, self._section = (1, 3) if image.is64 else (3, 5)

    def text(self, place: int) -> str:
        """A string of the string table."""
        return self._image.string(self._start + place, self._end)

    def versions(self) -> Iterator[tuple[str, str]]:
        """Yield the (library, version) pairs of the needed symbol versions (Verneed, Vernaux)."""
        if _VERNEED not in self._dynamic:
            return
        place, end = self._image.span(self._dynamic[_VERNEED])
        left = _MOST_VERSIONS
        for _ in range(min(self._dynamic.get(_VERNEEDNUM, 0), _MOST_VERSIONS)):
            _, count, library, first, following = self._image.unpack("2H3I", place, end)
            auxiliary = place + first
            for _ in range(count):
                left -= 1
                if left < 0:
                    raise ElfError("too many symbol versions")
                _, _, _, name, step = self._image.unpack("I2H2I", auxiliary, end)
                yield self.text(library), self.text(name)
                if not step:
                    break
                auxiliary += step
            if not following:
                break
            place += following

    def symbols(self, wanted: re.Pattern[bytes]) -> Symbols:
        """Read the dynamic symbols: by name those that `wanted` matches, and by kind those that musl cares for."""
        content, size = self._image.content, self._symbol.size
        count = self._symbol_count() if _SYMTAB in self._dynamic else 0
        if not count:
            return Symbols()
        table = self._image.offset(self._dynamic[_SYMTAB], count * size)
        special: dict[int, set[str]] = {_TLS: set(), _IFUNC: set()}
        infos = content[table + (4 if self._image.is64 else 12) : table + count * size : size]
        for match in _SPECIAL.finditer(infos):
            fields = self._symbol.unpack_from(content, table + size * match.start())
            if fields[self._section]:
                special[fields[self._info] & 15].add(self.text(fields[0]))
                if sum(map(len, special.values())) > _MOST_SPECIAL:
                    raise ElfError("too many symbols of threads and of ifuncs")
        undefined, defined = self._named(table, count, wanted)
        tls, ifuncs = frozenset(special[_TLS]), frozenset(special[_IFUNC])
        return Symbols(undefined=undefined, defined=defined, tls=tls, ifuncs=ifuncs)

    def _named(self, table: int, count: int, wanted: re.Pattern[bytes]) -> tuple[frozenset[str], frozenset[str]]:
        content, start, end = self._image.content, self._start, self._end
        found: tuple[set[str], set[str]] = (set(), set())
        if not wanted.search(content, start, end):
            return frozenset(), frozenset()
        for fields in self._symbol.iter_unpack(memoryview(content)[table : table + count * self._symbol.size]):
            place = start + fields[0]
            stop = content.find(b"\0", place, min(end, place + _LONGEST_NAME))
            is_defined = fields[self._section] != 0
            is_weak = fields[self._info] >> 4 == _WEAK
            if stop >= 0 and wanted.fullmatch(content, place, stop) and (is_defined or not is_weak):
                found[is_defined].add(content[place:stop].decode("ascii", "backslashreplace"))
        return frozenset(found[False]), frozenset(found[True])

    def _symbol_count(self) -> int:
        """Count the dynamic symbols: what can be looked up, and what a relocation is made by, looked up or not."""
        count = max(self._hashed_count(), self._relocated_count())
        if count > _MOST_SYMBOLS:
            raise ElfError(f"{count} symbols")
        return count

    def _relocated_count(self) -> int:
        """One more than the highest symbol of a relocation. GNU's hash table has none that the file only needs."""
        shift = 32 if self._image.is64 else 8
        return max((max(self._infos(*table)) >> shift for table in self._relocation_tables()), default=-1) + 1

    def _hashed_count(self) -> int:
        """Count the symbols by the hash table; where there is none, by the string table behind them."""
        if _HASH in self._dynamic:
            wide = self._image.machine == _S390X and self._image.is64
            place, end = self._image.span(self._dynamic[_HASH])
            count = self._image.unpack("2Q" if wide else "2I", place, end)[1]
        elif _GNU_HASH in self._dynamic:
            count = self._gnu_symbol_count(*self._image.span(self._dynamic[_GNU_HASH]))
        else:
            count = max(0, (self._dynamic[_STRTAB] - self._dynamic[_SYMTAB]) // self._symbol.size)
        return count

    def _gnu_symbol_count(self, place: int, end: int) -> int:
        buckets, first, bloom, _ = self._image.unpack("4I", place, end)
        if buckets > _MOST_SYMBOLS:
            raise ElfError(f"a hash table of {buckets} buckets")
        heads = place + 16 + bloom * (8 if self._image.is64 else 4)
        last = max(self._image.unpack(f"{buckets}I", heads, end), default=0)
        if last < first:
            return first
        chains = heads + 4 * buckets
        while last <= _MOST_SYMBOLS and not self._image.unpack("I", chains + 4 * (last - first), end)[0] & 1:
            last += 1
        return last + 1

    def relocations(self, machine: Machine) -> Relocations:
        """Read what the loader relocates: DT_RELA, DT_REL and DT_JMPREL, and of each entry kind and symbol."""
        kinds: set[int] = set()
        fixed: set[int] = set()
        for table in self._relocation_tables():
            for info in self._infos(*table):
                kind, symbol = (info & 0x7FFFFFFF, info >> 32) if self._image.is64 else (info & 0xFF, info >> 8)
                if kind in machine.fixed_tls:
                    fixed.add(symbol)
                elif kind:
                    kinds.add(kind)
                if len(kinds) + len(fixed) > _MOST_SPECIAL:
                    raise ElfError("too many kinds of relocations")
        return Relocations(kinds=frozenset(kinds), fixed_tls=frozenset(map(self._tls_name, fixed)))

    def _relocation_tables(self) -> Iterator[tuple[int, int, int]]:
        """Yield address, size and words of an entry of each table that is not empty."""
        plt_words = 3 if self._dynamic.get(_PLTREL) == _RELA else 2
        for tag, size_tag, words in ((_RELA, _RELASZ, 3), (_REL, _RELSZ, 2), (_JMPREL, _PLTRELSZ, plt_words)):
            size = self._dynamic.get(size_tag, 0)
            if tag in self._dynamic and size:
                yield self._dynamic[tag], size, words

    def _infos(self, address: int, size: int, words: int) -> Iterator[int]:
        """Yield r_info of the relocations of one table, each value at least once."""
        word = 8 if self._image.is64 else 4
        if size % (word * words) or size // (word * words) > _MOST_RELOCATIONS:
            raise ElfError(f"relocations of {size} bytes")
        start = self._image.offset(address, size)
        for place in range(start, start + size, word * words * _AT_ONCE):
            numbers = array("Q" if self._image.is64 else "I")
            numbers.frombytes(self._image.content[place : min(place + word * words * _AT_ONCE, start + size)])
            if (self._image.order == "<") != (sys.byteorder == "little"):
                numbers.byteswap()
            yield from set(numbers[1::words])

    def _tls_name(self, symbol: int) -> str:
        """The name of a thread's variable that another file brings; "" for one of its own."""
        if not symbol:
            return ""
        if _SYMTAB not in self._dynamic:
            raise ElfError("a relocation by a symbol, and no symbols")
        place = self._image.offset(self._dynamic[_SYMTAB] + symbol * self._symbol.size, self._symbol.size)
        fields = self._symbol.unpack_from(self._image.content, place)
        is_own = fields[self._section] != 0 or fields[self._info] >> 4 == _LOCAL
        return "" if is_own else self.text(fields[0])
