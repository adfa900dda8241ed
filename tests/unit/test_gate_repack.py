"""What the gate hands on: one archive for one tree, whoever packed it and however."""

from __future__ import annotations

import hashlib
import io
import random
import stat
import zipfile
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.wheel_archives import (
    DIST_INFO,
    EXTENSION,
    GRAFTED,
    PURE,
    Archive,
    Entry,
    Sample,
    native_wheel,
    pure_wheel,
    record,
    wheel_file,
)
from mirror.core.gate import check
from mirror.core.made_of import MadeOf, read_made_of
from mirror.core.model import CheckedWheel

FILES = st.dictionaries(
    st.text(alphabet="abcdxyz_äß", min_size=1, max_size=6).map(lambda name: f"demo/data/{name}.txt"),
    st.binary(max_size=300).map(lambda content: b"text " + content),
    max_size=6,
)
SCRIPT = "demo-1.0.data/scripts/demo"


def checked(sample: Sample) -> CheckedWheel:
    """What the gate makes of a wheel that passes."""
    judgement = check(sample.filename, sample.content, sample.expected)
    assert () == judgement.findings
    assert judgement.wheel is not None
    return judgement.wheel


def unpacked(content: bytes) -> dict[str, bytes]:
    """The members of an archive."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def repacked(seed: int, method: int) -> Sample:
    """The native wheel as another tool might pack it: another order, other modes, with folders."""

    def pack(archive: Archive) -> Archive:
        entries = [replace(entry, method=method, mode=(0, 0o600, 0o100664)[seed % 3]) for entry in archive.entries]
        random.Random(seed).shuffle(entries)  # noqa: S311  # no secret
        return Archive(entries=(Entry(name=b"demo/", mode=0o040700, method=0), *entries))

    return replace(native_wheel(), archive=pack)


def test_the_archive_is_canonical() -> None:
    """Members are sorted, dist-info last and RECORD at the very end; times, modes and system are always the same."""
    sample = pure_wheel().add({SCRIPT: b"#!python\n"})
    set_uid = replace(sample, archive=lambda a: a.change(SCRIPT, lambda entry: replace(entry, mode=0o104750)))
    with zipfile.ZipFile(io.BytesIO(checked(set_uid).content)) as archive:
        members = [(info.filename, oct(info.external_attr >> 16)) for info in archive.infolist()]
        assert {((1980, 1, 1, 0, 0, 0), 3, zipfile.ZIP_DEFLATED, b"", 0)} == {
            (info.date_time, info.create_system, info.compress_type, info.extra, info.flag_bits)
            for info in archive.infolist()
        }
        files = {name: archive.read(name) for name, _ in members if not name.endswith("/RECORD")}
        assert record(files) == archive.read(f"{DIST_INFO}/RECORD")
    assert [
        (SCRIPT, oct(stat.S_IFREG | 0o755)),
        ("demo/__init__.py", oct(stat.S_IFREG | 0o644)),
        ("demo/data/table.txt", oct(stat.S_IFREG | 0o644)),
        (f"{DIST_INFO}/METADATA", oct(stat.S_IFREG | 0o644)),
        (f"{DIST_INFO}/WHEEL", oct(stat.S_IFREG | 0o644)),
        (f"{DIST_INFO}/RECORD", oct(stat.S_IFREG | 0o644)),
    ] == members


def test_how_it_was_packed_does_not_show() -> None:
    """The same tree gives the same bytes from any order, method and modes, with folders or without."""
    wheels = {checked(repacked(seed, method)).content for seed in range(5) for method in (0, 8)}
    assert {checked(native_wheel()).content} == wheels


def test_a_signature_of_the_old_record_is_left_out() -> None:
    """RECORD is written anew, so nobody's signature of the old one is handed on."""
    signature = Entry(name=f"{DIST_INFO}/RECORD.p7s".encode(), data=b"signed")
    signed = replace(pure_wheel(), archive=lambda archive: archive.add(signature))
    assert checked(pure_wheel()).content == checked(signed).content


def test_the_contents_are_the_same() -> None:
    """Every file but RECORD comes out byte for byte as it went in."""
    sample = native_wheel()
    wheel = checked(sample)
    files = unpacked(wheel.content)
    assert sample.files == {name: data for name, data in files.items() if name != f"{DIST_INFO}/RECORD"}
    assert {EXTENSION, GRAFTED} < files.keys()
    assert hashlib.sha256(wheel.content).hexdigest() == wheel.sha256


MADE_OF = MadeOf(sdist="demo-1.0.tar.gz", sha256="ab" * 32, upstream="https://up.test/", target="t", recipe={})
OWN = f"{DIST_INFO}/mirror.json"


def of_ours(sample: Sample, build: int = 0) -> Sample:
    """The wheel as the product of a job."""
    return replace(sample, expected=replace(sample.expected, made_of=MADE_OF, build=build))


def test_what_it_was_made_of_is_written_into_the_wheel() -> None:
    """And into RECORD; nothing else changes, and the same inputs give the same bytes."""
    wheel = checked(of_ours(native_wheel()))
    files = unpacked(wheel.content)
    listed = files.pop(f"{DIST_INFO}/RECORD")
    assert {**native_wheel().files, OWN: MADE_OF.to_bytes()} == files
    assert record(dict(sorted(files.items(), key=lambda file: (file[0].startswith(DIST_INFO), file[0])))) == listed
    assert (wheel.content, "https://up.test/") == (checked(of_ours(native_wheel())).content, wheel.upstream)


def test_a_wheel_of_ours_is_judged_anew_as_what_it_is() -> None:
    """What was kept over a crash passes again, unchanged; as the product of another sdist it does not."""
    first = checked(of_ours(native_wheel(), build=2))
    expected = of_ours(native_wheel(), build=2).expected
    assert first == check(first.filename, first.content, expected).wheel
    other = replace(expected, made_of=replace(MADE_OF, sha256="cd" * 32))
    assert ["made-of-forged"] == [found.code for found in check(first.filename, first.content, other).findings]
    unknown = replace(expected, made_of=None)
    assert ["made-of-forged"] == [found.code for found in check(first.filename, first.content, unknown).findings]


@pytest.mark.parametrize(
    "name",
    [OWN, f"{DIST_INFO}/Mirror.JSON", f"{OWN}/more.txt", f"{DIST_INFO}/MIRROR.json/deep/er"],
    ids=["its name", "in other case", "a folder in its place", "a folder in other case"],
)
def test_a_build_cannot_say_what_its_wheel_was_made_of(name: str) -> None:
    """Nor may a recipe allow that. Whoever read such a wheel without the gate would believe it."""
    lie = replace(MADE_OF, sha256="cd" * 32).to_bytes()
    forged = of_ours(pure_wheel().add({name: lie}))
    judgement = check(forged.filename, forged.content, replace(forged.expected, oddities=("made-of-forged",)))
    assert (None, ["made-of-forged"]) == (judgement.wheel, [found.code for found in judgement.findings])
    assert "cd" * 32 == read_made_of(unpacked(forged.content)[name]).sha256


@pytest.mark.parametrize("own", ["", "3", "7a"])
def test_a_number_among_the_wheels_of_a_release(own: str) -> None:
    """In the file name and in WHEEL, in place of the project's own; everything else stays."""
    sample = native_wheel()
    if own:
        filename = sample.filename.replace("-1.0-", f"-1.0-{own}-")
        sample = replace(sample, filename=filename).put(WHEEL=wheel_file(filename, f"Build: {own}", purelib="false"))
    wheel = checked(of_ours(sample, build=5))
    files = unpacked(wheel.content)
    assert native_wheel().filename.replace("-1.0-", "-1.0-5-") == wheel.filename
    assert wheel_file(native_wheel().filename, "Build: 5", purelib="false") == files[f"{DIST_INFO}/WHEEL"]
    assert wheel == check(wheel.filename, wheel.content, of_ours(sample, build=5).expected).wheel


def test_without_a_number_the_projects_own_stays() -> None:
    """It is part of what was compiled."""
    filename = native_wheel().filename.replace("-1.0-", "-1.0-3-")
    sample = replace(native_wheel(), filename=filename).put(WHEEL=wheel_file(filename, "Build: 3", purelib="false"))
    assert filename == checked(of_ours(sample)).filename


@settings(max_examples=50, deadline=None)
@given(files=FILES)
def test_the_gate_takes_its_own_work_and_changes_nothing(files: dict[str, bytes]) -> None:
    """Whatever tree passes: its re-pack passes too, and is its own re-pack."""

    def as_utf8(archive: Archive) -> Archive:
        entries = tuple(replace(e, flags=0 if e.name.isascii() else 0x800) for e in archive.entries)
        return replace(archive, entries=entries)

    sample = replace(pure_wheel().add(files), archive=as_utf8)
    first = checked(sample)
    judgement = check(first.filename, first.content, sample.expected)
    assert () == judgement.findings
    assert first == judgement.wheel


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_no_damage_makes_the_gate_fail_in_another_way(data: st.DataObject) -> None:
    """A wheel with any few bytes changed is judged without an exception, and what passes has the same contents."""
    content = bytearray(native_wheel().content)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    sample = native_wheel()
    judgement = check(sample.filename, bytes(content), sample.expected)
    assert bool(judgement.findings) == (judgement.wheel is None)
    if judgement.wheel is not None:
        assert unpacked(checked(sample).content) == unpacked(judgement.wheel.content)


def test_a_number_changes_nothing_else_that_wheel_says() -> None:
    """Not what is beyond ASCII either, or the same wheel would be another one each time that it is judged."""
    said = wheel_file(PURE).replace(b"by hand", "von Händen".encode())
    sample = of_ours(pure_wheel().put(WHEEL=said), build=3)
    wheel = checked(sample)
    with zipfile.ZipFile(io.BytesIO(wheel.content)) as archive:
        assert said.rstrip() + b"\nBuild: 3\n" == archive.read(f"{DIST_INFO}/WHEEL")
    assert wheel == check(wheel.filename, wheel.content, sample.expected).wheel
