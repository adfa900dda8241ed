"""What the other packages of a lock install, and that a compiled wheel may not change it."""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name
from packaging.version import Version

from fakes.house import House, a_wheel, compiled
from fakes.outcomes import TARGET, a_key
from mirror.core.gate import Layout
from mirror.core.model import Built, Failed, Job, Recipe, Reuse
from mirror.jobs import JobSteps
from mirror.neighbours import Neighbours, read_layout

HOST = canonicalize_name("host")
DEMO = canonicalize_name("demo")
NAMESPACE = b"__path__ = __import__('pkgutil').extend_path(__path__, __name__)\n"
FILES = {
    "host/data.txt": b"data",
    "host/__pycache__/cached.cpython-311.pyc": b"",
    "_host.cpython-311-x86_64-linux-musl.so": b"ELF",
    "single.py": b"1",
    "space/inner/__init__.py": b"",
    "shared/__init__.py": NAMESPACE,
    "shared/part.py": b"",
    "host-6.0.data/scripts/tool": b"#!python",
    "host-6.0.data/headers/host.h": b"",
    "host-6.0.data/data/share/host/table": b"",
    "host-6.0.data/data/lib/python3.11/site-packages/more.py": b"",
    "host-6.0.dist-info/entry_points.txt": b"[console_scripts]\nhost = host:main\n",
}


@pytest.fixture
def house(tmp_path: Path) -> House:
    """An index with `host` as a wheel."""
    house = House(tmp_path)
    filename = "host-6.0-py3-none-any.whl"
    house.index.add_upstream("host", filename, a_wheel(filename, FILES))
    return house


def neighbours(house: House, *keys: str) -> Neighbours:
    """`host` is reused, and these projects are compiled beside it."""
    reuse = Reuse(name=HOST, version=Version("6.0"), wheel=house.index.files(HOST)[0])
    return Neighbours(house.index, [reuse], [a_key(name, "1.0") for name in keys])


def sha256(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


def test_a_package_is_laid_out_as_it_is_installed(house: House) -> None:
    """Every file at its place, whatever it comes through; what is imported; packages, and folders that many share."""
    files = {
        "site-packages/host/__init__.py": b"VALUE = 1\n",
        "site-packages/host/data.txt": b"data",
        "site-packages/host/__pycache__/cached.cpython-311.pyc": b"",
        "site-packages/_host.cpython-311-x86_64-linux-musl.so": b"ELF",
        "site-packages/single.py": b"1",
        "site-packages/space/inner/__init__.py": b"",
        "site-packages/shared/__init__.py": NAMESPACE,
        "site-packages/shared/part.py": b"",
        "site-packages/more.py": b"",
        "bin/tool": b"#!python",
        "bin/host": b"host:main",
        "include/host/host.h": b"",
        "share/host/table": b"",
    }
    modules = {
        "host/__init__": "host/__init__.py",
        "host/cached": "host/__pycache__/cached.cpython-311.pyc",
        "_host": "_host.cpython-311-x86_64-linux-musl.so",
        "single": "single.py",
        "space/inner/__init__": "space/inner/__init__.py",
        "shared/part": "shared/part.py",
        "more": "more.py",
    }
    site = "site-packages"
    expected = Layout(
        project=HOST,
        files={path: sha256(content) for path, content in files.items()},
        modules={f"{site}/{name}": frozenset({f"{site}/{path}"}) for name, path in modules.items()},
        packages=frozenset({f"{site}/host", f"{site}/space/inner"}),
        namespaces=frozenset({f"{site}/space", f"{site}/shared"}),
        folders=frozenset(
            {site, "bin", "include", "include/host", "share", "share/host"}
            | {f"{site}/{path}" for path in ("host", "host/__pycache__", "space", "space/inner", "shared")}
        ),
    )
    assert (expected,) == neighbours(house).beside(DEMO)
    assert () == neighbours(house).beside(HOST)


def test_a_wheel_that_cannot_be_read_owns_nothing(house: House) -> None:
    """The clean room tells what is wrong with it; the compiled project is not to blame."""
    house.index.corrupt(house.index.files(HOST)[0], b"no longer what was promised")
    assert () == neighbours(house).beside(DEMO)


def test_a_wheel_that_is_no_archive_owns_nothing(tmp_path: Path) -> None:
    """Nor does one without RECORD, or one that is cut off."""
    whole = a_wheel("host-6.0-py3-none-any.whl", FILES)
    for content in (b"", b"PK\x05\x06" + bytes(18), whole[:100], whole.replace(b"RECORD", b"RECARD")):
        house = House(tmp_path / str(len(content)))
        house.index.add_upstream("host", "host-6.0-py3-none-any.whl", content)
        assert () == neighbours(house).beside(DEMO)


def steps_of(house: House, name: str, files: dict[str, bytes], beside: Neighbours) -> tuple[JobSteps, Job]:
    """The steps that compile `name` to a wheel of these files, in a lock with `demo`, `host` and `other`."""
    if not house.index.files(canonicalize_name("setuptools")):
        house.add_wheel("setuptools", "65.0")
    sdist = house.add_sdist(name, "1.0", ["setuptools"])
    job = Job(key=a_key(name, "1.0"), sdist=sdist, target=TARGET, recipe=Recipe())
    house.script({"setuptools": ["setuptools 65.0"]}, {f"compile {name} 1.0": compiled(name, "1.0", files)})
    return replace(house.steps(("demo", "host", "other")), neighbours=beside), job


def run(steps: JobSteps, job: Job) -> Built | Failed:
    done = steps.compile(steps.prepare(job, (), lambda _: None), {}, lambda _: None)
    assert isinstance(done, Built | Failed)
    return done


@pytest.mark.parametrize(("beside", "expected"), [(True, "foreign-module"), (False, None)])
def test_a_compiled_wheel_may_not_take_a_neighbours_place(house: House, beside: bool, expected: str | None) -> None:
    """A wheel that brings `single` is refused beside the one that has it, and published where there is none."""
    known = neighbours(house) if beside else Neighbours(house.index, ())
    done = run(*steps_of(house, "demo", {"single/__init__.py": b"print('mine')\n"}, known))
    assert isinstance(done, Failed if expected else Built)
    assert expected is None or (isinstance(done, Failed) and expected in done.reason)


def test_what_was_compiled_before_in_the_same_run_is_a_neighbour(house: House, tmp_path: Path) -> None:
    """The second of two that bring the same module is refused, and only where the lock has the first."""
    mine, others = {"common.py": b"1"}, {"common.py": b"2"}
    known = neighbours(house, "demo", "other")
    assert isinstance(run(*steps_of(house, "demo", mine, known)), Built)
    refused = run(*steps_of(house, "other", others, known))
    assert isinstance(refused, Failed)
    assert "foreign-file" in refused.reason
    known = neighbours(house, "other")  # what the lock has not is compiled for others' builds alone
    assert isinstance(run(*steps_of(House(tmp_path / "again"), "demo", mine, known)), Built)
    assert isinstance(run(*steps_of(House(tmp_path / "more"), "other", others, known)), Built)


def test_what_is_refused_for_its_neighbours_is_not_remembered(house: House) -> None:
    """The next run may have another lock; what is wrong with the wheel itself is not compiled again."""
    files = {"single/__init__.py": b"print('mine')\n"}
    for more, is_remembered in (({}, False), ({"demo.pth": b""}, True)):
        done = run(*steps_of(house, "demo", {**files, **more}, neighbours(house)))
        assert isinstance(done, Failed)
        assert is_remembered == bool(done.cache_key)


def test_a_wheel_that_was_judged_beside_others_is_judged_again(house: House) -> None:
    """Of two that are judged at once, one hears that it knew nothing of the other."""
    known = neighbours(house, "demo", "other")
    (layout,) = known.beside(DEMO)
    first, second = replace(layout, project=DEMO), replace(layout, project=canonicalize_name("other"))
    seen = known.beside(DEMO)
    assert known.admit(a_key("demo", "1.0"), first, seen)
    assert not known.admit(a_key("other", "1.0"), second, seen)
    assert known.admit(a_key("other", "1.0"), second, known.beside(canonicalize_name("other")))
    assert (layout, second) == known.beside(DEMO)


def test_what_another_run_published_meanwhile_is_a_neighbour(house: House) -> None:
    """Where the lock has it; a build requirement stands beside nobody."""
    wheel = house.add_wheel("other", "1.0")
    reuse = Reuse(name=canonicalize_name("other"), version=Version("1.0"), wheel=wheel)
    known = neighbours(house, "demo", "other")
    known.meet(reuse)
    assert [HOST, "other"] == [layout.project for layout in known.beside(DEMO)]
    unknown = neighbours(house, "demo")
    unknown.meet(reuse)
    assert [HOST] == [layout.project for layout in unknown.beside(DEMO)]


def test_a_neighbour_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    """Whatever zipfile makes of its damage: LZMA has errors of its own."""
    wheel = tmp_path / "host-6.0-py3-none-any.whl"
    name = "host-6.0.dist-info/RECORD"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr(name, b"host/__init__.py,,\n")
    content = bytearray(wheel.read_bytes())
    content[30 + len(name) + 4] = 0xFF
    wheel.write_bytes(content)
    assert None is read_layout(HOST, wheel)


@pytest.mark.parametrize(
    ("script", "kind"), [("single.py", Failed), ("space.pyc", Failed), ("single", Built), ("mine.py", Built)]
)
def test_a_script_may_not_be_imported_for_a_neighbours_module(
    house: House, script: str, kind: type[Built | Failed]
) -> None:
    """Python looks for modules where the program lies that it runs; a script without such a name is in nobody's way."""
    done = run(*steps_of(house, "demo", {f"demo-1.0.data/scripts/{script}": b"#!python"}, neighbours(house)))
    assert isinstance(done, kind)
