"""Judge where a wheel's files go when it is installed, and what they would change there besides adding a project."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator

from packaging.utils import canonicalize_name

from mirror.core.gate.installed import Installed
from mirror.core.gate.programs import takes_a_place
from mirror.core.gate.values import Expected, finding
from mirror.core.model import Finding
from mirror.core.popular import owners

_PYTHONS_HEADERS = ("cpython", "internal")
"""Folders of Python's own headers: pip installs a project's to a folder of the project's name beside them."""
_PYTHONS = re.compile(
    r"lib(?:64)?/(?:libpython[^/]*|python3[^/]*(?:/.*)?)"
    rf"|include/(?:site/)?python3[^/]*(?:/(?:[^/]*|(?:{'|'.join(_PYTHONS_HEADERS)})/.*))?"
    r"|lib(?:64)?/pkgconfig/python[^/]*|share/man/man1/python[^/]*"
    r"|pyvenv\.cfg|pip\.conf|s?bin|lib(?:64)?|include|share|etc",
    re.DOTALL,
)
"""What is Python's own below an environment's root, and what it and pip are set up by."""
_LOADED = re.compile(r"lib(?:64)?/[^/]*\.so(?:\.[^/]*)?", re.DOTALL)
"""musl looks into /usr/local/lib for all that a program needs, before it looks into /usr/lib."""
_DOCUMENTATION = re.compile(r"share/(?:doc|info|man)/.+", re.DOTALL)
"""What nobody runs, and no program reads for its settings."""
_BASE = {
    "_distutils_hack": "setuptools",
    "distutils-precedence": "setuptools",
    "easy_install": "setuptools",
    "pip": "pip",
    "pkg_resources": "setuptools",
    "setuptools": "setuptools",
    "wheel": "wheel",
}
"""What the official images have in site-packages, and whose it is."""
_LIBRARIES = ".libs"
"""Where auditwheel puts what it grafts: a folder beside the packages, named as the wheel's file name begins."""
_STARTUP = re.compile(r"(sitecustomize|usercustomize|_virtualenv)(\.[^/]*|/.*)", re.DOTALL)
"""`site` imports these at every start of Python, asked or not; the last in an environment of virtualenv's."""
_METADATA_FOLDER = re.compile(r"([^/]+)\.(?:dist-info|egg-info|egg-link)(?:/|$)", re.IGNORECASE)
_INSTALLERS_FILES = ("INSTALLER", "REQUESTED", "direct_url.json", "provenance_url.json", "uv_cache.json")
"""What says where a project came from, and who installed it why (PEP 376, 610, 627, 710)."""
_EXTENSION = re.compile(r"\.(cpython-|cp)(?P<python>\d+)(?P<flags>[a-z]*)[^./]*\.so$")
_GLIBC = re.compile(r"-gnu[a-z0-9]*\.so$")
"""`-gnueabihf` on armv7l, for one."""
_SUFFIX_SAYS_LIBC = (3, 11)
"""CPython before it calls its suffix `-linux-gnu` on musl, too, unless whoever built it changed that."""
_MODULE = re.compile(r"(?P<name>[^./]+)(\.py|\.[^/]*\.so|\.so)")
_BYTECODE = ".pyc"
_IDENTIFIER = re.compile(r"[^\W\d]\w*")
_NOT_IMPORTED = {"test", "tests", "testing", "doc", "docs", "example", "examples", "benchmark", "benchmarks"}


def judge_places(placed: Iterable[Installed], dist_info: str, expected: Expected) -> Iterator[Finding]:
    """Judge what a wheel would put where, file by file."""
    for file in placed:
        if file.through_data:
            yield from _judge_data_place(file)
        if file.in_library:
            yield from _judge_library_place(file, dist_info)
        elif file.scheme == "headers":
            if expected.name in _PYTHONS_HEADERS:
                yield finding("base-image-file", "is one of Python's own headers", file.member)
        elif file.scheme == "scripts":
            if "/" in file.path:
                yield finding("script-folder", "expected a script's name, got a path", file.member)
            elif takes_a_place(file.path, expected.name) or _is_imported(file.path, expected):
                yield finding("script-shadows", "takes the place of a program that others rely on", file.member)


def _judge_data_place(file: Installed) -> Iterator[Finding]:
    path = file.through_data
    if file.scheme == "data" and _PYTHONS.fullmatch(path):
        yield finding("base-image-file", "takes the place of what belongs to Python and its environment", file.member)
    elif _LOADED.fullmatch(path):
        yield finding("data-library", "lies where the loader looks for every program's libraries", file.member)
    elif not _DOCUMENTATION.fullmatch(path):
        yield finding("data-scheme", f"is installed to {path} under the environment's root", file.member)


def judge_scripts(names: Iterable[str], member: str, expected: Expected) -> Iterator[Finding]:
    """Judge the programs that installers write for entry points."""
    for name in names:
        if takes_a_place(name, expected.name) or _is_imported(name, expected):
            yield finding("script-shadows", f"the script {name} takes the place of a program", member)


def _is_imported(script: str, expected: Expected) -> bool:
    """Whether every program in the same folder would import a script, in the place of what it means.

    Python looks first where the program lies: `re.py` beside pip is pip's `re`.
    """
    module = _MODULE.fullmatch(script.removesuffix("c") if script.endswith(_BYTECODE) else script)
    if module is None or canonicalize_name(name := module["name"]) == expected.name:
        return False
    known = {_BASE[name]} if name in _BASE else owners(name)
    is_others = canonicalize_name(name) in expected.other_names or (known and expected.name not in known)
    return name in sys.stdlib_module_names or bool(is_others)


def _judge_library_place(file: Installed, dist_info: str) -> Iterator[Finding]:
    if "/" not in file.path and file.path.lower().endswith(".pth"):
        yield finding("pth-file", "runs at every start of Python", file.member)
    if _STARTUP.fullmatch(file.path):
        yield finding("startup-module", "is imported at every start of Python", file.member)
    if file.path in {f"{dist_info}/{name}" for name in _INSTALLERS_FILES}:
        yield finding("installer-file", "is an installer's to write, not a wheel's to bring", file.member)
    metadata = _METADATA_FOLDER.match(file.path)
    if metadata and not (file.scheme == "root" and file.path.startswith(f"{dist_info}/")):
        yield finding("foreign-dist-info", f"expected metadata in {dist_info} alone, got {metadata[0]}", file.member)


def judge_top_level(placed: Iterable[Installed], expected: Expected) -> Iterator[Finding]:
    """Find top-level modules and packages that are another project's: here, in the base image, or everywhere."""
    reported: set[str] = set()
    for file in placed:
        top = _top_level(file) if file.in_library else None
        if top is None or top in reported:
            continue
        reported.add(top)
        name = canonicalize_name(top)
        if _BASE.get(top, expected.name) != expected.name:
            yield finding("base-image-file", f"{top} is what the base image has of {_BASE[top]}", file.member)
        elif top.lower().endswith(_LIBRARIES):
            if canonicalize_name(top[: -len(_LIBRARIES)]) != expected.name:
                message = f"expected a folder for libraries of {expected.name}, got {top}"
                yield finding("foreign-top-level", message, file.member)
        elif name == expected.name:
            continue
        elif name in expected.other_names:
            yield finding("foreign-top-level", f"the package {top} is the name of another project here", file.member)
        elif (known := owners(top)) and expected.name not in known:
            yield finding("foreign-top-level", f"{top} is what {min(known)} is imported as", file.member)


def _top_level(file: Installed) -> str | None:
    """The name at the top that a file would be found by, as far as it is one that others rely on."""
    top, slash, rest = file.path.partition("/")
    if top == "__pycache__":  # an unchecked .pyc there is imported in the place of the module that it is named after
        return rest.partition(".")[0]
    if slash:
        return top if _IDENTIFIER.fullmatch(top) or top.lower().endswith(_LIBRARIES) else None
    if top.endswith((_BYTECODE, ".pth")):
        return top.rpartition(".")[0]
    module = _MODULE.fullmatch(top)
    return module["name"] if module else None


def judge_suffixes(extensions: Iterable[str], python: str) -> Iterator[Finding]:
    """Find extension modules that this Python would not import: their suffix names another Python, or glibc's."""
    wanted = python.replace(".", "")
    says_libc = tuple(map(int, python.split("."))) >= _SUFFIX_SAYS_LIBC
    for member in extensions:
        match = _EXTENSION.search(member)
        if match is None:
            continue
        of_another = (match["python"], match["flags"]) != (wanted, "")
        if of_another or (says_libc and _GLIBC.search(match[0])):
            yield finding("extension-suffix", f"Python {python} for musl does not import {match[0]} files", member)


def import_names(placed: Iterable[Installed]) -> tuple[str, ...]:
    """List the top-level names the wheel provides, sorted; of a namespace package the first packages inside it.

    `__main__` and its like are for running, not for importing.
    """
    modules = sorted(
        parts
        for file in placed
        if file.in_library and (parts := _module_parts(file.path)) and parts[0] not in _NOT_IMPORTED
    )
    packages = {parts[:-1] for parts in modules if parts[-1] == "__init__"}
    found: dict[str, None] = {}
    for parts in modules:
        name = ".".join(_shortest(parts, packages))
        if not name.endswith("__"):
            found.setdefault(name)
    return tuple(found)


def _module_parts(path: str) -> tuple[str, ...]:
    *folders, file = path.split("/")
    module = _MODULE.fullmatch(file)
    parts = (*folders, module["name"]) if module else ()
    return parts if all(_IDENTIFIER.fullmatch(part) for part in parts) else ()


def _shortest(parts: tuple[str, ...], packages: set[tuple[str, ...]]) -> tuple[str, ...]:
    """The first folder on the way that is a package of its own; else the module itself."""
    for length in range(1, len(parts)):
        if parts[:length] in packages:
            return parts[:length]
    return parts
