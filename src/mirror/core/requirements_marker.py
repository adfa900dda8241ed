"""What is wrong with an environment marker (PEP 508), in words."""

from __future__ import annotations

import re

from packaging.markers import InvalidMarker, Marker

from mirror.core.requirements_text import LogicalLine, Problem
from mirror.core.target import has_answer
from mirror.core.text import did_you_mean, visible

DEEPEST_NESTING = 50
"""Parentheses in parentheses; the parser is recursive, and nobody writes three."""

_VARIABLES = frozenset(
    {
        "python_version",
        "python_full_version",
        "os_name",
        "sys_platform",
        "platform_release",
        "platform_system",
        "platform_version",
        "platform_machine",
        "platform_python_implementation",
        "implementation_name",
        "implementation_version",
        "extra",
        "extras",
        "dependency_groups",
        "os.name",
        "sys.platform",
        "platform.version",
        "platform.machine",
        "platform.python_implementation",
        "python_implementation",
    }
)
_WORDS = frozenset({"and", "or", "in", "not"})
_TOKEN = re.compile(
    r"""(?P<string>"[^"]*"|'[^']*')|(?P<quote>["'])|(?P<number>v?\d[\w.]*)|(?P<name>[A-Za-z_][\w.]*)"""
    r"""|(?P<operator>[=<>!~&|]+)|(?P<open>\()|(?P<close>\))|(?P<space>\s+)|(?P<other>.)""",
    re.DOTALL,
)
_VALUE = r"""(?:"[^"]*"|'[^']*'|[A-Za-z_][\w.]*)"""
_COMPARISON = re.compile(rf"(?P<left>{_VALUE})\s*(?P<operator>[=<>!~]+|not\s+in\b|in\b)\s*(?P<right>{_VALUE})")
_OF_LOCKS = frozenset({"extras", "dependency_groups"})
_OF_VERSIONS = frozenset({"python_version", "python_full_version", "implementation_version", "platform_release"})
_OPERATORS = frozenset({"===", "==", "~=", "!=", "<=", ">=", "<", ">"})
_INSTEAD = {"=": "==", "=>": ">=", "=<": "<=", "<>": "!=", "&&": "and", "&": "and", "||": "or", "|": "or"}
_EXAMPLE = 'write one such as python_version < "3.12"'


def too_deep(marker: str) -> bool:
    """Whether parentheses stand in more parentheses than the parser can follow."""
    depth = deepest = 0
    for character in marker:
        depth += (character == "(") - (character == ")")
        deepest = max(deepest, depth)
    return deepest > DEEPEST_NESTING


def explain_marker(line: LogicalLine, offset: int, marker: str) -> Problem:
    """The problem with a marker that does not parse, or has no answer; it stands at `offset`, behind the semicolon."""

    def problem(at: int, what: str, hint: str) -> Problem:
        return line.problem(offset + at, "bad-marker", what, hint)

    if not marker.strip():
        return problem(-1, "no marker follows the semicolon", f"remove the semicolon, or {_EXAMPLE}")
    if too_deep(marker):
        return problem(0, f"parentheses are nested deeper than {DEEPEST_NESTING}", "write the marker without them")
    opened: list[int] = []
    for match in _TOKEN.finditer(marker):
        if match.lastgroup == "open":
            opened.append(match.start())
        elif match.lastgroup == "close":
            if not opened:
                return problem(match.start(), "a parenthesis closes that was never opened", "remove it")
            opened.pop()
        elif found := _explain_token(str(match.lastgroup), match[0]):
            return problem(match.start(), *found)
    if opened:
        return problem(opened[-1], "a parenthesis is not closed", "add the missing )")
    return problem(*_explain_whole(marker))


def _explain_whole(marker: str) -> tuple[int, str, str]:
    """Where each token is well: the comparison that has no answer, or all of it."""
    for match in _COMPARISON.finditer(marker):
        if _has_no_answer(match[0]):
            return match.start(), *_explain_comparison(match)
    start = len(marker) - len(marker.lstrip())
    return start, f"'{visible(marker.strip())}' is not a marker", _EXAMPLE


def _has_no_answer(comparison: str) -> bool:
    try:
        return not has_answer(Marker(comparison))
    except InvalidMarker:
        return False


def _explain_comparison(match: re.Match[str]) -> tuple[str, str]:
    what = f"{visible(match[0])} has no answer"
    if not_here := _OF_LOCKS & {match["left"], match["right"]}:
        return what, f"{min(not_here)} is for lock files: remove it"
    if not {match["left"], match["right"]} & _VARIABLES:
        return what, f"compare a marker variable: {_EXAMPLE}"
    if match["operator"] == "~=" and _OF_VERSIONS & {match["left"], match["right"]}:
        return what, 'behind ~= write a version of two parts or more, such as ~= "3.8"'
    return what, "compare with == or !="


def _explain_token(kind: str, token: str) -> tuple[str, str] | None:
    shown = visible(token)
    if kind == "quote":
        return "a quote is not closed", f"add the missing {token}"
    if kind == "number":
        return f"a value stands without quotes ({shown})", f'write "{shown}"'
    if kind == "operator" and token not in _OPERATORS:
        instead = _INSTEAD.get(token, "")
        return f"'{shown}' is not an operator", f"write {instead}" if instead else _EXAMPLE
    if kind == "name" and token not in _VARIABLES | _WORDS:
        return _explain_name(token, shown)
    return (f"'{shown}' has no meaning in a marker", _EXAMPLE) if kind == "other" else None


def _explain_name(token: str, shown: str) -> tuple[str, str]:
    if token.lower() in _WORDS:
        return f"'{shown}' is not an operator", f"write {token.lower()}"
    guess = did_you_mean(token, _VARIABLES) or f"put a value in quotes, or {_EXAMPLE}"
    return f"'{shown}' is not a marker variable", guess
