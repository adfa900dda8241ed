"""One logical line of a requirements file: a requirement with its hashes, or options."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import islice

from mirror.core.model import Location, RequirementLine
from mirror.core.requirements_hash import explain_hash
from mirror.core.requirements_option import MOST_PROBLEMS, Option, read_options
from mirror.core.requirements_specifier import read_specifier
from mirror.core.requirements_text import LogicalLine, Problem
from mirror.core.text import visible

_INDEX = frozenset(
    {"--index-url", "--pypi-url", "--extra-index-url", "--no-index", "--find-links", "--trusted-host"},
)
_BUILD = frozenset({"--config-settings", "--global-option", "--build-option", "--install-option"})
_COMMAND = re.compile(r"\s*python\S* -m pip install\s+")
_FIRST_OPTION = re.compile(r"(?:^|(?<=\s))-")
_VARIABLE = re.compile(r"\$\{\w+\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Include:
    """A `-r` or `-c` option: the path as written, relative to the file it stands in."""

    path: str
    constraint: bool
    location: Location


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What one logical line says."""

    requirement: RequirementLine | None = None
    includes: tuple[Include, ...] = ()
    pre_releases: bool = False
    require_hashes: Location | None = None
    problems: tuple[Problem, ...] = ()


def read_line(line: LogicalLine) -> Line:
    """Parse one logical line as pip does, into what it says or what is wrong with it."""
    text = line.text
    start = len(text) - len(text.lstrip())
    if text.endswith("\\"):
        hint = "let the backslash be the last character of its line, or remove it"
        return Line(problems=(line.problem(len(text) - 1, "syntax", "a backslash does not end its line", hint),))
    if variables := tuple(_VARIABLE.finditer(text)):
        hint = "write the value itself; addresses and passwords belong to the settings"
        return Line(
            problems=tuple(
                line.problem(v.start(), "environment-variable", f"{visible(v[0])} is not replaced", hint)
                for v in variables
            )
        )
    if match := _COMMAND.match(text):
        hint = f"keep only what follows it: {visible(text[match.end() :])}"
        what = f"'{match[0].strip()}' belongs on a command line"
        return Line(problems=(line.problem(start, "syntax", what, hint),))
    first = _FIRST_OPTION.search(text)
    end = first.start() if first else len(text)
    options, problems = read_options(line, end)
    head = text[start:end].rstrip()
    if head:
        said = _requirement_line(line, read_specifier(line, start, head), options, problems)
    else:
        said = _option_line(line, options, problems)
    if said.problems:
        said = replace(said, problems=tuple(sorted(said.problems, key=lambda problem: problem.location)))
    return said


def _requirement_line(
    line: LogicalLine, read: RequirementLine | Problem, options: list[Option], problems: list[Problem]
) -> Line:
    hashes: list[str] = []
    for option in options:
        if len(problems) >= MOST_PROBLEMS:
            break
        if option.name != "--hash":
            problems.append(_misplaced(line, option))
        elif wrong := explain_hash(option.value):
            problems.append(line.problem(option.value_offset, *wrong))
        elif option.value.lower() in hashes:
            what, hint = "this hash stands twice in the line", "remove one"
            problems.append(line.problem(option.value_offset, "hash-duplicate", what, hint))
        else:
            hashes.append(option.value.lower())
    if isinstance(read, Problem):
        return Line(problems=(read, *problems))
    return Line(requirement=replace(read, hashes=tuple(hashes)), problems=tuple(problems))


def _misplaced(line: LogicalLine, option: Option) -> Problem:
    if option.name in _BUILD:
        return _refusal(line, option)
    what = f"{option.name} does not belong behind a requirement"
    return line.problem(option.offset, "option-misplaced", what, "put it on a line of its own")


def _option_line(line: LogicalLine, options: list[Option], problems: list[Problem]) -> Line:
    includes: list[Include] = []
    pre_releases = False
    require_hashes: Location | None = None
    for option in options:
        if len(problems) >= MOST_PROBLEMS:
            break
        match option.name:
            case "--requirement" | "--constraint":
                where = line.location(option.value_offset)
                includes.append(
                    Include(path=option.value, constraint=option.name == "--constraint", location=where),
                )
            case "--pre":
                pre_releases = True
            case "--all-releases" if option.value == ":all:":
                pre_releases = True  # what pip 26 makes of --pre
            case "--require-hashes":
                require_hashes = line.location(option.offset)
            case "--prefer-binary" | "--only-binary":
                # True of every requirement once its wheel is compiled and published, which is what we are for.
                pass
            case "--no-binary" | "--only-final" if option.value == ":none:":
                pass
            case _:
                problems.append(_refusal(line, option))
    problems += _beside_an_include(line, options, problems)
    return Line(
        includes=tuple(includes),
        pre_releases=pre_releases,
        require_hashes=require_hashes,
        problems=tuple(problems),
    )


def _beside_an_include(line: LogicalLine, options: list[Option], problems: list[Problem]) -> list[Problem]:
    """What pip would drop without a word: of a line with includes it reads the first -r, else the first -c, alone."""
    includes = [option for option in options if option.name in ("--requirement", "--constraint")]
    read = next((option for option in includes if option.name == "--requirement"), includes[0] if includes else None)
    told = {problem.location for problem in problems}
    dropped = (option for option in options if read and option is not read)
    return [
        line.problem(
            option.offset,
            "include-not-alone",
            f"pip reads one include of a line alone, and drops this {option.name}",
            "put it on a line of its own",
        )
        for option in islice(dropped, MOST_PROBLEMS)
        if line.location(option.offset) not in told
    ]


def _refusal(line: LogicalLine, option: Option) -> Problem:
    """What is said of an option that pip knows and we do not honour."""
    name = option.name
    if name in _INDEX:
        settings = {
            "--index-url": "remove it and set upstream in your own mirror.toml",
            "--pypi-url": "remove it and set upstream in your own mirror.toml",
            "--extra-index-url": "remove it and write a [[further-upstream]] in your own mirror.toml",
        }
        hint = settings.get(name, "remove it")
        what = f"{name} belongs to the settings, not to a requirements file"
        return line.problem(option.offset, "index-option", what, hint)
    if name in _BUILD:
        what = f"{name} says how to build, which a recipe does here"
        return line.problem(option.offset, "build-option", what, "remove it and write a [[recipe]] in mirror.toml")
    if name == "--editable":
        hint = "release it: upload an sdist of it to your index, then write name==version"
        return line.problem(option.offset, "editable", "an editable install cannot be a requirement", hint)
    if name == "--hash":
        hint = "end the line before it with a backslash"
        return line.problem(option.offset, "hash-alone", "this hash belongs to no requirement", hint)
    if name == "--no-binary":
        hint = "remove it: what has no wheel for the target is compiled anyway"
        return line.problem(option.offset, "no-binary", "--no-binary would have every install compile again", hint)
    return line.problem(option.offset, "unsupported-option", *_unsupported(option))


def _unsupported(option: Option) -> tuple[str, str]:
    """(what, hint) of an option for which there is nothing here."""
    match option.name:
        case "--all-releases" if option.value == ":none:":
            return "--all-releases :none: is not supported", "remove it, and the --pre that it takes back"
        case "--all-releases":
            hint = "write --pre for all projects, or name a pre-release of this one, as in name>=2.0rc1"
            return "--all-releases is supported for :all: alone", hint
        case "--only-final":
            hint = (
                "remove it: pre-releases are taken with --pre, where a line names one, or where there is nothing else"
            )
            return "--only-final is not supported", hint
        case "--no-require-hashes":
            hint = "remove it, and give every requirement a hash, or none"
            return "--no-require-hashes is not supported: where one requirement has a hash, each needs one", hint
        case _:
            return f"{option.name} is not supported", "remove it"
