"""What there is to steal and to reach, and a way to run attacks beside it."""

from __future__ import annotations

import json
import os
import re
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.types import IPAMConfig, IPAMPool

from fakes.listeners import CANARY, canary_answerer, canary_listener
from hostile.arena import Result, Walls, run_attack
from hostile.probes import HOME_FILES, NEIGHBOUR_USER
from mirror.adapters.engine import gateway_address

LINK_LOCAL = "169.254.177.1"
LINK_LOCAL_SUBNET = "169.254.177.0/24"
NEIGHBOUR = f"""
import os, socket, subprocess, sys
open("/dev/shm/canary", "w").write("{CANARY}")
os.chmod("/dev/shm/canary", 0o644)
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)", "neighbour"])
listener = socket.create_server(("127.0.0.1", 8000))
print("ready", flush=True)
while True:
    listener.accept()[0].sendall(b"{CANARY}")
"""
PROXIES = {"proxies": {"default": {"httpProxy": f"http://user:{CANARY}@127.0.0.1:9"}}}


@contextmanager
def link_local_network(engine: docker.DockerClient) -> Iterator[str]:
    """A bridge of ours whose gateway has a link-local address, as a cloud's metadata service has; its name."""
    name = f"mirror-hostile-{os.getpid()}"
    network = engine.networks.create(
        name, ipam=IPAMConfig(pool_configs=[IPAMPool(subnet=LINK_LOCAL_SUBNET, gateway=LINK_LOCAL)])
    )
    try:
        yield name
    finally:
        network.remove()


@contextmanager
def neighbour(engine: docker.DockerClient, image: str) -> Iterator[str]:
    """Another sandbox with things to steal in its environment, its shared memory and on its loopback; its id."""
    container = engine.containers.run(
        image,
        ["python3", "-c", NEIGHBOUR],
        entrypoint=[],
        user=f"{NEIGHBOUR_USER}:{NEIGHBOUR_USER}",
        environment={"SECRET": CANARY},
        network_mode="none",
        ipc_mode="shareable",
        init=True,
        detach=True,
    )
    try:
        deadline = time.monotonic() + 20
        while b"ready" not in container.logs():
            assert time.monotonic() < deadline, "the neighbour does not start"
        yield str(container.id)
    finally:
        container.remove(force=True)


@pytest.fixture(scope="module")
def places(
    engine: docker.DockerClient, builder_image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[str, object]]:
    """What there is to steal and to reach: a home full of canaries, and listeners on this machine."""
    home = tmp_path_factory.mktemp("home")
    home.chmod(0o755)
    for name in HOME_FILES:
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(PROXIES) if name == ".docker/config.json" else CANARY)
    shared = tmp_path_factory.mktemp("shared")
    shared.chmod(0o777)
    abstract = f"mirror-hostile-{os.getpid()}"
    engine_socket = home / "engine.sock"
    with ExitStack() as stack:

        def listen(family: int, address: object) -> Any:
            return stack.enter_context(canary_listener(family, address))

        gateway = gateway_address(engine)
        network = stack.enter_context(link_local_network(engine))
        link_local = LINK_LOCAL
        places = {
            "home": home,
            "shared": shared,
            "gateway": gateway,
            "port": listen(socket.AF_INET, (gateway, 0))[1],
            "loopback_port": listen(socket.AF_INET, ("127.0.0.1", 0))[1],
            "ipv6_port": listen(socket.AF_INET6, ("::1", 0))[1],
            "udp_port": stack.enter_context(canary_answerer((gateway, 0)))[1],
            "link_local_network": network,
            "link_local": link_local,
            "link_local_port": listen(socket.AF_INET, (link_local, 0))[1],
            "abstract": abstract,
            "socket": engine_socket,
            "neighbour": stack.enter_context(neighbour(engine, builder_image)),
        }
        listen(socket.AF_UNIX, f"\0{abstract}")
        listen(socket.AF_UNIX, str(engine_socket))
        engine_socket.chmod(0o777)
        yield places


@pytest.fixture(scope="module")
def client(places: Mapping[str, object]) -> Iterator[docker.DockerClient]:
    """The engine, for somebody whose docker configuration and environment hold canaries."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_CONFIG", str(Path(str(places["home"])) / ".docker"))
        patch.setenv("MIRROR_PASSWORD", CANARY)
        client = docker.from_env()
        yield client
        client.close()


Run = Callable[[str, Walls], Result]


@pytest.fixture(scope="module")
def run(
    client: docker.DockerClient,
    builder_image: str,
    places: Mapping[str, object],
    tmp_path_factory: pytest.TempPathFactory,
) -> Run:
    """Take a program through its job behind these walls."""

    def run(program: str, walls: Walls) -> Result:
        filled = re.sub(r"\{(\w+)\}", lambda m: str(places.get(m[1], m[0])), program)
        folder = tmp_path_factory.mktemp("job") / "job"
        return run_attack(client, builder_image, folder, filled, filled_walls(walls, places))

    return run


def filled_walls(walls: Walls, places: Mapping[str, object]) -> Walls:
    """Put the test's own places where options name them."""

    def filled(value: Any) -> Any:
        if isinstance(value, list):
            return [filled(entry) for entry in value]
        return value.format(**places) if isinstance(value, str) else value

    named = ("volumes", "network_mode", "pid_mode", "ipc_mode")
    return replace(walls, options={k: filled(v) if k in named else v for k, v in walls.options.items()})
