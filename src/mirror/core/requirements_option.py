"""The options of a logical line, found as pip's own parser (optparse) finds them: words, abbreviations, values."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from mirror.core.requirements_text import LogicalLine, Problem
from mirror.core.text import did_you_mean, visible

MOST_PROBLEMS = 10
"""In one line; more of them are one mistake."""
_MOST_OPTIONS = 10_000
_TAKES_VALUE = frozenset(
    {
        *("--requirement", "--constraint", "--editable", "--hash"),
        *("--index-url", "--pypi-url", "--extra-index-url", "--find-links", "--trusted-host"),
        *("--no-binary", "--only-binary", "--all-releases", "--only-final"),
        *("--config-settings", "--use-feature"),
    }
)
_FLAGS = frozenset({"--pre", "--prefer-binary", "--no-index", "--require-hashes", "--no-require-hashes"})
_OF_PIP = _TAKES_VALUE | _FLAGS
"""What pip 26.3 takes in a requirements file."""
_OF_OLDER_PIPS = frozenset({"--global-option", "--build-option", "--install-option"})
"""Each takes a value."""
_OF_PROJECTS = frozenset({"--no-binary", "--only-binary", "--all-releases", "--only-final"})
"""Their values are names of projects, which pip does not take for such where they start with a dash."""
_SHORT = {
    "-r": "--requirement",
    "-c": "--constraint",
    "-e": "--editable",
    "-i": "--index-url",
    "-f": "--find-links",
    "-C": "--config-settings",
}
_OF_THE_COMMAND_LINE = frozenset(
    {
        *("--abi", "--break-system-packages", "--build-constraint", "--cache-dir", "--cert"),
        *("--check-build-dependencies", "--client-cert", "--compile", "--debug", "--default-timeout"),
        *("--disable-pip-version-check", "--dry-run", "--exists-action", "--force-reinstall", "--group"),
        *("--help", "--ignore-installed", "--ignore-requires-python", "--implementation", "--isolated"),
        *("--keyring-provider", "--local-log", "--log", "--log-file", "--no-build-isolation", "--no-cache-dir"),
        *("--no-clean", "--no-color", "--no-compile", "--no-dependencies", "--no-deps", "--no-input"),
        *("--no-proxy-env", "--no-python-version-warning", "--no-user", "--no-warn-conflicts"),
        *("--no-warn-script-location", "--only-dependencies", "--only-deps", "--platform", "--prefix"),
        *("--progress-bar", "--proxy", "--python", "--python-version", "--quiet", "--refresh-package"),
        *("--report", "--require-venv", "--require-virtualenv", "--requirements-from-script"),
        *("--resume-retries", "--retries", "--root", "--root-user-action", "--source", "--source-dir"),
        *("--source-directory", "--src", "--target", "--timeout", "--upgrade", "--upgrade-strategy"),
        *("--uploaded-prior-to", "--use-deprecated", "--use-pep517", "--user", "--verbose"),
    }
)
"""What `pip install` (26.3) takes besides: not misspelt, but in the wrong place."""
_TOKEN = re.compile(r"""(?:[^\s"'\\]++|\\.|\\$|"(?:[^"\\]++|\\.)*+"|'[^']*+')++""", re.DOTALL)
_QUOTED = re.compile(r"""\\([\s"'\\])|["']""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """An option by its whole name, however it was written; `value` is "" where it takes none."""

    name: str
    value: str
    offset: int
    value_offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Token:
    text: str
    offset: int


def read_options(line: LogicalLine, start: int) -> tuple[list[Option], list[Problem]]:
    """The options from `start` on, and what is wrong with them."""
    options: list[Option] = []
    problems: list[Problem] = []
    tokens = _tokens(line, start, problems)
    for token in tokens:
        if len(problems) >= MOST_PROBLEMS:
            break
        if len(options) >= _MOST_OPTIONS:
            what = f"more than {_MOST_OPTIONS} options in one line"
            problems.append(line.problem(token.offset, "too-long", what, "spread them over lines of their own"))
            break
        if not token.text.startswith("-"):
            problems += [] if problems else [_stray(line, token)]
            break  # what follows it is part of the same mistake
        written, value, value_at = _split(token)
        names = _meant(written)
        if len(names) != 1:
            problems.append(_unknown(line, token, written, names))
        elif names[0] in _FLAGS and value_at:
            hint = f"write {names[0]} alone"
            problems.append(line.problem(token.offset, "option-value", f"{names[0]} takes no value", hint))
        elif names[0] in _FLAGS:
            options.append(Option(name=names[0], value="", offset=token.offset, value_offset=token.offset))
        else:
            following = None if value_at else next(tokens, None)
            given = following or _Token(text=value, offset=token.offset + value_at)
            if given.text and not (names[0] in _OF_PROJECTS and given.text.startswith("-")):
                whole = Option(name=names[0], value=given.text, offset=token.offset, value_offset=given.offset)
                options.append(whole)
            elif not problems:
                hint = f"write it behind {names[0]}, or remove the option"
                problems.append(line.problem(token.offset, "option-value", f"{names[0]} lacks its value", hint))
    return options, problems


def _split(token: _Token) -> tuple[str, str, int]:
    """(name, value, offset of the value in the token); offset 0 where the value is not part of the token."""
    if token.text.startswith("--"):
        name, equals, value = token.text.partition("=")
        return name, value, len(name) + 1 if equals else 0
    if len(token.text) > 2 and token.text[:2] in _SHORT:
        return _SHORT[token.text[:2]], token.text[2:], 2
    return _SHORT.get(token.text, token.text), "", 0


def _meant(written: str) -> tuple[str, ...]:
    """The options that this may stand for: pip takes any beginning of a long name that no other one has."""
    if written in _OF_PIP | _OF_OLDER_PIPS:
        return (written,)
    if written in _OF_THE_COMMAND_LINE or not written.startswith("--") or written == "--":
        return ()
    return tuple(sorted(name for name in _OF_PIP if name.startswith(written)))


def _unknown(line: LogicalLine, token: _Token, written: str, names: tuple[str, ...]) -> Problem:
    if names:
        what = f"{visible(written)} is the beginning of {' and of '.join(names)}"
        return line.problem(token.offset, "option-ambiguous", what, "write the whole name")
    hint = "remove it"
    if written == "--build-constraint":
        hint = "remove it and write build-constraints in a [[recipe]] in mirror.toml"
    elif written not in _OF_THE_COMMAND_LINE:
        hint = did_you_mean(written, _OF_PIP | _OF_OLDER_PIPS) or hint
    return line.problem(token.offset, "unknown-option", f"{visible(written)} is no option of requirements files", hint)


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
