"""Two `mirror build`s at once, on one machine and on two that share an index: each job is built once."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from fakes.aftermath import Findings, Witness
from fakes.command import Run
from fakes.small_graph import Site, a_site, graph
from mirror.adapters.devpi.claims import EXPIRES_S
from mirror.adapters.devpi.http import DevpiClient, Login

pytestmark = pytest.mark.docker

ELSEWHERE = (
    sys.executable,
    "-c",
    "import socket; socket.gethostname = lambda: 'elsewhere'; from mirror.cli import main; main()",
)
"""`mirror` on a machine of another name, whose processes nobody here can know."""
WAITS = ": wait for another run that builds it$"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    folder = tmp_path / "first"
    folder.mkdir()
    with a_site(folder) as site:
        yield site


@pytest.fixture
def witness(site: Site, engine: docker.DockerClient) -> Witness:
    return Witness(site.mirror, engine)


def elsewhere(site: Site, folder: Path) -> Site:
    """Another machine, with data of its own, that publishes to this one's index as whoever may change it."""
    site.mirror("up")
    root = (site.mirror.data / "devpi" / "root-password").read_text()
    client = DevpiClient(site.mirror.server, Login("root", lambda: root))
    assert 200 == client.send("PATCH", f"{site.mirror.server}/mirror/alpine", json=["acl_upload+=root"]).status
    return site.beside(
        folder,
        program=ELSEWHERE,
        MIRROR_DATA=str(folder / "data"),
        MIRROR_INDEX_URL=f"{site.mirror.server}/mirror/alpine",
        MIRROR_USER="root",
        MIRROR_PASSWORD=root,
    )


@pytest.fixture(scope="module", autouse=True)
def killed_elsewhere(engine: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Survival]:
    """What takes a minute of silence, begun before the other tests here and looked at after them."""
    folder = tmp_path_factory.mktemp("elsewhere")
    (folder / "first").mkdir()
    with a_site(folder / "first") as site:
        yield Survival(elsewhere(site, folder / "second"), site, Witness(site.mirror, engine))


@pytest.mark.parametrize("machines", [1, 2])
def test_each_job_is_built_once(site: Site, witness: Witness, tmp_path: Path, machines: int) -> None:
    """By one of the two, while the other waits and reuses; on one machine they start the index between them."""
    folder = tmp_path / "second"
    other = site.beside(folder) if machines == 1 else elsewhere(site, folder)
    requirements = site.offer()
    for one in (site, other):
        one.slow(3, "clay", "glass")  # so that they meet
    runs = [one.mirror.start("build", requirements, "--json") for one in (site, other)]
    outcomes = [outcome for run in runs for outcome in succeeded(run)]
    assert_built_once(witness, runs)
    assert () == witness.claims()
    assert any(WAITS[2:-1] in run.text for run in runs), "they did not meet"
    # Each has every job that it came upon: built by itself or reused, and the same wheel as the other.
    assert {"built", "reused"} == {outcome["outcome"] for outcome in outcomes}
    assert Counter(dict.fromkeys(graph(), 1)) == Counter(o["name"] for o in outcomes if o["outcome"] == "built")
    assert 6 == len({(o["name"], o["wheel"]["sha256"]) for o in outcomes})


def test_the_claim_of_a_run_that_was_killed_here_is_over_at_once(site: Site, witness: Witness, tmp_path: Path) -> None:
    """The other knows that its process is gone, and compiles what it had begun."""
    here = site.beside(tmp_path / "second")
    assert Survival(site, here, witness).end() < EXPIRES_S / 2
    assert () == witness.claims()
    assert Findings() == witness.look_for_containers()


def test_a_run_that_waits_for_another_one_stops_when_told(site: Site, witness: Witness, tmp_path: Path) -> None:
    """The other one is not disturbed: it has the job, and builds it."""
    other = site.beside(tmp_path / "second")
    requirements = site.offer()
    site.slow(8, "clay")
    runs = [site.mirror.start("build", requirements)]
    runs[0].wait_for("^clay 1.0: compile$")
    runs.append(other.mirror.start("build", requirements))
    runs[1].wait_for("^clay 1.0" + WAITS)
    runs[1].interrupt()
    runs[1].wait_for("press Ctrl-C again to stop now")
    runs[1].interrupt()
    started = time.monotonic()
    assert 130 == runs[1].wait(60), runs[1].text
    assert time.monotonic() - started < 15
    assert 0 == runs[0].wait(), runs[0].text
    assert_built_once(witness, runs)


def test_the_claim_of_a_run_that_was_killed_elsewhere_expires(killed_elsewhere: Survival) -> None:
    """Nobody can tell that it is dead but by its silence."""
    witness, there = killed_elsewhere.witness, killed_elsewhere.dying
    assert EXPIRES_S / 2 < killed_elsewhere.end() < EXPIRES_S + 30
    there.slow(0)
    # Its next run sweeps what it left on the engine, and the claim that it may have had beside the one waited for.
    assert 0 == there.mirror("build", killed_elsewhere.living.offer()).returncode
    assert () == witness.claims()
    assert Findings() == witness.look_for_containers()


class Survival:
    """One run that is killed, at the start, while another waits for what it compiles."""

    def __init__(self, dying: Site, living: Site, witness: Witness) -> None:
        self.dying, self.living, self.witness = dying, living, witness
        self._requirements = living.offer()
        dying.slow(120, "clay")
        killed = dying.mirror.start("build", self._requirements)
        killed.wait_for("^clay 1.0: compile$")
        self._run = living.mirror.start("build", self._requirements, "--json")
        self._run.wait_for("^clay 1.0" + WAITS)
        assert killed.kill()
        self._killed_s = self._run.elapsed_s
        witness.saw(killed)

    def end(self) -> float:
        """Let the other one end; seconds until it compiled what it had waited for."""
        compiled = self._run.wait_for("^clay 1.0: compile$")
        succeeded(self._run)
        next_one = self.living.mirror.start("build", self._requirements)  # which tells, and sweeps, what the dead left
        assert 0 == next_one.wait(), next_one.text
        assert_built_once(self.witness, [self._run, next_one])
        return compiled.at_s - self._killed_s


def succeeded(run: Run) -> list[dict[str, Any]]:
    """The outcomes of a run that must have gone well."""
    assert 0 == run.wait(), run.text
    outcomes: list[dict[str, Any]] = run.json()["targets"][0]["outcomes"]
    return outcomes


def assert_built_once(witness: Witness, runs: list[Run]) -> None:
    """One upload and one file for each project, and a journal in order."""
    for run in runs:
        witness.saw(run)
    assert Findings() == witness.look(graph())
    assert () == witness.unfinished(graph())
