"""SIGKILL of the tool, a few times: the short form of tests/benchmark/kill.py. And that its witness would tell."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import docker
import pytest
import requests

from fakes.aftermath import Findings, Witness
from fakes.command import Run
from fakes.house import a_wheel
from fakes.kills import Campaign, Figures
from fakes.small_graph import VERSION, Site, a_site, graph
from mirror.adapters.devpi.http import DevpiClient, Login
from mirror.adapters.sandbox.options import RUN_LABEL

pytestmark = pytest.mark.docker

KILLS = 8
SEED = 4
TRIES = 5
ENOUGH_S = 240
"""Well over what so many kills take: a machine that is so slow does fewer of them."""


def test_killed_at_any_point_the_next_run_goes_on(engine: docker.DockerClient, tmp_path: Path) -> None:
    """Nothing is lost, published twice or left; each job has its outcome; the next run is at work soon."""
    with a_site(tmp_path) as site:
        campaign = Campaign(site, Witness(site.mirror, engine), seed=SEED)
        figures = campaign.run(KILLS, deadline=time.monotonic() + ENOUGH_S)
    assert Findings() == figures.findings, str(figures.findings)
    assert not figures.broken, figures
    assert figures.kills > 0


def test_killed_while_it_starts_the_index_no_server_is_left(engine: docker.DockerClient, tmp_path: Path) -> None:
    """A server that was started a moment before is found by the next run, or ended; and `mirror down` stops it."""
    with a_site(tmp_path) as site:
        witness = Witness(site.mirror, engine)
        site.mirror("up")
        seen = []
        try:
            for _ in range(TRIES):
                site.mirror("down")
                run = site.mirror.start("up")
                while not witness.servers() and run.elapsed_s < ENOUGH_S:
                    pass  # it is told of nowhere yet for some milliseconds
                run.kill()
                assert 0 == site.mirror("up").returncode
                seen.append(len(witness.servers()))
            site.mirror("down")
            seen.append(len(witness.servers()))
        finally:
            for pid in witness.servers():
                os.kill(pid, signal.SIGKILL)
    assert [*([1] * TRIES), 0] == seen


@dataclass(frozen=True)
class Scene:
    """A graph that was built undisturbed, and a witness that has seen it."""

    site: Site
    witness: Witness
    run: Run

    @property
    def stage(self) -> str:
        return f"{self.site.mirror.server}/mirror/alpine"

    def client(self) -> DevpiClient:
        """Whoever publishes, by hand."""
        password = self.site.mirror.data / "devpi" / "mirror-password"
        return DevpiClient(self.site.mirror.server, Login("mirror", password.read_text))

    def upload(self, project: str, filename: str, content: bytes) -> None:
        form = {":action": "file_upload", "name": project, "version": VERSION, "filetype": "bdist_wheel"}
        answer = self.client().send("POST", f"{self.stage}/", data=form, files={"content": (filename, content)})
        assert 200 == answer.status, answer.content


@pytest.fixture(scope="module")
def scene(engine: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with a_site(tmp_path_factory.mktemp("witness")) as site:
        witness = Witness(site.mirror, engine)
        run = site.mirror.start("build", site.offer())
        assert 0 == run.wait(), run.text
        witness.saw(run)
        assert Findings() == witness.look(graph())
        yield Scene(site, witness, run)


def test_a_lost_wheel_is_told(scene: Scene) -> None:
    """One that is deleted by hand is missing twice: it was reported, and it was there."""
    answer = scene.client().send("DELETE", f"{scene.stage}/clay/{VERSION}?force")
    assert 200 == answer.status, answer.content
    reported, seen = scene.witness.look(["clay"]).lost
    assert "clay was reported as built, and nothing of it is on the index" == reported
    assert seen.endswith("is now None")


def test_a_second_upload_is_told(scene: Scene) -> None:
    """Also where it changed nothing: devpi takes the same bytes again."""
    filename = "beam-1.0-py3-none-any.whl"
    page = requests.get(f"{scene.stage}/beam", headers={"Accept": "application/json"}, timeout=60).json()
    (link,) = page["result"][VERSION]["+links"]
    scene.upload("beam", filename, requests.get(link["href"], timeout=60).content)
    assert ("beam was uploaded 2 times",) == scene.witness.look(["beam"]).twice


def test_a_second_file_is_told(scene: Scene) -> None:
    """The same release under another build number."""
    filename = "brick-1.0-1-py3-none-any.whl"
    scene.upload("brick", filename, a_wheel(filename))
    assert ("brick has 2 files", "brick was uploaded 2 times") == scene.witness.look(["brick"]).twice


def test_a_container_that_was_left_is_told(scene: Scene, engine: docker.DockerClient, builder_image: str) -> None:
    """It is known by the process that its label names."""
    container = engine.containers.create(builder_image, ["true"], labels={RUN_LABEL: f"here:{scene.run.pid}:x"})
    try:
        assert (f"{container.name} of process {scene.run.pid}",) == scene.witness.look_for_containers().left
    finally:
        container.remove(force=True)
    assert Findings() == scene.witness.look_for_containers()


def test_a_job_without_the_one_outcome_is_told(scene: Scene) -> None:
    """Begun in a run that has ended; begun again after it was built; and two outcomes in one run."""
    with closing(sqlite3.connect(scene.site.mirror.data / "journal.sqlite")) as journal, journal:
        columns = [row[1] for row in journal.execute("PRAGMA table_info(attempts)") if row[1] != "id"]
        copied = ", ".join("'started'" if column == "outcome" else column for column in columns)
        journal.execute(
            f"INSERT INTO attempts ({', '.join(columns)}) SELECT {copied} FROM attempts WHERE name = 'house'"  # noqa: S608
        )
    findings = scene.witness.look(["house"])
    assert ("house was begun 1 times after it had been built",) == findings.twice
    assert ("house of run 1 has no outcome", "house of run 1 has 2 outcomes") == findings.journal


def test_a_slow_resumption_breaks_the_promise() -> None:
    """As does a second server over the same index."""
    broken = [Figures(resumed_s=[10.1]), Figures(most_servers=2), Figures(findings=Findings(left=("x",)))]
    assert [True] * 3 == [figures.broken for figures in broken]
    assert not Figures(resumed_s=[9.9], most_servers=1).broken
