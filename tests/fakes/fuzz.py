"""What reads strangers' bytes, as targets for a fuzzer: good inputs, ways to damage them, and what must hold."""

from __future__ import annotations

import gzip
import io
import random
import tarfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from fakes.elves import AnElf
from fakes.wheel_archives import DIST_INFO, EXTENSION, Entry, Sample, native_wheel, pure_wheel
from fakes.wheel_archives import record as record_file
from mirror.core.errors import MirrorError
from mirror.core.gate import Bounds, check
from mirror.core.lock import read_pins
from mirror.core.sdist import read_source

BOUNDS = Bounds(total=32 << 20, member=16 << 20, ratio_from=1 << 20)
PATIENCE_S = 20


def judge(sample: Sample) -> None:
    """Judge a wheel: it must answer, and take its own re-pack as it is."""
    judgement = check(sample.filename, sample.content, sample.expected, BOUNDS)
    assert bool(judgement.findings) == (judgement.wheel is None)
    assert all(str(finding).isprintable() for finding in judgement.findings)
    if judgement.wheel is not None:
        again = check(sample.filename, judgement.wheel.content, sample.expected, BOUNDS)
        assert again.wheel == judgement.wheel, again.findings


def whole(data: bytes) -> None:
    """The input is a wheel."""
    judge(replace(native_wheel(), raw=lambda content: data))


def elf(data: bytes) -> None:
    """The input is an extension module of a good wheel."""
    judge(native_wheel().add({EXTENSION: b"\x7fELF" + data}))


def metadata(data: bytes) -> None:
    """The input is METADATA of a good wheel."""
    judge(pure_wheel().put(METADATA=data))


def wheel_file(data: bytes) -> None:
    """The input is WHEEL of a good wheel."""
    judge(pure_wheel().put(WHEEL=data))


def entry_points(data: bytes) -> None:
    """The input is entry_points.txt of a good wheel."""
    judge(pure_wheel().add({f"{DIST_INFO}/entry_points.txt": data}))


def record(data: bytes) -> None:
    """The input is RECORD of a good wheel."""
    judge(replace(pure_wheel(), record=lambda files: data))


def name(data: bytes) -> None:
    """The input is a member's name in a good wheel."""
    judge(replace(pure_wheel(), archive=lambda a: a.add(Entry(name=data[:60_000], flags=0x800))))


def filename(data: bytes) -> None:
    """The input is the file name of a good wheel."""
    judge(replace(pure_wheel(), filename=data.decode("utf-8", "surrogateescape")))


def sdist(data: bytes) -> None:
    """The input is a tar, or as it is an archive of another kind."""
    for kind, content in (("tar.gz", gzip.compress(data, 1)), ("tar.gz", data), ("zip", data), ("tar.bz2", data)):
        try:
            read_source(f"demo-1.0.{kind}", io.BytesIO(content))
        except MirrorError as error:
            assert error.code in {"bad-sdist", "bad-build-system"}
            assert error.what.isprintable()


def pyproject(data: bytes) -> None:
    """The input is the pyproject.toml of an sdist."""
    tree = io.BytesIO()
    with tarfile.open(fileobj=tree, mode="w") as archive:
        info = tarfile.TarInfo("demo-1.0/pyproject.toml")
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    sdist(tree.getvalue())


def lock(data: bytes) -> None:
    """The input is a lock that came out of a sandbox."""
    try:
        read_pins(data.decode(errors="replace"))
    except MirrorError as error:
        assert error.code == "bad-lock"
        assert error.what.isprintable()


TARGETS: tuple[Callable[[bytes], None], ...] = (
    whole,
    elf,
    metadata,
    wheel_file,
    entry_points,
    record,
    name,
    filename,
    sdist,
    pyproject,
    lock,
)


def one_input(data: bytes) -> None:
    """Give an input to the reader that its first byte names; complain of an answer that takes too long."""
    started = time.monotonic()
    TARGETS[data[0] % len(TARGETS) if data else 0](data[1:])
    assert time.monotonic() - started < PATIENCE_S


def seeds() -> Iterator[bytes]:
    """One good input for each reader."""
    wheel, tree = native_wheel(), io.BytesIO()
    with tarfile.open(fileobj=tree, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path, text in (("pyproject.toml", b"[build-system]\nrequires = []\n"), ("a\xe4/setup.py", b"import x\n")):
            info = tarfile.TarInfo(f"demo-1.0/{path}")
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text))
    good: dict[Callable[[bytes], None], bytes] = {
        whole: wheel.content,
        elf: bytes(AnElf(versions={"libx.so": ("X_1",)}, undefined=("fts_open",), defined=("y",), runpath="$ORIGIN"))[
            4:
        ],
        metadata: wheel.files[f"{DIST_INFO}/METADATA"],
        wheel_file: pure_wheel().files[f"{DIST_INFO}/WHEEL"],
        entry_points: b"[console_scripts]\ndemo = demo:main\n",
        record: record_file(pure_wheel().files),
        name: "demo/ä.py".encode(),
        filename: wheel.filename.encode(),
        sdist: tree.getvalue(),
        pyproject: b'[build-system]\nrequires = ["setuptools>=61"]\nbuild-backend = "setuptools.build_meta"\n',
        lock: b"[[packages]]\nname = 'numpy'\nversion = '1.23.5'\n",
    }
    for number, target in enumerate(TARGETS):
        yield bytes([number]) + good[target]


TOKENS = (
    b"1" * 5000,
    b"a." * 100_000,
    b"[" * 5000,
    b"(" * 5000,
    b"[[",
    b"\r",
    b"\n ",
    b"../",
    b"\xe2\x80\xa8",
    b"\0",
    b"\x1b[2J",
)
"""What once broke a reader, or could."""


def damaged(good: bytes, chance: random.Random) -> bytes:
    """A good input of `seeds` with a few changes at random places; it still names the same reader."""
    data = bytearray(good)
    for _ in range(chance.choice((1, 1, 2, 4, 16))):
        place = chance.randrange(1, len(data) + 1)
        new = chance.choice((b"", chance.randbytes(1), chance.randbytes(4), chance.choice(TOKENS)))
        data[place : place + chance.choice((0, 1, 1, 4))] = new
    return bytes(data)


def stuffed(good: bytes, most: int = 30) -> Iterator[bytes]:
    """A good input with each of TOKENS at every place; of a long one at `most` places, evenly apart."""
    for place in range(1, len(good) + 1, max(1, len(good) // most)):
        for token in TOKENS:
            yield good[:place] + token + good[place:]
