"""One logical line of a requirements file: a requirement with its hashes, or options."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from mirror.core.model import Location, RequirementLine
from mirror.core.requirements_hash import explain_hash
from mirror.core.requirements_specifier import read_specifier
from mirror.core.requirements_text import LogicalLine, Problem
from mirror.core.text import did_you_mean, visible

_TAKES_VALUE = {
    "--requirement": "-r",
    "--constraint": "-c",
    "--editable": "-e",
    "--index-url": "-i",
    "--find-links": "-f",
    "--config-settings": "-C",
    "--pypi-url": "",
    "--extra-index-url": "",
    "--trusted-host": "",
    "--no-binary": "",
    "--only-binary": "",
    "--use-feature": "",
    "--hash": "",
    "--config-setting": "",
    "--global-option": "",
    "--build-option": "",
    "--install-option": "",
}
_FLAGS = frozenset({"--pre", "--require-hashes", "--prefer-binary", "--no-index"})
_SHORT = {short: name for name, short in _TAKES_VALUE.items() if short}
_INDEX = frozenset(
    {"--index-url", "--pypi-url", "--extra-index-url", "--no-index", "--find-links", "--trusted-host"},
)
_BUILD = frozenset({"--config-settings", "--config-setting", "--global-option", "--build-option", "--install-option"})
_MOST_OPTIONS = 10_000
_MOST_PROBLEMS = 10
"""In one line; more of them are one mistake."""
_COMMAND = re.compile(r"\s*python\S* -m pip install\s+")
_FIRST_OPTION = re.compile(r"(?:^|(?<=\s))-")
_VARIABLE = re.compile(r"\$\{\w+\}")
_TOKEN = re.compile(r"""(?:[^\s"'\\]++|\\.|\\$|"(?:[^"\\]++|\\.)*+"|'[^']*+')++""", re.DOTALL)
_QUOTED = re.compile(r"""\\([\s"'\\])|["']""")


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Option:
    name: str
    value: str
    offset: int
    value_offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Token:
    text: str
    offset: int


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
    options, problems = _read_options(line, end)
    head = text[start:end].rstrip()
    if head:
        said = _requirement_line(line, read_specifier(line, start, head), options, problems)
    else:
        said = _option_line(line, options, problems)
    if said.problems:
        said = replace(said, problems=tuple(sorted(said.problems, key=lambda problem: problem.location)))
    return said


def _requirement_line(
    line: LogicalLine, read: RequirementLine | Problem, options: list[_Option], problems: list[Problem]
) -> Line:
    hashes: list[str] = []
    for option in options:
        if len(problems) >= _MOST_PROBLEMS:
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


def _misplaced(line: LogicalLine, option: _Option) -> Problem:
    if option.name in _BUILD:
        return _refusal(line, option)
    what = f"{option.name} does not belong behind a requirement"
    return line.problem(option.offset, "option-misplaced", what, "put it on a line of its own")


def _option_line(line: LogicalLine, options: list[_Option], problems: list[Problem]) -> Line:
    includes: list[Include] = []
    pre_releases = False
    require_hashes: Location | None = None
    for option in options:
        if len(problems) >= _MOST_PROBLEMS:
            break
        match option.name:
            case "--requirement" | "--constraint":
                where = line.location(option.value_offset)
                includes.append(
                    Include(path=option.value, constraint=option.name == "--constraint", location=where),
                )
            case "--pre":
                pre_releases = True
            case "--require-hashes":
                require_hashes = line.location(option.offset)
            case "--prefer-binary" | "--only-binary":
                # True of every requirement once its wheel is compiled and published, which is what we are for.
                pass
            case "--no-binary" if option.value == ":none:":
                pass
            case _:
                problems.append(_refusal(line, option))
    return Line(
        includes=tuple(includes),
        pre_releases=pre_releases,
        require_hashes=require_hashes,
        problems=tuple(problems),
    )


def _refusal(line: LogicalLine, option: _Option) -> Problem:
    """What is said of an option that pip knows and we do not honour."""
    name = option.name
    if name in _INDEX:
        settings = {
            "--index-url": "remove it and set upstream in mirror.toml",
            "--extra-index-url": "remove it and write a [[further-upstream]] in mirror.toml",
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
    return line.problem(option.offset, "unsupported-option", f"{name} is not supported", "remove it")


def _read_options(line: LogicalLine, start: int) -> tuple[list[_Option], list[Problem]]:
    options: list[_Option] = []
    problems: list[Problem] = []
    tokens = _tokens(line, start, problems)
    for token in tokens:
        if len(problems) >= _MOST_PROBLEMS:
            break
        if len(options) >= _MOST_OPTIONS:
            what = f"more than {_MOST_OPTIONS} options in one line"
            problems.append(line.problem(token.offset, "too-long", what, "spread them over lines of their own"))
            break
        name, value, value_at = _split_option(token)
        if not token.text.startswith("-"):
            problems += [] if problems else [_stray(line, token)]
            break  # what follows it is part of the same mistake
        if name in _FLAGS and not value_at:
            options.append(_Option(name=name, value="", offset=token.offset, value_offset=token.offset))
        elif name in _FLAGS:
            problems.append(line.problem(token.offset, "option-value", f"{name} takes no value", f"write {name} alone"))
        elif name not in _TAKES_VALUE:
            problems.append(_unknown(line, token, name))
        else:
            following = None if value_at else next(tokens, None)
            given = following or _Token(text=value, offset=token.offset + value_at)
            if given.text:
                options.append(_Option(name=name, value=given.text, offset=token.offset, value_offset=given.offset))
            elif not problems:
                hint = f"write it behind {name}, or remove the option"
                problems.append(line.problem(token.offset, "option-value", f"{name} lacks its value", hint))
    return options, problems


def _split_option(token: _Token) -> tuple[str, str, int]:
    """(name, value, offset of the value in the token); offset 0 where the value is not part of the token."""
    if token.text.startswith("--"):
        name, equals, value = token.text.partition("=")
        return name, value, len(name) + 1 if equals else 0
    if len(token.text) > 2 and token.text[:2] in _SHORT:
        return _SHORT[token.text[:2]], token.text[2:], 2
    return _SHORT.get(token.text, token.text), "", 0


def _unknown(line: LogicalLine, token: _Token, name: str) -> Problem:
    hint = did_you_mean(name, _TAKES_VALUE.keys() | _FLAGS) or "remove it"
    return line.problem(token.offset, "unknown-option", f"{visible(name)} is no option of requirements files", hint)


def _stray(line: LogicalLine, token: _Token) -> Problem:
    shown = visible(token.text)
    if token.text.startswith(";"):
        return line.problem(token.offset, "syntax", "the marker stands behind an option", "put it before the options")
    return line.problem(token.offset, "syntax", f"'{shown}' stands alone behind an option", "put it on its own line")


def _tokens(line: LogicalLine, start: int, problems: list[Problem]) -> Iterator[_Token]:
    """Words as a shell would read them, except that a backslash before a letter stays (Windows paths)."""
    text, at = line.text, start
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        match = _TOKEN.match(text, at)
        end = match.end() if match else at
        if end < len(text) and not text[end].isspace():
            hint = f"add the missing {text[end]}"
            problems.append(line.problem(end, "syntax", "a quote is not closed", hint))
            return
        word = text[at:end]
        yield _Token(text=_QUOTED.sub(r"\1", word) if _QUOTED.search(word) else word, offset=at)
        at = end
