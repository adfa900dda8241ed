"""Runs attacks: an sdist goes the whole way of a job (prepare, sandbox, gate, publish) over an index in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import docker
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import Version

from fakes.claims import FakeClaims
from fakes.index import FakeIndex
from fakes.journal import FakeJournal
from fakes.sdists import IN_TREE, LIMITS, sdist, with_changes
from mirror.adapters.sandbox.docker import DockerSandbox
from mirror.adapters.store import Store
from mirror.core.errors import MirrorError
from mirror.core.hashes import NO_HASHES, Hashes
from mirror.core.lock import Pin
from mirror.core.model import Built, CheckedWheel, Failed, Job, JobKey, Recipe, Reused, Target
from mirror.core.recipes import Recipes
from mirror.jobs import JobSteps, NeedsMore, Prepared
from mirror.neighbours import Neighbours
from mirror.ports import Ended, Limits, Task
from mirror.provenance import Provenance
from mirror.tasks import Workshop

SUCCEEDED = "ATTACK SUCCEEDED"
TARGET = Target(python="3.11")
OTHERS = frozenset({"numpy", "requests", "colleague"})
"""Neighbours in the lock, whose names and import names are not the attacker's to take."""
INNER = replace(LIMITS, scratch_bytes=32 << 20, wall_clock_s=40, silence_s=30)

WHEELWRIGHT = '''
import base64, hashlib, zipfile

SUCCEEDED = "ATTACK SUCCEEDED"

def leave(folder, name="attack", version="1.0", module=None, more=None, metadata=""):
    """Leave a wheel in which nothing is wrong but `more`, its members, and `metadata`; its file name."""
    info = f"{name}-{version}.dist-info"
    members = {
        f"{module or name}.py": b"VALUE = 1",
        f"{info}/METADATA": f"Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n{metadata}\\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\\nGenerator: a\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
        **(more or {}),
    }
    record = "".join(
        f"{path},sha256={base64.urlsafe_b64encode(hashlib.sha256(c).digest()).rstrip(b'=').decode()},{len(c)}\\n"
        for path, c in members.items()
    )
    members[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\\n".encode()
    filename = f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(f"{folder}/{filename}", "w") as archive:
        for path, content in members.items():
            archive.writestr(path, content)
    return filename

def wire_frames(*frames):
    """Write frames past the agent, straight into the container's own stdout."""
    import struct
    with open("/proc/1/fd/1", "wb", 0) as wire:
        for kind, data in frames:
            wire.write(struct.pack("!BII", kind, 0, len(data)) + data)
'''


@dataclass(frozen=True, slots=True, kw_only=True)
class Walls:
    """Which walls stand: those of a run are all up but the one that a control takes down."""

    options: Mapping[str, Any] = field(default_factory=dict)
    """Entries of the container's options that are replaced."""
    limits: Limits = INNER
    others: frozenset[str] = OTHERS
    gate: bool = True


ALL_UP = Walls()


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of an attack: "built" or the failure's code, its reason, what it printed, what was published."""

    outcome: str
    reason: str
    log: str
    published: tuple[str, ...]
    hint: str = ""
    message: str = ""
    """What the sandbox said of its failure, as it said it."""

    @property
    def succeeded(self) -> bool:
        """Whether the program itself saw that it got through."""
        return SUCCEEDED in self.log


@dataclass(slots=True)
class Overhearing:
    """A sandbox that remembers what was said in it."""

    sandbox: DockerSandbox
    said: str = ""

    def run(self, task: Task, on_stage: Callable[[str], None]) -> Ended:
        ended = self.sandbox.run(task, on_stage)
        self.said = str(ended.value.get("message", ""))
        return ended

    def stop(self) -> None:
        self.sandbox.stop()


class UngatedSteps(JobSteps):
    """The steps of a job with the gate taken away: whatever the sandbox claims is published."""

    def _judge(self, prepared: Prepared, filename: str, content: bytes) -> CheckedWheel:
        name, version, _, _ = parse_wheel_filename(Path(filename).name)
        return CheckedWheel(
            filename=filename,
            name=name,
            version=version,
            content=content,
            sha256=hashlib.sha256(content).hexdigest(),
            requires_python=None,
            core_metadata=b"",
        )


@dataclass(frozen=True, slots=True)
class OneBuilder:
    """The builder image, whatever packages are asked for."""

    image: str

    def builder_with(self, packages: tuple[str, ...], log: Path) -> str:
        return self.image


class NamedPins:
    """The sdists here ask for nothing, or for pins."""

    def resolve(
        self, requirements: Any, constraints: Any, *, pre_releases: bool = False, hashes: Hashes = NO_HASHES
    ) -> tuple[Pin, ...]:
        pairs = (text.split("==") for text in requirements)
        return tuple((canonicalize_name(name), Version(version)) for name, version in pairs)


def run_attack(
    client: docker.DockerClient,
    image: str,
    folder: Path,
    backend: str,
    walls: Walls,
    *,
    index: FakeIndex | None = None,
    requires: str = "",
) -> Result:
    """Take an sdist with this in-tree backend through all steps of its job; `requires` stands in pyproject.toml."""
    folder.mkdir()
    index, journal = index or FakeIndex(folder / "store"), FakeJournal(folder)
    table = IN_TREE.replace("requires = []", f"requires = [{requires}]")
    files = {"pyproject.toml": table, "backend.py": backend, "wheelwright.py": WHEELWRIGHT}
    job = Job(
        key=JobKey(name=canonicalize_name("attack"), version=Version("1.0")),
        sdist=index.add_upstream("attack", "attack-1.0.tar.gz", sdist("attack", "1.0", files)),
        target=TARGET,
        recipe=Recipe(),
    )
    sandbox = Overhearing(DockerSandbox(client, options=with_changes(**walls.options)))
    steps = (JobSteps if walls.gate else UngatedSteps)(
        sandbox=sandbox,
        index=index,
        provenance=Provenance(index, Store(folder / "notes"), TARGET),
        resolver=NamedPins(),
        builders=OneBuilder(image),
        journal=journal,
        claims=FakeClaims(),
        workshop=Workshop(base_image=image, builder_image=image, limits=walls.limits, processes=1),
        recipes=Recipes(),
        projects=walls.others | {job.key.name},
        neighbours=Neighbours(index, ()),
    )
    try:
        outcome = steps.compile(steps.prepare(job, (), lambda _: None), {}, lambda _: None)
    except MirrorError as error:
        return Result(outcome=error.code, reason=error.what, log="", published=())
    match outcome:
        case Built():
            name, reason, hint = "built", "", ""
        case NeedsMore():
            name, reason, hint = "needs more", "", ""
        case Failed():
            name, reason, hint = outcome.code, outcome.reason, outcome.hint
        case Reused():
            raise AssertionError("nothing ran: the index has this wheel")
    return Result(
        outcome=name,
        reason=reason,
        hint=hint,
        log="".join(path.read_text(errors="replace") for _, path in journal.labelled),
        published=tuple(wheel.filename for wheel in index.published),
        message=sandbox.said,
    )
