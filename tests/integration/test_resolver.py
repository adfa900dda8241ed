"""Resolving for the target, with uv in a real sandbox: what comes out is what pip chooses there.

Where a case is a table row, the expectation is pip's: it is asked over the same files by HTTP, told of the target.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import docker
import pytest
from packaging.version import Version

from fakes.house import House
from fakes.index import FakeIndex
from fakes.journal import FakeJournal
from fakes.outcomes import TARGET
from fakes.sdists import LIMITS, sdist
from fakes.simple_server import SimpleServer
from mirror.adapters.sandbox.docker import DockerSandbox
from mirror.adapters.store import Store
from mirror.adapters.uv import UvResolver
from mirror.core.errors import MirrorError, UnusableError
from mirror.ports import Limits
from mirror.tasks import Workshop
from mirror.window import window_for

pytestmark = pytest.mark.docker

PIP = Version(version("pip")).major
PURE, MUSL = "py3-none-any", "cp311-cp311-musllinux_1_2_x86_64"
LINUX = "cp311-cp311-linux_x86_64"
MANYLINUX, WINDOWS = "cp311-cp311-manylinux_2_17_x86_64", "cp311-cp311-win_amd64"


@dataclass(frozen=True, kw_only=True)
class Release:
    """A wheel that upstream has; `lines` are more of its METADATA."""

    name: str
    version: str
    tag: str = PURE
    lines: tuple[str, ...] = ()
    requires_python: str | None = None
    yanked: str | bool = False

    @property
    def filename(self) -> str:
        return f"{self.name}-{self.version}-{self.tag}.whl"

    @property
    def content(self) -> bytes:
        """A wheel that installs nothing."""
        info = f"{self.name}-{self.version}.dist-info"
        head = ("Metadata-Version: 2.1", f"Name: {self.name}", f"Version: {self.version}")
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w") as archive:
            for name, text in {
                "METADATA": "\n".join((*head, *self.lines, "")),
                "WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {self.tag}\n",
                "RECORD": "",
            }.items():
                archive.writestr(zipfile.ZipInfo(f"{info}/{name}"), text)
        return stream.getvalue()

    def add_to(self, index: FakeIndex) -> None:
        index.add_upstream(
            self.name, self.filename, self.content, requires_python=self.requires_python, yanked=self.yanked
        )


def a(version: str, *lines: str, **fields: object) -> Release:
    return Release(name="a", version=version, lines=lines, **fields)  # type: ignore[arg-type]


def b(version: str, *lines: str, **fields: object) -> Release:
    return replace(a(version, *lines, **fields), name="b")


@dataclass
class Resolving:
    """The resolver over an index, and pip over the same."""

    index: FakeIndex
    resolver: UvResolver
    folder: Path
    within: Callable[[Limits], Resolving]
    """The same with other limits."""

    def ours(self, *requirements: str, constraints: tuple[str, ...] = (), pre: bool = False) -> list[str]:
        """What our resolver chooses, as `name version`."""
        pins = self.resolver.resolve(requirements, constraints, pre_releases=pre)
        return [f"{name} {version}" for name, version in pins]

    def pips(self, *requirements: str, constraints: tuple[str, ...] = (), pre: bool = False) -> list[str] | None:
        """What pip chooses for the target among wheels; None where it finds nothing."""
        (self.folder / "constraints.txt").write_text("".join(f"{line}\n" for line in constraints))
        platform = [f"--python-version={TARGET.python}.9", f"--platform={TARGET.platform}", "--platform=any"]
        with SimpleServer(self.index) as server:
            command = [sys.executable, "-m", "pip", "install", "--isolated", "--dry-run", "--report=-", "--quiet"]
            command += [f"--index-url={server.url}", "--no-cache-dir", "--disable-pip-version-check", *platform]
            command += ["--only-binary=:all:", "--implementation=cp", f"--target={self.folder / 'nowhere'}"]
            command += ["--constraint", str(self.folder / "constraints.txt"), *(["--pre"] if pre else [])]
            done = subprocess.run([*command, *requirements], capture_output=True, text=True, check=False)
        if done.returncode:
            assert "No matching distribution" in done.stderr or "ResolutionImpossible" in done.stderr, done.stderr
            return None
        chosen = [found["metadata"] for found in json.loads(done.stdout)["install"]]
        return sorted(f"{found['name']} {found['version']}" for found in chosen)


@pytest.fixture(scope="module")
def sandbox(engine: docker.DockerClient) -> Iterator[DockerSandbox]:
    sandbox = DockerSandbox(engine)
    yield sandbox
    sandbox.stop()


@pytest.fixture
def resolving(tmp_path: Path, sandbox: DockerSandbox, builder_image: str) -> Resolving:
    """An empty index, and the resolver over it."""
    index = FakeIndex(tmp_path / "index")
    limits = replace(LIMITS, memory_bytes=1 << 30, scratch_bytes=1 << 29, processes=256, open_files=1024)
    store, journal = Store(tmp_path / "notes"), FakeJournal(tmp_path)

    def within(limits: Limits) -> Resolving:
        workshop = Workshop(base_image="", builder_image=builder_image, limits=limits, processes=1)
        resolver = UvResolver(sandbox, workshop, TARGET, lambda _: window_for(index, TARGET, store), journal)
        return Resolving(index=index, resolver=resolver, folder=tmp_path, within=within)

    return within(limits)


@dataclass(frozen=True, kw_only=True)
class Case:
    """Some releases, and what is asked of them. `answer` None: nothing answers."""

    releases: tuple[Release, ...]
    requirements: tuple[str, ...] = ("a",)
    constraints: tuple[str, ...] = ()
    pre: bool = False
    answer: tuple[str, ...] | None
    since_pip: int = 0
    """Older ones find nothing."""


FAST = ("Provides-Extra: fast", 'Requires-Dist: b>=1; extra == "fast"')
CASES = {
    "the newest": Case(releases=(a("1.9"), a("1.10"), a("1.10.post1")), answer=("a 1.10.post1",)),
    "two lines about one project": Case(
        releases=(a("1.0"), a("1.5"), a("2.0")), requirements=("a>=1", "A<2"), answer=("a 1.5",)
    ),
    "a constraint": Case(releases=(a("1.0"), a("2.0")), constraints=("a<2",), answer=("a 1.0",)),
    "a constraint on what is needed": Case(
        releases=(a("1.0", "Requires-Dist: b"), b("1.0"), b("2.0")), constraints=("b!=2",), answer=("a 1.0", "b 1.0")
    ),
    "a constraint on what nobody needs": Case(releases=(a("1.0"), b("1.0")), constraints=("b==3",), answer=("a 1.0",)),
    "an older release for another's sake": Case(
        releases=(a("1.0", "Requires-Dist: b"), a("2.0", "Requires-Dist: b>=2"), b("1.0")), answer=("a 1.0", "b 1.0")
    ),
    "without an extra": Case(releases=(a("1.0", *FAST), b("1.0")), answer=("a 1.0",)),
    "with an extra": Case(releases=(a("1.0", *FAST), b("1.0")), requirements=("a[fast]",), answer=("a 1.0", "b 1.0")),
    "an extra that is not there": Case(
        releases=(a("1.0", *FAST), b("1.0")), requirements=("a[slow]",), answer=("a 1.0",)
    ),
    "markers of requirements": Case(
        releases=(a("1.0"), b("1.0")),
        requirements=("a; sys_platform == 'win32' or python_version < '3.11'", "b; platform_machine == 'x86_64'"),
        answer=("b 1.0",),
    ),
    "markers of what is needed": Case(
        releases=(
            a("1.0", "Requires-Dist: b>=2; python_version < '3.9'", "Requires-Dist: b<2; python_version >= '3.9'"),
            b("1.0"),
            b("2.0"),
        ),
        answer=("a 1.0", "b 1.0"),
    ),
    "a yanked release": Case(releases=(a("1.0"), a("2.0", yanked="broken")), answer=("a 1.0",)),
    "a yanked release that is pinned": Case(
        releases=(a("1.0"), a("2.0", yanked="broken")), requirements=("a==2.0",), answer=("a 2.0",)
    ),
    "a yanked release that a constraint pins": Case(
        releases=(a("1.0"), a("2.0", yanked=True)), constraints=("a==2.0",), answer=("a 2.0",)
    ),
    "a yanked release that alone would do": Case(
        releases=(a("1.0"), a("2.0", yanked=True)), requirements=("a>=2",), answer=None
    ),
    "a yanked release behind a wildcard": Case(
        releases=(a("1.0"), a("2.0", yanked=True)), requirements=("a==2.*",), answer=None
    ),
    "a pre-release": Case(releases=(a("1.0"), a("2.0rc1")), answer=("a 1.0",)),
    "pre-releases alone": Case(releases=(a("1.0b1"), a("1.0b2")), answer=("a 1.0b2",)),
    "a pre-release that alone will do": Case(
        releases=(a("1.0"), a("2.0rc1")), requirements=("a>1.5",), answer=("a 2.0rc1",), since_pip=26
    ),
    "a pre-release that is pinned": Case(
        releases=(a("1.0"), a("2.0rc1"), a("2.0")), requirements=("a==2.0rc1",), answer=("a 2.0rc1",)
    ),
    "a pre-release that a constraint pins": Case(
        releases=(a("1.0"), a("2.0rc1"), a("2.0")), constraints=("a==2.0rc1",), answer=("a 2.0rc1",)
    ),
    "a specifier that names a pre-release": Case(
        releases=(a("1.0"), a("2.0rc1"), a("2.0rc2")), requirements=("a>=1.0rc1",), answer=("a 2.0rc2",)
    ),
    "a pre-release that a package needs": Case(
        releases=(a("1.0", "Requires-Dist: b>=2.0rc1"), b("1.0"), b("2.0rc1")), answer=("a 1.0", "b 2.0rc1")
    ),
    "a pre-release that alone will do for a package": Case(
        releases=(a("1.0", "Requires-Dist: b>1.5"), b("1.0"), b("2.0rc1")),
        answer=("a 1.0", "b 2.0rc1"),
        since_pip=26,
    ),
    "--pre": Case(
        releases=(a("1.0"), a("2.0rc1", "Requires-Dist: b"), b("1.0"), b("1.1.dev1")),
        pre=True,
        answer=("a 2.0rc1", "b 1.1.dev1"),
    ),
    "Requires-Python": Case(
        releases=(a("1.0", requires_python=">=3.8"), a("2.0", requires_python=">=3.12")), answer=("a 1.0",)
    ),
    "Requires-Python of a patch release": Case(
        releases=(a("1.0"), a("2.0", requires_python=">=3.11.1,<4")), answer=("a 2.0",)
    ),
    "a release for other platforms alone": Case(
        releases=(a("1.0"), a("2.0", tag=MANYLINUX), a("2.0", tag=WINDOWS)), answer=("a 1.0",)
    ),
    "a release that names no libc alone": Case(releases=(a("1.0"), a("2.0", tag=LINUX)), answer=("a 1.0",)),
    "a release that names no libc, and one that does": Case(
        releases=(a("1.0"), a("2.0", tag=LINUX), a("2.0", "Requires-Dist: b", tag=MUSL), b("1.0")),
        answer=("a 2.0", "b 1.0"),
    ),
    "a release for the target": Case(
        releases=(a("1.0"), a("2.0", tag=MUSL), a("2.0", tag=MANYLINUX)), answer=("a 2.0",)
    ),
    "a project that is not there": Case(releases=(), answer=None),
    "a conflict": Case(
        releases=(a("1.0", "Requires-Dist: b>=2"), b("1.0"), b("2.0")), requirements=("a", "b<2"), answer=None
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_it_chooses_what_pip_chooses(resolving: Resolving, case: Case) -> None:
    """Constraints, extras, markers, yanked releases, pre-releases, Requires-Python: as pip on the target."""
    for release in case.releases:
        release.add_to(resolving.index)
    expected = None if case.answer is None else list(case.answer)
    pips = resolving.pips(*case.requirements, constraints=case.constraints, pre=case.pre)
    assert (expected if PIP >= case.since_pip else None) == pips
    try:
        chosen = resolving.ours(*case.requirements, constraints=case.constraints, pre=case.pre)
    except MirrorError as error:
        assert (None, "unresolvable") == (expected, error.code), error.details
    else:
        assert expected == chosen


BACKEND = """
import os, pathlib, socket
def prepare_metadata_for_build_wheel(folder, config_settings=None):
    {hook}
    info = pathlib.Path(folder) / "a-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\\nName: a\\nVersion: 1.0\\nRequires-Dist: " + need + "\\n")
    return info.name
"""
IN_TREE = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
REACH = """
    need = "b"
    for address in (("127.0.0.53", 53), ("172.17.0.1", 22), ("1.1.1.1", 443)):
        try:
            socket.create_connection(address, timeout=2)
            need = "network-was-reached"
        except OSError:
            pass
    if os.getuid() == 0 or os.path.exists("/var/run/docker.sock"):
        need = "power-was-had"
"""


def backend(hook: str) -> str:
    """An in-tree backend whose metadata hook does this, and sets `need` to what the project requires."""
    return BACKEND.format(hook=hook.strip())


def add_sdist(index: FakeIndex, hook: str, **files: str) -> None:
    """Let upstream have a 1.0 as an sdist with that hook."""
    contents = {"backend.py": backend(hook), "pyproject.toml": IN_TREE, **files}
    index.add_upstream("a", "a-1.0.tar.gz", sdist("a", "1.0", contents))


def test_a_metadata_hook_runs_in_the_sandbox(resolving: Resolving) -> None:
    """A release with neither wheel nor static metadata has to run: without network, without any power."""
    b("1.0").add_to(resolving.index)
    add_sdist(resolving.index, REACH)
    assert ["a 1.0", "b 1.0"] == resolving.ours("a")


@pytest.mark.parametrize("tag", [WINDOWS, MANYLINUX, "cp310-cp310-macosx_11_0_arm64"])
def test_where_there_is_a_wheel_for_somebody_else_no_hook_runs(resolving: Resolving, tag: str) -> None:
    """The metadata is read from that wheel; this hook would fail. The sdist is what is locked."""
    b("1.0").add_to(resolving.index)
    a("1.0", "Requires-Dist: b", tag=tag).add_to(resolving.index)
    add_sdist(resolving.index, "raise SystemExit('the hook was run')")
    assert ["a 1.0", "b 1.0"] == resolving.ours("a")


def test_a_hook_that_fails_is_told(resolving: Resolving) -> None:
    """The control of the test above: with no wheel, that hook is run."""
    add_sdist(resolving.index, "raise SystemExit('the hook was run')")
    with pytest.raises(MirrorError) as caught:
        resolving.ours("a")
    assert ("unresolvable", True) == (caught.value.code, "the hook was run" in "\n".join(caught.value.details))


SMALL = replace(LIMITS, scratch_bytes=128 << 20, processes=128, open_files=1024)
CHILD = "import subprocess, sys; subprocess.run([sys.executable, '-c', {!r}], check=True)"
TOO_LOW = {
    "memory": (
        CHILD.format("blocks = [bytearray(1 << 20) for _ in range(400)]"),
        SMALL,
        ("out-of-memory", "it ran out of memory: it, or a program it started, needed more than 0.25 GiB"),
        "raise `memory` in the settings, or lower `jobs`",
    ),
    "processes": (
        "import subprocess; [child.wait() for child in [subprocess.Popen(['sleep', '3']) for _ in range(150)]]",
        replace(SMALL, memory_bytes=1 << 30),
        ("too-many-processes", "it wanted more than the 128 processes and threads it may have"),
        "raise `processes` in the settings",
    ),
    "bytes": (
        "open('large', 'wb').write(bytes(160 << 20))",
        replace(SMALL, memory_bytes=1 << 30),
        ("scratch-full", "it wanted more than the 0.12 GiB of its scratch folder"),
        "raise `scratch` in the settings; it lies in memory, so `memory` may have to be raised too",
    ),
}


@pytest.mark.parametrize(("hook", "limits", "told", "hint"), TOO_LOW.values(), ids=TOO_LOW)
def test_a_limit_that_a_hook_hits_is_named(
    resolving: Resolving, hook: str, limits: Limits, told: tuple[str, str], hint: str
) -> None:
    """It is no fault of the requirements; with the limits of the tests above, that very hook comes to its end."""
    b("1.0").add_to(resolving.index)
    add_sdist(resolving.index, f"    need = 'b'; {hook}")
    with pytest.raises(MirrorError) as caught:
        resolving.within(limits).ours("a")
    error = caught.value
    assert (told[0], f"resolving stopped: {told[1]}") == (error.code, error.what), error.details
    assert error.hint.startswith(f"{hint}; its log is ")
    assert ["a 1.0", "b 1.0"] == resolving.ours("a")


def test_static_metadata_of_an_sdist_runs_no_hook(resolving: Resolving) -> None:
    """PEP 643: a PKG-INFO of version 2.2 that declares nothing dynamic."""
    b("1.0").add_to(resolving.index)
    info = "Metadata-Version: 2.2\nName: a\nVersion: 1.0\nRequires-Dist: b\n"
    add_sdist(resolving.index, "raise SystemExit('the hook was run')", **{"PKG-INFO": info})
    assert ["a 1.0", "b 1.0"] == resolving.ours("a")


def test_a_yanked_release_that_only_a_package_pins_wants_a_constraint(resolving: Resolving) -> None:
    """pip takes it and uv does not: the error says so, and the constraint that its hint speaks of helps."""
    for release in (a("1.0", "Requires-Dist: b==2.0"), b("1.0"), b("2.0", yanked=True)):
        release.add_to(resolving.index)
    assert ["a 1.0", "b 2.0"] == resolving.pips("a")
    with pytest.raises(MirrorError) as caught:
        resolving.ours("a")
    assert "b==2.0 was yanked" in " ".join(caught.value.details)
    assert ["a 1.0", "b 2.0"] == resolving.ours("a", constraints=("b==2.0",))


def test_what_nothing_answers_is_explained(resolving: Resolving) -> None:
    """In uv's words, which name the requirements at fault."""
    for release in (a("1.0", "Requires-Dist: b>=2"), b("1.0"), b("2.0")):
        release.add_to(resolving.index)
    with pytest.raises(MirrorError) as caught:
        resolving.ours("a", "b<2")
    error = caught.value
    assert (
        "unresolvable",
        "nothing on the index answers these requirements on the target",
        "loosen one of the requirements named above, or add a constraint",
    ) == (error.code, error.what, error.hint)
    told = " ".join(" ".join(error.details).split())
    assert "all versions of a depend on b>=2" in told, told
    assert "you require b<2" in told, told


def test_an_index_that_does_not_answer_is_not_called_unresolvable(resolving: Resolving) -> None:
    """What could not be seen is no reason to blame the requirements."""
    resolving.index.down = True
    with pytest.raises(UnusableError) as caught:
        resolving.ours("a")
    assert "index-unreachable" == caught.value.code


def test_nothing_is_resolved_without_a_sandbox(tmp_path: Path, sandbox: DockerSandbox) -> None:
    """Of nothing: an sdist may have no build requirements."""
    house = House(tmp_path)
    workshop = Workshop(base_image="", builder_image="no-such-image", limits=LIMITS, processes=1)
    store = Store(tmp_path / "notes")
    resolver = UvResolver(sandbox, workshop, TARGET, lambda _: window_for(house.index, TARGET, store), house.journal)
    assert () == resolver.resolve((), ("a<2",))
