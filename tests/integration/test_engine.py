"""The engine that is here, and what is said where there is none."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from mirror.adapters.engine import connect, gateway_address

REACH = """
import os
from mirror.adapters.engine import connect
from mirror.core.errors import UnusableError
if "BECOME" in os.environ:
    os.setuid(int(os.environ["BECOME"]))
try:
    print(connect(print, lambda question: False).ping())
except UnusableError as error:
    print(error.code, error.what, sep="|")
"""


def reach(environment: dict[str, str]) -> str:
    """Connect in a process of its own, with its own environment, as the user whose number is in BECOME."""
    command = [sys.executable, "-c", REACH]
    ended = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)
    assert "" == ended.stderr
    return ended.stdout.strip()


@pytest.fixture
def client() -> Iterator[docker.DockerClient]:
    """The engine of this machine."""
    engine = connect(lambda _: None, lambda _: False)
    yield engine
    engine.close()


@pytest.mark.docker
def test_the_engine_is_reached_without_a_question() -> None:
    """Where an engine answers, nobody is asked and nothing is said."""
    heard: list[str] = []

    def refuse(question: str) -> bool:
        heard.append(question)
        return False

    engine = connect(heard.append, refuse)
    assert engine.ping()
    engine.close()
    assert [] == heard


@pytest.mark.docker
def test_the_gateway_is_where_containers_reach_us(client: docker.DockerClient) -> None:
    """A container on the default bridge reaches a listener on that address."""
    address = gateway_address(client)
    if address is None:
        pytest.skip("this engine's bridge is not on this host")
    with socket.create_server((address, 0)) as listener:
        listener.settimeout(30)
        port = listener.getsockname()[1]
        script = f"import socket; print(socket.create_connection(('{address}', {port}), 20).recv(9).decode())"
        images = client.images.list(filters={"label": "org.mirror.role=builder"})
        if not images:
            pytest.skip("there is no builder image here; make it with `mirror up`")
        container = client.containers.run(images[0], ["python3", "-c", script], detach=True)
        try:
            peer, _ = listener.accept()
            with peer:
                peer.sendall(b"over here")
            assert 0 == container.wait(timeout=30)["StatusCode"]
            assert b"over here\n" == container.logs()
        finally:
            container.remove(force=True)


def test_an_engine_that_is_named_and_away_is_an_error(tmp_path: Path) -> None:
    """DOCKER_HOST is taken at its word: no other engine is tried, and none is installed."""
    missing = tmp_path / "docker.sock"
    assert f"engine-unreachable|no Docker engine answers at unix://{missing}" == reach(
        {"DOCKER_HOST": f"unix://{missing}"}
    )


def test_the_current_context_is_taken_at_its_word(tmp_path: Path) -> None:
    """A docker context names the engine where DOCKER_HOST does not."""
    meta = tmp_path / "contexts" / "meta" / "1f"
    meta.mkdir(parents=True)
    (tmp_path / "config.json").write_text('{"currentContext": "far"}')
    (meta / "meta.json").write_text(
        f'{{"Name": "far", "Endpoints": {{"docker": {{"Host": "unix://{tmp_path}/far.sock"}}}}}}'
    )
    environment = {"DOCKER_CONFIG": str(tmp_path), "DOCKER_HOST": ""}
    assert f"engine-unreachable|no Docker engine answers at unix://{tmp_path}/far.sock" == reach(environment)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="needs root, to become somebody else")
def test_a_socket_that_lets_nobody_in_is_told_apart() -> None:
    """A refused socket is a matter of groups, not of a missing engine."""
    folder = Path("/tmp") / f"mirror-engine-{os.getpid()}"
    folder.mkdir(mode=0o755)
    path = folder / "docker.sock"
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
            listener.listen()
            path.chmod(0o600)
            code, _, what = reach({"DOCKER_HOST": f"unix://{path}", "BECOME": "65534"}).partition("|")
    finally:
        path.unlink(missing_ok=True)
        folder.rmdir()
    assert ("engine-permission", f"the Docker engine's socket unix://{path} does not let you in") == (code, what)
