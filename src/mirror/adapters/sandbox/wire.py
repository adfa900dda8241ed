"""The tool's end of the wire to a sandbox: frames over the container's stdin and stdout.

A frame is kind (1 byte), stream (4 bytes), length (4 bytes), all big-endian, then as many bytes; `mirror.agent.wire`
has the same table. Whatever comes from the agent's side is a stranger's: every number is bounded before it is believed.
"""

from __future__ import annotations

import io
import json
import math
import struct
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

HEADER = struct.Struct("!BII")
CHUNK = 1 << 18
FRAME_LIMIT = 1 << 20
"""The longest payload that the agent ever sends."""

DEEPEST = 8
"""Levels of a result: the agent's have four."""
MOST_VALUES = 50_000
"""In a result, at all levels: a clean room of five thousand packages has fewer."""
LONGEST_TEXT = 1 << 16
"""Characters of one text in a result, and of one key: the agent's longest has 8,192."""
LARGEST_NUMBER = 1 << 63
"""Whole numbers of a result are below it: Python's have no end, and a float of such a one is an error."""

# to the agent
TASK, INPUT, INPUT_END, HEAD, BODY, BODY_END = 1, 2, 3, 4, 5, 6
# from the agent
GET, LOG, STAGE, OUTPUT, RESULT = 16, 17, 18, 19, 20
FROM_AGENT = frozenset({GET, LOG, STAGE, OUTPUT, RESULT})

BOOT = (
    "import os,sys\n"
    "source=os.fdopen(os.dup(0),'rb')\n"
    "os.dup2(os.open(os.devnull,os.O_RDONLY),0)\n"
    "path='/scratch/agent.zip'\n"
    "with open(path,'wb') as file:\n"
    " file.write(source.read(int.from_bytes(source.read(4),'big')))\n"
    "sys.path.insert(0,path)\n"
    "from agent.__main__ import main\n"
    "main(source)\n"
)
"""What a sandbox's Python is started with: take the agent off the wire and run it."""


class WireError(Exception):
    """The other end sent something that the agent never sends.

    Its message is ours alone: nothing of what was sent stands in it.
    """


def frame(kind: int, stream: int, payload: bytes) -> bytes:
    """One frame, as bytes."""
    return HEADER.pack(kind, stream, len(payload)) + payload


def agent_archive() -> bytes:
    """The agent as a zip archive, with its length in front (4 bytes)."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for module in resources.files("mirror.agent").iterdir():
            if module.name.endswith(".py"):
                archive.writestr(f"agent/{module.name}", module.read_bytes())
    content = buffer.getvalue()
    return len(content).to_bytes(4, "big") + content


class FrameReader:
    """Cuts a byte stream into frames. Raises WireError at the first that the agent would not have sent."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[int, int, bytes]]:
        """Add bytes; the (kind, stream, payload) of every frame that is whole now."""
        self._buffer += data
        while len(self._buffer) >= HEADER.size:
            kind, stream, length = HEADER.unpack_from(self._buffer)
            if kind not in FROM_AGENT:
                raise WireError(f"a frame of the unknown kind {kind}")
            if length > FRAME_LIMIT:
                raise WireError(f"a frame of {length} bytes, where {FRAME_LIMIT} is the limit")
            end = HEADER.size + length
            if len(self._buffer) < end:
                return
            payload = bytes(self._buffer[HEADER.size : end])
            del self._buffer[:end]
            yield kind, stream, payload


def read_result(payload: bytes) -> dict[str, Any]:
    """The value of a RESULT frame. Raises WireError where it is no JSON object such as the agent sends."""
    try:
        value = json.loads(payload, parse_int=_bounded, parse_float=_finite, parse_constant=_finite)
    except (ValueError, RecursionError) as error:  # RecursionError: a hundred thousand open brackets
        raise WireError("a result that is no JSON") from error
    if not isinstance(value, dict):
        raise WireError("a result that is no object")
    _check(value)
    return value


def _bounded(text: str) -> int:
    value = int(text) if len(text) <= len(str(-LARGEST_NUMBER)) else LARGEST_NUMBER
    if abs(value) >= LARGEST_NUMBER:
        raise WireError(f"a number of {LARGEST_NUMBER} or more in a result")
    return value


def _finite(text: str) -> float:
    """JSON has no NaN and no infinities, but Python reads them: words, and numbers too large to be one."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _check(value: dict[str, Any]) -> None:
    """Raises WireError for what is deeper, more, or longer than a result is, and for text that is no Unicode.

    Showing a value takes a stack, too, and writing down half of a surrogate pair is an error.
    """
    level: list[object] = [value]
    depth = seen = 0
    while level:
        seen += len(level)
        if seen > MOST_VALUES:
            raise WireError(f"a result of more than {MOST_VALUES} values")
        if depth == DEEPEST and any(isinstance(found, dict | list) for found in level):
            raise WireError(f"a result nested more than {DEEPEST} deep")
        for found in level:
            if isinstance(found, str):
                _check_text(found)
        level = [inner for outer in level for inner in _inner(outer)]
        depth += 1


def _inner(value: object) -> Iterator[object]:
    """What a list holds; an object's keys and values."""
    if isinstance(value, dict):
        yield from value
        yield from value.values()
    elif isinstance(value, list):
        yield from value


def _check_text(text: str) -> None:
    if len(text) > LONGEST_TEXT:
        raise WireError(f"a text of {len(text)} characters in a result, where {LONGEST_TEXT} is the limit")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise WireError("a text that is no Unicode in a result")


def send_task(
    send: Callable[[bytes], None],
    task: Mapping[str, Any],
    inputs: Mapping[str, bytes | Path],
) -> None:
    """Send the agent, the task and its inputs. `send` blocks until its bytes are on their way."""
    send(agent_archive())
    send(frame(TASK, 0, json.dumps(task).encode()))
    with tarfile.open(fileobj=_InputFrames(send), mode="w|", bufsize=CHUNK) as archive:
        for name, content in sorted(inputs.items()):
            info = tarfile.TarInfo(name)
            info.mode = 0o644
            if isinstance(content, Path):
                info.size = content.stat().st_size
                with content.open("rb") as file:
                    archive.addfile(info, file)
            else:
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    send(frame(INPUT_END, 0, b""))


class _InputFrames(io.RawIOBase):
    """A writable stream whose bytes leave as INPUT frames."""

    def __init__(self, send: Callable[[bytes], None]) -> None:
        self._send = send

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        payload = bytes(data)
        self._send(frame(INPUT, 0, payload))
        return len(payload)
