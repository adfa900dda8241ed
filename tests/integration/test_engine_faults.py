"""An engine that restarts, and a wire that is cut, while a build runs: neither is a failure of the build."""

from __future__ import annotations

import gc
import os
import shutil
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import docker
import pytest
from docker.models.images import Image

from fakes.sdists import LIMITS, backend_task, backend_that_leaves, instead_of_the_agent, program_task
from fakes.second_engine import Cable, SecondEngine, second_engine
from fakes.small_graph import a_site
from mirror import attempts
from mirror.adapters.images.model import ROLE
from mirror.adapters.sandbox.docker import DockerSandbox
from mirror.core.errors import UnusableError
from mirror.ports import End, Ended, Task

pytestmark = [
    pytest.mark.docker,
    pytest.mark.skipif(
        not sys.platform.startswith("linux") or os.geteuid() != 0 or not shutil.which("dockerd"),
        reason="starts an engine of its own, which takes root and dockerd",
    ),
    # The Docker SDK leaves the socket open over which it reached no engine.
    pytest.mark.filterwarnings("ignore:Exception ignored in. <socket.socket"),
    pytest.mark.filterwarnings("ignore:unclosed <socket.socket:ResourceWarning"),
]

WHEEL = "attack-1.0-py3-none-any.whl"
SLOW = backend_that_leaves(WHEEL, b"a wheel").replace("    open", "    import time; time.sleep(4)\n    open")
FAILS = "def build_wheel(*_):\n    import time; time.sleep(4)\n    raise SystemExit(3)\n"


@pytest.fixture(scope="module")
def second(engine: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecondEngine]:
    """An engine of ours with the images of the first, by their names: those of a base and a builder."""
    names = {tag for role in ("base", "builder") for image in images(engine, role) for tag in image.tags[:1]}
    with second_engine(engine, tmp_path_factory.mktemp("engine") / "second", *sorted(names)) as running:
        yield running


def images(engine: docker.DockerClient, role: str) -> list[Image]:
    return [image for image in engine.images.list(filters={"label": f"{ROLE}={role}"}) if image.tags]


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """What was left open is found out here, where it is expected."""
    yield
    gc.collect()


@pytest.fixture
def client(second: SecondEngine) -> Iterator[docker.DockerClient]:
    """A client of the engine that restarts."""
    with closing(second.client()) as client:
        yield client


class Watched:
    """Runs a task in a thread, and tells when it compiles for the nth time."""

    def __init__(self, sandbox: DockerSandbox, task: Task) -> None:
        self.stages: list[str] = []
        self._ends: list[Ended | UnusableError] = []
        self._thread = threading.Thread(target=self._run, args=(sandbox, task))
        self._thread.start()

    def _run(self, sandbox: DockerSandbox, task: Task) -> None:
        try:
            self._ends.append(attempts.run(sandbox, task, self.stages.append))
        except UnusableError as error:
            self._ends.append(error)

    def wait_for_compile(self, times: int) -> None:
        deadline = time.monotonic() + 60
        while self.stages.count("compile") < times:
            assert time.monotonic() < deadline, self.stages
            time.sleep(0.05)

    def end(self) -> Ended:
        end = self.end_or_error()
        assert isinstance(end, Ended), end
        return end

    def end_or_error(self) -> Ended | UnusableError:
        self._thread.join(timeout=120)
        return self._ends[0]


@pytest.mark.parametrize("backend", [SLOW, FAILS], ids=["builds", "fails"])
def test_an_engine_that_restarts_is_waited_for(
    second: SecondEngine, client: docker.DockerClient, builder_image: str, backend: str
) -> None:
    """What it ran is run again, once, and ends as it would have; nothing is left of the first attempt."""
    watched = Watched(DockerSandbox(client), backend_task(builder_image, backend))
    watched.wait_for_compile(1)
    second.stop()
    second.start()
    ended = watched.end()
    assert (End.FINISHED, backend is SLOW) == (ended.end, ended.value.get("ok")), ended
    assert 2 == watched.stages.count("compile")
    assert [] == client.containers.list(all=True)


def test_an_engine_that_stays_away_is_not_the_build_s_fault(
    second: SecondEngine, client: docker.DockerClient, builder_image: str
) -> None:
    """It is told as what it is, and by nobody taken for a failure of the build."""
    watched = Watched(DockerSandbox(client, restart_s=1.0), backend_task(builder_image, SLOW))
    watched.wait_for_compile(1)
    second.stop()
    try:
        error = watched.end_or_error()
    finally:
        second.start()
    assert isinstance(error, UnusableError)
    assert ("engine-lost", "the Docker engine does not answer any more") == (error.code, error.what)
    for container in client.containers.list(all=True):  # which this process would have swept in its next life
        container.remove()


@pytest.mark.parametrize("is_done", [True, False], ids=["answer", "request"])
@pytest.mark.parametrize("request_line", ["POST /v{}/containers/create", "DELETE /v{}/containers/"])
def test_nothing_stays_of_what_got_lost(
    cable: Cable,
    over_cable: docker.DockerClient,
    client: docker.DockerClient,
    builder_image: str,
    request_line: str,
    is_done: bool,
) -> None:
    """A request that a dying engine did not hear, or did and could not say so, leaves no container behind."""
    cable.lose(request_line.format(over_cable.api.api_version).encode(), is_done=is_done)
    ended = DockerSandbox(over_cable).run(backend_task(builder_image, SLOW), lambda _: None)
    assert (End.FINISHED, True) == (ended.end, ended.value.get("ok")), ended
    assert cable.lost == 1
    assert [] == client.containers.list(all=True)


def test_mirror_build_over_an_engine_that_restarts(
    second: SecondEngine, client: docker.DockerClient, tmp_path: Path
) -> None:
    """The whole of it: every job is built, and the run ends well."""
    with a_site(tmp_path) as site:
        site.slow(3, "clay", "glass")
        here = replace(site.mirror, environment={**site.mirror.environment, "DOCKER_HOST": second.address})
        run = here.start("build", site.offer(), "--json")
        run.wait_for("^clay 1.0: compile$")
        second.stop()
        second.start()
        assert 0 == run.wait(), run.text
        outcomes = Counter(outcome["outcome"] for outcome in run.json()["targets"][0]["outcomes"])
        assert {"built": 6} == outcomes
    assert [] == client.containers.list(all=True)


@pytest.fixture
def cable(second: SecondEngine, tmp_path: Path) -> Iterator[Cable]:
    """A way to the engine."""
    cable = Cable(tmp_path / "sock", Path(second.address.removeprefix("unix://")))
    yield cable
    cable.close()


@pytest.fixture
def over_cable(cable: Cable) -> Iterator[docker.DockerClient]:
    """A client at the other end of it."""
    with closing(docker.DockerClient(base_url=cable.address)) as client:
        yield client


def test_a_cut_wire_is_no_end(cable: Cable, over_cable: docker.DockerClient, builder_image: str) -> None:
    """The stream has ended, the build has not: it is tried again, and its own end is what counts."""
    watched = Watched(DockerSandbox(over_cable), backend_task(builder_image, SLOW))
    watched.wait_for_compile(1)
    assert cable.cut_the_wires() > 0
    ended = watched.end()
    assert (End.FINISHED, True, {"0": b"a wheel"}) == (ended.end, ended.value.get("ok"), ended.outputs)
    assert 2 == watched.stages.count("compile")


def test_a_wire_that_is_always_cut(cable: Cable, over_cable: docker.DockerClient, builder_image: str) -> None:
    """After the second time it is told as what it is."""
    watched = Watched(DockerSandbox(over_cable), backend_task(builder_image, SLOW))
    for times in (1, 2):
        watched.wait_for_compile(times)
        cable.cut_the_wires()
    ended = watched.end()
    assert (End.LOST, "the wire to the sandbox was cut") == (ended.end, ended.message)


def test_a_cut_wire_to_somebody_who_does_not_care(
    cable: Cable, over_cable: docker.DockerClient, builder_image: str
) -> None:
    """A container that goes on running all the same has not come to its end."""
    program = "import time\nsend(frame(STAGE, 0, b'compile'))\ntime.sleep(60)\nresult(ok=True)"
    sandbox = DockerSandbox(over_cable, options=instead_of_the_agent(program))
    ends: list[Ended] = []
    stages: list[str] = []
    task = program_task(builder_image, limits=LIMITS)
    thread = threading.Thread(target=lambda: ends.append(sandbox.run(task, stages.append)))
    thread.start()
    while not stages:
        time.sleep(0.05)
    cable.cut_the_wires()
    thread.join(timeout=60)
    assert [(End.LOST, "the wire to the sandbox was cut")] == [(end.end, end.message) for end in ends]
