"""The sandbox, as a container of the Docker engine."""

from __future__ import annotations

import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import docker
from docker.errors import APIError, ImageNotFound, NotFound

from mirror.adapters.owner import is_dead, this_process
from mirror.adapters.sandbox import user_ids
from mirror.adapters.sandbox.conversation import ENGINE_ERRORS, Conversation, Sent, refusal
from mirror.adapters.sandbox.options import (
    RUN_LABEL,
    Options,
    Tenant,
    check_limits,
    container_name,
    container_options,
)
from mirror.core.errors import UnusableError
from mirror.core.host_errors import out_of_files
from mirror.ports import End, Ended, Task

RESTART_S = 30.0
"""How long an engine may take to be there again."""
REMOVALS = 3
"""How often it is tried to remove a container."""


class DockerSandbox:
    """Implements `Sandbox`. One instance serves a whole run, from several threads.

    `accept_missing_limits` names the limits (of `sandbox_options.LIMITS`) that the user does without on this engine;
    `restart_s` is how long an engine may take to be there again.
    """

    def __init__(
        self,
        client: docker.DockerClient,
        *,
        runtime: str | None = None,
        accept_missing_limits: Collection[str] = (),
        options: Options = container_options,
        restart_s: float = RESTART_S,
        draw_user_id: Callable[[Collection[int]], int] = user_ids.draw,
    ) -> None:
        self._client = client
        self._runtime = runtime
        self._accepted = frozenset(accept_missing_limits)
        self._options = options
        self._restart_s = restart_s
        self._draw_user_id = draw_user_id
        self._missing: tuple[str, ...] | None = None
        self._images: dict[str, tuple[str, ...]] = {}
        self._running: set[Any] = set()
        self._given_up = threading.Event()
        self._id = uuid.uuid4().hex[:8]
        self._attempts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def run(self, task: Task, on_stage: Callable[[str], None]) -> Ended:
        """Run `task` in a container of its own, which is gone when this returns.

        Where it was lost, an engine that restarts is waited for, so that it may be run again.
        Raises UnusableError: `stopped`, `image-missing`, `image-volumes`, `limit-missing`, `sandbox-refused`,
        `engine-lost`, `too-many-open-files`, and what CappedLog raises.
        """
        self._refuse_if_given_up()
        started = time.monotonic()
        container = self._create(task)
        self._running.add(container)
        try:
            sent = Conversation(container, task, on_stage, self._given_up).hold()
            self._refuse_if_given_up()
            exit_code, sent = self._how_it_ended(container, task, sent)
        except ENGINE_ERRORS as error:
            self._refuse_if_given_up()
            if refused := out_of_files(error):
                raise refused from error
            exit_code, sent = None, Sent(end=End.LOST, message=f"the engine or the container went away: {error}")
        finally:
            self._running.discard(container)
            self._remove(container.id)
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
            if is_dead(container.labels[RUN_LABEL]):
                with suppress(*ENGINE_ERRORS):
                    container.remove(force=True, v=True)
                    swept += 1
        return swept

    def _wait_for_the_engine(self) -> bool:
        """Until it answers, patience is over, or the run is being given up; whether it answers."""
        deadline = time.monotonic() + self._restart_s
        while not self._given_up.is_set() and time.monotonic() < deadline:
            with suppress(*ENGINE_ERRORS):
                self._client.ping()
                return True
            self._given_up.wait(0.5)
        return False

    def _remove(self, name: str) -> None:
        """Remove a container, also where the engine restarts meanwhile; what stays, the next run sweeps."""
        for _ in range(REMOVALS):
            try:
                self._client.api.remove_container(name, force=True, v=True)
            except NotFound:
                return
            except ENGINE_ERRORS as error:
                if out_of_files(error) or not self._wait_for_the_engine():
                    return
                self._given_up.wait(0.5)  # an engine that has just come back is busy with what it finds
            else:
                return

    def _refuse_if_given_up(self) -> None:
        if self._given_up.is_set():
            raise UnusableError("stopped", "the run is being given up", hint="start it again")

    def _create(self, task: Task) -> Any:
        name = self._name(task.label)
        try:
            return self._create_once(task, name)
        except _NoEngineError:
            if self._wait_for_the_engine():
                self._remove(name)  # it may have done it, and only its answer was lost
            self._refuse_if_given_up()
        try:
            return self._create_once(task, self._name(task.label))
        except _NoEngineError as error:
            raise out_of_files(error.error) or UnusableError(
                "engine-lost",
                "the Docker engine does not answer any more",
                hint="look at the engine, then run it again",
                details=(str(error.error),),
            ) from error.error

    def _create_once(self, task: Task, name: str) -> Any:
        """Raises _NoEngineError where nothing answers, which an engine that restarts does for a while."""
        try:
            if self._missing is None:
                self._missing = check_limits(self._client.info(), self._accepted)
            variables = self._image_variables(task.image)
            return self._create_alone(task, name, variables, self._missing)
        except ImageNotFound as error:
            raise UnusableError(
                "image-missing", f"the image {task.image} is not on the engine", hint="run `mirror up` again"
            ) from error
        except APIError as error:
            raise refusal(error) from error
        except ENGINE_ERRORS as error:
            raise _NoEngineError(error) from error

    def _create_alone(self, task: Task, name: str, image_variables: Collection[str], missing: Collection[str]) -> Any:
        """Create the container, with a user id that no other one has.

        Whoever is created first and looks around then sees everybody that was created before: of two that have drawn
        the same id, at least one gives way, and neither has been started.
        """
        refused: set[int] = set()
        while True:
            user_id = self._draw_user_id(refused)
            tenant = Tenant(run=this_process(), user_id=user_id)
            options = self._options(task, tenant, self._runtime, image_variables, missing)
            container = self._client.containers.create(name=name, **options)
            label = f"{user_ids.LABEL}={user_id}"
            if [container.id] == [
                found["Id"] for found in self._client.api.containers(all=True, filters={"label": label})
            ]:
                return container
            container.remove(force=True, v=True)
            refused.add(user_id)

    def _name(self, label: str) -> str:
        """What it does, this run, and which attempt of this run at it."""
        name = container_name(label, self._id)
        with self._lock:
            self._attempts[name] += 1
            return f"{name}-{self._attempts[name]}"

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

    def _how_it_ended(self, container: Any, task: Task, sent: Sent) -> tuple[int | None, Sent]:
        """Its exit code, and what the engine knows better than the wire. The container has ended.

        The exit code decides nothing: whoever is in there chooses it.
        """
        try:
            container.reload()
        except NotFound as error:
            raise OSError("the container was removed from outside") from error
        state = container.attrs["State"]
        failed = sent.end is not End.FINISHED or not sent.value.get("ok")
        if failed and (state.get("OOMKilled") or _tells_of_oom(sent.value)):
            most = f"{task.limits.memory_bytes / 2**30:.2f} GiB"
            sent = Sent(end=End.OUT_OF_MEMORY, message=f"it, or a program it started, needed more than {most}")
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


def _tells_of_oom(value: Mapping[str, Any]) -> bool:
    """Whether the agent saw the kernel kill for memory: of a child's death not every engine knows, or not in time."""
    pressure = value.get("pressure")
    kills = pressure.get("oom_kills") if isinstance(pressure, dict) else None
    return isinstance(kills, int) and kills > 0


class _NoEngineError(Exception):
    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


def _engine_time(text: str) -> int:
    """Whole seconds since the epoch of a time that the engine wrote: UTC, in nanoseconds."""
    return int(datetime.fromisoformat(text[:19]).replace(tzinfo=UTC).timestamp())
