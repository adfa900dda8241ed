"""Values out of TOML tables that people wrote: each of the right type and within bounds, or a problem."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from mirror.core.text import did_you_mean, visible

Value = TypeVar("Value")
Wrong = tuple[str, str]
"""What is wrong with a value, and what to do about it."""
LONGEST_TEXT = 4_000
"""Characters; it bounds the parsers' time, and Python turns no more than 4,300 digits into a number."""

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(B|kB|MB|GB|TB|KiB|MiB|GiB|TiB)")
_BYTES = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12} | {
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}
_DURATION = re.compile(r"(?:(\d+)d)?\s*(?:(\d+)h)?\s*(?:(\d+)min)?\s*(?:(\d+)s)?")
_TYPES: Mapping[type, str] = {
    str: "text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    list: "a list",
    dict: "a table",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TableProblem:
    """One thing that is wrong in a table; `where` is file and key, say `mirror.toml:limits.memory`."""

    where: str
    code: str
    what: str
    hint: str

    def __str__(self) -> str:
        return f"{visible(self.where, 500)} {self.code}: {self.what} → {self.hint}"


@dataclass(slots=True, kw_only=True)
class Table:
    """A table that is being read; `problems` is shared by all that are read in one pass.

    Each method that takes a key returns its value, or None where it is absent or was a problem.
    """

    file: str
    values: Mapping[str, object]
    problems: list[TableProblem]
    path: str = ""
    known: set[str] = field(default_factory=set)

    def problem(self, key: str, code: str, wrong: Wrong) -> None:
        """Remember what is wrong with the value of `key`."""
        where = f"{self.file}:{self.path}{key}"
        self.problems.append(TableProblem(where=where, code=code, what=wrong[0], hint=wrong[1]))

    def parsed(self, key: str, parse: Callable[[str], Value], example: str) -> Value | None:
        """A text that `parse` understands; it raises ValueError(what, hint)."""
        text = self.text(key, example)
        if text is None:
            return None
        try:
            return parse(text)
        except ValueError as error:
            what, hint = error.args
            self.problem(key, "bad-value", (what, hint))
            return None

    def text(self, key: str, example: str) -> str | None:
        """A text that is not empty."""
        value = self._take(key)
        if isinstance(value, str) and len(value) > LONGEST_TEXT:
            self.problem(key, "bad-value", (f"the text has {len(value)} characters", f"keep it under {LONGEST_TEXT}"))
        elif isinstance(value, str) and value.strip():
            return value
        elif isinstance(value, str):
            self.problem(key, "bad-value", ("the text is empty", f'remove the key, or write {key} = "{example}"'))
        elif value is not None:
            self._wrong_type(key, value, "text", f'write {key} = "{example}"')
        return None

    def texts(self, key: str, example: str) -> tuple[str, ...] | None:
        """A list of texts, none of them empty."""
        value = self._take(key)
        hint = f'write {key} = ["{example}"]'
        if isinstance(value, list) and all(
            isinstance(item, str) and item.strip() and len(item) <= LONGEST_TEXT for item in value
        ):
            return tuple(value)
        if value is not None:
            self._wrong_type(key, value, "a list of texts", hint)
        return None

    def pairs(self, key: str, example: str) -> Mapping[str, str] | None:
        """A table of texts."""
        value = self._take(key)
        hint = f"write {key} = {{ {example} }}"
        if isinstance(value, dict) and all(isinstance(item, str) for item in value.values()):
            return value
        if isinstance(value, dict):
            wrong = next(name for name, item in value.items() if not isinstance(item, str))
            self._wrong_type(f"{key}.{wrong}", value[wrong], "text", "put the value in quotes")
        elif value is not None:
            self._wrong_type(key, value, "a table of texts", hint)
        return None

    def integer(self, key: str, least: int, most: int) -> int | None:
        """A whole number within bounds."""
        value = self._take(key)
        if isinstance(value, int) and not isinstance(value, bool):
            if least <= value <= most:
                return value
            self.problem(key, "bad-value", (f"{value} is out of range", f"choose from {least} to {most}"))
        elif value is not None:
            self._wrong_type(key, value, "a whole number", f"write {key} = {least}")
        return None

    def table(self, key: str) -> Table | None:
        """A table within this one."""
        value = self._take(key)
        if isinstance(value, dict):
            return Table(file=self.file, values=value, problems=self.problems, path=f"{self.path}{key}.")
        if value is not None:
            self._wrong_type(key, value, "a table", f"write [{key}] on a line of its own")
        return None

    def tables(self, key: str) -> tuple[Table, ...]:
        """An array of tables, each known by its number from 1."""
        value = self._take(key)
        if isinstance(value, list) and all(isinstance(item, dict) for item in value):
            return tuple(
                Table(file=self.file, values=item, problems=self.problems, path=f"{self.path}{key}[{number}].")
                for number, item in enumerate(value, 1)
            )
        if value is not None:
            self._wrong_type(key, value, "an array of tables", f"write [[{key}]] on a line of its own")
        return ()

    def require(self, key: str, example: str) -> None:
        """Make the absence of `key` a problem."""
        if key not in self.values:
            self.problem(key, "missing-key", ("the key is missing", f'write {key} = "{example}"'))

    def close(self, instead: Mapping[str, str]) -> None:
        """Make every key that was not taken a problem; `instead` says what to do about some."""
        for key in self.values:
            if key not in self.known:
                hint = instead.get(key) or did_you_mean(key, self.known) or f"known are {', '.join(sorted(self.known))}"
                self.problem(visible(key), "unknown-key", ("there is no such key", hint))

    def _take(self, key: str) -> object:
        self.known.add(key)
        return self.values.get(key)

    def _wrong_type(self, key: str, value: object, expected: str, hint: str) -> None:
        given = _TYPES.get(type(value), "a date or time")
        if isinstance(value, list) and expected.startswith("a list"):
            given = "a list with something else in it"
        self.problem(key, "wrong-type", (f"expected {expected}, found {given}", hint))


def parse_size(text: str) -> int:
    """`8GiB` as bytes. Raises ValueError(what, hint)."""
    match = _SIZE.fullmatch(text.strip())
    if not match:
        if re.fullmatch(r"-?[\d.]+", text.strip()):
            raise ValueError(f"{visible(text)} has no unit", f'write "{visible(text.strip().lstrip("-"))}MiB" or GiB')
        raise ValueError(f"'{visible(text)}' is not a size", 'write a number and a unit, such as "8GiB"')
    size = int(float(match[1]) * _BYTES[match[2]])
    if size < 1:
        raise ValueError("nothing is too little", 'write a number and a unit, such as "8GiB"')
    return size


def parse_duration(text: str) -> int:
    """`1h30min` as seconds. Raises ValueError(what, hint)."""
    match = _DURATION.fullmatch(text.strip())
    if not match or not any(match.groups()):
        if re.fullmatch(r"-?[\d.]+", text.strip()):
            raise ValueError(
                f"{visible(text)} has no unit", f'write "{visible(text.strip().lstrip("-"))}min" or s or h'
            )
        raise ValueError(f"'{visible(text)}' is not a duration", 'write numbers and units (d, h, min, s): "1h30min"')
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    duration = days * 86_400 + hours * 3_600 + minutes * 60 + seconds
    if duration < 1:
        raise ValueError("nothing is too little", 'write numbers and units (d, h, min, s): "1h30min"')
    return duration


def summary(problems: Sequence[TableProblem]) -> str:
    """How many problems there are."""
    return "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
