"""Where a wheel's files end up when it is installed, whatever scheme they come through (binary distribution format)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from packaging.utils import NormalizedName

from mirror.core.gate.paths import folders_of
from mirror.core.gate.values import Layout, finding
from mirror.core.model import Finding

SITE = "site-packages"
SCHEMES = frozenset({"purelib", "platlib", "headers", "scripts", "data"})
LIBRARY_SCHEMES = frozenset({"root", "purelib", "platlib"})
"""All one folder on the images and in an environment: site-packages. "root" is the archive's own."""
_DATA_SUFFIX = ".data"
"""pip installs any top folder with this suffix by its schemes, whatever stands before it."""
_THROUGH_DATA = (
    (re.compile(r"lib(?:64)?/python3\.\d+t?/(?:site|dist)-packages/(.+)", re.DOTALL), "purelib"),
    (re.compile(r"s?bin/(.+)", re.DOTALL), "scripts"),
)
"""What the scheme `data` reaches of other schemes' folders: it is installed to the environment's root."""
_HEADERS = re.compile(r"include/(?:site/)?python3\.\d+t?/(.+)", re.DOTALL)
_MODULE = re.compile(r"(?P<name>[^./]+)(\.py|\.[^/]*\.so|\.so|(\.[^/]*)?\.pyc)")
_NAMESPACE_TEXTS = (
    "__path__ = __import__('pkgutil').extend_path(__path__, __name__)",
    "from pkgutil import extend_path\n__path__ = extend_path(__path__, __name__)",
    "__import__('pkg_resources').declare_namespace(__name__)",
    "import pkg_resources\npkg_resources.declare_namespace(__name__)",
    "try:\n    __import__('pkg_resources').declare_namespace(__name__)\nexcept ImportError:\n"
    "    __path__ = __import__('pkgutil').extend_path(__path__, __name__)",
)
"""As in the packaging guide, and in what setuptools' documentation had before."""
NAMESPACES = frozenset(
    hashlib.sha256(quoted.encode() + end).digest()
    for text in _NAMESPACE_TEXTS
    for quoted in (text, text.replace("'", '"'))
    for end in (b"", b"\n")
)
"""SHA-256 of what is written into the `__init__.py` of a folder that many projects share: it has nothing of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """Where one member goes: `path` is relative to the folder of `scheme`, a key of the installation schemes.

    `through_data` is its path below the environment's root, where the wheel says that: it may be another scheme's.
    """

    member: str
    scheme: str
    path: str
    through_data: str = ""

    @property
    def in_library(self) -> bool:
        """Whether Python imports from where it goes."""
        return self.scheme in LIBRARY_SCHEMES


def place(names: Iterable[str], dist_info: str) -> tuple[tuple[Installed, ...], tuple[Finding, ...]]:
    """Say for each file where it is installed; files of the root go to "root" (purelib or platlib)."""
    data = f"{dist_info.removesuffix('.dist-info')}.data"
    placed: list[Installed] = []
    findings: list[Finding] = []
    for name in names:
        top, _, rest = name.partition("/")
        scheme, _, path = rest.partition("/")
        if top != data:
            if top.lower().endswith(_DATA_SUFFIX):
                findings.append(finding("data-folder", f"expected {data}, got {top}", name))
            placed.append(Installed(member=name, scheme="root", path=name))
        elif scheme not in SCHEMES or not path:
            findings.append(finding("unknown-scheme", f"expected one of {', '.join(sorted(SCHEMES))}", name))
        elif scheme == "data":
            placed.append(_through_data(name, path))
        else:
            placed.append(Installed(member=name, scheme=scheme, path=path))
    return tuple(placed), tuple(findings)


def _through_data(member: str, path: str) -> Installed:
    path = path.removeprefix("local/")  # where the root is /usr, as that of a distribution's own Python
    for pattern, scheme in _THROUGH_DATA:
        if match := pattern.fullmatch(path):
            return Installed(member=member, scheme=scheme, path=match[1], through_data=path)
    return Installed(member=member, scheme="data", path=path, through_data=path)


def layout_of(
    project: NormalizedName,
    placed: Iterable[Installed],
    hashes: Mapping[str, bytes],
    scripts: Mapping[str, str],
    *,
    compiled: bool = False,
) -> Layout:
    """Lay out what a wheel installs: `hashes` are its members' SHA-256, `scripts` its entry points' programs."""
    programs = {f"bin/{name}": hashlib.sha256(value.encode()).digest() for name, value in scripts.items()}
    files = {**programs, **{_path(file, project): hashes.get(file.member, b"") for file in placed}}
    modules: dict[str, set[str]] = {}
    packages: set[str] = set()
    for path, digest in files.items():
        module = module_of(path)
        folder, _, name = (module or "").rpartition("/")
        if module is None or (name == "__init__" and (digest in NAMESPACES or folder == SITE)):
            continue
        modules.setdefault(module, set()).add(path)
        if name == "__init__" and "/__pycache__/" not in path:
            packages.add(folder)
    return Layout(
        project=project,
        files=files,
        modules={module: frozenset(paths) for module, paths in modules.items()},
        packages=frozenset(packages),
        namespaces=frozenset(folder for module in modules for folder in folders_of(module)) - packages - {SITE},
        folders=frozenset(folder for path in files for folder in folders_of(path)),
        compiled=compiled,
    )


def _path(file: Installed, project: NormalizedName) -> str:
    """A file's place under the environment's root, with no version of Python in it."""
    if file.in_library:
        return f"{SITE}/{file.path}"
    if file.scheme == "scripts":
        return f"bin/{file.path}"
    if file.scheme == "headers":
        return f"include/{project}/{file.path}"
    headers = _HEADERS.fullmatch(file.path)
    return f"include/{headers[1]}" if headers else file.path


def module_of(path: str) -> str | None:
    """What a path is imported as, below site-packages: also from a cache, which Python prefers to the source."""
    folder, _, name = path.rpartition("/")
    match = _MODULE.fullmatch(name)
    if match is None or not path.startswith(f"{SITE}/"):
        return None
    return f"{folder.removesuffix('/__pycache__')}/{match['name']}"
