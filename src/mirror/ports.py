"""What the pipeline needs of the world: Protocols only, so that each can be the real thing or a test's."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import Any, Protocol

from packaging.utils import NormalizedName

from mirror.core.asked import Untold
from mirror.core.errors import MirrorError
from mirror.core.hashes import NO_HASHES, Hashes
from mirror.core.lock import Pin
from mirror.core.model import CheckedWheel, IndexFile, Job, Outcome, Target
from mirror.core.retention import Held, RegisteredLock

BYTES_PER_INODE = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one sandbox may use. Each is enforced from outside it."""

    memory_bytes: int
    scratch_bytes: int
    """Size of the only place it can write to."""
    processes: int
    """And threads."""
    open_files: int
    wall_clock_s: int
    silence_s: int
    """Ended when it has neither printed nor asked anything for so long."""
    log_bytes: int
    """Head and tail of the log are kept, so much of them together."""
    output_bytes: int

    @property
    def scratch_inodes(self) -> int:
        """How many files fit into the scratch folder: one for each page, so that none costs more than it counts."""
        return self.scratch_bytes // BYTES_PER_INODE

    def with_wall_clock(self, wall_clock_s: int) -> Limits:
        """The same limits with another wall clock."""
        return replace(self, wall_clock_s=wall_clock_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """A window's answer to one GET."""

    status: int
    content_type: str
    body: Iterable[bytes]
    length: int


class Window(Protocol):
    """The read-only view of the index that a sandbox sees."""

    def get(self, path: str) -> Response:
        """Answer a GET for `path` (no host, no query). Never raises for a bad path: that is a 404."""
        ...


class CandidWindow(Window, Protocol):
    """A window that tells us, beside the sandbox, what went wrong behind it."""

    @property
    def failures(self) -> tuple[MirrorError, ...]:
        """Every answer that was an error of the index's, so far."""
        ...

    def dependencies(self, pin: Pin) -> Sequence[str] | Untold:
        """What a release asks for (Requires-Dist), by those of its files that were read through this window.

        Nothing more is downloaded for it.
        """
        ...


class MeteredWindow(Window, Protocol):
    """A window that knows how much went through it."""

    def dependencies(self, pin: Pin) -> Sequence[str] | Untold:
        """As CandidWindow.dependencies."""
        ...

    @property
    def bytes_served(self) -> int:
        """Bytes of bodies so far."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What a sandbox is started for: one command of the agent's, and everything it may know.

    `inputs` maps a relative path inside the sandbox's inputs folder to bytes or to a file that is streamed in.
    """

    command: str
    arguments: Mapping[str, Any]
    image: str
    label: str
    limits: Limits
    inputs: Mapping[str, bytes | Path] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    window: Window | None = None
    log: Path | None = None


class End(Enum):
    """How a sandbox came to its end, as seen from outside."""

    FINISHED = "finished"
    """The agent gave a result. It is a claim by whoever ran in there, to be judged by the gate."""
    CRASHED = "crashed"
    """It ended without a result."""
    WALL_CLOCK = "wall-clock"
    SILENCE = "silence"
    OUT_OF_MEMORY = "out-of-memory"
    OUTPUT_TOO_LARGE = "output-too-large"
    PROTOCOL = "protocol"
    """It sent something over the wire that the agent never sends."""
    LOST = "lost"
    """The engine or the container went away: nobody's fault in there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """The end of a task. `value` is the agent's result (JSON); `outputs` maps file names to their bytes."""

    end: End
    value: Mapping[str, Any]
    outputs: Mapping[str, bytes]
    exit_code: int | None
    seconds: float
    message: str = ""


class Sandbox(Protocol):
    """Runs somebody else's code where it can do nothing but its job."""

    def run(self, task: Task, on_stage: Callable[[str], None]) -> Ended:
        """Run `task` to its end, calling `on_stage` with each stage it says it reached.

        Raises UnusableError when no sandbox can be started at all, or `stop` was called.
        """
        ...

    def stop(self) -> None:
        """End every task that is running now, and start no other: the run is being given up."""
        ...


class Builders(Protocol):
    """The builder image, and others made of it."""

    def builder_with(self, packages: tuple[str, ...], log: Path) -> str:
        """The id of a builder image that has these system packages (apk names); the plain one for none.

        Where it has to be made, what that said stands in `log`. Raises MirrorError where they cannot be had.
        """
        ...


class Resolver(Protocol):
    """Locks requirements for the target."""

    def resolve(
        self,
        requirements: Sequence[str],
        constraints: Sequence[str],
        *,
        pre_releases: bool = False,
        hashes: Hashes = NO_HASHES,
    ) -> tuple[Pin, ...]:
        """The (name, version) of every package that answers `requirements` (PEP 508 strings) on the target, sorted.

        `hashes` are those of the requirements, by which wheels of ours are shown or not.
        Raises MirrorError (`unresolvable`) where nothing does.
        """
        ...


class Index(Protocol):
    """The devpi index we publish to, with upstream behind it."""

    @property
    def simple_url(self) -> str:
        """What pip's --index-url points at, as seen from this machine."""
        ...

    def files(self, name: NormalizedName) -> tuple[IndexFile, ...]:
        """The files of a project, upstream's and ours; () where there is no such project.

        Raises UnusableError where the index cannot be asked.
        """
        ...

    def forget(self, name: NormalizedName) -> None:
        """Ask the index anew for this project's files next time: another run may have published some."""
        ...

    def fetch(self, file: IndexFile) -> Path:
        """Download `file` once and keep it by its hash; the path of bytes whose hash was checked.

        Raises MirrorError (`hash-mismatch`, `download-failed`); what did not match is not kept.
        """
        ...

    def upstream_of(self, file: IndexFile) -> str | None:
        """Where a listed file comes from, in words that are the same on every machine; None for a file of our own.

        An upstream's address without credentials, or the name of a further one. Raises UnusableError.
        """
        ...

    def publish(self, wheel: CheckedWheel) -> IndexFile:
        """Upload, read back, compare; the file as listed.

        Before that, where the wheel's sdist is an upstream's, the project's upstream files are let show beside ours.
        A project of our own is not shown from upstream: a stranger could have a higher version there.

        Publishing the same bytes again changes nothing. Raises MirrorError (`conflict`) where other bytes stand under
        this name, UnusableError where the index does not answer or refuses, or `stop` was called.
        """
        ...

    def stop(self) -> None:
        """End every wait and every request now, and begin no other: the run is being given up."""
        ...


class Claims(Protocol):
    """Who compiles what, between all runs that publish to one index."""

    def sweep(self) -> None:
        """Remove the claims of runs that are certainly dead. Raises nothing: such a claim keeps nobody waiting."""
        ...

    def hold(self, key: str, on_wait: Callable[[], None]) -> AbstractContextManager[None]:
        """Have the only right to compile what `key` stands for, while the context lasts.

        Where another run has it, `on_wait` is called once, and entering waits until that run is done or dead. Raises
        UnusableError where the index cannot be asked, or `stop` was called.
        """
        ...

    def stop(self) -> None:
        """Let nobody wait any longer: the run is being given up."""
        ...


class Locks(Protocol):
    """What builds have registered as reached, between all runs that publish to one index.

    Everything raises UnusableError where the index cannot be asked.
    """

    def register(self, lock: RegisteredLock) -> None:
        """Keep `lock` under its key, in place of what stood there, dated by the index's clock."""
        ...

    def all(self) -> tuple[RegisteredLock, ...]:
        """Every registered lock, sorted by key.

        Raises UnusableError (`lock-unreadable`) where one cannot be read: it may reach anything.
        """
        ...

    def forget(self, key: str) -> None:
        """Keep it no longer; one that is not there is no error."""
        ...


class Holdings(Protocol):
    """Files that are kept and can be removed: those of our index, or upstream's that devpi keeps."""

    def held(self) -> tuple[Held, ...]:
        """Every file, in no order. Raises UnusableError where they cannot be listed."""
        ...

    def remove(self, file: Held) -> bool:
        """Remove a file of `held`; False where it was gone already. Raises UnusableError where that is refused."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptWheel:
    """A wheel that the gate has passed and that may not be published yet: its file name and its bytes."""

    filename: str
    content: bytes = field(repr=False)

    @property
    def sha256(self) -> str:
        """In hexadecimal."""
        return hashlib.sha256(self.content).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class PastFailure:
    """How a compile failed before. `day` is the date of it (ISO 8601)."""

    code: str
    reason: str
    hint: str
    log: str
    day: str


class Journal(Protocol):
    """What is remembered between runs. A `cache_key` is `core.cache_key`'s: all that a compile depends on."""

    def log_path(self, label: str) -> Path:
        """A new place for the log of something that is about to run."""
        ...

    def begin(self, job: Job, cache_key: str, log: Path) -> None:
        """Remember that a compile is about to start. Whoever dies now leaves an attempt that has no outcome."""
        ...

    def keep(self, cache_key: str, wheel: CheckedWheel) -> None:
        """Keep a wheel that is about to be published, until `release`."""
        ...

    def kept(self, cache_key: str) -> KeptWheel | None:
        """The wheel that a run before this one kept and did not come to publish."""
        ...

    def release(self, cache_key: str) -> None:
        """Keep that wheel no longer: it is on the index, or it is not worth keeping."""
        ...

    def failure(self, cache_key: str) -> PastFailure | None:
        """How the last compile of this failed; None where it never did, or where it went well since."""
        ...

    def record(self, outcome: Outcome, target: Target) -> None:
        """Remember the outcome of a job; a failure also under its `cache_key`, if it has one."""
        ...

    def logs(self, name: NormalizedName) -> tuple[Path, ...]:
        """The kept logs of a project, newest first."""
        ...

    def was_verified(self, key: str) -> bool:
        """Whether `remember_verified` was called with this key."""
        ...

    def remember_verified(self, key: str) -> None:
        """Remember that the clean room has proved what `key` stands for."""
        ...


class Reporter(Protocol):
    """Sees a run as it goes. Every method returns at once and never raises."""

    def step(self, message: str) -> None:
        """Something that happens once: preparing, resolving, verifying."""
        ...

    def waiting(self, job: str, for_what: tuple[str, ...]) -> None:
        """A job waits for others."""
        ...

    def stage(self, job: str, stage: str) -> None:
        """A job has reached a stage."""
        ...

    def ended(self, outcome: Outcome) -> None:
        """A job has come to its outcome."""
        ...
