"""A clean room that has too little of something says which limit that was, and does not blame pip."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import docker
import pytest

from fakes.house import a_wheel
from fakes.index import FakeIndex
from fakes.outcomes import TARGET
from fakes.sdists import LIMITS
from mirror import attempts
from mirror.adapters.sandbox.docker import DockerSandbox
from mirror.adapters.store import Store
from mirror.core.requirements import parse
from mirror.ports import Ended, Limits
from mirror.tasks import Workshop, install_task
from mirror.window import window_for

pytestmark = pytest.mark.docker

WHEEL = "large-1.0-py3-none-any.whl"
ENOUGH = replace(LIMITS, memory_bytes=1 << 30, scratch_bytes=256 << 20, processes=128, open_files=1024)
MANY = {f"large/many/{number}": b"" for number in range(9000)}


def entered(engine: docker.DockerClient, image: str, folder: Path, files: dict[str, bytes], limits: Limits) -> Ended:
    """Install a wheel with these files in a clean room; the log stands in `folder`."""
    index = FakeIndex(folder / "index")
    index.add_upstream("large", WHEEL, a_wheel(WHEEL, files))
    workshop = Workshop(base_image=image, builder_image="", limits=limits, processes=1)
    window = window_for(index, TARGET, Store(folder / "notes"))
    wanted = parse(["requirements.txt"], [], lambda _: b"large==1.0\n")
    task = install_task(workshop, wanted, window, folder / "log")
    return DockerSandbox(engine).run(task, lambda _: None)


@pytest.mark.parametrize(
    ("files", "limits", "told"),
    [
        pytest.param(
            {"large/data": bytes(40 << 20)},
            replace(ENOUGH, scratch_bytes=32 << 20),
            ("scratch-full", "it wanted more than the 0.03 GiB of its scratch folder"),
            id="bytes",
        ),
        pytest.param(
            MANY,
            replace(ENOUGH, scratch_bytes=32 << 20),
            ("scratch-full", "it wanted more than the 8192 files that fit into its scratch folder"),
            id="files",
        ),
        pytest.param(
            {"large/data": bytes(100 << 20)},
            replace(ENOUGH, memory_bytes=128 << 20),
            ("out-of-memory", "it ran out of memory: it, or a program it started, needed more than 0.12 GiB"),
            id="memory",
        ),
    ],
)
def test_a_limit_that_is_too_low_is_named(
    engine: docker.DockerClient,
    base_image: str,
    tmp_path: Path,
    files: dict[str, bytes],
    limits: Limits,
    told: tuple[str, str],
) -> None:
    """With more of it, the same wheel installs."""
    (tmp_path / "low").mkdir()
    ended = entered(engine, base_image, tmp_path / "low", files, limits)
    stopped = attempts.limit_that_stopped(ended, limits, tmp_path / "low" / "log")
    assert told == (stopped[:2] if stopped else None), ended
    (tmp_path / "enough").mkdir()
    ended = entered(engine, base_image, tmp_path / "enough", files, ENOUGH)
    assert [["large", "1.0"]] == ended.value.get("installed"), ended
