"""Every promise of the sandbox with the real engine, each again with that one wall down, where it must fail."""

from __future__ import annotations

import io
import json
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.types import Ulimit

from fakes.listeners import canary_listener
from fakes.sdists import LIMITS, SCRATCH, instead_of_the_agent, program_task, with_changes
from mirror.adapters.engine import gateway_address
from mirror.adapters.images.model import ROLE
from mirror.adapters.sandbox import user_ids
from mirror.adapters.sandbox.docker import DockerSandbox
from mirror.core.errors import UnusableError
from mirror.ports import End, Limits

pytestmark = pytest.mark.docker

SMALL = replace(LIMITS, scratch_bytes=8 << 20, processes=16, open_files=64)
CANARY = "http://user:canary@127.0.0.1:9"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wall:
    """A program that tries a wall: what it finds, and what it finds when `change` has taken down that one."""

    name: str
    program: str
    change: Mapping[str, Any]
    up: object
    down: object
    limits: Limits = field(default=SMALL)


STATUS = "status = dict(l.split(':', 1) for l in open('/proc/self/status'))\n"
REACH = """
import socket
def reaches(family, address):
    with socket.socket(family) as s:
        s.settimeout(3)
        try:
            s.connect(address)
            return s.recv(6).decode()
        except OSError:
            return "nothing"
"""
FILL = """
written = 0
try:
    with open("/scratch/f", "wb", 0) as f:
        for _ in range(24):
            written += f.write(bytes(1 << 20))
except OSError:
    pass
result(found=written >> 20)
"""
ALLOCATE = """
import mmap
def use(megabytes):
    kept = []
    for _ in range(megabytes):
        m = mmap.mmap(-1, 1 << 20)
        for page in range(0, 1 << 20, 4096):
            m[page] = 1
        kept.append(m)
"""

WALLS = (
    Wall(
        name="network",
        program=REACH + "result(found=reaches(socket.AF_INET, ('{gateway}', {port})))",
        change={"network_mode": "bridge"},
        up="nothing",
        down="canary",
    ),
    Wall(
        name="abstract sockets",
        program=REACH + "result(found=reaches(socket.AF_UNIX, '\\0{abstract}'))",
        change={"network_mode": "host"},
        up="nothing",
        down="canary",
    ),
    Wall(
        name="vsock",
        program="import socket\n"
        "try:\n socket.socket(40).close(); result(found='made')\nexcept OSError as e: result(found=e.errno)",
        change={"security_opt": ["no-new-privileges"]},
        up=1,
        down="made",
    ),
    Wall(
        name="capabilities",
        program=STATUS + "result(found=[int(status[k], 16) for k in ('CapPrm', 'CapEff', 'CapBnd')])",
        change={"cap_drop": []},
        up=[0, 0, 0],
        down=[0, 0, 0xA80425FB],
    ),
    Wall(
        name="new privileges",
        program=STATUS + "result(found=int(status['NoNewPrivs']))",
        change={"security_opt": []},
        up=1,
        down=0,
    ),
    Wall(
        name="system calls",
        program=STATUS + "result(found=int(status['Seccomp']))",
        change={"security_opt": ["seccomp=unconfined"]},
        up=2,
        down=0,
    ),
    Wall(
        name="user", program="result(found=20_000 <= os.getuid() < 60_000)", change={"user": "0:0"}, up=True, down=False
    ),
    Wall(
        name="read-only root",
        program="try:\n open('/tmp/x', 'w').close(); result(found='written')\n"
        "except OSError as e: result(found=e.errno)",
        change={"read_only": False},
        up=30,
        down="written",
    ),
    Wall(
        name="scratch",
        program=FILL,
        change={"tmpfs": {"/scratch": f"{SCRATCH},size={64 << 20}"}},
        up=8,
        down=24,
    ),
    Wall(
        name="files",
        program="n = 0\ntry:\n for n in range(3000): open(f'/scratch/{{n}}', 'w').close()\nexcept OSError: pass\n"
        "result(found=n > 2048)",
        change={"tmpfs": {"/scratch": f"{SCRATCH},size={8 << 20},nr_inodes=9999"}},
        up=False,
        down=True,
    ),
    Wall(
        name="processes",
        program="import signal\nn = 0\ntry:\n"
        " for n in range(60):\n"
        "  if not os.fork(): signal.pause()\n"
        "except OSError: pass\nresult(found=n > 16)",
        change={"pids_limit": 100},
        up=False,
        down=True,
    ),
    Wall(
        name="open files",
        program="n = 0\nkept = []\ntry:\n for n in range(200): kept.append(open('/dev/null'))\nexcept OSError: pass\n"
        "result(found=n > 64)",
        change={"ulimits": [Ulimit(name="nofile", soft=300, hard=300)]},
        up=False,
        down=True,
    ),
    Wall(
        name="raised open files",
        program="import resource\n"
        "try:\n resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200)); result(found='raised')\n"
        "except (OSError, ValueError): result(found='refused')",
        change={"ulimits": [Ulimit(name="nofile", soft=64, hard=300)]},
        up="refused",
        down="raised",
    ),
    Wall(
        name="core dumps",
        program="import resource\nresult(found=resource.getrlimit(resource.RLIMIT_CORE)[1])",
        change={"ulimits": [Ulimit(name="core", soft=0, hard=7)]},
        up=0,
        down=7,
    ),
    Wall(
        name="shared memory",
        program="n = 0\ntry:\n"
        " with open('/dev/shm/f', 'wb', 0) as f:\n"
        "  for n in range(100): f.write(bytes(1 << 20))\n"
        "except OSError: pass\nresult(found=n)",
        change={"shm_size": 128 << 20},
        up=64,
        down=99,
    ),
    Wall(
        name="host name", program="result(found=os.uname().nodename)", change={"hostname": "x"}, up="sandbox", down="x"
    ),
    Wall(
        name="environment",
        program="result(found=sorted(k for k in os.environ if not k.startswith('LC_')))",
        change={"environment": {"HOME": "/scratch/home", "PYTHONDONTWRITEBYTECODE": "1", "SECRET": "canary"}},
        up=["HOME", "HOSTNAME", "LANG", "LOGNAME", "PATH", "PYTHONDONTWRITEBYTECODE", "USER"],
        down=[
            *("HOME", "HOSTNAME", "LANG", "PATH", "PIP_CERT", "PIP_DISABLE_PIP_VERSION_CHECK"),
            *("PYTHONDONTWRITEBYTECODE", "SECRET", "SSL_CERT_FILE"),
        ],
    ),
    Wall(
        name="proxies of the user's docker configuration",
        program="result(found=os.environ.get('HTTP_PROXY'))",
        change={"use_config_proxy": True},
        up=None,
        down=CANARY,
    ),
    Wall(
        name="engine socket and host paths",
        program="result(found=os.path.exists('/mnt/canary'))",
        change={"volumes": ["{folder}:/mnt/canary:ro"]},
        up=False,
        down=True,
    ),
    Wall(
        name="memory",
        program=ALLOCATE + "use(100)\nresult(ok=True, found='used')",
        change={"mem_limit": 300 << 20, "memswap_limit": 300 << 20},
        up=End.OUT_OF_MEMORY,
        down="used",
        limits=replace(LIMITS, memory_bytes=64 << 20),
    ),
    Wall(
        name="memory of a child",
        program=ALLOCATE + "if not os.fork(): use(100); os._exit(0)\n"
        "status = os.wait()[1]\nresult(ok=status == 0, found='used')",
        change={"mem_limit": 300 << 20, "memswap_limit": 300 << 20},
        up=End.OUT_OF_MEMORY,
        down="used",
        limits=replace(LIMITS, memory_bytes=64 << 20),
    ),
)


@pytest.fixture(scope="module")
def places(engine: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, object]]:
    """What the programs look for: listeners of ours on the bridge's gateway and on an abstract socket, and a file."""
    gateway = gateway_address(engine)
    canary = tmp_path_factory.mktemp("host") / "canary"
    canary.touch()
    abstract = f"mirror-test-{os.getpid()}"
    with ExitStack() as stack:
        _, port = stack.enter_context(canary_listener(socket.AF_INET, (gateway, 0)))
        stack.enter_context(canary_listener(socket.AF_UNIX, f"\0{abstract}"))
        yield {"gateway": gateway, "port": port, "abstract": abstract, "folder": canary}


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[docker.DockerClient]:
    """A client of somebody whose docker configuration holds a proxy with a password."""
    (tmp_path / "config.json").write_text(json.dumps({"proxies": {"default": {"httpProxy": CANARY}}}))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    client = docker.from_env()
    yield client
    client.close()


@pytest.mark.parametrize("wall", WALLS, ids=lambda wall: wall.name)
def test_walls(wall: Wall, client: docker.DockerClient, builder_image: str, places: dict[str, object]) -> None:
    """A wall that stands stops the program; the same program with that one wall down gets through."""

    def found(change: Mapping[str, Any]) -> object:
        volumes = {"volumes": [v.format(**places) for v in change["volumes"]]} if "volumes" in change else {}
        options = instead_of_the_agent(wall.program.format(**places), **{**change, **volumes})
        task = program_task(builder_image, limits=wall.limits)
        ended = DockerSandbox(client, options=options).run(task, lambda _: None)
        return ended.value["found"] if ended.end is End.FINISHED else ended.end

    with ThreadPoolExecutor(2) as pool:  # most of a short sandbox is waiting for the engine
        assert [wall.up, wall.down] == list(pool.map(found, ({}, wall.change)))


@pytest.fixture
def derived(engine: docker.DockerClient, builder_image: str) -> Iterator[Callable[[str], str]]:
    """Build an image from the builder image with one more line of Dockerfile; its id. Removed afterwards."""
    made: list[str] = []

    def derive(line: str) -> str:
        dockerfile = io.BytesIO(f"FROM {builder_image}\n{line}\n".encode())
        image, _ = engine.images.build(fileobj=dockerfile, labels={ROLE: "test"}, rm=True)
        made.append(str(image.id))
        return made[-1]

    yield derive
    for image in made:
        engine.images.remove(image)


def test_variables_of_a_company_s_image(engine: docker.DockerClient, derived: Callable[[str], str]) -> None:
    """A base image's ENV may hold an index address with a password: nothing in a sandbox sees it, nor process 1."""
    image = derived("ENV PIP_INDEX_URL=http://user:canary@127.0.0.1:9/simple PKG_CONFIG_PATH=/usr/lib/pkgconfig")
    program = """
seen = [dict(os.environ)] + [open(f"/proc/{p}/environ").read() for p in os.listdir("/proc") if p.isdigit()]
result(found="canary" in str(seen), kept=os.environ["PKG_CONFIG_PATH"])
"""
    sandbox = DockerSandbox(engine, options=instead_of_the_agent(program))
    assert {"found": False, "kept": "/usr/lib/pkgconfig"} == sandbox.run(program_task(image), lambda _: None).value
    without = instead_of_the_agent(program, environment={})
    ended = DockerSandbox(engine, options=without).run(program_task(image), lambda _: None)
    assert {"found": True, "kept": "/usr/lib/pkgconfig"} == ended.value


def test_an_image_with_volumes_is_refused(engine: docker.DockerClient, derived: Callable[[str], str]) -> None:
    """An image's VOLUME would be a place without a limit."""
    image = derived('VOLUME ["/unbounded"]')
    with pytest.raises(UnusableError) as caught:
        DockerSandbox(engine).run(program_task(image), lambda _: None)
    assert ("image-volumes", ("/unbounded",)) == (caught.value.code, caught.value.details)


def test_a_runtime_that_the_engine_does_not_know(engine: docker.DockerClient, builder_image: str) -> None:
    """A stronger runtime that was asked for and is not there is no reason to go on with a weaker one."""
    with pytest.raises(UnusableError) as caught:
        DockerSandbox(engine, runtime="no-such-runtime").run(program_task(builder_image), lambda _: None)
    assert "sandbox-refused" == caught.value.code


def test_a_container_that_does_not_start(engine: docker.DockerClient, builder_image: str) -> None:
    """What the engine finds wrong only when it starts is the environment's fault, not the build's."""
    options = with_changes(working_dir="/etc/passwd")
    with pytest.raises(UnusableError) as caught:
        DockerSandbox(engine, options=options).run(program_task(builder_image), lambda _: None)
    assert "sandbox-refused" == caught.value.code


def test_two_sandboxes_that_draw_one_user_id(engine: docker.DockerClient, builder_image: str) -> None:
    """The later one gives way to the earlier one, of whatever run: what the kernel counts by user is never shared."""
    drawn = iter((20_001, 20_002))
    earlier = engine.containers.create(builder_image, ["true"], labels={user_ids.LABEL: "20001"}, network_mode="none")
    try:
        sandbox = DockerSandbox(
            engine,
            options=instead_of_the_agent("result(found=[os.getuid(), os.getgid()])"),
            draw_user_id=lambda _: next(drawn),
        )
        ended = sandbox.run(program_task(builder_image), lambda _: None)
    finally:
        earlier.remove()
    assert {"found": [20_002, 20_002]} == ended.value
