"""The gate on what a wheel says of itself and where it would put its files."""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest
from packaging.utils import canonicalize_name
from packaging.version import Version

from fakes.wheel_archives import (
    DIST_INFO,
    EXTENSION,
    NATIVE,
    PURE,
    Archive,
    Entry,
    Sample,
    an_expectation,
    digest,
    metadata,
    native_wheel,
    pure_wheel,
    record_of,
    wheel_file,
)
from mirror.core.gate import ALLOWABLE, check
from mirror.core.gate.contents import judge_top_level
from mirror.core.gate.installed import place
from mirror.core.model import Finding

MODULE = "demo/__init__.py"
RECORD = f"{DIST_INFO}/RECORD"
Attack = Callable[[Sample], Sample]
Rows = list[list[str]]


def named(filename: str) -> Attack:
    """Attack by the file name alone."""
    return lambda sample: replace(sample, filename=filename)


def retagged(filename: str) -> Attack:
    """Attack by tags that file name and WHEEL agree on."""
    return lambda sample: replace(sample, filename=filename).put(WHEEL=wheel_file(filename))


def put(**files: bytes) -> Attack:
    """Attack by another file in dist-info."""
    return lambda sample: sample.put(**files)


def entry_points(content: bytes) -> Attack:
    """Attack by entry points."""
    return added(f"{DIST_INFO}/entry_points.txt", content=content)


def added(*names: str, content: bytes = b"VALUE = 2\n") -> Attack:
    """Attack by more files, listed in RECORD."""
    return lambda sample: sample.add(dict.fromkeys(names, content))


def moved(old: str, new: str) -> Attack:
    """Attack by another name of the dist-info folder, everywhere."""

    def rename(archive: Archive) -> Archive:
        entries = tuple(replace(e, name=e.name.replace(old.encode(), new.encode())) for e in archive.entries)
        return replace(archive, entries=entries)

    return lambda sample: replace(sample, archive=rename)


def without(name: str) -> Attack:
    """Attack by leaving a member out of the archive, and out of RECORD."""
    return lambda sample: sample.remove(name)


def recorded(change: Callable[[Rows], Rows]) -> Attack:
    """Attack by other lines in RECORD."""

    def write(files: Mapping[str, bytes]) -> bytes:
        rows = [[name, digest(data), str(len(data))] for name, data in files.items()]
        return record_of(change([*rows, [RECORD, "", ""]]))

    return lambda sample: replace(sample, record=write)


def line(name: str, *fields: str) -> Attack:
    """Attack by other fields in one line of RECORD."""
    return recorded(lambda rows: [[row[0], *fields] if row[0] == name else row for row in rows])


def hexadecimal(algorithm: str = "sha256") -> str:
    """The digest of MODULE as uv_build before 0.8.13 and flit before 0.8.1 wrote it."""
    return hashlib.new(algorithm, b"VALUE = 1\n").hexdigest()


def tagged(*tags: str) -> bytes:
    return b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\n" + "".join(f"Tag: {tag}\n" for tag in tags).encode()


IDENTITY: dict[str, tuple[str, Attack]] = {
    "a name that is no wheel's": ("filename", named("demo-1.0.tar.gz")),
    "a name with a path": ("filename", named(f"../{PURE}")),
    "a name with a line break": ("filename", named("demo-1.0-py3\n-none-any.whl")),
    "a name with markup": ("filename", named("demo-1.0-<b>-none-any.whl")),
    "a name of too few parts": ("filename", named("demo-1.0-py3-any.whl")),
    "a name without a version": ("filename", named("demo-new-py3-none-any.whl")),
    "a name without end": ("filename", named(f"{'d' * 300}-1.0-py3-none-any.whl")),
    "another project's name": ("filename-name", named("pip-1.0-py3-none-any.whl")),
    "another version": ("filename-version", named("demo-1.1-py3-none-any.whl")),
    "a local version": ("filename-version", named("demo-1.0+evil-py3-none-any.whl")),
    "dist-info of another project": ("dist-info-name", moved(DIST_INFO, "pip-1.0.dist-info")),
    "dist-info of another version": ("dist-info-version", moved(DIST_INFO, "demo-2.0.dist-info")),
    "dist-info without a version": ("dist-info-name", moved(DIST_INFO, "demo.dist-info")),
    "dist-info in capitals": ("dist-info-name", moved(DIST_INFO, "demo-1.0.DIST-INFO")),
    "no dist-info": ("dist-info-count", moved(DIST_INFO, "demo-1.0.info")),
    "dist-info below a folder": ("dist-info-count", moved(DIST_INFO, f"demo/{DIST_INFO}")),
    "two dist-infos": ("dist-info-count", added("pip-1.0.dist-info/METADATA")),
    "no METADATA": ("dist-info-file", without(f"{DIST_INFO}/METADATA")),
    "no WHEEL": ("dist-info-file", without(f"{DIST_INFO}/WHEEL")),
    "no RECORD": ("dist-info-file", lambda sample: replace(sample, record=None)),
    "METADATA of another project": ("metadata-name", put(METADATA=metadata(name="pip"))),
    "METADATA of another version": ("metadata-version", put(METADATA=metadata(version="2.0"))),
    "METADATA with no version": ("metadata-version", put(METADATA=metadata(version="new"))),
    "METADATA with two names": ("metadata-field", put(METADATA=metadata("Name: demo"))),
    "a version of more digits than Python reads": ("metadata-version", put(METADATA=metadata(version="1" * 5000))),
    "a bound of more digits than Python reads": (
        "metadata-requires-python",
        put(METADATA=metadata().replace(b">=3.8", b">=" + b"1" * 5000)),
    ),
    "a dependency of more digits than Python reads": (
        "metadata-requires-dist",
        put(METADATA=metadata(f"Requires-Dist: x>={'1' * 5000}")),
    ),
    "METADATA of the future": ("metadata-version-field", put(METADATA=metadata().replace(b": 2.1", b": 3.0"))),
    "METADATA without its version": (
        "metadata-version-field",
        put(METADATA=metadata().removeprefix(b"Metadata-Version: 2.1\n")),
    ),
    "a dependency that is none": ("metadata-requires-dist", put(METADATA=metadata("Requires-Dist: a b c"))),
    "a Python that is none": (
        "metadata-requires-python",
        put(METADATA=metadata().replace(b": >=3.8", b": three")),
    ),
    "another Python": ("requires-python", put(METADATA=metadata().replace(b": >=3.8", b": <3.11"))),
    "a dependency nested without end": (
        "metadata-requires-dist",
        put(METADATA=metadata(f"Requires-Dist: x; {'(' * 20_000}")),
    ),
    "METADATA of fields without end": ("metadata-too-long", put(METADATA=metadata(*(f"X-{n}: x" for n in range(300))))),
    "METADATA of lines without end": ("metadata-too-long", put(METADATA=metadata(*["Classifier: x"] * 20_001))),
    "METADATA that is no UTF-8": ("metadata-encoding", put(METADATA=metadata() + b"caf\xe9\n")),
    "METADATA with two summaries": ("metadata-repeated", put(METADATA=metadata("Summary: a", "Summary: b"))),
    "a marker without an answer": (
        "metadata-requires-dist",
        put(METADATA=metadata('Requires-Dist: x; sys_platform ~= "linux"')),
    ),
    "WHEEL that is no UTF-8": ("wheel-encoding", put(WHEEL=wheel_file(PURE, "Generator: x") + b"X: caf\xe9\n")),
    "WHEEL of version 2": ("wheel-version", put(WHEEL=wheel_file(PURE, version="2.0"))),
    "WHEEL without a version": ("wheel-version", put(WHEEL=wheel_file(PURE).removeprefix(b"Wheel-Version: 1.0\n"))),
    "WHEEL with two versions": ("wheel-version", put(WHEEL=wheel_file(PURE, "Wheel-Version: 1.0"))),
    "WHEEL without Root-Is-Purelib": ("wheel-purelib", put(WHEEL=wheel_file(PURE, purelib=""))),
    "WHEEL that is vague about purelib": ("wheel-purelib", put(WHEEL=wheel_file(PURE, purelib="maybe"))),
    "WHEEL with another tag": ("wheel-tags", put(WHEEL=tagged("py2-none-any"))),
    "WHEEL with more tags": ("wheel-tags", put(WHEEL=wheel_file(PURE, "Tag: py2-none-any"))),
    "WHEEL without tags": ("wheel-tags", put(WHEEL=tagged())),
    "WHEEL with a tag that is none": ("wheel-tags", put(WHEEL=tagged("py3-none-any", "nonsense"))),
    "WHEEL with tags of tags": ("wheel-tags", put(WHEEL=tagged("-".join([".".join(f"a{n}" for n in range(900))] * 3)))),
    "WHEEL with a build number": ("wheel-build", put(WHEEL=wheel_file(PURE, "Build: 1"))),
    "a build number in the file name alone": ("wheel-build", named("demo-1.0-1-py3-none-any.whl")),
    "tags of another Python": ("tag-unusable", retagged("demo-1.0-cp310-cp310-musllinux_1_2_x86_64.whl")),
    "tags of another machine": ("tag-unusable", retagged("demo-1.0-cp311-cp311-musllinux_1_2_aarch64.whl")),
    "tags of a newer musl": ("tag-unusable", retagged("demo-1.0-cp311-cp311-musllinux_1_3_x86_64.whl")),
    "tags of glibc": ("tag-unusable", retagged("demo-1.0-cp311-cp311-manylinux_2_17_x86_64.whl")),
    "tags of another system": ("tag-unusable", retagged("demo-1.0-cp311-cp311-win_amd64.whl")),
    "tags of another Python, too": ("tag-foreign", retagged("demo-1.0-cp310.cp311-none-musllinux_1_2_x86_64.whl")),
    "tags of glibc, too": (
        "tag-foreign",
        retagged("demo-1.0-cp311-cp311-manylinux_2_17_x86_64.musllinux_1_2_x86_64.whl"),
    ),
    "tags of a newer musl, too": (
        "tag-foreign",
        retagged("demo-1.0-cp311-cp311-musllinux_1_2_x86_64.musllinux_1_3_x86_64.whl"),
    ),
    "tags of any machine, too": ("tag-foreign", retagged("demo-1.0-cp311.cp39-none-any.whl")),
    "a plain linux tag": ("tag-unrepaired", retagged("demo-1.0-cp311-cp311-linux_x86_64.whl")),
    "compiled code in a pure wheel": (
        "elf-in-pure-wheel",
        lambda sample: sample.add({EXTENSION: native_wheel().files[f"demo.libs/{'libfast-0a1b2c3d.so.1'}"]}),
    ),
    "nothing compiled of sources to compile": (
        "no-extension",
        lambda sample: replace(sample, expected=replace(sample.expected, native_sources=True)),
    ),
}

RECORDS: dict[str, tuple[str, Attack]] = {
    "an empty RECORD": ("record-missing", recorded(lambda rows: rows[-1:])),
    "a file that RECORD lacks": ("record-missing", recorded(lambda rows: rows[1:])),
    "a hidden file": ("record-missing", lambda s: replace(s, archive=lambda a: a.add(Entry(name=b"demo/x.py")))),
    "a file that the wheel lacks": ("record-extra", recorded(lambda rows: [*rows, ["demo/gone.py", "", ""]])),
    "a file outside": ("record-extra", recorded(lambda rows: [["../../bin/sh", "sha256=x", "1"], *rows])),
    "a line twice": ("record-duplicate", recorded(lambda rows: [rows[0], *rows])),
    "RECORD without itself": ("record-self", recorded(lambda rows: rows[:-1])),
    "RECORD with a hash of itself": ("record-self", line(RECORD, "sha256=abc", "")),
    "RECORD with a size of itself": ("record-self", line(RECORD, "", "7")),
    "another hash": ("record-hash", line(MODULE, digest(b"other"), "10")),
    "a hash with a tail": ("record-hash", line(MODULE, digest(b"VALUE = 1\n") + "x", "10")),
    "no hash": ("record-algorithm", line(MODULE, "", "10")),
    "an MD5": ("record-algorithm", line(MODULE, "md5=bG9yZW0", "10")),
    "an algorithm of nobody": ("record-algorithm", line(MODULE, "crc32=bG9yZW0", "10")),
    "another size": ("record-size", line(MODULE, digest(b"VALUE = 1\n"), "11")),
    "another hash, in hexadecimal": ("record-hash", line(MODULE, f"sha256={'0' * 64}", "10")),
    "a hash in hexadecimal with a digit too many": ("record-hash", line(MODULE, f"sha256={hexadecimal()}0", "10")),
    "another SHA-512": ("record-hash", line(MODULE, "sha512=bG9yZW0", "10")),
    "a SHA-224": ("record-algorithm", line(MODULE, f"sha224={hexadecimal('sha224')}", "10")),
    "a folder that the wheel lacks": ("record-extra", recorded(lambda rows: [["gone/", "", ""], *rows])),
    "a folder with a size": ("record-extra", recorded(lambda rows: [["demo/", "", "1"], *rows])),
    "a name with a backslash": ("record-extra", recorded(lambda rows: [["demo\\__init__.py", "", ""], *rows])),
    "a size that is no number": ("record-size", line(MODULE, digest(b"VALUE = 1\n"), "ten")),
    "a line of two fields": ("record-row", line(MODULE, "")),
    "a line of four fields": ("record-row", line(MODULE, "", "", "")),
    "a quote that does not end": ("record-row", lambda s: replace(s, record=lambda files: b'"demo,x,1\n')),
    "RECORD of lines without end": ("record-too-long", recorded(lambda rows: [rows[0]] * 200)),
    "RECORD in another encoding": ("record-encoding", lambda s: replace(s, record=lambda files: b"d\xe9mo,,\n")),
}

PLACES: dict[str, tuple[str, Attack]] = {
    "a dependency from elsewhere": (
        "metadata-direct-reference",
        put(METADATA=metadata("Requires-Dist: x @ http://index.test/x-1.0-py3-none-any.whl")),
    ),
    "a file in the environment's root": ("data-scheme", added("demo-1.0.data/data/etc/profile.d/evil.sh")),
    "a module over the standard library's": ("base-image-file", added("demo-1.0.data/data/lib/python3.11/os.py")),
    "a header of Python's": ("base-image-file", added("demo-1.0.data/data/include/python3.11/Python.h")),
    "a header of Python's inside": ("base-image-file", added("demo-1.0.data/data/include/python3.11/cpython/code.h")),
    "Python's library": ("base-image-file", added("demo-1.0.data/data/lib/libpython3.11.so.1.0")),
    "Python's manual": ("base-image-file", added("demo-1.0.data/data/share/man/man1/python3.11.1")),
    "what an environment is set up by": ("base-image-file", added("demo-1.0.data/data/pyvenv.cfg")),
    "what pip is set up by": ("base-image-file", added("demo-1.0.data/data/pip.conf")),
    "a file where programs are": ("base-image-file", added("demo-1.0.data/data/bin")),
    "a library for every program": ("data-library", added("demo-1.0.data/data/lib/libz.so.1")),
    "a setting of another program": ("data-scheme", added("demo-1.0.data/data/etc/jupyter/jupyter_config.json")),
    "documentation that climbs over to settings": ("data-scheme", added("demo-1.0.data/data/share/docs/x")),
    "pip, in another file": ("base-image-file", added("pip.py")),
    "pip, in a cache": ("base-image-file", added("__pycache__/pip.cpython-311.pyc")),
    "setuptools": ("base-image-file", added("setuptools/__init__.py")),
    "setuptools, through platlib": ("base-image-file", added("demo-1.0.data/platlib/setuptools/x.py")),
    "pkg_resources": ("base-image-file", added("pkg_resources/__init__.py")),
    "what setuptools puts before distutils": ("base-image-file", added("_distutils_hack/__init__.py")),
    "wheel": ("base-image-file", added("wheel/__init__.py")),
    "libraries of another project": ("foreign-top-level", added("numpy.libs/libopenblas.so")),
    "libraries of a project that nobody knows": ("foreign-top-level", added("other.libs/libother.so")),
    "libraries of another project, in capitals": ("foreign-top-level", added("Numpy.LIBS/libopenblas.so")),
    "a package that everybody knows": ("foreign-top-level", added("yaml/__init__.py")),
    "a module that everybody knows": ("foreign-top-level", added("six.py")),
    "a private module of what everybody knows": ("foreign-top-level", added("_cffi_backend.abi3.so")),
    "a scheme that is none": ("unknown-scheme", added("demo-1.0.data/root/evil.py")),
    "a scheme of Python's own": ("unknown-scheme", added("demo-1.0.data/stdlib/os.py")),
    "a file in no scheme": ("unknown-scheme", added("demo-1.0.data/evil.py")),
    "another project's data": ("data-folder", added("pip-1.0.data/scripts/pip")),
    "data of another version": ("data-folder", added("demo-2.0.data/scripts/demo")),
    "code at every start": ("pth-file", added("evil.pth")),
    "code at every start, in capitals": ("pth-file", added("EVIL.PTH")),
    "code at every start, through purelib": ("pth-file", added("demo-1.0.data/purelib/evil.pth")),
    "code at every start, through platlib": ("pth-file", added("demo-1.0.data/platlib/evil.pth")),
    "a module at every start": ("startup-module", added("sitecustomize.py")),
    "a package at every start": ("startup-module", added("usercustomize/__init__.py")),
    "an extension at every start": ("startup-module", added("demo-1.0.data/platlib/sitecustomize.so")),
    "a module at every start of a virtualenv": ("startup-module", added("_virtualenv.py")),
    "metadata of another project": ("foreign-dist-info", added("demo-1.0.data/purelib/pip-1.0.dist-info/METADATA")),
    "metadata of its own, again": ("foreign-dist-info", added("demo-1.0.data/purelib/demo-1.0.dist-info/METADATA")),
    "an old kind of metadata": ("foreign-dist-info", added("pip-1.0.egg-info/PKG-INFO")),
    "an old kind of metadata, in a file": ("foreign-dist-info", added("pip.egg-info")),
    "a link to elsewhere": ("foreign-dist-info", added("pip.egg-link")),
    "a script in a folder": ("script-folder", added("demo-1.0.data/scripts/sub/demo")),
    "a script python": ("script-shadows", added("demo-1.0.data/scripts/python3")),
    "a script pip": ("script-shadows", added("demo-1.0.data/scripts/pip3.11")),
    "a script that pip imports": ("script-shadows", added("demo-1.0.data/scripts/re.py")),
    "a script that is pip's package": ("script-shadows", added("demo-1.0.data/scripts/pip.py")),
    "a script that is another's package": ("script-shadows", added("demo-1.0.data/scripts/numpy.abi3.so")),
    "a script that is another's module here": ("script-shadows", added("demo-1.0.data/scripts/my_utils.pyc")),
    "an entry point that pip imports": ("script-shadows", entry_points(b"[console_scripts]\nre.py = demo:main\n")),
    "an entry point sh": ("script-shadows", entry_points(b"[console_scripts]\nsh = demo:main\n")),
    "an entry point that is a path": (
        "entry-point-name",
        entry_points(b"[console_scripts]\n../../evil = demo:main\n"),
    ),
    "an entry point that is an absolute path": (
        "entry-point-name",
        entry_points(b"[gui_scripts]\n/usr/bin/evil = demo:main\n"),
    ),
    "an entry point in what some take for a continuation": (
        "entry-point-name",
        entry_points(b"[console_scripts]\ndemo = demo:main\n  ../evil = demo:main\n"),
    ),
    "an entry point behind a lone carriage return": (
        "entry-points",
        entry_points(b"[console_scripts]\ndemo = demo:main\r../evil = demo:main\n"),
    ),
    "an entry point behind a line separator": (
        "entry-points",
        entry_points("[console_scripts]\ndemo = demo:main\u2028../evil = demo:main\n".encode()),
    ),
    "an entry point in what some take for a comment": (
        "entry-point-name",
        entry_points(b"[console_scripts]\n;/../../evil = demo:main\n"),
    ),
    "a header in two pairs of brackets": (
        "entry-points",
        entry_points(b"[[console_scripts]]\n../evil = demo:main\n"),
    ),
    "a header with a comment": ("entry-points", entry_points(b"[console_scripts] # ]\n../evil = demo:main\n")),
    "an entry point with a colon": ("entry-points", entry_points(b"[console_scripts]\n../evil: demo:main\n")),
    "data of a name without a version": ("data-folder", added("demo.data/scripts/pip")),
    "data of no name": ("data-folder", added(".data/purelib/x.pth")),
    "data of another case": ("data-folder", added("demo.DATA/purelib/x.pth")),
    "a file named as a data folder": ("data-folder", added("demo.data")),
    "bytecode of another project": ("foreign-top-level", added("numpy.pyc")),
    "cached bytecode of another project": ("foreign-top-level", added("__pycache__/numpy.cpython-311.pyc")),
    "cached bytecode of another project, through purelib": (
        "foreign-top-level",
        added("demo-1.0.data/purelib/__pycache__/numpy.cpython-311.pyc"),
    ),
    "an entry point that is no UTF-8": ("entry-points", entry_points(b"[x]\na = caf\xe9\n")),
    "an entry point twice": ("entry-points", entry_points(b"[console_scripts]\nfoo = m:a\nfoo = m:b\n")),
    "a group of entry points twice": (
        "entry-points",
        entry_points(b"[console_scripts]\nfoo = m:a\n[console_scripts]\nbar = m:a\n"),
    ),
    "an entry point without an object": ("entry-point-object", entry_points(b"[console_scripts]\nfoo = m\n")),
    "an entry point with nothing": ("entry-point-object", entry_points(b"[gui_scripts]\nfoo =\n")),
    "an entry point of words": ("entry-point-object", entry_points(b"[console_scripts]\nfoo = m x y\n")),
    "an entry point that is a program": (
        "entry-point-object",
        entry_points(b"[console_scripts]\nfoo = m:a;print(1)\n"),
    ),
    "what pip writes of where a project came from": ("installer-file", added(f"{DIST_INFO}/direct_url.json")),
    "what pip writes of itself": ("installer-file", added(f"{DIST_INFO}/INSTALLER")),
    "what pip writes of who asked": ("installer-file", added(f"{DIST_INFO}/REQUESTED")),
    "what uv writes of where a project came from": ("installer-file", added(f"{DIST_INFO}/uv_cache.json")),
    "an entry point of dots": ("entry-point-name", entry_points(b"[console_scripts]\n.. = demo:main\n")),
    "an entry point with an escape": ("entry-point-name", entry_points(b"[console_scripts]\n\x1b[2J = d:m\n")),
    "entry points that are none": ("entry-points", entry_points(b"demo = demo:main\n")),
    "a package of another project": ("foreign-top-level", added("numpy/__init__.py")),
    "a module of another project": ("foreign-top-level", added("numpy.py")),
    "an extension of another project": ("foreign-top-level", added("numpy.cpython-311-x86_64-linux-musl.so")),
    "a package of another project, through purelib": ("foreign-top-level", added("demo-1.0.data/purelib/numpy/x.py")),
    "a package of another project, differently spelt": ("foreign-top-level", added("My_Utils/__init__.py")),
}


def judge(sample: Sample) -> list[str]:
    """The codes of what stops this wheel, beside projects numpy and my-utils in the lock."""
    others = frozenset({canonicalize_name("numpy"), canonicalize_name("my-utils"), canonicalize_name("demo")})
    expected = replace(sample.expected, other_names=others)
    judgement = check(sample.filename, sample.content, expected)
    assert bool(judgement.findings) == (judgement.wheel is None)
    return sorted({finding.code for finding in judgement.findings})


@pytest.mark.parametrize("case", IDENTITY | RECORDS | PLACES)
def test_one_wrong_thing_in_a_wheel_is_one_finding(case: str) -> None:
    """A wheel with one thing wrong is refused for that thing, and passes without it."""
    code, attack = (IDENTITY | RECORDS | PLACES)[case]
    assert [] == judge(pure_wheel())
    assert [code] == judge(attack(pure_wheel()))


def test_a_recipe_can_expect_an_oddity_and_nothing_else() -> None:
    """A finding that the recipe names is told and does not stop the wheel; another one still does."""
    sample = added("demo.pth")(pure_wheel())
    sample = replace(sample, expected=replace(sample.expected, oddities=("pth-file", "record-hash")))
    judgement = check(sample.filename, sample.content, sample.expected)
    assert (Finding(code="pth-file", message="runs at every start of Python", member="demo.pth"),) == judgement.allowed
    assert () == judgement.findings
    broken = line(MODULE, digest(b"other"), "10")(sample)
    judgement = check(broken.filename, broken.content, broken.expected)
    assert ["record-hash"] == [finding.code for finding in judgement.findings]
    assert None is judgement.wheel


def test_what_is_allowed_may_be_many() -> None:
    """Thousands of allowed findings do not stop a wheel, and are told in part."""
    sample = added(*(f"demo-1.0.data/data/share/demo/{n}" for n in range(3000)))(pure_wheel())
    assert ["data-scheme", "too-many-findings"] == judge(sample)
    allowing = replace(sample, expected=replace(sample.expected, oddities=("data-scheme",)))
    judgement = check(allowing.filename, allowing.content, allowing.expected)
    assert ((), 200) == (judgement.findings, len(judgement.allowed))
    assert judgement.wheel is not None


def test_a_recipe_cannot_allow_what_makes_a_wheel_a_lie() -> None:
    """No finding about the archive, the names or RECORD can be allowed."""
    structural = {code for code, _ in (IDENTITY | RECORDS).values()}
    assert {"metadata-repeated", "no-extension"} == structural & ALLOWABLE


STRONG = {
    algorithm: f"{algorithm}={urlsafe_b64encode(hashlib.new(algorithm, content).digest()).rstrip(b'=').decode()}"
    for algorithm, content in {"sha384": b"VALUE = 1\n", "sha512": b"VALUE = 1\n"}.items()
}
HEXADECIMAL = {name: f"sha256={hashlib.sha256(data).hexdigest()}" for name, data in pure_wheel().files.items()}
"""As older uv_build and flit wrote them."""
LINES = {
    "a hash in hexadecimal": line(MODULE, f"sha256={hexadecimal()}", "10"),
    "every hash in hexadecimal": recorded(
        lambda rows: [[name, HEXADECIMAL.get(name, ""), size] for name, _, size in rows]
    ),
    "a hash in hexadecimal, in capitals": line(MODULE, f"sha256={hexadecimal().upper()}", "10"),
    "a padded hash": line(MODULE, f"{digest(b'VALUE = 1' + bytes([10]))}=", "10"),
    "a SHA-384": line(MODULE, STRONG["sha384"], "10"),
    "a SHA-512": line(MODULE, STRONG["sha512"], "10"),
    "a SHA-512 in hexadecimal": line(MODULE, f"sha512={hexadecimal('sha512')}", "10"),
    "no size": line(MODULE, digest(b"VALUE = 1\n"), ""),
    "folders": recorded(lambda rows: [["demo/", "", ""], ["demo/data/", "", ""], *rows]),
}


@pytest.mark.parametrize("case", LINES)
def test_what_record_may_say_passes_and_is_written_anew(case: str) -> None:
    """What the specification allows, and what installers take; what is published is always the same."""
    sample = LINES[case](pure_wheel())
    judgement = check(sample.filename, sample.content, sample.expected)
    assert check(PURE, pure_wheel().content, sample.expected) == judgement


@pytest.mark.parametrize(
    "filename",
    [
        PURE,
        "demo-1.0-py2.py3-none-any.whl",
        "Demo-1.0.0-py3-none-any.whl",
        "demo-1.0-cp311-none-any.whl",
        "demo-1.0-cp38-abi3-musllinux_1_1_x86_64.musllinux_1_2_x86_64.whl",
        "demo-1.0-py2.py3-none-musllinux_1_2_x86_64.whl",
    ],
)
def test_every_usual_file_name_passes(filename: str) -> None:
    """Names are compared as normalised ones, versions as versions, tags as expanded sets."""
    assert [] == judge(retagged(filename)(pure_wheel()))


def test_usual_contents_pass() -> None:
    """Scripts, headers, type hints, documentation, purelib and signatures of RECORD are ordinary."""
    sample = pure_wheel().add(
        {
            "demo-1.0.data/scripts/demo": b"#!python\n",
            "demo-1.0.data/headers/demo.h": b"",
            "demo-1.0.data/data/share/man/man1/demo.1": b"",
            "demo-1.0.data/data/share/doc/demo/index.html": b"",
            "demo.libs/libdemo.so.1": b"",
            "Demo.libs/libdemo.so.2": b"",
            "demo_pip/pip.py": b"",
            "demo-1.0.data/purelib/demo/more.py": b"",
            "demo/py.typed": b"",
            "demo/fast.pth": b"",
            "demo/sitecustomize.py": b"",
            f"{DIST_INFO}/licenses/LICENSE": b"",
            f"{DIST_INFO}/entry_points.txt": b"[console_scripts]\ndemo = demo:main\nd.e-m_o2 = d:x [y]\n[x]\na/b = c",
        }
    )
    signed = replace(sample, archive=lambda a: a.add(Entry(name=f"{DIST_INFO}/RECORD.jws".encode(), data=b"{}")))
    assert [] == judge(signed)


def nspkg(package: str, *more: str) -> bytes:
    """What setuptools 80.9 writes for a namespace."""
    parts = tuple(package.split("."))
    lines = (
        "import sys, types, os",
        f"p = os.path.join(sys._getframe(1).f_locals['sitedir'], *{parts!r})",
        "importlib = __import__('importlib.util')",
        "__import__('importlib.machinery')",
        f"m = sys.modules.setdefault({package!r}, importlib.util.module_from_spec("
        f"importlib.machinery.PathFinder.find_spec({package!r}, [os.path.dirname(p)])))",
        f"m = m or sys.modules.setdefault({package!r}, types.ModuleType({package!r}))",
        "mp = (m or []) and m.__dict__.setdefault('__path__',[])",
        "(p not in mp) and mp.append(p)",
        *more,
    )
    return (";".join(lines) + "\n").encode()


NSPKG = "demo-1.0-py3.11-nspkg.pth"
SET_ZC = "m and setattr(sys.modules['zc'], 'buildout', m)"
STARTS: dict[str, tuple[Mapping[str, bytes], bool]] = {
    "its own namespace": ({NSPKG: nspkg("zc"), "zc/demo.py": b""}, True),
    "a namespace in a namespace": (
        {NSPKG: nspkg("zc") + nspkg("zc.buildout", SET_ZC), "zc/buildout/demo/__init__.py": b""},
        True,
    ),
    "through purelib": ({f"demo-1.0.data/purelib/{NSPKG}": nspkg("zc"), "demo-1.0.data/purelib/zc/x.py": b""}, True),
    "another line": ({NSPKG: nspkg("zc") + b"import os\n", "zc/demo.py": b""}, False),
    "more on its line": ({NSPKG: nspkg("zc", "print(1)"), "zc/demo.py": b""}, False),
    "a carriage return": ({NSPKG: nspkg("zc").replace(b";m =", b"\rimport os;m ="), "zc/demo.py": b""}, False),
    "a folder with an __init__": ({NSPKG: nspkg("zc"), "zc/__init__.py": b""}, False),
    "a folder that it has not": ({NSPKG: nspkg("zc"), "zd/demo.py": b""}, False),
    "the standard library's": ({NSPKG: nspkg("json"), "json/demo.py": b""}, False),
    "another parent": ({NSPKG: nspkg("zc.buildout", "m and setattr(sys.modules['os'], 'a', m)")}, False),
    "another name": ({"demo.pth": nspkg("zc"), "zc/demo.py": b""}, False),
    "a long one": ({NSPKG: nspkg("zc") * 1000, "zc/demo.py": b""}, False),
}


@pytest.mark.parametrize("case", STARTS)
def test_setuptools_own_words_for_a_namespace_are_no_code_at_the_start(case: str) -> None:
    """Word for word, and of folders of the wheel's own that nobody else can have."""
    files, passes = STARTS[case]
    assert ([] if passes else ["pth-file"]) == judge(pure_wheel().add(files))


BOTH = {
    "a start through the environment's root": (
        ["data-scheme", "pth-file"],
        added("demo-1.0.data/data/lib/python3.11/site-packages/x.pth"),
    ),
    "pip through the environment's root": (
        ["base-image-file", "data-scheme"],
        added("demo-1.0.data/data/lib64/python3.11/site-packages/pip/x.py"),
    ),
    "a shell through the environment's root": (["data-scheme", "script-shadows"], added("demo-1.0.data/data/bin/sh")),
    "a shell through a distribution's root": (
        ["data-scheme", "script-shadows"],
        added("demo-1.0.data/data/local/bin/sh"),
    ),
    "pip's metadata through the environment's root": (
        ["data-scheme", "foreign-dist-info"],
        added("demo-1.0.data/data/lib/python3.11/site-packages/pip-1.0.dist-info/METADATA"),
    ),
}


@pytest.mark.parametrize("case", BOTH)
def test_a_recipe_for_data_does_not_allow_what_data_reaches(case: str) -> None:
    """Through the environment's root a wheel reaches every other place, and is judged there as well."""
    codes, attack = BOTH[case]
    sample = attack(pure_wheel())
    assert codes == judge(sample)
    sample = replace(sample, expected=replace(sample.expected, oddities=("data-scheme",)))
    assert [code for code in codes if code != "data-scheme"] == judge(sample)


@pytest.mark.parametrize(
    ("project", "name"),
    [("setuptools", "pkg_resources"), ("pip", "pip"), ("wheel", "wheel"), ("pyyaml", "yaml"), ("yaml", "yaml")],
)
def test_what_is_ones_own_passes(project: str, name: str) -> None:
    """What the base image has of a project, and what a well-known one is imported as, is that project's alone."""
    placed, _ = place([f"{name}/__init__.py", f"{project}.libs/libx.so"], f"{project}-1.0.dist-info")
    own = replace(an_expectation(), name=canonicalize_name(project))
    assert [] == list(judge_top_level(placed, own))
    assert 2 == len(list(judge_top_level(placed, an_expectation())))


def test_the_wheel_says_what_was_read() -> None:
    """What is handed on has the job's name and version, METADATA, and the names to import."""
    sample = native_wheel().add(
        {
            "_single.py": b"",
            "space/inner/__init__.py": b"",
            "space/inner/deep/__init__.py": b"",
            "tests/test_demo.py": b"",
            "demo-1.0.data/platlib/extra/__init__.py": b"",
            "demo-1.0.data/scripts/tool.py": b"",
            "not-a-package/__init__.py": b"",
            "__init__.py": b"",
            "run/__main__.py": b"",
        }
    )
    wheel = check(sample.filename, sample.content, sample.expected).wheel
    assert wheel is not None
    assert (NATIVE, "demo", Version("1.0"), ">=3.8", metadata()) == (
        wheel.filename,
        wheel.name,
        wheel.version,
        wheel.requires_python,
        wheel.core_metadata,
    )
    assert ("_single", "demo", "extra", "space.inner") == wheel.import_names
