"""What stands in a requirements file and is no project of an index: a repository, a URL, a file, another such file."""

from __future__ import annotations

import re
from pathlib import PurePath

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from mirror.core.requirements_text import LogicalLine, Problem
from mirror.core.text import visible

_EXPORT = "export it: uv export --no-emit-project --output-file requirements.txt"
_OTHER_KIND = {
    "pyproject.toml": _EXPORT,
    "uv.lock": _EXPORT,
    "poetry.lock": "export it: poetry export --output requirements.txt",
    "pipfile": "export it: pipenv requirements > requirements.txt",
    "pipfile.lock": "export it: pipenv requirements > requirements.txt",
    "pylock.toml": "name the requirements that it was locked from",
    "setup.py": "write what it requires into requirements.txt",
    "setup.cfg": "write what it requires into requirements.txt",
    "environment.yml": "write the projects you need from PyPI into requirements.txt",
    "package.json": "this tool builds Python projects; name a requirements.txt",
}
_SUSPECT = re.compile(r"[/\\@:]|^[.~]|\.[A-Za-z]")
"""What each of the following has somewhere, and most requirements have not."""
_NAMED_URL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\s*(?:\[[^\]]*\])?\s*@")
_VCS = re.compile(r"(?:git|hg|svn|bzr)(?:\+|@|://)|(?:ssh|sftp)://", re.IGNORECASE)
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_GIT_URL = re.compile(_URL.pattern + r"[^\s?#]+\.git(?:[@?#].*)?", re.IGNORECASE)
_PATH = re.compile(r"[./~\\]|file:|[A-Za-z]:[\\/]", re.IGNORECASE)
_ARCHIVE = re.compile(r"\.(?:whl|zip|tar|tgz|tbz|txz|tlz|tar\.(?:gz|bz2|xz|lz|lzma|zst))$", re.IGNORECASE)
"""The ends by which pip knows a file: its ARCHIVE_EXTENSIONS, and .tar.zst."""
_EXTRAS = re.compile(r"\s*\[[^\]]*\]$")
_LIST = re.compile(r"\.(?:txt|in)$", re.IGNORECASE)
_FILE = re.compile(r"\.(?:txt|in|toml|lock|cfg|ya?ml|json|py)$", re.IGNORECASE)
"""The ends of files that have requirements of some kind."""


def elsewhere(line: LogicalLine, offset: int, text: str) -> Problem | None:
    """The problem with a requirement that does not come from the index; it stands at `offset` of `line`."""
    if not _SUSPECT.search(text):
        return None
    named = None if _VCS.match(text) else _NAMED_URL.match(text)
    start = named.end() if named else 0
    while start < len(text) and text[start].isspace():
        start += 1
    whole = text[start:].partition(";")[0].rstrip()
    is_archive = _is_archive(whole)
    target = whole if is_archive else "".join(whole.split(maxsplit=1)[:1])
    shown, at = visible(target), offset + start
    if _VCS.match(target) or _GIT_URL.fullmatch(target):
        hint = "release it: upload an sdist of it to your index, then write name==version"
        return line.problem(at, "vcs", f"a repository cannot be a requirement ({shown})", hint)
    if whole == target and not named and (found := _requirements_of_others(line, at, target)):
        return found
    if is_archive or _PATH.match(target) or _is_path(target):
        hint = "upload it to your index, then write name==version"
        return line.problem(at, "local-path", f"a file or folder cannot be a requirement ({shown})", hint)
    if named or _URL.match(target):
        hint = "upload the file to your index, then write name==version"
        return line.problem(at, "url", f"a URL cannot be a requirement ({shown})", hint)
    return None


def other_kind(path: str) -> str | None:
    """What to do instead of giving us a file of this name; None where it may be a requirements file."""
    name = PurePath(path).name.lower()
    return _OTHER_KIND.get(re.sub(r"^pylock\.[^.]+\.toml$", "pylock.toml", name))


def looks_like_project(text: str) -> bool:
    """Whether `text` reads as a dependency specifier rather than as the name of a file."""
    try:
        Requirement(text)
    except InvalidRequirement:
        return False
    return not _is_archive(text) and not _FILE.search(text)


def _requirements_of_others(line: LogicalLine, at: int, target: str) -> Problem | None:
    """The problem with a file that has requirements of its own, alone on a line."""
    shown = visible(target)
    if not _FILE.search(target) or _URL.match(target) or target.lower().startswith("file:"):
        return None
    if instead := other_kind(target):
        return line.problem(at, "file-kind", f"{shown} is not a requirement", instead)
    if _LIST.search(target):
        is_plain = not _PATH.match(target) and not _is_path(target)
        project = f"; a project of that name is {canonicalize_name(target)}" if is_plain else ""
        return line.problem(at, "include-forgotten", f"{shown} is the name of a file", f"write -r {shown}{project}")
    return None


def _is_path(target: str) -> bool:
    if _URL.match(target):
        return False
    return "/" in target or "\\" in target or _is_archive(target)


def _is_archive(text: str) -> bool:
    """Whether pip takes it for a file by its name, extras behind it or not."""
    bare = _EXTRAS.sub("", text) if text.endswith("]") else text
    return bool(_ARCHIVE.search(bare)) and not _URL.match(text)
