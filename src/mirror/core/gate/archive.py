"""Read the framing of a ZIP archive, so strictly that every unzip program must see the same members in it.

After PKWARE's APPNOTE.TXT 6.3. A wheel that tools write is a plain run of local headers and data, a central directory
that names the same members, and the end record: nothing before, between or after. Whatever else the format allows is
a place in which two readers can see different things, and refused.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from mirror.core.gate.values import Bounds, Member, RefusedError

_END = struct.Struct("<4s4H2IH")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_LOCAL = struct.Struct("<4s5H3I2H")
_ZIP64_END_LOCATOR = b"PK\x06\x07"
_UNKNOWN32 = 0xFFFFFFFF

_ENCRYPTED = 0x0001 | 0x0040 | 0x2000
_DESCRIPTOR = 0x0008
_UTF8 = 0x0800
_HARMLESS_FLAGS = 0x0002 | 0x0004 | _UTF8
"""Compression speed (two bits) and the encoding of the name."""

_ZIP64_EXTRA = 0x0001
_OTHER_NAME_EXTRAS = (0x7075, 0x6375, 0x0008)
"""Info-ZIP's Unicode path and comment, PKWARE's language encoding: some readers would take the name from them."""

_DEFLATE = 8
_FILE_TYPE = 0o170000
_REGULAR, _DIRECTORY, _SYMLINK = 0o100000, 0o040000, 0o120000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Header:
    """What the central directory and the local header both say of a member."""

    raw_name: bytes
    flags: int
    method: int
    crc: int
    stored: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    header: _Header
    name: str
    mode: int
    offset: int


def read_members(content: bytes, bounds: Bounds) -> tuple[Member, ...]:
    """List the members of `content` in the order of their data.

    Raises RefusedError at the first thing that is not framed as a wheel's archive is.
    """
    if len(content) > bounds.archive:
        raise RefusedError("too-large", f"the file has {len(content)} bytes, expected at most {bounds.archive}")
    start, count = _find_directory(content)
    if count > bounds.members:
        raise RefusedError("too-many-members", f"{count} members, expected at most {bounds.members}")
    entries = sorted(_read_directory(content, start, count), key=lambda entry: entry.offset)
    members = tuple(_follow(content, entries, start))
    _weigh(members, len(content), bounds)
    return members


def _find_directory(content: bytes) -> tuple[int, int]:
    """Find the central directory: its offset and its number of entries."""
    end = content.rfind(b"PK\x05\x06")
    if end < 0 or len(content) - end < _END.size:
        raise RefusedError("not-a-zip", "expected a ZIP archive, got no end of central directory")
    _, disk, first_disk, here, count, size, start, comment = _END.unpack_from(content, end)
    rest = len(content) - end - _END.size
    if rest and comment == rest:
        raise RefusedError("archive-comment", f"expected no archive comment, got one of {comment} bytes")
    if rest or comment:
        raise RefusedError("trailing-data", f"expected the file to end with its end record, got {rest} bytes after it")
    if content[max(0, end - 20) : end].startswith(_ZIP64_END_LOCATOR):
        raise RefusedError("zip64", "expected a plain ZIP archive, got a ZIP64 end of central directory")
    if disk or first_disk or here != count:
        raise RefusedError("several-disks", "expected one archive, got a part of one that spans several")
    if start + size != end:
        raise RefusedError("directory-place", f"the central directory should end at {end}, got {start + size}")
    if not count:
        raise RefusedError("empty-archive", "expected members, got an archive with none")
    return start, count


def _read_directory(content: bytes, start: int, count: int) -> Iterator[_Entry]:
    position, end = start, len(content) - _END.size
    for _ in range(count):
        if position + _CENTRAL.size > end:
            raise RefusedError("directory-truncated", f"expected {count} central headers, got fewer")
        fields = _CENTRAL.unpack_from(content, position)
        signature, _made, _needed, flags, method, _time, _date, crc, stored, size = fields[:10]
        name_length, extra_length, comment_length, disk, _internal, external, offset = fields[10:]
        if signature != b"PK\x01\x02":
            raise RefusedError("directory-signature", f"expected a central header at {position}, got {signature!r}")
        name_end = position + _CENTRAL.size + name_length
        raw_name = content[position + _CENTRAL.size : name_end]
        position = name_end + extra_length + comment_length
        if position > end:
            raise RefusedError("directory-truncated", "a central header goes on behind the central directory")
        name = _decode(raw_name, flags)
        if comment_length:
            raise RefusedError("member-comment", "expected no comment on a member", name)
        if disk:
            raise RefusedError("several-disks", "expected a member of this archive, got one on another disk", name)
        size, stored = _sizes(content[name_end : name_end + extra_length], size, stored, name)
        header = _Header(raw_name=raw_name, flags=flags, method=method, crc=crc, stored=stored, size=size)
        _judge_header(header, name)
        yield _Entry(header=header, name=name, mode=_judge_mode(external >> 16, name), offset=offset)
    if position != end:
        raise RefusedError("directory-size", f"{end - position} bytes of the central directory belong to no member")


def _decode(raw_name: bytes, flags: int) -> str:
    """Decode a name as UTF-8 where the flag says so, else as ASCII: code page 437 is read differently everywhere."""
    try:
        return raw_name.decode("utf-8" if flags & _UTF8 else "ascii")
    except UnicodeDecodeError:
        shown = raw_name.decode("utf-8", "backslashreplace")
        raise RefusedError("path-encoding", f"expected a name in {_encoding(flags)}, got other bytes", shown) from None


def _encoding(flags: int) -> str:
    return "UTF-8" if flags & _UTF8 else "ASCII (the UTF-8 flag is not set)"


def _sizes(extra: bytes, size: int, stored: int, name: str) -> tuple[int, int]:
    """Resolve 32-bit sizes that a ZIP64 extra field stands in for; judge the extra fields on the way."""
    position = 0
    seen: set[int] = set()
    while position < len(extra):
        if position + 4 > len(extra):
            raise RefusedError("extra-field", "an extra field is cut off", name)
        kind, length = struct.unpack_from("<2H", extra, position)
        field = extra[position + 4 : position + 4 + length]
        if len(field) != length or kind in seen:
            raise RefusedError("extra-field", f"the extra field {kind:#06x} is cut off or there twice", name)
        if kind in _OTHER_NAME_EXTRAS:
            raise RefusedError("second-name", f"expected one name, got another in the extra field {kind:#06x}", name)
        if kind == _ZIP64_EXTRA:
            size, stored = _zip64_sizes(field, size, stored, name)
        seen.add(kind)
        position += 4 + length
    if _UNKNOWN32 in {size, stored}:
        raise RefusedError("zip64-field", "the sizes should stand in a ZIP64 extra field, and there is none", name)
    return size, stored


def _zip64_sizes(field: bytes, size: int, stored: int, name: str) -> tuple[int, int]:
    """Take from a ZIP64 field the sizes it stands in for. Python's zipfile also writes one that repeats both."""
    if len(field) == 16 and _UNKNOWN32 not in {size, stored}:
        wanted = [True, True]
    else:
        wanted = [size == _UNKNOWN32, stored == _UNKNOWN32]
    if not any(wanted) or len(field) != 8 * sum(wanted):
        raise RefusedError("zip64-field", f"expected the sizes of the header, got {len(field)} bytes", name)
    values = list(struct.unpack(f"<{sum(wanted)}Q", field))
    sizes = tuple(values.pop(0) if here else said for here, said in zip(wanted, (size, stored), strict=True))
    if _UNKNOWN32 not in {size, stored} and sizes != (size, stored):
        raise RefusedError("zip64-field", f"the header says {(size, stored)}, the ZIP64 field {sizes}", name)
    return sizes[0], sizes[1]


def _judge_header(header: _Header, name: str) -> None:
    if header.flags & _ENCRYPTED:
        raise RefusedError("encrypted", "expected a readable member, got an encrypted one", name)
    if header.flags & _DESCRIPTOR:
        raise RefusedError("data-descriptor", "expected sizes in the header, got them deferred behind the data", name)
    if header.flags & ~_HARMLESS_FLAGS:
        raise RefusedError("zip-flags", f"expected no unusual flags, got {header.flags:#06x}", name)
    if header.method not in {0, _DEFLATE}:
        raise RefusedError("unknown-compression", f"expected stored or deflated, got method {header.method}", name)
    if not header.method and header.stored != header.size:
        raise RefusedError("stored-size", f"a stored member of {header.size} bytes takes {header.stored}", name)


def _judge_mode(mode: int, name: str) -> int:
    kind = mode & _FILE_TYPE
    if kind == _SYMLINK:
        raise RefusedError("symlink", "expected a file, got a symbolic link", name)
    if kind not in {0, _REGULAR, _DIRECTORY}:
        raise RefusedError("special-file", f"expected a file, got file type {kind:#o}", name)
    if kind and (kind == _DIRECTORY) != name.endswith("/"):
        raise RefusedError("file-type", "the name and the mode disagree about whether this is a directory", name)
    return mode


def _follow(content: bytes, entries: list[_Entry], end: int) -> Iterator[Member]:
    """Walk through the local headers, which must fill the file up to the central directory without gap or overlap."""
    position = 0
    for entry in entries:
        if entry.offset != position:
            raise _gap(entry, position)
        header, start = _read_local(content, entry, end)
        if header != entry.header:
            raise RefusedError("headers-disagree", _difference(header, entry.header), entry.name)
        position = start + header.stored
        if position > end:
            raise RefusedError("member-truncated", "its data goes on behind the central directory's start", entry.name)
        if entry.name.endswith("/") and header.size:
            raise RefusedError("directory-content", f"a directory holds {header.size} bytes", entry.name)
        yield Member(
            name=entry.name,
            start=start,
            stored=header.stored,
            size=header.size,
            crc=header.crc,
            deflated=header.method == _DEFLATE,
            executable=bool(entry.mode & 0o111),
        )
    if position != end:
        raise RefusedError("hidden-data", f"{end - position} bytes before the central directory belong to no member")


def _gap(entry: _Entry, position: int) -> RefusedError:
    if entry.offset < position:
        return RefusedError("overlapping-members", f"starts at {entry.offset}, inside the member before", entry.name)
    if not position:
        return RefusedError("prefix-data", f"expected the archive to start at 0, got {entry.offset} bytes before it")
    return RefusedError("hidden-data", f"{entry.offset - position} bytes before it belong to no member", entry.name)


def _read_local(content: bytes, entry: _Entry, end: int) -> tuple[_Header, int]:
    """Read a local header: what it says, and where the data starts."""
    if entry.offset + _LOCAL.size > end:
        raise RefusedError("member-truncated", "its local header is cut off", entry.name)
    fields = _LOCAL.unpack_from(content, entry.offset)
    signature, _needed, flags, method, _time, _date, crc, stored, size, name_length, extra_length = fields
    if signature != b"PK\x03\x04":
        raise RefusedError("local-signature", f"expected a local header, got {signature!r}", entry.name)
    name_end = entry.offset + _LOCAL.size + name_length
    start = name_end + extra_length
    raw_name = content[entry.offset + _LOCAL.size : name_end]
    size, stored = _sizes(content[name_end:start], size, stored, entry.name)
    return _Header(raw_name=raw_name, flags=flags, method=method, crc=crc, stored=stored, size=size), start


def _difference(local: _Header, central: _Header) -> str:
    pairs = ((name, getattr(central, name), getattr(local, name)) for name in _Header.__slots__)
    said = "; ".join(f"{name} {ours!r} and {theirs!r}" for name, ours, theirs in pairs if ours != theirs)
    return f"the central directory and the local header disagree: {said}"


def _weigh(members: tuple[Member, ...], archive: int, bounds: Bounds) -> None:
    """Refuse what would unpack to more than the bounds, by the sizes that the headers promise."""
    for member in members:
        if member.size > bounds.member:
            raise RefusedError(
                "oversized-member", f"{member.size} bytes, expected at most {bounds.member}", member.name
            )
        if member.size >= bounds.ratio_from and member.size > bounds.ratio * member.stored:
            raise RefusedError("ratio-bomb", f"{member.stored} bytes unpack to {member.size}", member.name)
    total = sum(member.size for member in members)
    if total > bounds.total:
        raise RefusedError("oversized-wheel", f"unpacks to {total} bytes, expected at most {bounds.total}")
    if total >= bounds.ratio_from and total > bounds.ratio * archive:
        raise RefusedError("ratio-bomb", f"{archive} bytes unpack to {total}")
