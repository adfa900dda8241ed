"""Reads the files of the settings: each once, so that what was judged is what is used."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mirror.core.tables import TableProblem
from mirror.core.text import visible
from mirror.core.toml import LONGEST, read_toml


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file as it was read: `name` is how people know it, `sha256` what it held, "" where there is none."""

    name: str
    table: Mapping[str, object] = field(default_factory=dict)
    sha256: str = ""


def read_file(path: Path, name: str, problems: list[TableProblem]) -> File:
    """The tables of a file, none where there is no file."""

    def problem(code: str, what: str, hint: str, place: str = "") -> File:
        problems.append(TableProblem(where=name + place, code=code, what=what, hint=hint))
        return File(name=name)

    try:
        content = _content(path)
    except FileNotFoundError:
        return File(name=name)
    except OSError as error:
        reason = visible(error.strerror or str(error) or type(error).__name__)
        return problem("file-unreadable", f"it cannot be read ({reason})", "check the file and its permissions")
    try:
        table = read_toml(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return problem("encoding", f"byte 0x{content[error.start]:02x} is not UTF-8", "save it as UTF-8", f":{line}")
    except tomllib.TOMLDecodeError as error:
        return problem("bad-toml", visible(str(error), 200), "mend it, or see config/mirror.toml for an example")
    except ValueError as error:
        return problem("bad-toml", visible(str(error), 200), "see config/mirror.toml for an example")
    return File(name=name, table=table, sha256=hashlib.sha256(content).hexdigest())


def _content(path: Path) -> bytes:
    content = read_bytes(path, LONGEST + 1)
    if len(content) > LONGEST:
        raise OSError(f"it has more than {LONGEST} bytes")
    return content


def read_bytes(path: Path, most: int) -> bytes:
    """The first bytes of a file. A stranger's may be a link to what never ends, or never begins: a device, a pipe."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        kind = os.fstat(descriptor).st_mode
        if stat.S_ISREG(kind):
            return file.read(most)
    raise OSError(errno.EISDIR, os.strerror(errno.EISDIR)) if stat.S_ISDIR(kind) else OSError("it is no file")
