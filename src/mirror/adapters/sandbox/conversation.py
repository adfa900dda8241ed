"""One task's talk with its sandbox: what is sent, what is believed, and when it is over."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import requests
from docker.errors import APIError, DockerException

from mirror.adapters.sandbox import wire
from mirror.adapters.sandbox.answers import Answers
from mirror.adapters.sandbox.attached import STDERR, Attached
from mirror.adapters.sandbox.log import CappedLog
from mirror.core.errors import UnusableError
from mirror.core.host_errors import out_of_files
from mirror.core.text import visible
from mirror.ports import End, Task

STAGES = 100
"""More stages than this are no task of the agent's."""
STAGE_BYTES = 64
OUTPUTS = 8
"""An output's number is below this."""
TICK_S = 0.5
"""How often the clocks are looked at."""
END_WAIT_S = 5
"""How long a container whose wire has ended has to be gone: half as long as the agent outlives its wire."""
ENGINE_ERRORS = (DockerException, requests.RequestException, OSError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What came over the wire by the end."""

    end: End
    value: Mapping[str, Any] = field(default_factory=dict)
    outputs: Mapping[str, bytes] = field(default_factory=dict)
    message: str = ""


class Conversation:
    """One task's talk with its container, from attach to the end. `given_up` ends it from another thread."""

    def __init__(self, container: Any, task: Task, on_stage: Callable[[str], None], given_up: threading.Event) -> None:
        self._container = container
        self._task = task
        self._on_stage = on_stage
        self._given_up = given_up
        self._reader = wire.FrameReader()
        self._stages = 0
        self._outputs: dict[int, bytearray] = {}
        self._output_bytes = 0
        self._result: Mapping[str, Any] | None = None

    def hold(self) -> Sent:
        """Talk until there is a result, the container ends, or a limit is reached; kill what is left in there.

        Raises UnusableError: what CappedLog raises where the log cannot be written, `sandbox-refused` where the engine
        will not start the container.
        """
        with ExitStack() as stack:
            log = stack.enter_context(_log(self._task))
            attached = Attached(self._container)
            stack.callback(attached.close)
            answers = Answers(self._task.window, attached.send)
            stack.callback(answers.close)
            stack.callback(self._kill)
            stack.callback(attached.ignore)
            self._start()
            threading.Thread(target=self._send_task, args=(attached,), name="sandbox-send", daemon=True).start()
            sent = self._listen(attached, log, answers)
            return self._left(sent) if sent.end is End.CRASHED else sent

    def _start(self) -> None:
        try:
            self._container.start()
        except APIError as error:
            if error.status_code in (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT):
                raise  # somebody took it away
            raise refusal(error) from error

    def _listen(self, attached: Attached, log: CappedLog | None, answers: Answers) -> Sent:
        started = heard = time.monotonic()
        try:
            while self._result is None:
                if ended := self._look_at_the_clocks(started, heard):
                    return ended
                piece = attached.read(TICK_S)
                if piece is None:
                    continue
                channel, data = piece
                if not data:
                    return Sent(end=End.CRASHED, message="it ended without a result")
                heard = time.monotonic()
                if channel == STDERR:
                    _write(log, data)
                else:
                    self._take_all(data, log, answers)
            return self._finished(self._result)
        except _TooMuchOutputError:
            most = self._task.limits.output_bytes
            return Sent(end=End.OUTPUT_TOO_LARGE, message=f"its output is over {most} bytes")
        except wire.WireError as error:
            return Sent(end=End.PROTOCOL, message=str(error))

    def _look_at_the_clocks(self, started: float, heard: float) -> Sent | None:
        limits = self._task.limits
        now = time.monotonic()
        if now - started > limits.wall_clock_s:
            return Sent(end=End.WALL_CLOCK, message=f"still not done after {limits.wall_clock_s} s")
        if now - heard > limits.silence_s:
            return Sent(end=End.SILENCE, message=f"said nothing for {limits.silence_s} s")
        if self._given_up.is_set():
            return Sent(end=End.LOST, message="the run is being given up")
        return None

    def _take_all(self, data: bytes, log: CappedLog | None, answers: Answers) -> None:
        for kind, number, payload in self._reader.feed(data):
            self._take(kind, number, payload, log, answers)
            if self._result is not None:
                return

    def _take(self, kind: int, number: int, payload: bytes, log: CappedLog | None, answers: Answers) -> None:
        match kind:
            case wire.LOG:
                _write(log, payload)
            case wire.STAGE:
                self._stages += 1
                if self._stages > STAGES:
                    raise wire.WireError(f"more than {STAGES} stages")
                self._on_stage(visible(payload[:STAGE_BYTES].decode(errors="replace")))
            case wire.OUTPUT:
                self._take_output(number, payload)
            case wire.RESULT:
                self._result = wire.read_result(payload)
            case _:
                answers.ask(number, payload)

    def _take_output(self, number: int, payload: bytes) -> None:
        if number >= OUTPUTS:
            raise wire.WireError(f"an output of the number {number}")
        self._output_bytes += len(payload)
        if self._output_bytes > self._task.limits.output_bytes:
            raise _TooMuchOutputError
        self._outputs.setdefault(number, bytearray()).extend(payload)

    def _send_task(self, attached: Attached) -> None:
        task = self._task
        value = {"command": task.command, "arguments": dict(task.arguments), "window": task.window is not None}
        with suppress(OSError):  # a sandbox that dies early is told by its end, not by this
            wire.send_task(attached.send, value, task.inputs)

    def _finished(self, value: Mapping[str, Any]) -> Sent:
        outputs = {str(number): bytes(content) for number, content in self._outputs.items()}
        return Sent(end=End.FINISHED, value=value, outputs=outputs)

    def _left(self, crashed: Sent) -> Sent:
        """Why is nobody at the other end any more: because the container has ended, or because the wire was cut?

        By what the engine says of the container alone. The engine ends a wire that nobody has cut only with its
        container, whatever the programs in there close: its process 1, which is the engine's own, keeps the other end.
        """
        try:
            self._container.wait(timeout=END_WAIT_S)  # so that inspect tells its own exit code, not our kill's
        except ENGINE_ERRORS:
            return Sent(end=End.LOST, message="the wire to the sandbox was cut")
        return crashed

    def _kill(self) -> None:
        with suppress(*ENGINE_ERRORS):
            self._container.kill()


def refusal(error: Exception) -> UnusableError:
    """What is to be raised when the engine will not create or start a sandbox."""
    return out_of_files(error) or UnusableError(
        "sandbox-refused",
        "the Docker engine will not start a sandbox with the limits it must have",
        details=[str(error)],
        hint="see `docker info`, and whether it knows the runtime that the settings name",
    )


class _TooMuchOutputError(Exception):
    pass


def _log(task: Task) -> AbstractContextManager[CappedLog | None]:
    return CappedLog(task.log, task.limits.log_bytes) if task.log else nullcontext()


def _write(log: CappedLog | None, data: bytes) -> None:
    if log is not None:
        log.write(data)
