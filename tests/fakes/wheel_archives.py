"""Wheels for tests, written byte by byte, so that each rule of the format can be kept or broken by itself."""

from __future__ import annotations

import csv
import hashlib
import io
import struct
import zlib
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from packaging.utils import parse_wheel_filename

from fakes.elves import AnElf
from mirror.core.gate import Bounds, Expected
from mirror.core.model import Target

DIST_INFO = "demo-1.0.dist-info"
PURE = "demo-1.0-py3-none-any.whl"
NATIVE = "demo-1.0-cp311-cp311-musllinux_1_2_x86_64.whl"
EXTENSION = "demo/_speed.cpython-311-x86_64-linux-musl.so"
GRAFTED = "demo.libs/libfast-0a1b2c3d.so.1"
TARGET = Target(python="3.11")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One member. `central` and `local` replace fields of its headers, by name, after they were made to agree."""

    name: bytes
    data: bytes = b""
    packed: bytes | None = None
    mode: int = 0o100644
    flags: int = 0
    method: int = 8
    central: Mapping[str, int | bytes] = field(default_factory=dict)
    local: Mapping[str, int | bytes] = field(default_factory=dict)
    after: bytes = b""
    """Bytes that stand behind its data."""

    def fields(self) -> dict[str, Any]:
        packed = self.packed
        if packed is None:
            packed = deflate(self.data) if self.method == 8 else self.data
        return {
            "signature": b"",
            "flags": self.flags,
            "method": self.method,
            "crc": zlib.crc32(self.data),
            "stored": len(packed),
            "size": len(self.data),
            "name": self.name,
            "extra": b"",
            "comment": b"",
            "disk": 0,
            "external": self.mode << 16,
            "packed": packed,
        }


@dataclass(frozen=True, kw_only=True)
class Archive:
    """A whole archive. `end` replaces fields of the end record; offsets count from where the entries start."""

    entries: tuple[Entry, ...]
    prefix: bytes = b""
    before_directory: bytes = b""
    in_directory: bytes = b""
    before_end: bytes = b""
    comment: bytes = b""
    suffix: bytes = b""
    end: Mapping[str, int] = field(default_factory=dict)

    def __bytes__(self) -> bytes:
        body, directory = bytearray(self.prefix), bytearray()
        for entry in self.entries:
            offset = len(body)
            body += _local(entry) + entry.after
            directory += _central(entry, offset)
        body += self.before_directory
        directory += self.in_directory
        end = {"disk": 0, "first": 0, "here": len(self.entries), "count": len(self.entries)}
        end |= {"size": len(directory), "start": len(body), "comment": len(self.comment), **self.end}
        return bytes(body + directory) + self.before_end + _end(end) + self.comment + self.suffix

    def change(self, name: str, change: Callable[[Entry], Entry]) -> Archive:
        """The archive with one member changed."""
        assert any(entry.name == name.encode() for entry in self.entries)
        entries = tuple(change(entry) if entry.name == name.encode() else entry for entry in self.entries)
        return replace(self, entries=entries)

    def add(self, *entries: Entry) -> Archive:
        """The archive with members added behind the others (and RECORD none the wiser)."""
        return replace(self, entries=(*self.entries, *entries))


def deflate(data: bytes) -> bytes:
    """Raw deflate data, as ZIP holds it."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


def _local(entry: Entry) -> bytes:
    f = {**entry.fields(), "signature": b"PK\x03\x04", **entry.local}
    sizes = (f["crc"], f["stored"], f["size"])
    header = struct.pack("<4s5H3I", f["signature"], 20, f["flags"], f["method"], 0, 33, *sizes)
    lengths = struct.pack("<2H", len(f["name"]), len(f["extra"]))
    return bytes(header + lengths + f["name"] + f["extra"] + f["packed"])


def _central(entry: Entry, offset: int) -> bytes:
    f = {**entry.fields(), "signature": b"PK\x01\x02", "offset": offset, **entry.central}
    sizes = (f["crc"], f["stored"], f["size"])
    header = struct.pack("<4s6H3I", f["signature"], 0x0314, 20, f["flags"], f["method"], 0, 33, *sizes)
    lengths = struct.pack("<4H", len(f["name"]), len(f["extra"]), len(f["comment"]), f["disk"])
    rest = struct.pack("<H2I", 0, f["external"], f["offset"])
    return bytes(header + lengths + rest + f["name"] + f["extra"] + f["comment"])


def _end(f: Mapping[str, int]) -> bytes:
    counts = (f["disk"], f["first"], f["here"], f["count"])
    return struct.pack("<4s4H2IH", b"PK\x05\x06", *counts, f["size"], f["start"], f["comment"])


def record(files: Mapping[str, bytes]) -> bytes:
    """RECORD as it should be."""
    rows = [[name, digest(data), str(len(data))] for name, data in files.items()]
    return record_of([*rows, [f"{DIST_INFO}/RECORD", "", ""]])


def record_of(rows: list[list[str]]) -> bytes:
    """RECORD of these rows."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def digest(data: bytes) -> str:
    """The hash field of RECORD."""
    return "sha256=" + urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A wheel in three layers, each of which can be changed: its files, its archive, its bytes."""

    filename: str
    files: Mapping[str, bytes]
    expected: Expected
    bounds: Bounds = field(default_factory=Bounds)
    record: Callable[[Mapping[str, bytes]], bytes] | None = record
    archive: Callable[[Archive], Archive] = lambda archive: archive
    raw: Callable[[bytes], bytes] = lambda content: content

    @property
    def content(self) -> bytes:
        """The wheel's bytes."""
        files = dict(self.files)
        if self.record is not None:
            files[f"{DIST_INFO}/RECORD"] = self.record(self.files)
        entries = tuple(Entry(name=name.encode(), data=data) for name, data in files.items())
        return self.raw(bytes(self.archive(Archive(entries=entries))))

    def put(self, **files: bytes) -> Sample:
        """With files of dist-info replaced."""
        return self.add({f"{DIST_INFO}/{name}": data for name, data in files.items()})

    def add(self, files: Mapping[str, bytes]) -> Sample:
        """With files added or replaced, and RECORD to match."""
        return replace(self, files={**self.files, **files})

    def remove(self, *names: str) -> Sample:
        """Without these files, and RECORD to match."""
        return replace(self, files={name: data for name, data in self.files.items() if name not in names})


def metadata(*lines: str, name: str = "demo", version: str = "1.0") -> bytes:
    """METADATA."""
    head = ("Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", "Requires-Python: >=3.8")
    return "\n".join((*head, *lines, "", "What it is.", "")).encode()


def wheel_file(filename: str, *lines: str, purelib: str = "true", version: str = "1.0") -> bytes:
    """WHEEL."""
    tags = sorted(map(str, parse_wheel_filename(filename)[3]))
    head = (f"Wheel-Version: {version}", "Generator: by hand", f"Root-Is-Purelib: {purelib}")
    return "\n".join((*head, *(f"Tag: {tag}" for tag in tags), *lines, "")).encode()


def pure_wheel() -> Sample:
    """A pure wheel with nothing wrong about it."""
    files = {
        "demo/__init__.py": b"VALUE = 1\n",
        "demo/data/table.txt": b"zeros " * 400,
        f"{DIST_INFO}/METADATA": metadata(),
        f"{DIST_INFO}/WHEEL": wheel_file(PURE),
    }
    return Sample(filename=PURE, files=files, expected=an_expectation())


def native_wheel(extension: AnElf | None = None, grafted: AnElf | None = None) -> Sample:
    """A repaired wheel with nothing wrong about it: an extension module, and a library grafted beside it."""
    needed = ("libfast-0a1b2c3d.so.1", "libc.musl-x86_64.so.1")
    files = {
        "demo/__init__.py": b"VALUE = 1\n",
        EXTENSION: bytes(extension or AnElf(needed=needed, runpath="$ORIGIN/../demo.libs")),
        GRAFTED: bytes(grafted or AnElf(soname="libfast-0a1b2c3d.so.1", versions={"libc.musl-x86_64.so.1": ("X_1",)})),
        f"{DIST_INFO}/METADATA": metadata(),
        f"{DIST_INFO}/WHEEL": wheel_file(NATIVE, purelib="false"),
    }
    return Sample(filename=NATIVE, files=files, expected=an_expectation())


def an_expectation(**changes: object) -> Expected:
    """What the job of these wheels says."""
    name, version, _, _ = parse_wheel_filename(PURE)
    return replace(Expected(name=name, version=version, target=TARGET), **changes)  # type: ignore[arg-type]
