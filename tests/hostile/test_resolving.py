"""A metadata hook that answers in the resolver's place: a package that nothing asks for is none of the lock's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import docker
import pytest

from fakes.index import FakeIndex
from fakes.journal import FakeJournal
from fakes.sdists import IN_TREE, sdist
from fakes.wheels import wheel_bytes
from hostile.arena import INNER, TARGET, WHEELWRIGHT
from mirror.adapters.sandbox.docker import DockerSandbox
from mirror.adapters.store import Store
from mirror.adapters.uv import UvResolver
from mirror.core.asked import Untold
from mirror.core.errors import MirrorError
from mirror.core.hashes import Hashes
from mirror.core.lock import Pin
from mirror.ports import CandidWindow, Response
from mirror.tasks import Workshop
from mirror.window import window_for

pytestmark = pytest.mark.docker

FORGE = """
import json, os, re, time, urllib.request
from wheelwright import wire_frames
def index_url():
    for process in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = open("/proc/" + process + "/cmdline").read().split("\\0")
        except OSError:
            continue
        if "--index-url" in words:
            return words[words.index("--index-url") + 1].rstrip("/")
def get(path):
    return urllib.request.urlopen(path).read()
def read(project, index):
    page = json.loads(get(index + "/" + project + "/"))
    for file in page["files"]:
        if file["filename"].endswith(".whl"):
            get(index.rpartition("/simple")[0] + file["url"] + ".metadata")
def prepare_metadata_for_build_wheel(folder, *_):
    for project in {read}:
        read(project, index_url())
    pins = {pins}
    lock = "".join("[[packages]]\\nname = '%s'\\nversion = '%s'\\n" % pin for pin in pins)
    wire_frames((19, lock.encode()), (20, json.dumps(dict(ok=True)).encode()))
    time.sleep(30)
"""
THERE = ("attack", "stolen")


@dataclass(frozen=True)
class Trusting:
    """A window for which nobody asks what a release wants: the wall taken down."""

    window: CandidWindow

    @property
    def failures(self) -> tuple[MirrorError, ...]:
        return self.window.failures

    def get(self, path: str) -> Response:
        return self.window.get(path)

    def dependencies(self, _: Pin) -> Untold:
        return Untold.BY_ITS_CODE


Resolve = Callable[[str, bool], list[str]]


@pytest.fixture
def resolve(engine: docker.DockerClient, builder_image: str, tmp_path: Path) -> Resolve:
    """Resolve `attack`, whose newest release has this hook; the wall is up or down."""

    def resolve(program: str, is_up: bool) -> list[str]:
        folder = tmp_path / str(is_up)
        folder.mkdir()
        index = FakeIndex(folder / "store")
        files = {"pyproject.toml": IN_TREE, "backend.py": program, "wheelwright.py": WHEELWRIGHT}
        index.add_upstream("attack", "attack-2.0.tar.gz", sdist("attack", "2.0", files))
        for name in THERE:
            index.add_upstream(name, f"{name}-1.0-py3-none-any.whl", wheel_bytes(f"{name}-1.0-py3-none-any.whl"))

        def window(_: Hashes) -> CandidWindow:
            window = window_for(index, TARGET, Store(folder / "notes"))
            return window if is_up else Trusting(window)

        workshop = Workshop(base_image=builder_image, builder_image=builder_image, limits=INNER, processes=1)
        resolver = UvResolver(DockerSandbox(engine), workshop, TARGET, window, FakeJournal(folder))
        return [f"{name} {version}" for name, version in resolver.resolve(["attack"], [])]

    return resolve


def forging(pins: list[tuple[str, str]], read: tuple[str, ...] = THERE) -> str:
    return FORGE.replace("{pins}", repr(pins)).replace("{read}", repr(read))


@pytest.mark.parametrize(
    ("program", "up", "down"),
    [
        pytest.param(
            forging([("attack", "1.0"), ("stolen", "1.0")]),
            ["attack 1.0"],
            ["attack 1.0", "stolen 1.0"],
            id="what nothing asks for",
        ),
        pytest.param(
            forging([("attack", "2.0"), ("ghost", "1.0")]),
            ["attack 2.0"],
            ["attack 2.0", "ghost 1.0"],
            id="what nobody has read",
        ),
    ],
)
def test_a_lock_that_a_hook_has_written(resolve: Resolve, program: str, up: list[str], down: list[str]) -> None:
    """Each package of it is held against the metadata of the others; with that wall down, all of it is believed."""
    assert up == resolve(program, True)
    assert down == resolve(program, False)


@pytest.mark.parametrize(("number", "code"), [(3_001, "bad-lock"), (3_000, None)])
def test_a_lock_without_end(resolve: Resolve, number: int, code: str | None) -> None:
    """One package more than a lock may have is refused at once; as many as it may have are not."""
    program = forging([])
    program = program.replace(
        "pins = []", f"pins = [('attack', '2.0'), *(('p-%d' % n, '1') for n in range({number - 1}))]"
    )
    try:
        found = resolve(program, False)
    except MirrorError as error:
        assert code == error.code
    else:
        assert (code, number) == (None, len(found))
