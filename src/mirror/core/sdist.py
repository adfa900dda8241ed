"""Read of an sdist what its build needs, without unpacking it and without running anything of it.

The archive is a stranger's: what is read is bounded, and members are only ever looked at, never written anywhere.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, BinaryIO

from packaging.requirements import Requirement

from mirror.core.errors import MirrorError
from mirror.core.model import BuildSystem, SourceFacts
from mirror.core.sdist_archive import SourceTree, read_tree
from mirror.core.text import visible
from mirror.core.toml import read_toml

LEGACY_BACKEND = "setuptools.build_meta:__legacy__"
_LEGACY = BuildSystem(requires=("setuptools>=40.8.0",), backend=LEGACY_BACKEND)
"""What a source tree that says nothing gets: PEP 517's default, with the bound that pip and build use."""

_BACKEND = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*(:[^\W\d]\w*(\.[^\W\d]\w*)*)?")
_NATIVE = (
    ".c",
    ".cc",
    ".cpp",
    ".cxx",
    ".c++",
    ".pyx",
    ".f",
    ".for",
    ".f77",
    ".f90",
    ".f95",
    ".rs",
    ".s",
    ".asm",
    ".cu",
)
_ASIDE = re.compile(
    r"_?(tests?|testing|docs?|documentation|examples?|benchmarks?|bench|tutorials?"
    r"|vendor(ed)?|third[_-]?party|contrib)"
)
"""Folders whose sources are often there for another reason than to be compiled into the wheel."""
_NEVER_COMPILE = {"flit_core", "flit", "uv_build"}
_COMPILES = re.compile(
    rb"ext[_-]modules|Extension\b|cythonize|cffi_modules|rust[_-]?extensions?|setuptools[_-]rust|mypycify|skbuild"
    rb"|CMakeExtension|pybind11|configuration\("
)
"""Words without which a setuptools project compiles nothing."""


def read_source(filename: str, content: BinaryIO) -> SourceFacts:
    """Read an sdist: how it says it is built (PEP 517, 518), and whether it holds sources to compile.

    `content` is the file, open and seekable. Raises MirrorError: `bad-sdist` where the archive is broken or more than
    we are willing to read, `bad-build-system` where its pyproject.toml is.
    """
    tree = read_tree(filename, content)
    system = _build_system(filename, tree)
    return SourceFacts(build_system=system, has_native_sources=_compiles(tree, system))


def _build_system(filename: str, tree: SourceTree) -> BuildSystem:
    if "pyproject.toml" not in tree.texts:
        if not {"setup.py", "setup.cfg"} & tree.texts.keys():
            raise MirrorError(
                "bad-sdist",
                f"{visible(filename)} has neither pyproject.toml nor setup.py in its top folder",
                hint="it is no Python project's sdist; ask its maintainers",
            )
        return _LEGACY
    try:
        table = read_toml(tree.texts["pyproject.toml"].decode("utf-8")).get("build-system")
    except ValueError as error:  # of TOML, and of UTF-8
        raise _bad_build_system(filename, f"pyproject.toml cannot be read: {visible(str(error))}") from error
    if table is None:
        return _LEGACY
    if not isinstance(table, dict):
        raise _bad_build_system(filename, "build-system is not a table")
    return BuildSystem(
        requires=_requires(filename, table),
        backend=_backend(filename, table),
        backend_path=_backend_path(filename, table),
    )


def _requires(filename: str, table: Mapping[str, Any]) -> tuple[str, ...]:
    if "requires" not in table:
        raise _bad_build_system(filename, "build-system has no requires, which PEP 518 demands")
    requires = _strings(filename, table, "requires")
    for requirement in requires:
        try:
            Requirement(requirement)
        except (ValueError, RecursionError) as error:  # InvalidRequirement among them
            raise _bad_build_system(
                filename, f"{visible(requirement)} in requires is no dependency specifier"
            ) from error
    return requires


def _backend(filename: str, table: Mapping[str, Any]) -> str:
    backend = table.get("build-backend", LEGACY_BACKEND)
    if not isinstance(backend, str) or not _BACKEND.fullmatch(backend):
        raise _bad_build_system(filename, f"build-backend is {visible(str(backend))}, expected MODULE or MODULE:OBJECT")
    return backend


def _backend_path(filename: str, table: Mapping[str, Any]) -> tuple[str, ...]:
    paths = _strings(filename, table, "backend-path") if "backend-path" in table else ()
    for path in paths:
        if path.startswith("/") or "\\" in path or ".." in path.split("/") or "\0" in path:
            raise _bad_build_system(filename, f"backend-path leads out of the source tree: {visible(path)}")
    if paths and "build-backend" not in table:
        raise _bad_build_system(filename, "build-system has a backend-path and no build-backend")
    return paths


def _strings(filename: str, table: Mapping[str, Any], key: str) -> tuple[str, ...]:
    value = table[key]
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise _bad_build_system(filename, f"{key} is not a list of strings")
    return tuple(value)


def _bad_build_system(filename: str, what: str) -> MirrorError:
    return MirrorError(
        "bad-build-system",
        f"{visible(filename)}: {what}",
        hint="the sdist cannot be built as it is by any tool; choose another version, or ask its maintainers",
    )


def _compiles(tree: SourceTree, system: BuildSystem) -> bool:
    """Whether a wheel without anything compiled would be suspect.

    Right most times, not always: a C file can be there to be read, and setup.py can hide what it does.
    """
    module = system.backend.partition(":")[0]
    if module.split(".")[0] in _NEVER_COMPILE or not any(map(_is_native, tree.files)):
        return False
    if module.split(".")[0] != "setuptools":
        return True
    said = b"\n".join((*tree.texts.values(), *(requirement.encode() for requirement in system.requires)))
    return bool(_COMPILES.search(said))


def _is_native(path: str) -> bool:
    *folders, name = path.lower().split("/")
    return name.endswith(_NATIVE) and not any(map(_ASIDE.fullmatch, folders))
