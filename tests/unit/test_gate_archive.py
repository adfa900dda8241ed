"""The gate on framing and names: every place of a ZIP archive in which two readers could see different things."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace

import pytest

from fakes.wheel_archives import DIST_INFO, Archive, Entry, Sample, deflate, pure_wheel
from mirror.core.gate import Bounds, check

MODULE = "demo/__init__.py"
Attack = Callable[[Sample], Sample]


def archived(change: Callable[[Archive], Archive]) -> Attack:
    """Attack by another archive around the same files."""
    return lambda sample: replace(sample, archive=change)


def member(change: Callable[[Entry], Entry], name: str = MODULE) -> Attack:
    """Attack by one changed member."""
    return archived(lambda archive: archive.change(name, change))


def central(**fields: int | bytes) -> Attack:
    """Attack by fields of one central header."""
    return member(lambda entry: replace(entry, central=fields))


def local(**fields: int | bytes) -> Attack:
    """Attack by fields of one local header."""
    return member(lambda entry: replace(entry, local=fields))


def both(**fields: int | bytes) -> Attack:
    """Attack by fields that both headers of a member agree on."""
    return member(lambda entry: replace(entry, central=fields, local=fields))


def end(**fields: int) -> Attack:
    """Attack by fields of the end record."""
    return archived(lambda archive: replace(archive, end=fields))


def raw(change: Callable[[bytes], bytes]) -> Attack:
    """Attack the bytes of a finished wheel."""
    return lambda sample: replace(sample, raw=change)


def more(name: str | bytes, mode: int = 0o100644, **fields: int) -> Attack:
    """Attack by a member that RECORD lists, so that its name is all there is to say against it."""
    raw_name = name.encode() if isinstance(name, str) else name

    def attack(sample: Sample) -> Sample:
        flags = fields.get("flags", 0 if raw_name.isascii() else 0x800)
        return replace(sample, archive=lambda archive: archive.add(Entry(name=raw_name, mode=mode, flags=flags)))

    return attack


def extra(kind: int, data: bytes) -> bytes:
    return struct.pack("<2H", kind, len(data)) + data


def bounded(**bounds: int) -> Attack:
    """The same wheel, at a gate with narrower bounds."""
    return lambda sample: replace(sample, bounds=Bounds(**bounds))


def zip64_end(archive: Archive) -> Archive:
    record = struct.pack("<4sQ2H2I4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 5, 5, 0, 0)
    return replace(archive, before_end=record + struct.pack("<4sIQI", b"PK\x06\x07", 0, 0, 1))


def overlap(archive: Archive) -> Archive:
    first = archive.entries[0].name
    return archive.add(Entry(name=b"demo/again.py", data=archive.entries[0].data, central={"offset": 0, "name": first}))


FRAMING: dict[str, tuple[str, Attack]] = {
    "nothing at all": ("not-a-zip", raw(lambda content: b"")),
    "garbage": ("not-a-zip", raw(lambda content: b"\x00" * 1000)),
    "a gzip file": ("not-a-zip", raw(lambda content: b"\x1f\x8b\x08" + content[3:100])),
    "cut off in its end record": ("not-a-zip", raw(lambda content: content[:-10])),
    "no members": ("empty-archive", archived(lambda archive: Archive(entries=()))),
    "bytes before it": ("directory-place", raw(lambda content: b"#!/bin/sh\n" + content)),
    "bytes before it that the offsets count": ("prefix-data", archived(lambda a: replace(a, prefix=b"MZ" * 50))),
    "bytes after it": ("trailing-data", archived(lambda a: replace(a, suffix=b"more"))),
    "a second archive after it": ("directory-place", raw(lambda content: content + content)),
    "a comment": ("archive-comment", archived(lambda a: replace(a, comment=b"hello"))),
    "a comment that holds an end record": (
        "directory-place",
        archived(lambda a: replace(a, comment=struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 1, 1, 46, 0, 0))),
    ),
    "a comment shorter than it says": ("trailing-data", end(comment=7)),
    "another disk": ("several-disks", end(disk=1)),
    "a directory on another disk": ("several-disks", end(first=1)),
    "a member on another disk": ("several-disks", central(disk=1)),
    "other counts for this disk and all": ("several-disks", end(here=1)),
    "fewer members than counted": ("directory-truncated", end(here=6, count=6)),
    "more members than counted": ("directory-size", end(here=4, count=4)),
    "a directory that starts elsewhere": ("directory-place", end(start=7)),
    "a directory of another size": ("directory-place", end(size=7)),
    "a directory with bytes of nobody": ("directory-size", archived(lambda a: replace(a, in_directory=b"x" * 50))),
    "a central header without signature": ("directory-signature", central(signature=b"PK\x01\x03")),
    "a ZIP64 end record": ("zip64", archived(zip64_end)),
    "a ZIP64 locator inside the directory": (
        "zip64",
        archived(lambda a: replace(a, in_directory=struct.pack("<4sIQI", b"PK\x06\x07", 0, 0, 1))),
    ),
    "bytes between members": ("hidden-data", member(lambda entry: replace(entry, after=b"hidden"))),
    "bytes before the directory": ("hidden-data", archived(lambda a: replace(a, before_directory=b"hidden"))),
    "a member that is in no directory": (
        "hidden-data",
        archived(lambda a: replace(a, before_directory=bytes(Archive(entries=a.entries[:1]))[:60])),
    ),
    "two entries for one member's data": ("overlapping-members", archived(overlap)),
    "a member that starts inside another": (
        "overlapping-members",
        member(lambda entry: replace(entry, central={"offset": 20}), "demo/data/table.txt"),
    ),
    "a member behind the directory": (
        "hidden-data",
        member(lambda entry: replace(entry, central={"offset": 1 << 20}), f"{DIST_INFO}/RECORD"),
    ),
    "data that goes on into the directory": (
        "member-truncated",
        member(
            lambda entry: replace(entry, central={"stored": 1 << 20}, local={"stored": 1 << 20}), f"{DIST_INFO}/RECORD"
        ),
    ),
    "a local header without signature": ("local-signature", local(signature=b"PK\x07\x08")),
    "another name in the local header": ("headers-disagree", local(name=b"demo/__init__.pyc")),
    "another size in the local header": ("headers-disagree", local(size=3)),
    "another CRC in the local header": ("headers-disagree", local(crc=3)),
    "another method in the local header": ("headers-disagree", local(method=0)),
    "other flags in the local header": ("headers-disagree", local(flags=2)),
    "another stored size in the local header": ("headers-disagree", local(stored=3)),
    "sizes behind the data": (
        "data-descriptor",
        member(
            lambda e: replace(e, flags=8, after=b"PK\x07\x08" + bytes(12), local={"crc": 0, "size": 0, "stored": 0})
        ),
    ),
    "an encrypted member": ("encrypted", both(flags=1)),
    "a strongly encrypted member": ("encrypted", both(flags=0x41)),
    "a masked directory": ("encrypted", both(flags=0x2000)),
    "patch data": ("zip-flags", both(flags=0x20)),
    "bzip2": ("unknown-compression", both(method=12)),
    "LZMA": ("unknown-compression", both(method=14)),
    "Zstandard": ("unknown-compression", both(method=93)),
    "a stored member with two sizes": ("stored-size", both(method=0)),
    "a comment on a member": ("member-comment", central(comment=b"hello")),
    "a second name in Unicode": ("second-name", both(extra=extra(0x7075, b"\x01" + bytes(4) + b"other.py"))),
    "an extra field cut off": ("extra-field", both(extra=b"\x01")),
    "an extra field longer than all": ("extra-field", both(extra=struct.pack("<2H", 0x5455, 99))),
    "an extra field twice": ("extra-field", both(extra=2 * extra(0x5455, b"12345"))),
    "ZIP64 sizes that are not there": ("zip64-field", both(size=0xFFFFFFFF)),
    "ZIP64 sizes that say otherwise": ("zip64-field", both(extra=extra(1, struct.pack("<2Q", 9, 9)))),
    "a ZIP64 field of a strange length": ("zip64-field", both(extra=extra(1, b"12345"))),
    "a symbolic link": ("symlink", more("demo/link", 0o120777)),
    "a device": ("special-file", more("demo/null", 0o020666)),
    "a FIFO": ("special-file", more("demo/pipe", 0o010666)),
    "a socket": ("special-file", more("demo/socket", 0o140666)),
    "a folder by its mode alone": ("file-type", more("demo/folder", 0o040755)),
    "a folder by its name alone": ("file-type", more("demo/folder/", 0o100644)),
    "a folder with contents": (
        "directory-content",
        archived(lambda a: a.add(Entry(name=b"demo/folder/", data=b"hidden", mode=0o040755))),
    ),
    "damaged deflate data": ("deflate", member(lambda e: replace(e, packed=b"\xff" * 9))),
    "deflate data without its end": ("deflate", member(lambda e: replace(e, packed=deflate(e.data)[:-1]))),
    "deflate data with something behind it": ("deflate", member(lambda e: replace(e, packed=deflate(e.data) + b"X"))),
    "deflate data with much behind it": (
        "deflate",
        member(lambda e: replace(e, packed=deflate(e.data) + b"X" * 600_000)),
    ),
    "more data than promised": ("size-lie", member(lambda e: replace(e, packed=deflate(e.data + b"more")))),
    "less data than promised": ("size-lie", member(lambda e: replace(e, packed=deflate(e.data[:-1])))),
    "a bomb behind a small size": ("size-lie", member(lambda e: replace(e, packed=deflate(bytes(50_000_000))))),
    "another CRC than the data's": ("crc", both(crc=1)),
    "one changed bit in a stored member": (
        "crc",
        member(lambda e: replace(e, method=0, packed=b"VALUE = 2\n")),
    ),
    "an archive over the bound": ("too-large", bounded(archive=500)),
    "members over the bound": ("too-many-members", bounded(members=4)),
    "a member over the bound": ("oversized-member", bounded(member=2000)),
    "a wheel over the bound": ("oversized-wheel", bounded(total=2000)),
    "a text over the bound": ("oversized-text", bounded(text=50)),
    "a member that grows too much": ("ratio-bomb", bounded(ratio=20, ratio_from=2000)),
    "a wheel that grows too much": (
        "ratio-bomb",
        lambda sample: replace(
            sample.add({f"demo/{n}.txt": bytes(1000) for n in range(40)}), bounds=Bounds(ratio=2, ratio_from=5000)
        ),
    ),
}

NAMES: dict[str, tuple[str, Attack]] = {
    "an absolute path": ("path-absolute", more("/etc/passwd")),
    "two slashes in front": ("path-absolute", more("//server/share")),
    "a drive": ("path-drive", more("C:/Windows/evil.dll")),
    "a relative drive": ("path-drive", more("c:evil.dll")),
    "the folder above": ("path-traversal", more("../evil.py")),
    "the folder above, later": ("path-traversal", more("demo/../../evil.py")),
    "the folder above, at the end": ("path-traversal", more("demo/..")),
    "backslashes": ("path-backslash", more("demo\\evil.py")),
    "the folder above, with backslashes": ("path-backslash", more("..\\evil.py")),
    "a dot": ("path-not-normal", more("./demo/evil.py")),
    "a dot inside": ("path-not-normal", more("demo/./evil.py")),
    "an empty part": ("path-not-normal", more("demo//evil.py")),
    "an empty name": ("path-not-normal", more("")),
    "a NUL": ("path-control-character", more("demo/evil.py\0.txt")),
    "a line break": ("path-control-character", more("demo/evil\n.py")),
    "a terminal escape": ("path-control-character", more("demo/\x1b[2J.py")),
    "a delete character": ("path-control-character", more("demo/\x7f.py")),
    "a C1 control": ("path-control-character", more("demo/\x9b2J.py")),
    "text from right to left": ("path-control-character", more("demo/\u202eyp.live")),
    "a zero-width space": ("path-control-character", more("demo/\u200bx.py")),
    "a line separator": ("path-control-character", more("demo/\u2028x.py")),
    "bytes that are no UTF-8": ("path-encoding", more(b"demo/\xff.py", flags=0x800)),
    "UTF-8 without saying so": ("path-encoding", more("demo/ä.py".encode(), flags=0)),
    "a surrogate in UTF-8": ("path-encoding", more(b"demo/\xed\xa0\x80.py", flags=0x800)),
    "a part that no disk takes": ("path-too-long", more("demo/" + "x" * 256)),
    "a part that no disk takes, in bytes": ("path-too-long", more("demo/" + "ä" * 128)),
    "a path that is too long": ("path-too-long", more("/".join(["x" * 200] * 11))),
    "folders without end": ("path-too-deep", more("d/" * 100 + "x.py")),
    "the same name twice": ("duplicate-name", more(MODULE)),
    "another METADATA": ("duplicate-name", more(f"{DIST_INFO}/METADATA")),
    "a file that is a folder elsewhere": ("path-conflict", more("demo")),
    "a folder of the name of a file": ("path-conflict", more(f"{MODULE}/", 0o040755)),
    "a file below a file": ("path-conflict", more(f"{MODULE}/evil.py")),
    "a file below a file, in another case": ("path-conflict", more("DEMO/__Init__.py/evil.py")),
}

CASES = {
    "a name that differs in case": {"demo/__INIT__.py": b""},
    "a folder that differs in case": {"Demo/__init__.py": b""},
}

UNICODE: dict[str, tuple[str, Attack]] = {
    "names that differ in Unicode form": ("case-collision", more("demo/a\u0308.txt")),
    "names that differ in case beyond ASCII": ("case-collision", more("demo/\u00c4.txt")),
}


def judged(sample: Sample) -> list[str]:
    judgement = check(sample.filename, sample.content, sample.expected, sample.bounds)
    assert bool(judgement.findings) == (judgement.wheel is None)
    return [finding.code for finding in judgement.findings]


@pytest.mark.parametrize("case", [*FRAMING, *NAMES])
def test_one_broken_rule_of_the_archive_is_one_finding(case: str) -> None:
    """A wheel with one thing wrong is refused for that thing, and passes without it."""
    code, attack = (FRAMING | NAMES)[case]
    assert [] == judged(pure_wheel())
    assert [code] == judged(attack(pure_wheel()))


@pytest.mark.parametrize("case", UNICODE)
def test_names_collide_as_on_systems_that_fold_them(case: str) -> None:
    """A name in another Unicode form or case is the same file on some systems, so it is refused."""
    code, attack = UNICODE[case]

    def with_umlaut(sample: Sample) -> Sample:
        before = sample.archive
        entry = Entry(name="demo/ä.txt".encode(), flags=0x800)
        return replace(sample, archive=lambda archive: before(archive).add(entry))

    assert ["record-missing"] == judged(with_umlaut(pure_wheel()))
    assert [code, "record-missing"] == sorted(set(judged(with_umlaut(attack(pure_wheel())))))


@pytest.mark.parametrize("case", CASES)
def test_a_recipe_may_allow_names_that_differ_in_case_alone(case: str) -> None:
    """They are two files on the target; only who unpacks the wheel elsewhere would lose one."""
    sample = pure_wheel().add(CASES[case])
    assert ["case-collision"] == judged(sample)
    assert [] == judged(replace(sample, expected=replace(sample.expected, oddities=("case-collision",))))


def test_what_real_tools_write_is_no_finding() -> None:
    """Folders, stored members, speed flags, harmless extra fields and ZIP64 fields that agree are all taken."""
    zip64 = extra(1, struct.pack("<2Q", 10, len(deflate(b"VALUE = 1\n"))))

    def as_tools_do(archive: Archive) -> Archive:
        archive = archive.change(MODULE, lambda e: replace(e, local={"extra": zip64}, central={"extra": zip64}))
        archive = archive.change(f"{DIST_INFO}/WHEEL", lambda e: replace(e, method=0, flags=6, mode=0o600))
        archive = archive.change(
            f"{DIST_INFO}/METADATA", lambda e: replace(e, local={"extra": extra(0x5455, b"12345")})
        )
        return archive.add(Entry(name=b"demo/", mode=0o040755, method=0), Entry(name=b"demo/data/", mode=0))

    sample = pure_wheel()
    assert [] == judged(replace(sample, archive=as_tools_do))


def test_large_zip64_sizes_in_the_extra_field_are_read() -> None:
    """Sizes that a ZIP64 field stands in for are taken from it, in both headers."""
    stored = len(deflate(b"VALUE = 1\n"))
    field = extra(1, struct.pack("<2Q", 10, stored))
    fields: dict[str, int | bytes] = {"size": 0xFFFFFFFF, "stored": 0xFFFFFFFF, "extra": field}
    attack = member(lambda entry: replace(entry, local=fields, central=fields))
    assert [] == judged(attack(pure_wheel()))


def test_a_flood_of_findings_is_cut() -> None:
    """A wheel with thousands of wrong things gives a bounded number of findings, and says that there were more."""
    sample = replace(pure_wheel(), archive=lambda a: a.add(*(Entry(name=b"demo/x%d" % n) for n in range(3000))))
    codes = judged(sample)
    assert 201 == len(codes)
    assert {"record-missing", "too-many-findings"} == set(codes)


def test_findings_are_safe_to_print() -> None:
    """Control characters of a name are shown as escapes, in the member and in the message."""
    sample = more("demo/\x1b]0;owned\x07.py")(pure_wheel())
    (finding,) = check(sample.filename, sample.content, sample.expected).findings
    assert "demo/\\x1b]0;owned\\x07.py" == finding.member
    assert str(finding).isprintable()
