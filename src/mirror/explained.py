"""What a person is told of their requirements when they meet the index: why not, what was skipped, unknown extras."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from email.parser import BytesParser

from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

from mirror.core.errors import BadInputError, MirrorError
from mirror.core.lock import is_of_release
from mirror.core.model import IndexFile, LockedPackage, Plan, Requirements, Target
from mirror.core.requirements import RequirementsError
from mirror.core.sdist_archive import read_tree
from mirror.core.target import applies, names_no_libc, takes_python, usable
from mirror.core.text import visible
from mirror.core.unresolvable import explain, explain_extras
from mirror.core.upstreams import FurtherUpstream
from mirror.ports import Index
from mirror.window import View
from mirror.window.core_metadata import read_from

PAGES_AT_ONCE = 8
MOST_PAGES = 200
"""Of a longer file, besides what the resolver names, so many projects are looked at."""
MOST_GUESSES = 100
"""Names that somebody may have meant, over all lines: each is a question to upstream."""
MOST_SKIPPED = 10
MOST_INDIRECT = 20
"""Projects that no line names, and that are told all the same: a stranger's metadata may ask for any number of them."""
_NAME = re.compile(r"[a-z0-9]+(?:[-_.]+[a-z0-9]+)*", re.IGNORECASE)


def why_not(
    requirements: Requirements,
    target: Target,
    index: View,
    said: MirrorError,
    further: Sequence[FurtherUpstream] = (),
) -> BadInputError:
    """What is wrong with the user's lines, by what the index has; else what the resolver `said`, and of which lines."""
    lines = (*requirements.requirements, *requirements.constraints)
    told = {canonicalize_name(word) for line in said.details for word in _NAME.findall(line)}
    names = [*dict.fromkeys(line.name for line in sorted(lines, key=lambda line: line.name not in told))][:MOST_PAGES]
    with ThreadPoolExecutor(PAGES_AT_ONCE) as pool:
        pages = dict(zip(names, pool.map(index.files, names), strict=True))
    looked_at = replace(
        requirements,
        requirements=tuple(line for line in requirements.requirements if line.name in pages),
        constraints=tuple(line for line in requirements.constraints if line.name in pages),
    )

    def page(name: NormalizedName) -> tuple[IndexFile, ...]:
        if name not in pages:  # a guess at what was meant
            pages[name] = index.files(name) if len(pages) < len(names) + MOST_GUESSES else ()
        return pages[name]

    problems = explain(looked_at, target, page, further)
    if problems:
        return RequirementsError(problems)
    return BadInputError(
        said.code,
        f"the requirements cannot be met together on {target}",
        hint="loosen one of the lines named here, or add a constraint",
        details=[
            *(f"{line.location}: {visible(line.text, 200)}" for line in lines if line.name in told),
            *said.details,
        ],
    )


def together(wrong: Sequence[tuple[NormalizedName, BadInputError]], requirements: Requirements) -> BadInputError:
    """What is wrong with the files of one or more projects, as one error, with where the user asks for them."""
    lines = (*requirements.requirements, *requirements.constraints)
    found = {name: [line.location for line in lines if line.name == name] for name, _ in wrong}
    # In the order of the lines; what only a requirement of a requirement asks for has none, and comes last.
    wrong = sorted(wrong, key=lambda one: (not found[one[0]], found[one[0]][:1]))
    places = {name: [visible(str(location), 500) for location in locations] for name, locations in found.items()}
    if len(wrong) == 1:
        ((name, error),) = wrong
        asked = [f"asked    at {place}" for place in places[name]]
        return BadInputError(error.code, error.what, hint=error.hint, details=(*asked, *error.details))
    details: list[str] = []
    direct = sum(bool(found[name]) for name, _ in wrong)
    for name, error in wrong[: direct + MOST_INDIRECT]:
        details.append(" ".join((*places[name][:1], f"{error.code}: {error.what} → {error.hint}")))
        details += [f"  also at {place}" for place in places[name][1:]]
        details += [f"  {seen}" for seen in error.details]
    more = len(wrong) - direct - MOST_INDIRECT
    if more > 0:
        details.append(f"and {more} more that no line names")
    codes = {error.code for _, error in wrong}
    return BadInputError(
        min(codes) if len(codes) == 1 else "requirements",
        f"the files of {len(wrong)} projects are not what the requirements allow",
        hint="mend what is listed, then run again",
        details=details,
    )


def skipped_lines(requirements: Requirements, target: Target) -> tuple[str, ...]:
    """What is said of the requirements whose marker is false on the target, whatever its patch release."""
    lines = [line for line in requirements.requirements if not applies(line.text, target)]
    told = [f"{line.location}: skipped on {target}: {visible(line.text, 200)}" for line in lines[:MOST_SKIPPED]]
    more = len(lines) - len(told)
    return (*told, *([f"{more} more are skipped on {target}"] if more else []))


def no_answer(wheel: IndexFile, instead: IndexFile | None = None) -> str:
    """What is said of a wheel of ours that installers prefer, and that is none; `instead` another one is used."""
    said = f"{visible(wheel.filename, 200)} is not used: it was made of another sdist, or does not say of which"
    if instead is None:
        return said
    return f"{said}; pip without hashes takes it all the same: install what `mirror emit requirements` prints"


def hidden_wheels(requirements: Requirements, index: View, shown: View) -> tuple[str, ...]:
    """What is said of those that the resolver was not shown, where it found nothing."""
    names = dict.fromkeys(line.name for line in requirements.requirements)
    pages = ((index.files(name), shown.files(name)) for name in [*names][:MOST_PAGES])
    hidden = [file for files, seen in pages for file in files if file not in seen]
    return tuple(no_answer(file) for file in hidden[:MOST_SKIPPED])


def unnamed_libcs(plan: Plan, index: Index) -> tuple[str, ...]:
    """What is said of plain `linux_*` wheels of the lock's releases: pip would take them, and they are no answer."""
    target = plan.lock.target
    told: list[str] = []
    for package in plan.lock.packages:
        for file in index.files(package.name):
            as_musl = file.filename.replace(f"linux_{target.architecture}", target.platform)
            is_meant = is_of_release(file.filename, (package.name, package.version)) and usable(as_musl, target)
            if is_meant and names_no_libc(file.filename) and takes_python(file.requires_python, target.python):
                told.append(
                    f"{visible(file.filename, 200)} says nothing of its libc and is not taken (pip takes it from an "
                    "index that is not `mirror`'s own, since 26.3 before a musllinux wheel)"
                )
    return tuple(told)


def check_extras(requirements: Requirements, target: Target, index: Index, packages: Iterable[LockedPackage]) -> None:
    """See that every extra that is asked for is there: pip and uv would warn, and what was wanted would be missing.

    Raises RequirementsError (`unknown-extra`).
    """
    locked = {package.name: package for package in packages}
    problems = []
    for line in requirements.requirements:
        if line.name in locked and Requirement(line.text).extras and applies(line.text, target):
            package = locked[line.name]
            provided = _provided_extras(index, package)
            if provided is not None and (problem := explain_extras(line, package.version, provided)):
                problems.append(problem)
    if problems:
        raise RequirementsError(problems)


def _provided_extras(index: Index, package: LockedPackage) -> frozenset[str] | None:
    """The extras' normalised names; None where the metadata cannot be had, or does not tell before a build."""
    try:
        if package.wheels:
            wheel = package.wheels[0]
            return _extras(read_from(index.fetch(wheel), wheel.filename), is_whole=True)
        if package.sdist is None:
            return None
        with index.fetch(package.sdist).open("rb") as content:
            text = read_tree(package.sdist.filename, content).texts.get("PKG-INFO")
    except MirrorError:  # whoever builds or installs it will tell
        return None
    return _extras(text, is_whole=False) if text is not None else None


def _extras(metadata: bytes, *, is_whole: bool) -> frozenset[str] | None:
    """An sdist's PKG-INFO that names none may have left them to the build (PEP 643)."""
    headers = BytesParser().parsebytes(metadata, headersonly=True)
    named = frozenset(canonicalize_name(str(extra)) for extra in headers.get_all("Provides-Extra", ()))
    return named if named or is_whole else None
