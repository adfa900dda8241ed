"""An ELF file as musl's loader maps it: numbers of its word size and byte order, addresses through its segments.

After the System V ABI (gABI 4.1). The loader maps whole pages, so a file whose segments begin elsewhere within a page
than its bytes do, or share one, is another file in memory than on disk: those are refused, and everything that is read
by its address lies whole in one segment.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

MAGIC = b"\x7fELF"
LOAD, DYNAMIC, INTERP, STACK = 1, 2, 3, 0x6474E551

_WRITABLE = 2
_MOST_SEGMENTS = 1024
_LONGEST_STRING = 4096
_SMALLEST_PAGE = 4096
_LARGEST_PAGES = {183: 65536, 21: 65536, 258: 65536}
"""By e_machine, where the kernel can be made for larger pages than 4096 bytes: aarch64, ppc64le, loongarch64."""


class ElfError(Exception):
    """The file has ELF's magic, and the loader could not make sense of it; or it would see what we do not."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A program header. `size` is its length in the file, `memory` in memory, in bytes."""

    kind: int
    flags: int
    offset: int
    address: int
    size: int
    memory: int


class Image:
    """The file as the loader sees it. Raises ElfError where that could be another one than stands in the file."""

    def __init__(self, content: bytes) -> None:
        if len(content) < 20 or not content.startswith(MAGIC):
            raise ElfError("its header is cut off")
        if content[4] not in {1, 2} or content[5] not in {1, 2}:
            raise ElfError(f"unknown class {content[4]} or byte order {content[5]}")
        self.content = content
        self.is64 = content[4] == 2
        self.order = "<" if content[5] == 1 else ">"
        self.kind, self.machine = self.unpack("2H", 16)
        self.segments = tuple(self._read_segments())
        self._judge_segments()

    def unpack(self, layout: str, offset: int, end: int | None = None) -> tuple[int, ...]:
        """Read numbers at a place in the file, all of which stand before `end`."""
        try:
            if end is not None and offset + struct.calcsize(self.order + layout) > end:
                raise ElfError(f"a table at {offset} leaves its segment")
            return struct.unpack_from(self.order + layout, self.content, offset)
        except (struct.error, OverflowError):
            raise ElfError(f"a table at {offset} is outside the file") from None

    def span(self, address: int) -> tuple[int, int]:
        """Look up where in the file the loader finds what it maps at `address`, and where that segment ends there."""
        for segment in self.segments:
            if segment.kind == LOAD and segment.address <= address < segment.address + segment.size:
                return address - segment.address + segment.offset, segment.offset + segment.size
        raise ElfError(f"the address {address:#x} is in no loaded segment")

    def offset(self, address: int, size: int) -> int:
        """Look up where in the file the loader finds the `size` bytes that it maps at `address`."""
        start, end = self.span(address)
        if start + size > end:
            raise ElfError(f"a table at address {address:#x} leaves its segment")
        return start

    def is_zero(self, address: int) -> bool:
        """Whether the loader fills the place with zeros, as it does behind the bytes of what can be written to."""
        return any(
            segment.kind == LOAD
            and segment.flags & _WRITABLE
            and segment.address + segment.size <= address < segment.address + segment.memory
            for segment in self.segments
        )

    def string(self, offset: int, end: int) -> str:
        """Read a string in the file, whose zero byte stands before `end`."""
        stop = self.content.find(b"\0", offset, min(end, offset + _LONGEST_STRING))
        if stop < 0:
            raise ElfError("a string does not end")
        return self.content[offset:stop].decode("utf-8", "backslashreplace")

    def only(self, kind: int) -> Segment | None:
        """The segment of a kind of which there may be one."""
        return next((segment for segment in self.segments if segment.kind == kind), None)

    def _read_segments(self) -> Iterator[Segment]:
        (table,) = self.unpack("Q", 32) if self.is64 else self.unpack("I", 28)
        entry_size, count = self.unpack("2H", 54 if self.is64 else 42)
        if count and entry_size != (56 if self.is64 else 32):
            raise ElfError(f"program headers of {entry_size} bytes")
        if count > _MOST_SEGMENTS:
            raise ElfError(f"{count} program headers")
        for number in range(count):
            if self.is64:
                kind, flags, offset, address, _, size, memory = self.unpack("2I5Q", table + 56 * number)
            else:
                kind, offset, address, _, size, memory, flags = self.unpack("7I", table + 32 * number)
            yield Segment(kind, flags, offset, address, size, memory)

    def _judge_segments(self) -> None:
        """Refuse segments that two readers could place differently: outside the file, or over each other's pages."""
        loaded = sorted((s for s in self.segments if s.kind == LOAD), key=lambda s: s.address)
        page = _LARGEST_PAGES.get(self.machine, _SMALLEST_PAGE)
        for segment in loaded:
            if segment.offset + segment.size > len(self.content) or segment.size > segment.memory:
                raise ElfError("a loaded segment is longer than the file, or than its memory")
            if segment.address + segment.memory + page > 1 << (64 if self.is64 else 32):
                raise ElfError("a loaded segment leaves the address space")
            if (segment.address - segment.offset) % page:
                raise ElfError(f"a loaded segment begins elsewhere in its page of {page} bytes than in the file")
        for before, after in pairwise(loaded):
            if before.address + before.memory > after.address:
                raise ElfError("loaded segments overlap")
            if -(-(before.address + before.memory) // page) * page > after.address // page * page:
                raise ElfError(f"loaded segments share a page of {page} bytes")
        for kind in (DYNAMIC, INTERP):
            if sum(segment.kind == kind for segment in self.segments) > 1:
                raise ElfError(f"more than one segment of type {kind}")
