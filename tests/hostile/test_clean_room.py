"""Wheels that vouch for others in the clean room: each answer is worth what nobody else could have said there."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

import docker
import pytest
from packaging.utils import canonicalize_name
from packaging.version import Version

from fakes.house import FakeReporter, a_wheel, requirements
from fakes.index import FakeIndex
from fakes.journal import FakeJournal
from fakes.sdists import LIMITS, with_changes
from hostile.arena import TARGET
from mirror.adapters.sandbox import wire
from mirror.adapters.sandbox.docker import DockerSandbox
from mirror.adapters.store import Store
from mirror.clean_room import CleanRooms, ImportNames, import_problem
from mirror.core.lock import Pin
from mirror.core.model import CheckedWheel, IndexFile, Verified
from mirror.tasks import Workshop, import_task
from mirror.window import CountedWindow, window_for

pytestmark = pytest.mark.docker

SAY = """
import json, struct, time
def say(**value):
    data = json.dumps(value).encode()
    with open("/proc/1/fd/1", "wb", 0) as wire:
        wire.write(struct.pack("!BII", 20, 0, len(data)) + data)
    time.sleep(20)
"""
BOTH_ARE_THERE = f"{SAY}say(ok=True, seconds=1, installed=[['honest', '1.0'], ['liar', '1.0']])\n"
ALL_IS_WELL = f"{SAY}say(ok=True, errors={{}})\n"
BROKEN = "raise ImportError('it never worked')\n"
STARTING = wire.BOOT.replace(
    "from agent.__main__",
    "import subprocess, agent.verify as verify\n"
    "look = verify._distributions\n"
    "verify._distributions = lambda env: [subprocess.run([env / 'bin' / 'python', '-c', '']), look(env)][1]\n"
    "from agent.__main__",
)
"""Starts an agent that starts the environment's Python before it looks at what is installed."""
EVERYWHERE = wire.BOOT.replace(
    "from agent.__main__",
    "import agent.verify as verify\n"
    "library = verify._importable\n"
    "verify._importable = lambda env: {**library(env), 'data': env}\n"
    "from agent.__main__",
)
"""Starts an agent that puts the data of whatever stands beside into the environment, too."""
PINS = ((canonicalize_name("honest"), Version("1.0")), (canonicalize_name("liar"), Version("1.0")))
DOES_NOT_IMPORT = "what was installed does not import: import honest: ImportError: it never worked"


def at_every_start(program: str) -> dict[str, bytes]:
    """Files of a wheel whose program runs whenever a Python starts that sees them."""
    return {"liar.pth": f"import os; exec({program!r}, {{}})\n".encode()}


def set_up(answer: bytes) -> dict[str, bytes]:
    """Files of a wheel that say where Python's own modules are: its first one gives the answer."""
    frame = struct.pack("!BII", 20, 0, len(answer)) + answer
    program = f"import posix, time; posix.write(posix.open('/proc/1/fd/1', posix.O_WRONLY), {frame!r}); time.sleep(20)"
    return {
        "liar-1.0.data/data/pyvenv.cfg": b"home = liar/bin\n",
        "liar-1.0.data/data/liar/lib/python3.11/os.py": b"",
        "liar-1.0.data/data/liar/lib/python3.11/encodings/__init__.py": program.encode(),
    }


def imported(name: str, program: str) -> dict[str, bytes]:
    """Files of a wheel whose program runs when it is imported."""
    return {f"{name}/__init__.py": program.encode()}


class OneRoom(CleanRooms):
    """Imports everything in one room, and believes it of each: the wall taken down."""

    def _import(self, pin: Pin, answers: object, import_names: object, window: object) -> str:
        log = self.journal.log_path("import")
        wheels = {wheel.filename: self.index.fetch(wheel) for wheel in answers.values()}  # type: ignore[attr-defined]
        task = import_task(self.workshop, pin, wheels, {}, ("liar", "honest"), log)
        return import_problem(pin, self._run(task, "import"), self.workshop.limits, log)


class AllAtEveryStart(CleanRooms):
    """Lets whatever stands beside run at every start: the wall taken down."""

    def _try_import(
        self, pin: Pin, wheels: Collection[IndexFile], beside: Collection[IndexFile], import_names: ImportNames
    ) -> str:
        return super()._try_import(pin, [*wheels, *beside], [], import_names)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lie:
    """What is in two wheels, what is asked for, and which wall is taken down; `says` is the proof's problem."""

    honest: dict[str, bytes]
    liar: dict[str, bytes]
    says: str
    asked: tuple[str, ...] = ("honest", "liar")
    liar_is_ours: bool = True
    down: type[CleanRooms] = CleanRooms
    boot: str = ""
    """What starts the agent where a wall of the agent's own is taken down."""


LIES = {
    "what was not installed": Lie(
        honest={},
        liar=at_every_start(BOTH_ARE_THERE),
        asked=("liar",),
        says="pip chose otherwise than the lock: honest is missing instead of 1.0",
        liar_is_ours=False,
        boot=STARTING,
    ),
    "another project, when it is imported": Lie(
        honest=imported("honest", BROKEN), liar=imported("liar", ALL_IS_WELL), says=DOES_NOT_IMPORT, down=OneRoom
    ),
    "another project, at every start": Lie(
        honest=imported("honest", BROKEN),
        liar=at_every_start(ALL_IS_WELL),
        says=DOES_NOT_IMPORT,
        liar_is_ours=False,
        down=AllAtEveryStart,
    ),
    "another project, as a module that every start imports": Lie(
        honest=imported("honest", BROKEN),
        liar={"sitecustomize.py": ALL_IS_WELL.encode()},
        says=DOES_NOT_IMPORT,
        liar_is_ours=False,
        down=AllAtEveryStart,
    ),
    "another project, as a package that every start imports": Lie(
        honest=imported("honest", BROKEN),
        liar=imported("sitecustomize", ALL_IS_WELL),
        says=DOES_NOT_IMPORT,
        liar_is_ours=False,
        down=AllAtEveryStart,
    ),
    "another project, by what the environment is set up by": Lie(
        honest=imported("honest", BROKEN),
        liar=set_up(b'{"ok": true, "errors": {}}'),
        says=DOES_NOT_IMPORT,
        liar_is_ours=False,
        boot=EVERYWHERE,
    ),
}


def prove(engine: docker.DockerClient, image: str, folder: Path, lie: Lie, *, is_up: bool) -> Verified | str:
    """What comes of it, without the path of a log."""
    folder.mkdir()
    index, journal = FakeIndex(folder / "store"), FakeJournal(folder)
    limits = replace(LIMITS, processes=128, open_files=1024, wall_clock_s=100)
    options = {"command": ["python3", "-I", "-c", lie.boot]} if lie.boot and not is_up else {}
    rooms = (CleanRooms if is_up else lie.down)(
        sandbox=DockerSandbox(engine, options=with_changes(**options)),
        index=index,
        journal=journal,
        reporter=FakeReporter(),
        workshop=Workshop(base_image=image, builder_image="", limits=limits, processes=1),
        window=lambda: CountedWindow(window_for(index, TARGET, Store(folder / "notes"))),
        at_once=2,
    )
    honest = publish(index, "honest", lie.honest)
    liar = publish(index, "liar", lie.liar) if lie.liar_is_ours else upstreams(index, "liar", lie.liar)
    proof = rooms.prove(requirements(*lie.asked), dict(zip(PINS, (honest, liar), strict=True)), {})
    return proof.partition(" (log: ")[0] if isinstance(proof, str) else proof


def publish(index: FakeIndex, name: str, files: dict[str, bytes]) -> IndexFile:
    """A wheel of ours that no gate has read."""
    content = a_wheel(f"{name}-1.0-py3-none-any.whl", files)
    return index.publish(
        CheckedWheel(
            filename=f"{name}-1.0-py3-none-any.whl",
            name=canonicalize_name(name),
            version=Version("1.0"),
            content=content,
            sha256=hashlib.sha256(content).hexdigest(),
            requires_python=None,
            core_metadata=b"",
        )
    )


def upstreams(index: FakeIndex, name: str, files: dict[str, bytes]) -> IndexFile:
    filename = f"{name}-1.0-py3-none-any.whl"
    return index.add_upstream(name, filename, a_wheel(filename, files))


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_a_wheel_that_vouches_for(engine: docker.DockerClient, base_image: str, tmp_path: Path, lie: Lie) -> None:
    """It is not heard; with that wall down it is believed, and proves what is not true."""
    assert lie.says == prove(engine, base_image, tmp_path / "up", lie, is_up=True)
    assert isinstance(prove(engine, base_image, tmp_path / "down", lie, is_up=False), Verified)


def test_honest_wheels(engine: docker.DockerClient, base_image: str, tmp_path: Path) -> None:
    """They are proved, each by itself, where one imports another that it does not declare, too."""
    lie = Lie(honest=imported("honest", "import liar\n"), liar={}, says="")
    proof = prove(engine, base_image, tmp_path / "site", lie, is_up=True)
    assert isinstance(proof, Verified), proof
    assert ((("honest", "1.0"), ("liar", "1.0")), ("honest", "liar")) == (proof.installed, proof.imported)
