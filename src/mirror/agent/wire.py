"""The agent's end of the wire: frames over its own stdin and stdout.

A frame is kind (1 byte), stream (4 bytes), length (4 bytes), all big-endian, then as many bytes. The tool's end,
`mirror.adapters.sandbox.wire`, has the same table of kinds; a test holds the two together.
"""

from __future__ import annotations

import io
import json
import os
import queue
import struct
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

HEADER = struct.Struct("!BII")
CHUNK = 1 << 18
FRAME_LIMIT = 1 << 20
"""The tool takes no longer payload."""
LINGER_S = 10
"""How long a sandbox outlives its wire, and its result.

A wire that somebody has cut is told from a sandbox that has ended by this: its container still runs.
"""

# from the tool
TASK, INPUT, INPUT_END, HEAD, BODY, BODY_END = 1, 2, 3, 4, 5, 6
# from the agent
GET, LOG, STAGE, OUTPUT, RESULT = 16, 17, 18, 19, 20

Frame = tuple[int, int, bytes]


class Wire:
    """Sends frames from any thread; once `serve` was called, hands the tool's answers to whoever asked."""

    def __init__(self, source: BinaryIO) -> None:
        self._in = source
        # Programs that are started in here must not write into the wire: fds 1 and 2 become the log's pipe.
        self._out = os.fdopen(os.dup(1), "wb", 0)
        self._lock = threading.Lock()
        self._answers: dict[int, queue.Queue[tuple[int, bytes]]] = {}
        self._streams = 0
        read_end, write_end = os.pipe()
        os.dup2(write_end, 1)
        os.dup2(write_end, 2)
        os.close(write_end)
        self._log = threading.Thread(target=self._pump_log, args=(read_end,), daemon=True)
        self._log.start()

    def _pump_log(self, read_end: int) -> None:
        while data := os.read(read_end, CHUNK):
            self.send(LOG, 0, data)

    def send(self, kind: int, stream: int, data: bytes) -> None:
        """Send one frame."""
        with self._lock:
            view = memoryview(HEADER.pack(kind, stream, len(data)) + data)
            while view:
                view = view[self._out.write(view) :]

    def _read(self) -> Frame:
        header = self._in.read(HEADER.size)
        if len(header) < HEADER.size:
            raise EOFError("somebody closed the wire")
        kind, stream, length = HEADER.unpack(header)
        data = self._in.read(length)
        if len(data) < length:
            raise EOFError("somebody closed the wire")
        return kind, stream, data

    def receive_task(self, folder: Path) -> dict[str, Any]:
        """Read the task and unpack its inputs into `folder`."""
        try:
            return self._receive_task(folder)
        except EOFError:
            self._linger()
            raise

    def _receive_task(self, folder: Path) -> dict[str, Any]:
        _, _, data = self._read()
        inputs = _Inputs(self._read)
        with tarfile.open(fileobj=inputs, mode="r|") as archive:
            archive.extractall(folder)  # noqa: S202 - our own tool made this archive
        inputs.drain()
        task: dict[str, Any] = json.loads(data.decode())
        return task

    def serve(self) -> None:
        """Start to hand the tool's answers to whoever asked; ends the process soon after the wire was closed."""
        threading.Thread(target=self._pump_answers, daemon=True).start()

    def _pump_answers(self) -> NoReturn:
        try:
            while True:
                kind, stream, data = self._read()
                answer = self._answers.get(stream)
                if answer is not None:
                    answer.put((kind, data))
        except EOFError:
            self._linger()
        finally:
            os._exit(71)

    def get(self, path: str) -> tuple[int, str, int, Iterator[bytes]]:
        """Ask the window for `path`: status, content type, length, and the body in pieces (to be read to its end)."""
        answer: queue.Queue[tuple[int, bytes]] = queue.Queue()
        with self._lock:
            self._streams += 1
            stream = self._streams
            self._answers[stream] = answer
        self.send(GET, stream, path.encode())
        _, data = answer.get()
        head = json.loads(data.decode())
        return head["status"], head["type"], head["length"], self._body(stream, answer)

    def _body(self, stream: int, answer: queue.Queue[tuple[int, bytes]]) -> Iterator[bytes]:
        while True:
            kind, data = answer.get()
            if kind == BODY_END:
                del self._answers[stream]
                return
            yield data

    def stage(self, name: str) -> None:
        """Tell the tool what this sandbox is doing now."""
        self.send(STAGE, 0, name.encode())

    def output(self, number: int, path: Path) -> None:
        """Send the file at `path` as output `number`; the result names it."""
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                self.send(OUTPUT, number, chunk)

    def result(self, value: dict[str, Any]) -> None:
        """Send the result, after what is still in the log's pipe; then wait for the tool to end this sandbox."""
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        self._log.join(timeout=2)  # a daemon that somebody left behind may hold the pipe open
        payload = json.dumps(value).encode()
        if len(payload) > FRAME_LIMIT:
            payload = json.dumps({"ok": False, "message": f"a result of {len(payload)} bytes"}).encode()
        self.send(RESULT, 0, payload)
        self._linger()

    def _linger(self) -> None:
        time.sleep(LINGER_S)


class _Inputs(io.RawIOBase):
    """The INPUT frames as one readable stream."""

    def __init__(self, read_frame: Callable[[], Frame]) -> None:
        self._read_frame = read_frame
        self._rest = b""
        self._ended = False

    def read(self, size: int = -1) -> bytes:
        while not self._ended and (size < 0 or len(self._rest) < size):
            kind, _, data = self._read_frame()
            self._ended = kind == INPUT_END
            self._rest += data
        if size < 0:
            size = len(self._rest)
        result, self._rest = self._rest[:size], self._rest[size:]
        return result

    def drain(self) -> None:
        """Read on to the end, past the archive's padding."""
        while self.read(CHUNK):
            pass
