"""Inflate members, a piece at a time, never further than their header promised."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from mirror.core.gate.values import Member, RefusedError

_PIECE = 1 << 18


def pieces(content: bytes, member: Member) -> Iterator[bytes]:
    """Yield a member's bytes; the size and the CRC are as promised when it ends.

    Raises RefusedError.
    """
    crc = size = 0
    for piece in _inflate(content, member) if member.deflated else _copy(content, member):
        size += len(piece)
        if size > member.size:
            raise RefusedError("size-lie", f"expected {member.size} bytes, got more", member.name)
        crc = zlib.crc32(piece, crc)
        yield piece
    if size != member.size:
        raise RefusedError("size-lie", f"expected {member.size} bytes, got {size}", member.name)
    if crc != member.crc:
        raise RefusedError("crc", f"expected CRC {member.crc:08x}, got {crc:08x}", member.name)


def _copy(content: bytes, member: Member) -> Iterator[bytes]:
    for start in range(member.start, member.start + member.stored, _PIECE):
        yield content[start : min(start + _PIECE, member.start + member.stored)]


def _inflate(content: bytes, member: Member) -> Iterator[bytes]:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    eaten = 0
    try:
        for piece in _copy(content, member):
            waiting = piece
            while waiting and not inflater.eof:
                yield inflater.decompress(waiting, _PIECE)
                waiting = inflater.unconsumed_tail
            eaten += len(piece) - len(inflater.unused_data)
            if inflater.eof:
                break
        # What did not fit into the last piece may be held back although all the input is eaten.
        while not inflater.eof and (held_back := inflater.decompress(b"", _PIECE)):
            yield held_back
    except zlib.error as error:
        raise RefusedError("deflate", f"the compressed data is damaged: {error}", member.name) from None
    if not inflater.eof:
        raise RefusedError("deflate", "the compressed data is cut off", member.name)
    if eaten != member.stored:
        raise RefusedError("deflate", f"{member.stored - eaten} bytes follow the compressed data", member.name)
