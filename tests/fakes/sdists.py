"""Small sdists, and tasks that run them: an in-tree backend needs no build requirements, so no index either."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mirror.adapters.sandbox.options import Options, Tenant, container_options
from mirror.ports import Limits, Task, Window

LIMITS = Limits(
    memory_bytes=256 << 20,
    scratch_bytes=64 << 20,
    processes=64,
    open_files=256,
    wall_clock_s=60,
    silence_s=40,
    log_bytes=1 << 16,
    output_bytes=4 << 20,
)
SCRATCH = "rw,exec,nosuid,nodev,mode=0700,uid={user_id},gid={user_id}"
"""How the scratch folder is mounted, but for its size."""
IN_TREE = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'


def sdist(name: str, version: str, files: Mapping[str, str]) -> bytes:
    """An sdist (PEP 625) with these files below its top folder."""
    top = f"{name}-{version}"
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path, text in {"PKG-INFO": metadata(name, version), **files}.items():
            content = text.encode()
            info = tarfile.TarInfo(f"{top}/{path}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return gzip.compress(buffer.getvalue(), 1, mtime=0)  # the same files always have the same hash


def metadata(name: str, version: str) -> str:
    return f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"


def backend_task(image: str, backend: str, *, limits: Limits = LIMITS, label: str = "test", **more: Any) -> Task:
    """Compile an sdist whose in-tree backend is this code; `more` are fields of the task."""
    return Task(
        command="compile",
        arguments={
            "sdist": "attack-1.0.tar.gz",
            "backend": "backend",
            "backend_path": ["."],
            "config_settings": {},
            "requires": [],
            "environment": {},
            "processes": 1,
            "platform": "musllinux_1_2_x86_64",
        },
        image=image,
        label=label,
        limits=limits,
        inputs={"attack-1.0.tar.gz": sdist("attack", "1.0", {"backend.py": backend, "pyproject.toml": IN_TREE})},
        **more,
    )


def program_task(
    image: str, *, limits: Limits = LIMITS, label: str = "test", window: Window | None = None, log: Path | None = None
) -> Task:
    """A task for `instead_of_the_agent`: what is sent along is nobody's business."""
    return Task(command="none", arguments={}, image=image, label=label, limits=limits, window=window, log=log)


PREAMBLE = """
import json, os, struct, sys
GET, LOG, STAGE, OUTPUT, RESULT = 16, 17, 18, 19, 20
def send(data):
    data = memoryview(data)
    while data:
        data = data[os.write(1, data):]
def frame(kind, stream=0, data=b""):
    return struct.pack("!BII", kind, stream, len(data)) + data
def result(**value):
    send(frame(RESULT, 0, json.dumps(value).encode()))
"""


def instead_of_the_agent(program: str, **changes: Any) -> Options:
    """Options for a stranger who has already taken the agent's place: the wire and the container are all that holds.

    `changes` replace entries of the options: a test of a wall takes down exactly that one.
    """
    return with_changes(**{"command": ["python3", "-I", "-c", PREAMBLE + program], **changes})


def with_changes(**changes: Any) -> Options:
    """The options of every sandbox with these entries replaced; SCRATCH in them is its own user's."""

    def options(task: Task, tenant: Tenant, *more: Any) -> dict[str, Any]:
        mounts = {path: how.format(user_id=tenant.user_id) for path, how in changes.get("tmpfs", {}).items()}
        return {**container_options(task, tenant, *more), **changes, **({"tmpfs": mounts} if mounts else {})}

    return options


def backend_that_leaves(filename: str, content: bytes = b"no wheel") -> str:
    """An in-tree backend that leaves this file as its wheel."""
    path = f"folder + '/' + {filename!r}"
    return f"def build_wheel(folder, *_):\n    open({path}, 'wb').write({content!r})\n    return {filename!r}\n"
