"""Tell the `-nspkg.pth` files that setuptools writes for `namespace_packages` from other code at Python's start."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping

from mirror.core.gate.installed import Installed
from mirror.core.gate.paths import folders_of

LONGEST = 64 << 10
"""In bytes; setuptools writes about 500 for each namespace."""
_NAME = re.compile(r"[^/]+-nspkg\.pth")
_FOLDER = "p = os.path.join(sys._getframe(1).f_locals['sitedir'], *{parts!r})"
_MODULE = (
    "sys.modules.setdefault({package!r}, importlib.util.module_from_spec("
    "importlib.machinery.PathFinder.find_spec({package!r}, [os.path.dirname(p)])))"
)
_PATH = ("mp = (m or []) and m.__dict__.setdefault('__path__',[])", "(p not in mp) and mp.append(p)")
_EMPTY = "m = m or sys.modules.setdefault({package!r}, types.ModuleType({package!r}))"
_CHILD = "m and setattr(sys.modules[{parent!r}], {child!r}, m)"
_LINES = (
    (  # setuptools from 70 on
        "import sys, types, os",
        _FOLDER,
        "importlib = __import__('importlib.util')",
        "__import__('importlib.machinery')",
        f"m = {_MODULE}",
        _EMPTY,
        *_PATH,
    ),
    (  # before
        "import sys, types, os",
        "has_mfs = sys.version_info > (3, 5)",
        _FOLDER,
        "importlib = has_mfs and __import__('importlib.util')",
        "has_mfs and __import__('importlib.machinery')",
        f"m = has_mfs and {_MODULE}",
        _EMPTY,
        *_PATH,
    ),
)
_PACKAGE = re.compile(r"sys\.modules\.setdefault\('([^\W\d]\w*(?:\.[^\W\d]\w*)*)',", re.ASCII)


def is_one(path: str) -> bool:
    """Whether a file that is installed to this place in site-packages is named as setuptools names these."""
    return bool(_NAME.fullmatch(path))


def harmless(placed: Iterable[Installed], texts: Mapping[str, bytes]) -> frozenset[str]:
    """The members that say of the wheel's own folders that they are namespaces, and nothing else.

    Each line makes an empty module of a folder at Python's start: of one that has an `__init__`, is somebody else's or
    a part of the standard library's, it would take the place.
    """
    library = [file for file in placed if file.in_library]
    folders = {folder for file in library for folder in folders_of(file.path)}
    initialised = {folder for file in library for folder, _, name in [file.path.rpartition("/")] if _is_init(name)}
    own = {folder.replace("/", ".") for folder in folders - initialised} - sys.stdlib_module_names
    return frozenset(
        file.member
        for file in library
        if is_one(file.path) and file.member in texts and own.issuperset(_packages(texts[file.member]))
    )


def _is_init(name: str) -> bool:
    return name.partition(".")[0] == "__init__"


def _packages(content: bytes) -> Iterator[str]:
    """The packages that the lines are about, "" for a line that setuptools would not have written."""
    for line in content.decode("utf-8", "replace").splitlines():
        match = _PACKAGE.search(line)
        yield match[1] if match and line in _written(match[1]) else ""


def _written(package: str) -> Iterator[str]:
    parent, _, child = package.rpartition(".")
    for lines in _LINES:
        text = ";".join((*lines, _CHILD) if parent else lines)
        # The braces are ours alone: what is filled in are identifiers.
        yield text.format(package=package, parts=tuple(package.split(".")), parent=parent, child=child)
