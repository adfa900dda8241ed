"""Requirements and constraints files in pip's format: parsed whole, or every problem in one pass."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from os.path import normpath
from pathlib import PurePath

from mirror.core.errors import BadInputError
from mirror.core.model import Location, RequirementLine, Requirements
from mirror.core.requirements_elsewhere import looks_like_project, other_kind
from mirror.core.requirements_line import Include, read_line
from mirror.core.requirements_text import Problem, logical_lines
from mirror.core.text import visible

__all__ = ["DEEPEST_INCLUDE", "Problem", "RequirementsError", "parse"]

DEEPEST_INCLUDE = 20
"""Files that include files; links can make a cycle that the names do not show."""
MOST_PROBLEMS = 1_000
"""In one file; nobody reads on, and looking for near names takes time."""

_PINNED = re.compile(r"[^=<>!~]+={2,3}[^=<>!~,*]+")
"""A normal specifier, without its marker, that leaves one version; parsing it once more would take as long again."""


class RequirementsError(BadInputError):
    """Something is wrong with the requirements; `problems` are all there are, in the order of the files."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        count = len(problems)
        files = len({problem.location.file for problem in problems})
        what = f"{count} problem{'s' if count > 1 else ''} in {files} file{'s' if files > 1 else ''}"
        super().__init__(
            "requirements", what, hint="mend what is listed, then run again", details=[*map(str, problems)]
        )
        self.problems = tuple(problems)


def parse(files: Sequence[str], constraints: Sequence[str], read: Callable[[str], bytes]) -> Requirements:
    """Parse requirements `files` and constraint files in pip's format, with all they include.

    `read` gives the bytes of a file and raises OSError. Raises RequirementsError with the problems of all files.
    """
    reading = _Reading(read=read)
    for constraint, names in ((False, files), (True, constraints)):
        for name in names:
            reading.include(Include(path=name, constraint=constraint, location=Location(file=name, line=1)), ())
    problems = [*reading.problems, *_hash_problems(reading)]
    if problems:
        raise RequirementsError(problems)
    return Requirements(
        requirements=tuple(reading.requirements),
        constraints=tuple(reading.constraints),
        pre_releases=reading.pre_releases,
    )


@dataclass(slots=True, kw_only=True)
class _Reading:
    """What has been read so far, over all files."""

    read: Callable[[str], bytes]
    requirements: list[RequirementLine] = field(default_factory=list)
    constraints: list[RequirementLine] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    pre_releases: bool = False
    require_hashes: Location | None = None
    badly_hashed: set[Location] = field(default_factory=set)
    """Where lines stand with a hash that was refused."""
    seen: set[tuple[str, bool]] = field(default_factory=set)

    def include(self, include: Include, chain: tuple[str, ...]) -> None:
        """Read the file that `include` names and what it includes; `chain` are the files that led here."""
        name = normpath(include.path) if include.path else include.path
        if name in chain:
            shown = " includes ".join(visible(file) for file in (*chain[chain.index(name) :], name))
            self.problem(include.location, "include-cycle", shown, "remove one of these includes")
        elif len(chain) > DEEPEST_INCLUDE:
            what = f"files include files more than {DEEPEST_INCLUDE} deep"
            self.problem(include.location, "include-depth", what, "include them from the first file")
        elif (name, include.constraint) not in self.seen:
            self.seen.add((name, include.constraint))
            content = self.content(include, include.path, is_top=not chain)
            if content is not None:
                self.file(include.path, content, (*chain, name), constraint=include.constraint)

    def content(self, include: Include, path: str, *, is_top: bool) -> bytes | None:
        """The bytes of a file, None where that is a problem."""
        where, shown = include.location, visible(path)
        if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:", path):
            hint = "download it and name the copy"
            self.problem(where, "include-url", f"{shown} is a URL, and only files are read", hint)
            return None
        if instead := other_kind(path):
            self.problem(where, "file-kind", f"{shown} is not a requirements file", instead)
            return None
        try:
            return self.read(path)
        except (FileNotFoundError, NotADirectoryError, ValueError):
            self.missing(where, path, is_top=is_top)
        except IsADirectoryError:
            self.problem(where, "file-is-folder", f"{shown} is a folder", "name a file in it")
        except PermissionError:
            self.problem(where, "file-unreadable", f"{shown} may not be read by you", "change its permissions")
        except OSError as error:
            reason = visible(error.strerror or type(error).__name__)
            self.problem(where, "file-unreadable", f"{shown} cannot be read ({reason})", "check the file")
        return None

    def missing(self, where: Location, path: str, *, is_top: bool) -> None:
        """Say that there is no file `path`, which may be a project's name."""
        shown = visible(path)
        hint = "check the path; it is relative to the file it stands in"
        if is_top:
            hint = "check the path"
            if looks_like_project(path):
                hint = f"did you mean the project? write it into a file: echo '{shown}' > requirements.txt"
        self.problem(where, "file-missing", f"there is no file {shown}", hint)

    def file(self, path: str, content: bytes, chain: tuple[str, ...], *, constraint: bool) -> None:
        """Take in every line of a file."""
        lines, problems = logical_lines(path, content)
        found = [*problems]
        for logical in lines:
            line = read_line(logical)
            found += line.problems
            if len(found) > MOST_PROBLEMS:
                what, hint = f"more than {MOST_PROBLEMS} problems in this file", "mend those before it first"
                found.append(logical.problem(0, "too-many-problems", what, hint))
                break
            self.pre_releases |= line.pre_releases
            self.require_hashes = self.require_hashes or line.require_hashes
            if line.requirement and constraint:
                found += _constraint_problems(line.requirement)
                self.constraints.append(line.requirement)
            elif line.requirement:
                self.requirements.append(line.requirement)
                if any(problem.code.startswith("hash-") for problem in line.problems):
                    self.badly_hashed.add(line.requirement.location)
            if line.includes:
                self.problems += found
                found = []
            for include in line.includes:
                beside = PurePath(path).parent / include.path
                is_url = re.match(r"[A-Za-z][A-Za-z0-9+.-]+:", include.path)
                resolved = include.path if is_url else str(beside)
                self.include(Include(path=resolved, constraint=include.constraint, location=include.location), chain)
        self.problems += found

    def problem(self, where: Location, code: str, what: str, hint: str) -> None:
        """Remember a problem."""
        self.problems.append(Problem(location=where, code=code, what=what, hint=hint))


def _constraint_problems(line: RequirementLine) -> list[Problem]:
    if "[" not in line.text.partition(";")[0]:
        return []
    what = f"a constraint cannot have extras ({visible(line.text)})"
    hint = "remove the brackets here, and ask for the extras in a requirements file"
    return [Problem(location=line.location, code="constraint-extras", what=what, hint=hint)]


def _hash_problems(reading: _Reading) -> list[Problem]:
    """Once one requirement has a hash, each must have one and be pinned (pip's hash-checking mode)."""
    # A line whose hash is wrong was told so, and meant to have one.
    meant = (line.location for line in reading.requirements if line.hashes or line.location in reading.badly_hashed)
    first = reading.require_hashes or next(meant, None)
    if first is None:
        return []
    problems = []
    reason = f"{first} asks for them" if reading.require_hashes else f"{first} has one"
    for line in reading.requirements:
        shown = visible(line.text)
        if not line.hashes and line.location not in reading.badly_hashed:
            what = f"{shown} has no hash, and {visible(reason, 500)}"
            hint = "add --hash=sha256:…, or remove the others"
            problems.append(Problem(location=line.location, code="hash-missing", what=what, hint=hint))
        if not _is_pinned(line.text):
            what = f"{shown} has no single version, which hashes are for"
            problems.append(Problem(location=line.location, code="hash-unpinned", what=what, hint="pin it with =="))
    return problems


def _is_pinned(text: str) -> bool:
    return bool(_PINNED.fullmatch(text.partition(";")[0]))
