"""A small graph of sdists that really compile, in a second each; and an upstream that offers one after another.

    clay ─┬─ brick ─┐
          └─ beam ──┴─ house        glass (C) ── window

An arrow's right end needs the left one to be built (PEP 517): a chain, a diamond, an extension. Every compile brings
other bytes, so a wheel that was published twice, or replaced, cannot hide behind the same hash.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fakes.command import Mirror, free_port
from fakes.sdists import sdist
from fakes.upstream import Upstream

NEEDS: Mapping[str, tuple[str, ...]] = {
    "clay": (),
    "glass": (),
    "brick": ("clay",),
    "beam": ("clay",),
    "window": ("glass",),
    "house": ("brick", "beam"),
}
"""Project to its build requirements."""
NATIVE = frozenset({"glass"})
ASKED = ("house", "window", "brick")
"""What the requirements ask for: the others are found on the way."""
COMPILE_S = 0.3
VERSION = "1.0"

BACKEND = """
import base64, hashlib, os, signal, subprocess, sysconfig, time, zipfile
{imports}

def build_wheel(folder, *_):
    if os.environ.get("STUBBORN"):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
    time.sleep(float(os.environ.get("COMPILE_S", "{seconds}")))
    files = {{"{name}/__init__.py": b"BUILT = %r\\n" % os.urandom(16).hex()}}
    tag = "py3-none-any"
    if {native}:
        include = "-I" + sysconfig.get_path("include")
        subprocess.run(["cc", "-shared", "-fPIC", include, "-o", "fast.so", "fast.c"], check=True)
        files["{name}/_fast" + sysconfig.get_config_var("EXT_SUFFIX")] = open("fast.so", "rb").read()
        tag = "cp%d%d-cp%d%d-linux_x86_64" % (2 * tuple(map(int, sysconfig.get_python_version().split("."))))
    info = "{name}-{version}.dist-info"
    files[info + "/METADATA"] = open("PKG-INFO", "rb").read()
    pure = str(tag.endswith("any")).lower()
    files[info + "/WHEEL"] = (
        "Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: %s\\nTag: %s\\n" % (pure, tag)
    ).encode()
    record = ""
    for path, content in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        record += "%s,sha256=%s,%d\\n" % (path, digest, len(content))
    files[info + "/RECORD"] = (record + info + "/RECORD,,\\n").encode()
    wheel = "{name}-{version}-%s.whl" % tag
    with zipfile.ZipFile(os.path.join(folder, wheel), "w") as archive:
        for path, content in files.items():
            archive.writestr(path, content)
    return wheel
"""
_EXTENSION = """
#include <Python.h>
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_fast", 0, -1, 0};
PyMODINIT_FUNC PyInit__fast(void) { return PyModule_Create(&module); }
"""


def graph(suffix: str = "") -> dict[str, bytes]:
    """The sdists by project. `suffix` ends every name, for a graph that no index has seen yet."""
    return {f"{name}{suffix}": _sdist(name, suffix) for name in NEEDS}


def _sdist(name: str, suffix: str) -> bytes:
    whole, needs = f"{name}{suffix}", [f"{needed}{suffix}" for needed in NEEDS[name]]
    requires = ", ".join(f'"{needed}=={VERSION}"' for needed in needs)
    backend = BACKEND.format(
        imports="".join(f"import {needed}\n" for needed in needs),  # they are there, or it fails
        name=whole,
        version=VERSION,
        native=name in NATIVE,
        seconds=COMPILE_S,
    )
    files = {
        # Of version 2.2 and nothing in it dynamic: a resolver need not run the backend to learn this (PEP 643).
        "PKG-INFO": f"Metadata-Version: 2.2\nName: {whole}\nVersion: {VERSION}\n",
        "pyproject.toml": (
            f'[build-system]\nrequires = [{requires}]\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        ),
        "backend.py": backend,
        **({"fast.c": _EXTENSION} if name in NATIVE else {}),
    }
    return sdist(whole, VERSION, files)


@dataclass(frozen=True)
class Site:
    """A `mirror` over an upstream that has nothing but what `offer` adds."""

    mirror: Mirror
    upstream: Upstream

    def offer(self, suffix: str = "") -> Path:
        """Let upstream have one more graph; requirements that ask for it."""
        for name, content in graph(suffix).items():
            self.upstream.add(name, f"{name}-{VERSION}.tar.gz", content)
        path = self.mirror.folder / f"requirements{suffix}.txt"
        path.write_text("".join(f"{name}{suffix}=={VERSION}\n" for name in ASKED))
        return path

    def slow(self, seconds: float, *projects: str, stubborn: bool = False) -> None:
        """Let these projects' compiles take so long, from the next run on; none: all are as quick as they were.

        A `stubborn` one ignores signals. Both are told by a recipe, which is part of what a compile depends on.
        """
        more = ', STUBBORN = "1"' if stubborn else ""
        (self.mirror.folder / "mirror.toml").write_text(
            "".join(
                f'[[recipe]]\nproject = "{project}"\nreason = "a test\'s"\n'
                f'environment = {{ COMPILE_S = "{seconds}"{more} }}\n'
                for project in projects
            )
        )

    def beside(self, folder: Path, *, program: tuple[str, ...] | None = None, **environment: str) -> Site:
        """Another `mirror` that works in a folder of its own; `environment` decides what it shares with this one."""
        folder.mkdir()
        mirror = Mirror(
            folder,
            self.mirror.port,
            {**self.mirror.environment, **environment},
            *((program,) if program else ()),
        )
        return Site(mirror, self.upstream)


@contextmanager
def a_site(folder: Path) -> Iterator[Site]:
    """An upstream and a `mirror` whose folder is new. Its index, if one was started, stops at the end."""
    upstream = Upstream()
    upstream.start()
    temporary = folder / "tmp"
    temporary.mkdir()
    mirror = Mirror(
        folder,
        free_port(),
        {
            "MIRROR_DATA": str(folder / "data"),
            "MIRROR_UPSTREAM": upstream.url,
            "MIRROR_JOBS": "2",
            "TMPDIR": str(temporary),
        },
    )
    try:
        yield Site(mirror, upstream)
    finally:
        mirror("down")
        upstream.stop()
