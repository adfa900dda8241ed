"""What installers miss on a team's index, from a real devpi-server: who may have it built, what, and how often."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from fakes.sdists import sdist
from fakes.upstream import Upstream
from mirror.adapters.devpi.listening import free_port
from mirror.adapters.devpi.server import EmbeddedServer, ServerInfo, Team
from mirror.adapters.queue import BuildState, Origin, Queue, QueuedBuild
from mirror.core.misses import OnDemand

PIP = (
    'pip/26.0 {"cpu":"x86_64","distro":{"id":"alpine","name":"Alpine Linux","version":"3.22"},'
    '"implementation":{"name":"CPython","version":"3.11.2"},"python":"3.11.2","system":{"name":"Linux"}}'
)
OUTSIDE = "8.8.8.8"
NETWORKS = ("10.0.0.0/8",)


@contextmanager
def team(folder: Path, policy: OnDemand) -> Iterator[tuple[ServerInfo, Queue]]:
    """A team's index over a small upstream, and its queue, which nobody works on."""
    upstream = Upstream()
    for name in ("miss", "other", "denied-one"):
        upstream.add(name, f"{name.replace('-', '_')}-1.0.tar.gz", sdist(name, "1.0", {}))
    upstream.start()
    queue = folder / "queue"
    server = EmbeddedServer(
        folder / "devpi", free_port(), upstream=upstream.url, team=Team(queue=queue, on_demand=policy), journal=folder
    )
    try:
        yield server.ensure_running(lambda _: None), Queue(queue)
    finally:
        server.stop()
        upstream.stop()


def ask(info: ServerInfo, project: str, address: str = "10.0.0.7", user_agent: str = PIP, index: str = "prod") -> int:
    """Ask for a page as the proxy hands it on; the status."""
    url = info.url.replace("mirror/alpine", f"mirror/{index}/+simple/{project}/")
    headers = {"User-Agent": user_agent, "X-Real-IP": address, "Accept": "text/html"}
    return requests.get(url, headers=headers, timeout=60).status_code


def topics(queue: Queue) -> list[str]:
    """What is queued because it was missed."""
    return [build.topic for build in queue.open() if build.origin is Origin.MISS]


def test_what_is_missed_is_queued_once(tmp_path: Path) -> None:
    """For everybody who asks, on either index; who asks from elsewhere or asks for what is denied causes nothing."""
    with team(tmp_path, OnDemand(networks=NETWORKS, deny=("denied-*",))) as (info, queue):
        assert [200, 200] == [ask(info, "other", OUTSIDE), ask(info, "denied-one")]
        assert [404, 200] == [ask(info, "there-is-none"), ask(info, "miss", user_agent="pip/26.0")]
        assert [] == topics(queue)
        assert [200, 200, 200] == [ask(info, "miss"), ask(info, "miss", "10.0.0.8"), ask(info, "miss", index="alpine")]
        assert ["miss==1.0 for cp311-musllinux_1_2_x86_64"] == topics(queue)
        build, request = queue.take() or (None, None)
        assert build is not None
        assert request is not None
        assert ("10.0.0.7", ("3.11",)) == (build.asked_by, request.python)
        assert "miss==1.0\n" == request.files[0].text


def test_with_the_network_trusted_the_same_request_is_queued(tmp_path: Path) -> None:
    """It is the rule that stopped it."""
    with team(tmp_path, OnDemand(networks=("0.0.0.0/0",))) as (info, queue):
        assert [200, 200] == [ask(info, "other", OUTSIDE), ask(info, "denied-one", OUTSIDE)]
        assert 2 == len(topics(queue))


def test_so_many_an_hour_and_no_more(tmp_path: Path) -> None:
    """Nobody makes it build the world."""
    with team(tmp_path, OnDemand(networks=NETWORKS, per_hour=1)) as (info, queue):
        for project in ("miss", "other", "denied-one"):
            ask(info, project)
        assert 1 == len(topics(queue))


def test_what_has_just_been_built_is_not_built_again(tmp_path: Path) -> None:
    """It failed, or did not come out as a wheel for that client: another day, perhaps."""
    with team(tmp_path, OnDemand(networks=NETWORKS)) as (info, queue):
        ask(info, "miss")
        build, _ = queue.take() or (None, None)
        assert isinstance(build, QueuedBuild)
        queue.finish(build.id, 1)
        ask(info, "miss", user_agent=PIP.replace("3.11.2", "3.12.1"))  # another target is another matter
        ask(info, "miss", index="alpine")
        assert ["miss==1.0 for cp312-musllinux_1_2_x86_64"] == topics(queue)


@pytest.mark.parametrize("wait_s", [0, 30])
def test_the_first_request_waits_if_told_so(wait_s: int, tmp_path: Path) -> None:
    """Until the build has ended; without the setting, not at all."""
    with team(tmp_path, OnDemand(networks=NETWORKS, wait_s=wait_s)) as (info, queue):
        over = threading.Event()

        def build() -> None:
            deadline = time.monotonic() + 30
            while (found := queue.take()) is None and time.monotonic() < deadline:
                time.sleep(0.05)
            assert found is not None
            time.sleep(2)
            over.set()
            queue.finish(found[0].id, 0)

        builder = threading.Thread(target=build)
        builder.start()
        assert 200 == ask(info, "miss")
        assert bool(wait_s) == over.is_set()
        builder.join()
        assert [BuildState.ENDED] == [one.state for one in queue.newest(5)]
