"""Judge entry_points.txt (entry points specification): what installers make programs of, and what they refuse."""

from __future__ import annotations

import configparser
import re
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

from mirror.core.gate.values import RefusedError, finding
from mirror.core.model import Finding

_SCRIPT_GROUPS = ("console_scripts", "gui_scripts")
_SCRIPT_NAME = re.compile(r"[\w.\-+ ]+")
_LINE_BREAKS = re.compile("\r(?!\n)|[\v\f\x1c-\x1e\x85\u2028\u2029]")
"""Where some readers begin a new line and others do not."""
_DOTTED = r"[^\W\d]\w*(?:\.[^\W\d]\w*)*"
_OBJECT = re.compile(rf"({_DOTTED})\s*:\s*({_DOTTED})\s*(?:\[[^\[\]]*\])?")
"""What a script's entry point names: a module, an object in it, and extras that nobody reads any more."""


def read_scripts(content: bytes, member: str) -> tuple[Mapping[str, str], tuple[Finding, ...]]:
    """Read the programs that installers will write, as name to `module:object`, and judge them.

    Installers read the file in two ways: as an INI file with continuation lines, or line by line, as the standard
    library's importlib.metadata does. A name that either of them sees is judged.
    """
    try:
        scripts, by_line = _read(content, member)
    except RefusedError as refused:
        return MappingProxyType({}), (refused.finding,)
    named = {**dict.fromkeys(by_line, ""), **scripts}
    return named, tuple(_judge_names(named, member)) or tuple(_judge_objects(named, member))


def _read(content: bytes, member: str) -> tuple[Mapping[str, str], tuple[str, ...]]:
    """The scripts of an INI file, and the names that a reader of lines sees. Raises RefusedError (`entry-points`)."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        raise RefusedError("entry-points", "expected UTF-8, got other bytes", member) from None
    if _LINE_BREAKS.search(text):
        message = "expected plain line ends, got others, which not every reader takes for one"
        raise RefusedError("entry-points", message, member)
    # Strict: uv and pypa/installer refuse a group or a name that is there twice, pip takes one of the two.
    parser = configparser.RawConfigParser(delimiters=("=",), strict=True)
    parser.optionxform = str  # type: ignore[assignment, method-assign]  # the documented way to keep the case
    try:
        parser.read_string(text)
        by_line = tuple(_script_lines(text))
    except (configparser.Error, ValueError) as error:
        raise RefusedError("entry-points", f"expected entry points, got {_first_line(error)}", member) from None
    groups = [group for group in _SCRIPT_GROUPS if parser.has_section(group)]
    return {name: value for group in groups for name, value in parser.items(group)}, by_line


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]


def _script_lines(text: str) -> Iterator[str]:
    """Yield the script names of a file that is read line by line. Raises ValueError at a header read differently."""
    group = ""
    for line in filter(None, map(str.strip, text.split("\n"))):
        if line.startswith("["):
            group = line[1:-1].strip().lower()
            if not line.endswith("]") or {"[", "]"} & set(line[1:-1]):
                raise ValueError(f"the header {line}")
        elif group in _SCRIPT_GROUPS and not line.startswith("#"):
            yield line.partition("=")[0].strip()


def _judge_names(scripts: Iterable[str], member: str) -> Iterator[Finding]:
    for name in scripts:
        if not _SCRIPT_NAME.fullmatch(name) or name.strip(". ") == "":
            yield finding("entry-point-name", f"expected a script's name, got {name}", member)


def _judge_objects(scripts: Mapping[str, str], member: str) -> Iterator[Finding]:
    """Judge what scripts call, which pip and uv write into a program as it stands."""
    for name, value in scripts.items():
        if not _OBJECT.fullmatch(value):
            yield finding("entry-point-object", f"expected module:object for {name}, got {value or 'nothing'}", member)
