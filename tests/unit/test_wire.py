"""Both ends of the wire: one table, frames whole however they are cut, and a stranger's frames refused."""

from __future__ import annotations

import io
import json
import os
import threading
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirror.adapters.sandbox import wire
from mirror.adapters.sandbox.wire import FrameReader, WireError, frame, read_result
from mirror.agent import wire as agent_wire

KINDS = ("TASK", "INPUT", "INPUT_END", "HEAD", "BODY", "BODY_END", "GET", "LOG", "STAGE", "OUTPUT", "RESULT")
FRAMES = st.tuples(st.sampled_from(sorted(wire.FROM_AGENT)), st.integers(0, 2**32 - 1), st.binary(max_size=200))


def read(pieces: list[bytes]) -> list[tuple[int, int, bytes]]:
    reader = FrameReader()
    return [found for piece in pieces for found in reader.feed(piece)]


def test_both_ends_have_one_table() -> None:
    """The agent's numbers are the tool's numbers, all different, and its header has the same shape."""
    assert {name: getattr(wire, name) for name in KINDS} == {name: getattr(agent_wire, name) for name in KINDS}
    assert len(KINDS) == len({getattr(wire, name) for name in KINDS})
    assert wire.HEADER.format == agent_wire.HEADER.format
    assert wire.FRAME_LIMIT == agent_wire.FRAME_LIMIT
    assert wire.CHUNK <= wire.FRAME_LIMIT


@given(st.lists(FRAMES, max_size=10), st.data())
def test_frames_survive_any_cut(frames: list[tuple[int, int, bytes]], data: st.DataObject) -> None:
    """Cut a stream of frames anywhere, and the same frames come out."""
    stream = b"".join(frame(*one) for one in frames)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert frames == read(pieces)


def test_a_frame_byte_by_byte() -> None:
    """A frame that comes one byte at a time is whole at its last one."""
    stream = frame(wire.LOG, 7, b"hello")
    reader = FrameReader()
    seen = [list(reader.feed(bytes([byte]))) for byte in stream]
    assert [[]] * (len(stream) - 1) + [[(wire.LOG, 7, b"hello")]] == seen


@pytest.mark.parametrize("kind", sorted(set(range(256)) - wire.FROM_AGENT))
def test_an_unknown_kind(kind: int) -> None:
    """Whatever the agent never sends, also what only the tool sends, ends the talk."""
    with pytest.raises(WireError, match=f"^a frame of the unknown kind {kind}$"):
        read([frame(kind, 0, b"")])


def test_the_longest_frame() -> None:
    """The limit itself is allowed; a byte more is refused by the header, before any of it is kept."""
    payload = b"x" * wire.FRAME_LIMIT
    assert [(wire.LOG, 0, payload)] == read([frame(wire.LOG, 0, payload)])
    with pytest.raises(WireError, match=r"^a frame of 1048577 bytes, where 1048576 is the limit$"):
        read([wire.HEADER.pack(wire.LOG, 0, wire.FRAME_LIMIT + 1)])


def test_frames_before_a_malformed_one_are_taken() -> None:
    """What came before the first bad frame has been handed out."""
    reader = FrameReader()
    found = reader.feed(frame(wire.STAGE, 0, b"unpack") + b"\xff" * 9)
    assert (wire.STAGE, 0, b"unpack") == next(found)
    with pytest.raises(WireError):
        next(found)


def test_the_reader_keeps_no_more_than_a_frame() -> None:
    """A sender of endless small and large frames costs no memory."""
    reader = FrameReader()
    small = frame(wire.LOG, 0, b"x") * 20_000
    large = frame(wire.LOG, 0, b"x" * wire.FRAME_LIMIT)
    tracemalloc.start()
    try:
        for _ in range(3):
            for piece in (small, large):
                for _ in reader.feed(piece):
                    pass
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 5 * wire.FRAME_LIMIT


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (b"", "a result that is no JSON"),
        (b"{", "a result that is no JSON"),
        (b"\xff\xfe", "a result that is no JSON"),
        (b"[" * 100_000, "a result that is no JSON"),
        (b"1" * 10_000, "a number of 9223372036854775808 or more in a result"),
        (b'{"seconds": 9223372036854775808}', "a number of 9223372036854775808 or more in a result"),
        (b'{"a": [-9223372036854775808]}', "a number of 9223372036854775808 or more in a result"),
        (b'{"seconds": ' + b"9" * 400 + b"}", "a number of 9223372036854775808 or more in a result"),
        (b'{"message": "' + b"x" * 65_537 + b'"}', "a text of 65537 characters in a result, where 65536 is the limit"),
        (b'{"' + b"x" * 65_537 + b'": 1}', "a text of 65537 characters in a result, where 65536 is the limit"),
        (b'{"message": "\\ud800"}', "a text that is no Unicode in a result"),
        (b'{"\\udfff": 1}', "a text that is no Unicode in a result"),
        (b'{"a": [' + b"1," * 50_000 + b"1]}", "a result of more than 50000 values"),
        (b'{"a": ' + b"[[]," * 7 + b"[[]]" + b"]" * 7 + b"}", "a result nested more than 8 deep"),
        (b"[]", "a result that is no object"),
        (b'{"seconds": Infinity}', "a result that is no JSON"),
        (b'{"seconds": NaN}', "a result that is no JSON"),
        (b'{"seconds": 1e999}', "a result that is no JSON"),
        (b'{"message": ' + b"[" * 500 + b"]" * 500 + b"}", "a result nested more than 8 deep"),
        (b'{"message": ' + b'{"a": ' * 8 + b"1" + b"}" * 9, "a result nested more than 8 deep"),
        (b"null", "a result that is no object"),
        (b'"ok"', "a result that is no object"),
    ],
)
def test_a_result_that_is_none(payload: bytes, message: str) -> None:
    """A result is a JSON object, whatever somebody sends in its place."""
    with pytest.raises(WireError, match=f"^{message}$"):
        read_result(payload)


@pytest.mark.parametrize(
    "value",
    [
        {"ok": True, "seconds": 2**63 - 1, "less": 1 - 2**63, "text": "x" * 65_536},
        {"message": "\U0001f40d", "list": [1] * 49_000},
        {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": "deepest"}}}}}}}},
    ],
    ids=["numbers and text", "values", "depth"],
)
def test_a_result_at_its_limits(value: dict[str, object]) -> None:
    """The limits themselves are allowed."""
    assert value == read_result(json.dumps(value).encode())


def test_a_task_arrives(tmp_path: Path) -> None:
    """What the tool sends, bytes and files, is what the agent unpacks, and the window's answers follow it."""
    big = tmp_path / "big"
    big.write_bytes(os.urandom(3 * wire.CHUNK + 17))
    sent = bytearray()
    task = {"command": "compile", "arguments": {"x": [1, None, "é"]}, "window": False}
    wire.send_task(sent.extend, task, {"a.txt": b"a", "wheelhouse/empty": b"", "wheelhouse/big": big})
    source = io.BytesIO(bytes(sent))
    archive = source.read(int.from_bytes(source.read(4), "big"))
    assert wire.agent_archive()[4:8] == archive[:4]

    inputs = tmp_path / "inputs"
    end = FromTool(source)
    assert task == end.receive_task(inputs)
    found = {str(path.relative_to(inputs)): path.read_bytes() for path in inputs.rglob("*") if path.is_file()}
    assert {"a.txt": b"a", "wheelhouse/empty": b"", "wheelhouse/big": big.read_bytes()} == found
    assert b"" == source.read()


@given(data=st.data())
def test_a_task_that_is_cut_off(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Wherever the wire is cut, the agent outlives it for a while, by which its tool tells that from a crash."""
    sent = bytearray()
    wire.send_task(sent.extend, {"command": "compile"}, {"a.txt": b"a" * 5000})
    whole = bytes(sent)[4 + int.from_bytes(sent[:4], "big") :]
    end = FromTool(io.BytesIO(whole[: data.draw(st.integers(0, len(whole) - 1))]))
    with pytest.raises(EOFError, match=r"^somebody closed the wire$"):
        end.receive_task(tmp_path_factory.mktemp("inputs"))
    assert end.lingered


class FromTool(agent_wire.Wire):
    """The agent's end, with an output of its own: the real one takes over the process's stdout."""

    lingered = False

    def __init__(self, source: io.BufferedIOBase | io.BytesIO) -> None:
        self._in = source  # type: ignore[assignment]
        self._sent = io.BytesIO()
        self._out = self._sent  # type: ignore[assignment]
        self._lock = threading.Lock()
        self._answers = {}
        self._streams = 0

    def _linger(self) -> None:
        self.lingered = True

    @property
    def sent(self) -> list[tuple[int, int, bytes]]:
        return read([self._sent.getvalue()])


def test_what_the_agent_sends_is_what_the_tool_reads(tmp_path: Path) -> None:
    """Stages and outputs go over as frames that the tool takes; a long output goes in several."""
    end = FromTool(io.BytesIO())
    output = tmp_path / "wheel"
    output.write_bytes(b"w" * (wire.CHUNK + 1))
    end.stage("compile")
    end.output(0, output)
    expected = [
        (wire.STAGE, 0, b"compile"),
        (wire.OUTPUT, 0, b"w" * wire.CHUNK),
        (wire.OUTPUT, 0, b"w"),
    ]
    assert expected == end.sent


def test_the_agent_reads_an_answer() -> None:
    """A GET is one frame; its answer comes back as status, type, length and body."""
    head = json.dumps({"status": 200, "type": "text/plain", "length": 4}).encode()
    end = FromTool(io.BytesIO())
    results: list[tuple[int, str, int, bytes]] = []

    def ask() -> None:
        status, content_type, length, body = end.get("/simple/x/")
        results.append((status, content_type, length, b"".join(body)))

    asking = threading.Thread(target=ask)
    asking.start()
    while not end.sent:
        asking.join(0.01)
    for kind, data in ((wire.HEAD, head), (wire.BODY, b"ab"), (wire.BODY, b"cd"), (wire.BODY_END, b"")):
        end._answers[1].put((kind, data))
    asking.join(5)
    assert [(200, "text/plain", 4, b"abcd")] == results
    assert [(wire.GET, 1, b"/simple/x/")] == end.sent
