"""Ctrl-C once, Ctrl-C twice and SIGTERM, while sandboxes compile: what was promised, and nothing left behind."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest

from fakes.aftermath import Findings, Witness
from fakes.command import Run
from fakes.small_graph import Site, a_site, graph

pytestmark = pytest.mark.docker

AGAIN = r"press Ctrl-C again to stop now"
COMPILES = r"^(clay|glass) 1\.0: compile$"
"""The two that need nothing: with two jobs at once both compile before any other does."""
PROMISED_S = 15.0


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with a_site(tmp_path) as site:
        site.mirror("up")  # a run that is interrupted shall not be one that starts the index
        yield site


@pytest.fixture
def witness(site: Site, engine: docker.DockerClient) -> Witness:
    return Witness(site.mirror, engine)


def test_the_first_one_lets_running_jobs_finish(site: Site, witness: Witness) -> None:
    """They are published, nothing else is started, and the next run does the rest."""
    site.slow(4, "clay", "glass")
    requirements = site.offer()
    run = site.mirror.start("build", requirements)
    run.wait_for(COMPILES, count=2)
    run.interrupt()
    run.wait_for(AGAIN)
    assert 130 == run.wait(), run.text
    assert "interrupted; the next run goes on from here" in run.text
    after = run.text[run.text.index("press Ctrl-C") :]
    assert ["clay", "glass"] == sorted(line.split()[0] for line in after.splitlines() if ": built in " in line), (
        run.text
    )
    assert "build environment" not in after, run.text
    witness.saw(run)
    assert ("brick", "beam", "window", "house") == witness.unfinished(graph()), run.text
    assert_nothing_is_left(site, witness)
    assert_the_next_run_completes_it(site, witness, requirements, built={"brick", "beam", "window", "house"})


def twice(run: Run) -> None:
    """Ctrl-C, and again once it has said that this would stop it now."""
    run.interrupt()
    run.wait_for(AGAIN)
    run.interrupt()


def impatiently(run: Run) -> None:
    """Ctrl-C twice, as somebody's fingers do it."""
    run.interrupt()
    time.sleep(0.2)
    run.interrupt()


def after_ctrl_c(run: Run) -> None:
    """Ctrl-C, and then whoever started it loses patience."""
    run.interrupt()
    run.wait_for(AGAIN)
    run.terminate()


@pytest.mark.parametrize(
    ("stop", "expected"),
    [(twice, 130), (impatiently, 130), (Run.terminate, 143), (after_ctrl_c, 143)],
    ids=["Ctrl-C twice", "impatiently", "SIGTERM", "Ctrl-C, then SIGTERM"],
)
def test_it_stops_now(site: Site, witness: Witness, stop: Callable[[Run], None], expected: int) -> None:
    """Within 15 s, though what compiles ignores signals and has a minute to go."""
    site.slow(60, "clay", "glass", stubborn=True)
    requirements = site.offer()
    run = site.mirror.start("build", requirements)
    run.wait_for(COMPILES, count=2)
    started = time.monotonic()
    stop(run)
    assert expected == run.wait(60), run.text
    assert time.monotonic() - started < PROMISED_S
    assert "Traceback" not in run.text
    witness.saw(run)
    assert_nothing_is_left(site, witness)
    site.slow(0)
    assert_the_next_run_completes_it(site, witness, requirements, built=set(graph()))


@pytest.mark.parametrize(("stop", "expected"), [(Run.interrupt, 130), (Run.terminate, 143)], ids=["Ctrl-C", "SIGTERM"])
def test_before_any_job_runs_the_first_one_stops_it(
    site: Site, witness: Witness, stop: Callable[[Run], None], expected: int
) -> None:
    """There is nothing to wait for while it resolves."""
    requirements = site.offer()
    run = site.mirror.start("build", requirements)
    run.wait_for("^resolving for ")
    stop(run)
    assert expected == run.wait(60), run.text
    assert "Traceback" not in run.text
    witness.saw(run)
    assert_nothing_is_left(site, witness)
    assert_the_next_run_completes_it(site, witness, requirements, built=set(graph()))


def assert_nothing_is_left(site: Site, witness: Witness) -> None:
    """No container, no half file, no claim, no temporary file, and every job that was begun has an outcome."""
    assert Findings() == witness.look_for_containers()
    assert ((), ()) == (witness.half_files(), witness.claims())
    assert [] == list((site.mirror.folder / "tmp").iterdir())


def assert_the_next_run_completes_it(site: Site, witness: Witness, requirements: Path, *, built: set[str]) -> None:
    """Each of these is built, once; the others were."""
    run = site.mirror.start("build", requirements)
    assert 0 == run.wait(), run.text
    assert built == built_in(run.text), run.text
    witness.saw(run)
    assert Findings() == witness.look(graph())
    assert () == witness.unfinished(graph())


def built_in(text: str) -> set[str]:
    """The projects that these lines report as built."""
    return set(re.findall(r"^(\S+) \S+: built in ", text, re.MULTILINE))
