"""Bytes of a requirements file to logical lines, each character of which still knows where it stood."""

from __future__ import annotations

import codecs
import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from mirror.core.model import Location
from mirror.core.text import BIDI, CONTROL, INVISIBLE, visible

LARGEST_FILE_BYTES = 16 * 1024 * 1024
"""Far above any real file; it bounds the time a mistaken name (a wheel, a database) can cost."""

_BOMS = (
    # UTF-32's little-endian mark starts with UTF-16's, so it comes first.
    (codecs.BOM_UTF32_LE, "utf-32-le", "UTF-32"),
    (codecs.BOM_UTF32_BE, "utf-32-be", "UTF-32"),
    (codecs.BOM_UTF16_LE, "utf-16-le", "UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16-be", "UTF-16"),
)
_NOT_UTF8 = re.compile("[\udc80-\udcff]")
_ANYWHERE = re.compile(f"[{CONTROL}{BIDI}]")
_OUTSIDE_COMMENTS = re.compile(f"[{INVISIBLE}]")
_NEWLINE = re.compile("\r\n|\r|\n")
_COMMENT = re.compile(r"(?:^|\s)#.*$")
_COMMENT_LINE = re.compile(r"\s*#")


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong with what a person wrote: where, a stable code, what, and what to do about it."""

    location: Location
    code: str
    what: str
    hint: str

    def __str__(self) -> str:
        return f"{visible(str(self.location), 500)} {self.code}: {self.what} → {self.hint}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogicalLine:
    """Physical lines joined at their backslashes, without the comment.

    `starts` are the offsets in `text` where each physical line begins, `locations` where those offsets stand.
    """

    text: str
    starts: tuple[int, ...]
    locations: tuple[Location, ...]

    def location(self, offset: int) -> Location:
        """Where the character at `offset` stands in the file."""
        part = bisect_right(self.starts, offset) - 1
        start = self.locations[part]
        return Location(file=start.file, line=start.line, column=start.column + offset - self.starts[part])

    def problem(self, offset: int, code: str, what: str, hint: str) -> Problem:
        """A problem with what stands at `offset`."""
        return Problem(location=self.location(offset), code=code, what=what, hint=hint)


def logical_lines(file: str, content: bytes) -> tuple[tuple[LogicalLine, ...], tuple[Problem, ...]]:
    """Decode `content` and join its lines as pip does; lines that cannot be read are problems and left out."""
    text, problem = _decode(file, content)
    if problem:
        return (), (problem,)
    clean = not (_ANYWHERE.search(text) or _OUTSIDE_COMMENTS.search(text) or _NOT_UTF8.search(text))
    lines: list[LogicalLine] = []
    problems: list[Problem] = []
    for physical in _joined(file, text):
        found = () if clean else tuple(_bad_characters(physical))
        swallowed = _swallowed(physical)
        problems += found
        if swallowed:
            problems.append(swallowed)
        elif not found and (line := _without_comment(physical)):
            lines.append(line)
    return tuple(lines), tuple(problems)


def _decode(file: str, content: bytes) -> tuple[str, Problem | None]:
    def problem(what: str, hint: str, before: str = "") -> tuple[str, Problem]:
        lines = _NEWLINE.split(before)
        where = Location(file=file, line=len(lines), column=len(lines[-1]) + 1)
        return "", Problem(location=where, code="encoding", what=what, hint=hint)

    if len(content) > LARGEST_FILE_BYTES:
        limit = LARGEST_FILE_BYTES // 1024 // 1024
        where = Location(file=file, line=1)
        hint = "check that this is the file you meant, or split it"
        return "", Problem(location=where, code="file-too-large", what=f"more than {limit} MiB", hint=hint)
    for mark, codec, name in _BOMS:
        if content.startswith(mark):
            body = content[len(mark) :]
            try:
                return body.decode(codec), None
            except UnicodeDecodeError as error:
                before = body[: error.start].decode(codec)
                what = f"byte 0x{body[error.start]:02x} is not {name}, which the file's first bytes announce"
                return problem(what, "save the file as UTF-8", before)
    if _looks_like_utf16(content):
        return problem("this looks like UTF-16 without a byte order mark", "save the file as UTF-8")
    return content.removeprefix(codecs.BOM_UTF8).decode("utf-8", errors="surrogateescape"), None


def _looks_like_utf16(content: bytes) -> bool:
    head = content[:1000]
    return len(head) >= 4 and max(head[::2].count(0), head[1::2].count(0)) * 2 > len(head) * 0.8


@dataclass(slots=True)
class _Physical:
    """Physical lines that belong together; texts without their closing backslash."""

    file: str
    first: int
    texts: list[str]


def _joined(file: str, text: str) -> Iterator[_Physical]:
    current: _Physical | None = None
    for number, raw in enumerate(_NEWLINE.split(text), 1):
        if current is None and not raw:
            continue
        if current is None:
            current = _Physical(file, number, [])
        if raw.endswith("\\") and not _COMMENT_LINE.match(raw):
            current.texts.append(raw.rstrip("\\"))
            continue
        # pip puts a space before a comment line, so that it ends what came before it.
        current.texts.append(raw)
        yield current
        current = None
    if current is not None:
        yield current


def _bad_characters(physical: _Physical) -> Iterator[Problem]:
    """The first character of each physical line that has no business there."""
    for number, text in enumerate(physical.texts, physical.first):
        match = _NOT_UTF8.search(text) or _ANYWHERE.search(text)
        if not match:
            match = _OUTSIDE_COMMENTS.search(_COMMENT.sub("", text))
        if match:
            where = Location(file=physical.file, line=number, column=match.start() + 1)
            yield _bad_character(where, match[0])


def _bad_character(where: Location, character: str) -> Problem:
    if _NOT_UTF8.match(character):
        what = f"byte 0x{ord(character) - 0xDC00:02x} is not UTF-8"
        return Problem(location=where, code="encoding", what=what, hint="save the file as UTF-8")
    name = unicodedata.name(character, "a control character")
    what = f"U+{ord(character):04X} ({name}) can make a line read other than it is"
    if character == "\x00":
        what = "U+0000 (NUL) stands in the line"
    return Problem(location=where, code="invisible-character", what=what, hint="delete it, or type the line again")


def _swallowed(physical: _Physical) -> Problem | None:
    """A comment that a backslash makes the next line part of: pip drops that line without a word."""
    for index, text in enumerate(physical.texts[:-1]):
        if match := _COMMENT.search(text):
            following = "".join(physical.texts[index + 1 :]).strip()
            if following and not following.startswith("#"):
                where = Location(file=physical.file, line=physical.first + index, column=match.start() + 2)
                what = "the backslash after this comment makes the next line part of it"
                hint = "remove the backslash, or put the comment on a line of its own"
                return Problem(location=where, code="comment-continued", what=what, hint=hint)
    return None


def _without_comment(physical: _Physical) -> LogicalLine | None:
    parts: list[str] = []
    starts: list[int] = []
    locations: list[Location] = []
    length = 0
    for number, text in enumerate(physical.texts, physical.first):
        match = _COMMENT.search(text) if "#" in text else None
        kept = text[: match.start()] if match else text
        starts.append(length)
        locations.append(Location(file=physical.file, line=number))
        parts.append(kept)
        length += len(kept)
        if match:
            break
    joined = "".join(parts)
    if not joined.strip():
        return None
    return LogicalLine(text=joined.rstrip(), starts=tuple(starts), locations=tuple(locations))
