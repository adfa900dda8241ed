"""The sandbox, as a container of the Docker engine."""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Collection
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import docker
from docker.errors import ImageNotFound, NotFound

from mirror.adapters.sandbox.conversation import ENGINE_ERRORS, Conversation, Sent, refusal
from mirror.adapters.sandbox.options import RUN_LABEL, Options, check_limits, container_options
from mirror.core.errors import UnusableError
from mirror.core.host_errors import out_of_files
from mirror.ports import End, Ended, Task


class DockerSandbox:
    """Implements `Sandbox`. One instance serves a whole run, from several threads.

    `accept_missing_limits` names the limits (of `sandbox_options.LIMITS`) that the user does without on this engine.
    """

    def __init__(
        self,
        client: docker.DockerClient,
        *,
        runtime: str | None = None,
        accept_missing_limits: Collection[str] = (),
        options: Options = container_options,
    ) -> None:
        self._client = client
        self._runtime = runtime
        self._accepted = frozenset(accept_missing_limits)
        self._options = options
        self._missing: tuple[str, ...] | None = None
        self._images: dict[str, tuple[str, ...]] = {}
        self._running: set[Any] = set()
        self._given_up = threading.Event()
        self._run = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:12]}"

    def run(self, task: Task, on_stage: Callable[[str], None]) -> Ended:
        """Run `task` in a container of its own, which is gone when this returns.

        Raises UnusableError: `stopped`, `image-missing`, `image-volumes`, `limit-missing`, `sandbox-refused`,
        `too-many-open-files`, and what CappedLog raises.
        """
        self._refuse_if_given_up()
        started = time.monotonic()
        container = self._create(task)
        self._running.add(container)
        try:
            sent = Conversation(container, task, on_stage, self._given_up).hold()
            self._refuse_if_given_up()
            exit_code, sent = self._how_it_ended(container, sent)
        except ENGINE_ERRORS as error:
            self._refuse_if_given_up()
            if refused := out_of_files(error):
                raise refused from error
            exit_code, sent = None, Sent(end=End.LOST, message=f"the engine or the container went away: {error}")
        finally:
            self._running.discard(container)
            with suppress(*ENGINE_ERRORS):
                container.remove(force=True, v=True)
        return Ended(
            end=sent.end,
            value=sent.value,
            outputs=sent.outputs,
            exit_code=exit_code,
            seconds=time.monotonic() - started,
            message=sent.message,
        )

    def stop(self) -> None:
        """Kill every sandbox of this run, and start no other."""
        self._given_up.set()
        for container in tuple(self._running):
            with suppress(*ENGINE_ERRORS):
                container.kill()

    def sweep(self) -> int:
        """Remove every sandbox whose tool is dead; how many there were."""
        swept = 0
        for container in self._client.containers.list(all=True, filters={"label": RUN_LABEL}, ignore_removed=True):
            host, pid, _ = f"{container.labels[RUN_LABEL]}::".split(":", 2)
            if host == socket.gethostname() and not _is_alive(pid):
                with suppress(*ENGINE_ERRORS):
                    container.remove(force=True, v=True)
                    swept += 1
        return swept

    def _refuse_if_given_up(self) -> None:
        if self._given_up.is_set():
            raise UnusableError("stopped", "the run is being given up", hint="start it again")

    def _create(self, task: Task) -> Any:
        try:
            if self._missing is None:
                self._missing = check_limits(self._client.info(), self._accepted)
            variables = self._image_variables(task.image)
            options = self._options(task, self._run, self._runtime, variables, self._missing)
            return self._client.containers.create(**options)
        except ImageNotFound as error:
            raise UnusableError(
                "image-missing", f"the image {task.image} is not on the engine", hint="run `mirror up` again"
            ) from error
        except ENGINE_ERRORS as error:
            raise refusal(error) from error

    def _image_variables(self, image: str) -> tuple[str, ...]:
        """The names of the environment variables that an image sets. Raises UnusableError (`image-volumes`)."""
        if image not in self._images:
            config = self._client.images.get(image).attrs["Config"]
            if config.get("Volumes"):
                raise UnusableError(
                    "image-volumes",
                    f"the image {image} declares volumes, where a sandbox could write without a limit",
                    details=sorted(config["Volumes"]),
                    hint="build it from a base image without VOLUME",
                )
            self._images[image] = tuple(entry.partition("=")[0] for entry in config.get("Env") or ())
        return self._images[image]

    def _how_it_ended(self, container: Any, sent: Sent) -> tuple[int | None, Sent]:
        """Its exit code, and what the engine knows better than the wire. The container has ended."""
        try:
            container.reload()
        except NotFound as error:
            raise OSError("the container was removed from outside") from error
        state = container.attrs["State"]
        failed = sent.end is not End.FINISHED or not sent.value.get("ok")
        if state.get("OOMKilled") and failed:
            sent = Sent(end=End.OUT_OF_MEMORY, message="it, or a program it started, needed more memory than it may")
        elif sent.end is End.CRASHED and self._was_killed(container, state):
            sent = Sent(end=End.LOST, message="somebody killed its container from outside")
        return state.get("ExitCode"), sent

    def _was_killed(self, container: Any, state: dict[str, Any]) -> bool:
        """Whether the engine was told to kill it. (Nobody in there can: its process 1 takes no signals from inside.)"""
        events = self._client.events(
            since=_engine_time(container.attrs["Created"]),
            until=_engine_time(state["FinishedAt"]) + 1,
            filters={"container": container.id, "event": "kill"},
            decode=True,
        )
        return any(True for _ in events)


def _engine_time(text: str) -> int:
    """Whole seconds since the epoch of a time that the engine wrote: UTC, in nanoseconds."""
    return int(datetime.fromisoformat(text[:19]).replace(tzinfo=UTC).timestamp())


def _is_alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, ValueError):
        return False
    except PermissionError:
        pass
    return True
