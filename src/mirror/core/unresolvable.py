"""Why requirements cannot be met, told line by line from what the index has: values in, problems out."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import combinations
from math import comb

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.tags import Tag
from packaging.utils import NormalizedName, canonicalize_name, parse_wheel_filename
from packaging.version import Version

from mirror.core.lock import pin_of
from mirror.core.model import IndexFile, RequirementLine, Requirements, Target
from mirror.core.popular import NAMES
from mirror.core.requirements_text import Problem
from mirror.core.target import applies, takes_python, usable
from mirror.core.text import visible
from mirror.core.upstreams import FurtherUpstream, who_has

SHOWN = 5
"""Versions, platforms or names that are listed: enough to choose from, and few enough to read."""
_LATER_PYTHONS = 20
_MOST_TRIES = 2_000
_PLATFORM = re.compile(r"([a-z]+)\d*(?:_\d+)*_?(\w*)")
_SYSTEMS = {
    "linux": "Linux (no libc named)",
    "macosx": "macOS",
    "manylinux": "Linux (glibc)",
    "musllinux": "Linux (musl)",
    "win": "Windows",
}
_PROJECTS = {
    "attr": "attrs",
    "bs4": "beautifulsoup4",
    "cairo": "pycairo",
    "crypto": "pycryptodome",
    "cv2": "opencv-python",
    "dateutil": "python-dateutil",
    "discord": "discord-py",
    "docx": "python-docx",
    "dotenv": "python-dotenv",
    "fitz": "pymupdf",
    "git": "gitpython",
    "github": "pygithub",
    "google-protobuf": "protobuf",
    "jose": "python-jose",
    "jwt": "pyjwt",
    "kafka": "kafka-python",
    "ldap": "python-ldap",
    "levenshtein": "python-levenshtein",
    "magic": "python-magic",
    "multipart": "python-multipart",
    "mysql": "mysql-connector-python",
    "mysqldb": "mysqlclient",
    "nacl": "pynacl",
    "openssl": "pyopenssl",
    "pil": "pillow",
    "pkg-resources": "setuptools",
    "postgres": "psycopg2",
    "psycopg": "psycopg2",
    "pptx": "python-pptx",
    "serial": "pyserial",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "slugify": "python-slugify",
    "socks": "pysocks",
    "sqlite": "pysqlite3",
    "telegram": "python-telegram-bot",
    "usb": "pyusb",
    "win32api": "pywin32",
    "yaml": "pyyaml",
    "zmq": "pyzmq",
}
"""What is imported, or what people call it, to the project that has it."""

_Answered = tuple[RequirementLine, frozenset[Version]]
"""A line, and the versions that answer it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """One version of a project, and its files."""

    version: Version
    files: tuple[IndexFile, ...]

    @property
    def yanked(self) -> str | None:
        """Why all of it was yanked (PEP 592), "" for no reason; None where it was not."""
        if not all(file.yanked is not False for file in self.files):
            return None
        return next((file.yanked for file in self.files if isinstance(file.yanked, str)), "")

    @property
    def is_good(self) -> bool:
        """Whether it is one to recommend."""
        return self.yanked is None and not self.version.is_prerelease

    def runs_on(self, python: str) -> bool:
        """Whether Requires-Python lets one of its files be used on that Python (X.Y)."""
        return any(takes_python(file.requires_python, python) for file in self.files)

    def is_usable(self, target: Target) -> bool:
        """Whether a file of it can be installed or compiled on the target."""
        files = [file for file in self.files if takes_python(file.requires_python, target.python)]
        return any(not file.filename.endswith(".whl") or usable(file.filename, target) for file in files)


def near_names(name: NormalizedName, beside: Collection[NormalizedName] = ()) -> tuple[NormalizedName, ...]:
    """What may have been meant by a project that does not exist; whether those exist is for the index to say.

    `beside` are the other projects of the same requirements: what is written twice is often misspelt once.
    """
    guesses = [_PROJECTS.get(name, "")]
    guesses += [name.removeprefix(word) for word in ("python-", "py-", "py") if name.startswith(word)]
    guesses += [name.removesuffix(word) for word in ("-python", "-py", "-dev") if name.endswith(word)]
    guesses += get_close_matches(name[:100], sorted(beside)[:_MOST_TRIES], n=2, cutoff=0.8)
    guesses += get_close_matches(name[:100], NAMES, n=SHOWN, cutoff=0.75)
    guesses += [f"python-{name}", f"py{name}", f"{name}-python", name.replace("-", "")]
    guesses += [name[:-1] if name.endswith("s") else f"{name}s"]
    # `0-s` without its s ends in a dash, and is no name.
    found = (canonicalize_name(guess.strip("-")) for guess in guesses if guess)
    return tuple(dict.fromkeys(guess for guess in found if guess != name and len(guess) > 1))


def explain(
    requirements: Requirements,
    target: Target,
    files: Callable[[NormalizedName], Sequence[IndexFile]],
    further: Sequence[FurtherUpstream] = (),
) -> tuple[Problem, ...]:
    """What is wrong with each line by itself, and with each two of them together; in the order of the lines.

    `files` asks the index for a project's page. What resembles a name of a `further` upstream's is asked of that one
    alone: the names of private projects are nobody else's business. What only shows further down (a requirement of a
    requirement) is for the resolver to tell: () then.
    """
    lines = [line for line in (*requirements.requirements, *requirements.constraints) if applies(line.text, target)]
    asked = {line.name for line in requirements.requirements if applies(line.text, target)}
    names = frozenset(line.name for line in lines)
    problems: list[Problem] = []
    matching: dict[NormalizedName, list[_Answered]] = defaultdict(list)
    for line in lines:
        if line.name not in asked:
            continue  # a constraint on what nobody asks for, or on what is found out on the way
        there = releases(line.name, files(line.name))
        found = _explain_line(line, target, there) if there else _no_project(line, names - {line.name}, files, further)
        if isinstance(found, Problem):
            problems.append(found)
        else:
            matching[line.name].append((line, found))
    problems += (problem for said in matching.values() for problem in _conflicts(said))
    return tuple(sorted(set(problems), key=lambda problem: problem.location))


def explain_extras(line: RequirementLine, version: Version, provided: Collection[str]) -> Problem | None:
    """The extras that a line asks for and the release does not have; `provided` are the normalised names it has."""
    unknown = sorted(extra for extra in Requirement(line.text).extras if canonicalize_name(extra) not in provided)
    if not unknown:
        return None
    named = ", ".join(f"[{visible(extra)}]" for extra in unknown)
    has = f"it has {_some(sorted(provided))}" if provided else "it has none: remove the brackets"
    return _problem(line, "unknown-extra", f"{line.name} {version} has no extra {named}", has)


def releases(name: NormalizedName, files: Iterable[IndexFile]) -> tuple[Release, ...]:
    """A page's files by version, oldest first; files of another project are none of it."""
    found: dict[Version, list[IndexFile]] = defaultdict(list)
    for file in files:
        pin = pin_of(file.filename)
        if pin and pin[0] == name:
            found[pin[1]].append(file)
    return tuple(Release(version=version, files=tuple(found[version])) for version in sorted(found))


def _explain_line(line: RequirementLine, target: Target, there: Sequence[Release]) -> Problem | frozenset[Version]:
    """What is wrong with this line alone, or the versions that answer it."""
    specifier = Requirement(line.text).specifier
    answers = [release for release in there if specifier.contains(release.version, prereleases=True)]
    if not answers:
        return _no_version(line, specifier, there)
    # As pip does: pre-releases count where they are asked for, or where nothing else answers.
    finals = [release for release in answers if not release.version.is_prerelease]
    found = _explain_answers(line, target, specifier, finals or answers, there)
    return found or frozenset(release.version for release in answers if release.is_usable(target))


def _explain_answers(
    line: RequirementLine, target: Target, specifier: SpecifierSet, answers: list[Release], there: Sequence[Release]
) -> Problem | None:
    is_pinned = any(part.operator in ("==", "===") and not part.version.endswith(".*") for part in specifier)
    standing = [release for release in answers if release.yanked is None or is_pinned]
    if not standing:
        return _yanked(line, answers, there)
    fitting = [release for release in standing if release.runs_on(target.python)]
    if not fitting:
        return _wrong_python(line, target, standing, there)
    possible = [release for release in fitting if release.is_usable(target)]
    return None if possible else _foreign(line, target, fitting, there)


def _no_project(
    line: RequirementLine,
    beside: Collection[NormalizedName],
    files: Callable[[NormalizedName], Sequence[IndexFile]],
    further: Sequence[FurtherUpstream],
) -> Problem:
    owner = who_has(line.name, further)
    guesses = [one for one in near_names(line.name, beside) if owner is None or who_has(one, further) == owner]
    near = [guess for guess in guesses if files(guess)][:SHOWN]
    hint = f"did you mean {' or '.join(near)}?" if near else "check its name; what only your company has needs an index"
    return _problem(line, "no-such-project", f"there is no project {Requirement(line.text).name}", hint)


def _no_version(line: RequirementLine, specifier: SpecifierSet, there: Sequence[Release]) -> Problem:
    wanted = [Version(part.version) for part in specifier if part.operator != "===" and not part.version.endswith(".*")]
    near = _nearest([release.version for release in there if not release.version.is_prerelease], wanted)
    if not near:
        near = [release.version for release in there][-SHOWN:]
    what = f"no release answers {_shown(line)}"
    return _problem(line, "no-such-version", what, f"there are {_some([str(version) for version in near], len(there))}")


def _nearest(versions: Sequence[Version], wanted: Sequence[Version]) -> list[Version]:
    """The versions around the one that is asked for first, or the newest."""
    if not wanted:
        return list(versions[-SHOWN:])
    at = sum(version < wanted[0] for version in versions)
    start = max(0, min(at - SHOWN // 2, len(versions) - SHOWN))
    return list(versions[start : start + SHOWN])


def _yanked(line: RequirementLine, answers: Sequence[Release], there: Sequence[Release]) -> Problem:
    newest = answers[-1]
    reason = f": {visible(newest.yanked, 200)}" if newest.yanked else ""
    what = f"every release that answers {_shown(line)} was yanked ({_versions(answers)}{reason})"
    good = [release for release in there if release.is_good]
    other = f"take {good[-1].version}, or " if good else ""
    hint = f"{other}write {line.name}=={newest.version} if you want it all the same"
    return _problem(line, "yanked", what, hint)


def _wrong_python(
    line: RequirementLine, target: Target, standing: Sequence[Release], there: Sequence[Release]
) -> Problem:
    newest = standing[-1]
    wanted = next((file.requires_python for file in newest.files if file.requires_python), "")
    major, minor = (int(part) for part in target.python.split("."))
    later = [f"{major}.{n}" for n in range(minor + 1, minor + _LATER_PYTHONS)]
    earlier = [f"{major}.{n}" for n in range(minor - 1, -1, -1)]
    enough = next((python for python in (*later, *earlier) if newest.runs_on(python)), "")
    code = "python-too-old" if enough in later else "python-too-new"
    good = [release for release in there if release.is_good and release.runs_on(target.python)]
    hints = [
        *([f"give `--python {enough}`"] if enough else []),
        *([f"take {good[-1].version}, the newest for {target.python}"] if good else []),
    ]
    what = f"{line.name} {newest.version} needs Python {visible(wanted)}, and the target has {target.python}"
    return _problem(line, code, what, ", or ".join(hints) or "do without it on this Python")


def _foreign(line: RequirementLine, target: Target, fitting: Sequence[Release], there: Sequence[Release]) -> Problem:
    newest = fitting[-1]
    wheels = _some(_platforms(newest, target))
    sdist = f"no sdist for Python {target.python}" if len(_wheels(newest)) < len(newest.files) else "no sdist"
    what = f"{line.name} {newest.version} has {sdist}, and no wheel for {target}, only for {wheels}"
    good = [release for release in there if release.is_good and release.is_usable(target)]
    hint = f"take {good[-1].version}, which can be built" if good else "ask its maintainers to publish an sdist"
    return _problem(line, "only-foreign-wheels", what, hint)


def _platforms(release: Release, target: Target) -> list[str]:
    """What the wheels of a release run on: `macOS arm64`, `Windows amd64`, `CPython 3.12 on Linux (musl) x86_64`."""
    tags = {tag for wheel in _wheels(release) for tag in parse_wheel_filename(wheel)[3]}
    return sorted({_platform(tag, target) for tag in tags})


def _platform(tag: Tag, target: Target) -> str:
    found = _PLATFORM.fullmatch(tag.platform)
    system = _SYSTEMS.get(found[1]) if found else None
    if found is None or system is None:
        return f"{tag.interpreter}-{tag.platform}"
    architecture = found[2] or "x86"  # win32
    where = f"{system} {architecture}"
    # Where only the interpreter is another one, that is what has to be told.
    is_ours = found[1] == "musllinux" and architecture == target.architecture
    return f"{tag.interpreter} on {where}" if is_ours else where


def _wheels(release: Release) -> list[str]:
    return [file.filename for file in release.files if file.filename.endswith(".whl")]


def _conflicts(said: Sequence[_Answered]) -> Iterator[Problem]:
    """Lines of the same project that no release answers together: two where two suffice, else as few as do."""
    are_pairs = False
    for number, (line, versions) in enumerate(said):
        rival = next((other for other, others in said[:number] if not versions & others), None)
        if rival:
            are_pairs = True
            yield _problem(line, "conflict", f"{_shown(line)} contradicts {_placed(rival)}", "loosen one of the two")
    if not are_pairs and _is_conflict(said):
        *others, (line, _) = _fewest(said)
        what = f"{_shown(line)} contradicts what these allow together: {', '.join(_placed(o) for o, _ in others)}"
        yield _problem(line, "conflict", what, "loosen one of them")


def _fewest(said: Sequence[_Answered]) -> Sequence[_Answered]:
    """The fewest lines that conflict; where there are too many to try all, some of which none can be left out."""
    for size in range(3, len(said)):
        if comb(len(said), size) > _MOST_TRIES:
            break
        if found := next(filter(_is_conflict, combinations(said, size)), None):
            return found
    kept = list(said)
    for one in said:
        without = [other for other in kept if other is not one]
        if _is_conflict(without):
            kept = without
    return kept


def _is_conflict(said: Sequence[_Answered]) -> bool:
    return bool(said) and not frozenset.intersection(*(versions for _, versions in said))


def _placed(line: RequirementLine) -> str:
    return f"{_shown(line)} ({visible(str(line.location), 200)})"


def _problem(line: RequirementLine, code: str, what: str, hint: str) -> Problem:
    return Problem(location=line.location, code=code, what=what, hint=hint)


def _shown(line: RequirementLine) -> str:
    return visible(re.sub(r"\s*;.*", "", line.text), 100)


def _versions(found: Sequence[Release]) -> str:
    return _some([str(release.version) for release in found][-SHOWN:], len(found))


def _some(words: Sequence[str], count: int | None = None) -> str:
    """A list a person can read: all of it where it is short."""
    more = (count or len(words)) - len(words[:SHOWN])
    listed = ", ".join(visible(word) for word in words[:SHOWN])
    return f"{listed} and {more} more" if more > 0 else listed
