"""One dependency specifier (PEP 508): its normal form, or what exactly is wrong with it."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from packaging.markers import InvalidMarker, Marker
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, Specifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from mirror.core.model import RequirementLine
from mirror.core.requirements_elsewhere import elsewhere
from mirror.core.requirements_marker import explain_marker, too_deep
from mirror.core.requirements_text import LogicalLine, Problem
from mirror.core.target import has_answer
from mirror.core.text import visible

LONGEST_SPECIFIER = 4_000
"""Characters; it bounds the parsers' time, and Python turns no more than 4,300 digits into a number.

Hashes beside the specifier do not count."""

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_PLAIN = re.compile(_NAME.pattern + r"(?:==\d+(?:\.\d+)*)?", re.ASCII)
"""What most lines are: their own normal form, told without the parser, which takes ten times as long."""
_COMMAND = re.compile(r"pip3? install\s+")
_OPERATOR = re.compile(r"[=<>!~^]+")
_INSTEAD = {"=": "==", "=>": ">=", "=<": "<=", "<>": "!=", "!": "!=", "~": "~=", "~>": "~=", "!==": "!=", "==!": "=="}
_VERSION = re.compile(r"v?\d[\w.!+*]*", re.ASCII)
_TOML = re.compile(
    r"""["']?[\w.-]+["']?\s*(?P<equals>=)\s*(?:["'\[{]|(?:true|false)$)|\[+[\w.\s"'-]+\]+$|[\]}]+,?$""", re.ASCII
)
"""An assignment, the head of a table, the end of a list."""
_EXPORT = "export that file with uv export, poetry export or pipenv requirements"
_COMMENT = re.compile(r"""((?:[^#"']|"[^"]*"|'[^']*')++)#""")
_OPERATORS = ("===", "==", "~=", "!=", "<=", ">=", "<", ">")


def read_specifier(line: LogicalLine, offset: int, text: str) -> RequirementLine | Problem:
    """Parse `text`, which stands at `offset` of `line`; the problem where that cannot be done."""
    if len(text) > LONGEST_SPECIFIER:
        what = f"a requirement of {len(text)} characters"
        return line.problem(offset, "too-long", what, f"keep it under {LONGEST_SPECIFIER} characters")
    return elsewhere(line, offset, text) or _parse(line, offset, text) or _explain(line, offset, text)


def _parse(line: LogicalLine, offset: int, text: str) -> RequirementLine | None:
    head, semicolon, tail = text.partition(";")
    if tail.count("(") and too_deep(tail):
        return None
    if _PLAIN.fullmatch(text):
        name = canonicalize_name(text.partition("=")[0])
        return RequirementLine(text=text, name=name, location=line.location(offset))
    try:
        requirement = Requirement(head)
        normal = f"{requirement}; {_marker(tail.strip())}" if semicolon else str(requirement)
    except (InvalidRequirement, InvalidMarker):
        return None
    return RequirementLine(text=normal, name=canonicalize_name(requirement.name), location=line.location(offset))


@lru_cache(maxsize=4096)
def _marker(text: str) -> str:
    """The normal form of a marker; exported requirements repeat a few of them on every line.

    Raises InvalidMarker, also for one that has no answer.
    """
    marker = Marker(text)
    if not has_answer(marker):
        raise InvalidMarker(text)
    return str(marker)


def _explain(line: LogicalLine, offset: int, text: str) -> Problem:
    if problem := _explain_habit(line, offset, text):
        return problem
    name = _NAME.match(text)
    if not name:
        what = f"'{visible(text)}' does not start with a project name"
        return line.problem(offset, "syntax", what, "write a name and a version, such as name==1.0")
    body, semicolon, tail = text.partition(";")
    problem = _explain_body(line, offset, body, name)
    if problem is None and semicolon:
        problem = explain_marker(line, offset + len(body) + 1, tail)
    if problem is None:
        problem = line.problem(
            offset, "syntax", f"'{visible(text)}' is not a requirement", "write a name and a version, such as name==1.0"
        )
    return problem


def _explain_habit(line: LogicalLine, offset: int, text: str) -> Problem | None:
    """Lines that were right elsewhere: in a shell, a TOML list, a word processor."""
    if match := _COMMAND.match(text):
        hint = f"keep only what follows it: {visible(text[match.end() :])}"
        return line.problem(offset, "syntax", f"'{match[0].strip()}' belongs on a command line", hint)
    if match := _TOML.match(text):
        what = "this looks like a line of a pyproject.toml or a Pipfile"
        code, at = ("bad-operator", match.start("equals")) if match["equals"] else ("syntax", 0)
        return line.problem(offset + at, code, what, _EXPORT)
    if match := _COMMENT.match(text):
        what = "a space is missing before the comment"
        return line.problem(offset + match.end(1), "syntax", what, "put a space before the #")
    if text[0] in "\"'":
        hint = f"remove them: {visible(text.strip(chr(34) + chr(39) + ',').strip())}"
        return line.problem(offset, "syntax", "a requirement stands without quotes", hint)
    strange = next((index for index, character in enumerate(text) if ord(character) > 126), None)
    if strange is not None:
        name = unicodedata.name(text[strange], "unnamed")
        what = f"U+{ord(text[strange]):04X} ({name}) has no meaning in a requirement"
        return line.problem(offset + strange, "syntax", what, "type the line again with plain ASCII characters")
    return None


def _explain_body(line: LogicalLine, offset: int, body: str, name: re.Match[str]) -> Problem | None:
    at = _skip_space(body, name.end())
    if body[at : at + 1] == "[":
        end = body.find("]", at)
        if end < 0:
            return line.problem(offset + at, "bad-extras", "the list of extras is not closed", "add the missing ]")
        for extra in body[at + 1 : end].split(","):
            if not _NAME.fullmatch(extra.strip()):
                what = f"'{visible(extra.strip())}' is not the name of an extra"
                return line.problem(offset + at, "bad-extras", what, f"write them as in {name[0]}[first,second]")
        at = _skip_space(body, end + 1)
    end = len(body.rstrip())
    if body[at : at + 1] == "(":
        if body[end - 1] != ")":
            return line.problem(offset + at, "syntax", "a parenthesis is not closed", "leave the parentheses out")
        at, end = at + 1, end - 1
    for match in re.finditer(r"[^,]+", body[at:end]):
        part = match[0].strip()
        where = _skip_space(body, at + match.start())
        if part and (found := _explain_specifier(name[0], part)):
            inner, code, what, hint = found
            return line.problem(offset + where + inner, code, what, hint)
    return None


def _skip_space(text: str, at: int) -> int:
    while at < len(text) and text[at].isspace():
        at += 1
    return at


def _explain_specifier(name: str, part: str) -> tuple[int, str, str, str] | None:
    """(offset, code, what, hint) of what is wrong with one clause of a specifier, say `>=1.0`."""
    operator = _OPERATOR.match(part)
    if not operator:
        return _explain_no_operator(name, part)
    given, version = operator[0], part[operator.end() :].strip()
    if given not in _OPERATORS:
        return 0, "bad-operator", f"'{visible(given)}' is not a version operator", _other_operator(name, given, version)
    if not version:
        hint = f"write a version behind it, or {name} alone for any version"
        return 0, "version-missing", f"no version follows '{given}'", hint
    word, *rest = version.split(maxsplit=1)
    if rest:
        return part.index(rest[0], operator.end() + len(word)), "syntax", *_explain_rest(rest[0])
    try:
        Specifier(given + version)
    except InvalidSpecifier:
        return operator.end(), *(_explain_habitual(given, version) or _explain_version(given, version))
    return None


def _other_operator(name: str, given: str, version: str) -> str:
    """What to write in place of an operator that is none: with the version that was written, and no other."""
    if version == "*":
        return f"write {name} alone: it takes any version"
    number = _VERSION.match(version)
    if number and (clause := _clause(given, number[0])):
        return f"write {name}{visible(clause)}"
    return f"write {name} alone for any version, or a version behind one of {' '.join(_OPERATORS[1:])}"


def _clause(given: str, version: str) -> str:
    """What was likely meant, as PEP 440 has it; "" where that cannot be told."""
    operator = _INSTEAD.get(given, "")
    if operator == "~=" and "." not in version:
        version += ".0"  # which ~= needs, and which is Ruby's meaning of ~>
    try:
        clause = _caret(Version(version)) if given.startswith("^") else f"{operator}{version}"
        SpecifierSet(clause)
    except (InvalidVersion, InvalidSpecifier):
        return ""
    return clause


def _caret(version: Version) -> str:
    """As Poetry reads ^: anything below the release that is higher in the first part that is not 0."""
    release = version.release
    at = next((index for index, part in enumerate(release) if part), len(release) - 1)
    epoch = f"{version.epoch}!" if version.epoch else ""
    return f">={version},<{epoch}{'.'.join(map(str, (*release[:at], release[at] + 1)))}"


def _explain_rest(rest: str) -> tuple[str, str]:
    if rest.startswith("["):
        return "extras stand right behind the project name", "write name[extra]==1.0"
    if _OPERATOR.match(rest):
        return f"a comma is missing before '{visible(rest)}'", "put a comma between conditions"
    hint = "remove the space" if rest[0].isdigit() else "write one requirement on a line"
    return f"'{visible(rest)}' follows the version", hint


def _explain_no_operator(name: str, part: str) -> tuple[int, str, str, str]:
    word = part.split(maxsplit=1)[0]
    if part.startswith("["):
        return 0, "bad-extras", "extras stand right behind the project name", f"write {name}[extra]==1.0"
    try:
        Version(word)
    except InvalidVersion:
        hint = "write one requirement on a line" if word[0].isalnum() else "remove it"
        return 0, "syntax", f"'{visible(part)}' follows the project name", hint
    return 0, "syntax", f"a version stands without an operator ({visible(word)})", f"write {name}=={visible(word)}"


def _explain_habitual(operator: str, version: str) -> tuple[str, str, str] | None:
    """Versions that are right elsewhere: in conda, in a setup.py."""
    shown = visible(version)
    if version == "*":
        hint = f"leave {operator}{shown} out: a name alone takes any version"
        return "bad-version", f"'{shown}' is not a version", hint
    if version[0] in "\"'" and (bare := version.strip("\"'")):
        return "bad-version", f"a version stands without quotes ({shown})", f"write {operator}{visible(bare)}"
    return None


def _explain_version(operator: str, version: str) -> tuple[str, str, str]:
    shown = visible(version)
    plain = version.removesuffix(".*")
    if version.endswith(".*") and operator not in ("==", "!="):
        return "bad-version", f"only == and != take a version with .* ({operator}{shown})", f"write {operator}{plain}"
    if operator == "~=" and "." not in version:
        return "bad-version", f"~= needs two parts or more ({shown})", f"write ~={shown}.0, or =={shown}.*"
    if "+" in version and operator not in ("==", "!="):
        what = f"only == and != take a local version ({operator}{shown})"
        return "bad-version", what, f"write {operator}{visible(version.partition('+')[0])}"
    if "[" in version:
        return "bad-extras", "extras stand right behind the project name", "write name[extra]==1.0"
    return "bad-version", f"'{shown}' is not a version", "write numbers and dots, such as 1.2.3 (PEP 440)"
