"""Reading an sdist: how it is built, whether it would be compiled, and that no archive does harm."""

from __future__ import annotations

import bz2
import gzip
import io
import tarfile
import zipfile
from collections.abc import Callable, Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirror.core.errors import MirrorError
from mirror.core.model import BuildSystem, SourceFacts
from mirror.core.sdist import read_source

NAME = "demo-1.0.tar.gz"
LEGACY = BuildSystem(requires=("setuptools>=40.8.0",), backend="setuptools.build_meta:__legacy__")
FLIT = '[build-system]\nrequires = ["flit_core"]\nbuild-backend = "flit_core.buildapi"\n'
MESON = '[build-system]\nrequires = ["meson-python"]\nbuild-backend = "mesonpy"\n'
SETUP = "from setuptools import setup\nsetup()\n"
EXTENDED = "from setuptools import setup, Extension\nsetup(ext_modules=[Extension('a', ['a.c'])])\n"


def tarred(files: Mapping[str, str], *more: tarfile.TarInfo, top: str = "demo-1.0") -> bytes:
    """A tar of these files below one folder, and of members that have no content."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, text in files.items():
            info = tarfile.TarInfo(f"{top}/{name}")
            info.size = len(text.encode())
            archive.addfile(info, io.BytesIO(text.encode()))
        for info in more:
            archive.addfile(info, io.BytesIO(bytes(info.size)) if info.size else None)
    return stream.getvalue()


def packed(files: Mapping[str, str], *more: tarfile.TarInfo, top: str = "demo-1.0") -> bytes:
    """The same as .tar.gz."""
    return gzip.compress(tarred(files, *more, top=top), mtime=0)


def zipped(files: Mapping[str, str]) -> bytes:
    """A ZIP archive of these files below one folder."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, text in files.items():
            archive.writestr(f"demo-1.0/{name}", text)
    return stream.getvalue()


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    """A link as a member."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def read(content: bytes, filename: str = NAME) -> SourceFacts:
    """Read an sdist from memory."""
    return read_source(filename, io.BytesIO(content))


def refused(content: bytes, filename: str = NAME) -> tuple[str, str]:
    """The code, and what is wrong."""
    with pytest.raises(MirrorError) as caught:
        read(content, filename)
    assert caught.value.hint
    return caught.value.code, caught.value.what


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"setup.py": SETUP}, LEGACY),
        ({"setup.cfg": ""}, LEGACY),
        ({"pyproject.toml": ""}, LEGACY),
        ({"pyproject.toml": "[tool.black]\n", "setup.py": SETUP}, LEGACY),
        (
            {"pyproject.toml": '[build-system]\nrequires = ["setuptools", "numpy==1.2"]\n'},
            BuildSystem(requires=("setuptools", "numpy==1.2"), backend="setuptools.build_meta:__legacy__"),
        ),
        ({"pyproject.toml": FLIT}, BuildSystem(requires=("flit_core",), backend="flit_core.buildapi")),
        (
            {
                "pyproject.toml": "[build-system]\nrequires = []\nbuild-backend = 'backend:api.hooks'\n"
                "backend-path = ['_custom', '.']\n"
            },
            BuildSystem(requires=(), backend="backend:api.hooks", backend_path=("_custom", ".")),
        ),
    ],
)
def test_the_build_system_is_read_as_the_standard_says(files: dict[str, str], expected: BuildSystem) -> None:
    """With and without a table, a backend, or a pyproject.toml (PEP 517, 518)."""
    assert SourceFacts(build_system=expected, has_native_sources=False) == read(packed(files))


@pytest.mark.parametrize(
    ("table", "what"),
    [
        ("[build-system", "pyproject.toml cannot be read: Expected ']'"),
        ("\xff\x00", "pyproject.toml cannot be read: Invalid statement"),
        ("a = " + "[" * 5000, "pyproject.toml cannot be read:"),
        ("a = " + "1" * 5000, "pyproject.toml cannot be read: Exceeds the limit"),
        (".".join("a" * 200_000) + " = 1", "pyproject.toml cannot be read: it has a line with 199999 dots"),
        (("a." * 499 + "a = 1\n") * 1000, "pyproject.toml cannot be read: it has a line with 499 dots"),
        ("build-system = 1", "build-system is not a table"),
        ("[build-system]", "build-system has no requires, which PEP 518 demands"),
        ("[build-system]\nrequires = 'setuptools'", "requires is not a list of strings"),
        ("[build-system]\nrequires = [1]", "requires is not a list of strings"),
        ("[build-system]\nrequires = ['a b']", "a b in requires is no dependency specifier"),
        (f"[build-system]\nrequires = ['x; {'(' * 20_000}']", "x; (((("),
        ("[build-system]\nrequires = ['\\u001b[2J']", "\\u001b[2J in requires is no dependency specifier"),
        ("[build-system]\nrequires = []\nbuild-backend = 1", "build-backend is 1, expected MODULE or MODULE:OBJECT"),
        ("[build-system]\nrequires = []\nbuild-backend = 'os; x'", "build-backend is os; x, expected MODULE or"),
        (
            "[build-system]\nrequires = []\nbuild-backend = 'a'\nbackend-path = ['../x']",
            "backend-path leads out of the source tree: ../x",
        ),
        (
            "[build-system]\nrequires = []\nbuild-backend = 'a'\nbackend-path = ['/x']",
            "backend-path leads out of the source tree: /x",
        ),
        (
            "[build-system]\nrequires = []\nbackend-path = ['.']",
            "build-system has a backend-path and no build-backend",
        ),
    ],
)
def test_a_build_system_that_no_tool_could_use_is_refused(table: str, what: str) -> None:
    """The error names the file and what is wrong in it."""
    code, said = refused(packed({"pyproject.toml": table}))
    assert "bad-build-system" == code
    assert said.startswith(f"{NAME}: {what}")


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"setup.py": EXTENDED, "src/a.c": ""}, True),
        ({"setup.py": EXTENDED, "demo/_a.pyx": ""}, True),
        ({"setup.py": EXTENDED, "SRC/A.CPP": ""}, True),
        ({"setup.py": SETUP, "src/a.c": ""}, False),
        ({"setup.py": SETUP, "src/a.c": "", "pyproject.toml": "[[tool.setuptools.ext-modules]]\n"}, True),
        ({"setup.py": EXTENDED, "a.h": "", "a.py": "", "a.cfg": ""}, False),
        ({"setup.py": EXTENDED, "tests/a.c": "", "demo/tests/b.c": "", "docs/c.cpp": "", "Examples/d.rs": ""}, False),
        ({"setup.py": EXTENDED, "tests/a.c": "", "latests/b.c": ""}, True),
        ({"pyproject.toml": MESON, "meson.build": "", "demo/fast.f90": ""}, True),
        ({"pyproject.toml": MESON.replace("mesonpy", "maturin"), "src/lib.rs": ""}, True),
        ({"pyproject.toml": FLIT, "demo/template.c": ""}, False),
    ],
)
def test_whether_it_would_be_compiled(files: dict[str, str], expected: bool) -> None:
    """Sources count where the backend compiles, and not those beside the project."""
    assert expected == read(packed(files)).has_native_sources


@pytest.mark.parametrize(
    ("content", "filename"),
    [
        (packed({"pyproject.toml": FLIT}), "demo-1.0.tar.gz"),
        (packed({"pyproject.toml": FLIT}), "demo-1.0.tgz"),
        (bz2.compress(tarred({"pyproject.toml": FLIT})), "demo-1.0.tar.bz2"),
        (zipped({"pyproject.toml": FLIT}), "demo-1.0.zip"),
        (packed({"pyproject.toml": FLIT}, top="Demo-1.0.0"), "demo-1.0.tar.gz"),
        (packed({"pyproject.toml": FLIT}, top="./demo-1.0"), "demo-1.0.tar.gz"),
        (packed({"pyproject.toml": FLIT, "demo/pyproject.toml": "broken ["}), "demo-1.0.tar.gz"),
        (packed({"pyproject.toml": FLIT}, tarfile.TarInfo("other/pyproject.toml")), "demo-1.0.tar.gz"),
        (packed({"pyproject.toml": FLIT}, tarfile.TarInfo("README")), "demo-1.0.tar.gz"),
        (packed({"pyproject.toml": FLIT}, tarfile.TarInfo("../../etc/passwd")), "demo-1.0.tar.gz"),
        (packed({"pyproject.toml": FLIT}, link("demo-1.0/x.c", "/etc/shadow")), "demo-1.0.tar.gz"),
    ],
)
def test_every_usual_form_of_archive_is_read(content: bytes, filename: str) -> None:
    """All formats that indexes ever took, old names of the top folder, and what lies beside it."""
    assert BuildSystem(requires=("flit_core",), backend="flit_core.buildapi") == read(content, filename).build_system


def deep_header(size: int) -> bytes:
    """A pax header that says it is so long."""
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, size
    return gzip.compress(info.tobuf(tarfile.USTAR_FORMAT) + bytes(1024))


def negative_size() -> bytes:
    """A member whose size leads backwards."""
    info = tarfile.TarInfo("demo-1.0/x")
    raw = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    raw[124:136] = b"\xff" * 10 + b"\xfc\x00"
    raw[148:156] = b"        "
    raw[148:156] = f"{sum(raw):06o}\0 ".encode()
    return gzip.compress(bytes(raw) * 3)


WHOLE = packed({"pyproject.toml": FLIT, "demo/text.txt": "".join(map(str, range(9999)))})
BROKEN: dict[str, tuple[bytes, str, str]] = {
    "nothing": (b"", NAME, "the archive is broken"),
    "garbage": (b"\x00\x01" * 500, NAME, "the archive is broken"),
    "garbage, compressed": (gzip.compress(b"garbage" * 500), NAME, "the archive is broken"),
    "half of it": (WHOLE[: len(WHOLE) // 2], NAME, "the archive is broken"),
    "a damaged middle": (WHOLE[:200] + bytes(50) + WHOLE[250:], NAME, "the archive is broken"),
    "garbage as zip": (b"PK" * 100, "demo-1.0.zip", "the archive is broken"),
    "half of a zip": (zipped({"setup.py": SETUP})[:60], "demo-1.0.zip", "the archive is broken"),
    "garbage as bz2": (b"BZh9" * 100, "demo-1.0.tar.bz2", "the archive is broken"),
    "a wheel": (WHOLE, "demo-1.0-py3-none-any.whl", "it is no sdist by its name"),
    "an unknown format": (WHOLE, "demo-1.0.tar.lz", "it is no sdist by its name"),
    "a line break in its name": (WHOLE, "demo\n-1.0.exe", "it is no sdist by its name"),
    "no project": (packed({"README": ""}), NAME, "has neither pyproject.toml nor setup.py"),
    "an empty archive": (packed({}), NAME, "expected one folder demo-1.0"),
    "no top folder": (packed({}, tarfile.TarInfo("setup.py")), NAME, "expected one folder demo-1.0"),
    "two top folders": (
        packed({"setup.py": ""}, tarfile.TarInfo("other/setup.py"), top="another"),
        NAME,
        "expected one folder demo-1.0",
    ),
    "two pyproject.toml": (
        packed({"pyproject.toml": FLIT}, tarfile.TarInfo("demo-1.0/pyproject.toml")),
        NAME,
        "it has more than one pyproject.toml",
    ),
    "a pyproject.toml that is a link": (
        packed({"setup.py": ""}, link("demo-1.0/pyproject.toml", "/etc/passwd")),
        NAME,
        "its pyproject.toml is a link",
    ),
    "a setup.py that is a hard link": (
        packed({"pyproject.toml": FLIT}, link("demo-1.0/setup.py", "demo-1.0/pyproject.toml", tarfile.LNKTYPE)),
        NAME,
        "its setup.py is a link",
    ),
    "a pyproject.toml without end": (
        packed({"pyproject.toml": "#" * (5 << 20)}),
        NAME,
        "a file of its build settings has 5242880 bytes",
    ),
    "a header without end": (deep_header(1 << 30), NAME, "a header in it is longer"),
    "a size that leads backwards": (negative_size(), NAME, "a member"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_an_archive_that_is_broken_or_strange_is_refused(case: str) -> None:
    """Whatever is wrong with it, the error says so and what to do."""
    content, filename, what = BROKEN[case]
    code, said = refused(content, filename)
    assert "bad-sdist" == code
    assert what in said
    assert said.isprintable()


def test_a_bomb_is_refused_without_unpacking_it() -> None:
    """A member that says it is longer than anybody's sdist ends the reading at once."""
    info = tarfile.TarInfo("demo-1.0/zeros")
    info.size = 1 << 40
    bomb = gzip.compress(tarred({"setup.py": SETUP})[:1024] + info.tobuf(tarfile.GNU_FORMAT) + bytes(1 << 20))
    code, said = refused(bomb)
    assert ("bad-sdist", f"{NAME}: it unpacks to more than {4 << 30} bytes") == (code, said)


@pytest.mark.parametrize(("whole", "filename"), [(WHOLE, NAME), (zipped({"pyproject.toml": FLIT}), "demo-1.0.zip")])
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_no_damage_makes_reading_fail_in_another_way(whole: bytes, filename: str, data: st.DataObject) -> None:
    """An archive with any few bytes changed gives facts or MirrorError, and nothing else."""
    uncompressed: Callable[[bytes], bytes] = gzip.decompress if filename == NAME else bytes
    content = bytearray(uncompressed(whole))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, min(4096, len(content) - 1)))] = data.draw(st.integers(0, 255))
    try:
        facts = read(gzip.compress(bytes(content)) if filename == NAME else bytes(content), filename)
    except MirrorError as error:
        assert error.code in {"bad-sdist", "bad-build-system"}
    else:
        assert isinstance(facts, SourceFacts)
