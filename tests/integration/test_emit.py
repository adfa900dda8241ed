"""What is emitted, pasted for real: an image build and uv install from an index with pip's traps in it."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import docker
import pytest
from packaging.utils import NormalizedName
from packaging.version import Version

from fakes.outcomes import TARGET
from fakes.wheels import wheel_bytes
from mirror.adapters.engine import gateway_address
from mirror.adapters.images import model
from mirror.core.emit import IndexAddress, Install, dockerfile, hashed_requirements, uv
from mirror.core.model import IndexFile, Lock, LockedPackage, Reuse, Reused

WHEEL = "trapped-1.0-py3-none-any.whl"
FILES = {WHEEL: wheel_bytes(WHEEL), "trapped-2.0.tar.gz": b"no sdist: whoever takes the newer release fails"}
SIMPLE = "/+simple/"


@pytest.fixture
def client() -> Iterator[docker.DockerClient]:
    """The engine of this machine."""
    engine = docker.from_env()
    yield engine
    engine.close()


@pytest.fixture
def base_image(client: docker.DockerClient) -> str:
    """The newest base image that is present."""
    found = client.api.images(filters={"label": f"{model.ROLE}=base"})
    if not found:
        pytest.skip("there is no base image here; make it with `mirror up`")
    return str(max(found, key=lambda summary: summary["Created"])["Id"])


def serve(address: str) -> ThreadingHTTPServer:
    """An index of FILES on a free port of `address`, without TLS; whoever calls it shuts it down."""
    links = "".join(f'<a href="/{n}#sha256={hashlib.sha256(c).hexdigest()}">{n}</a>' for n, c in FILES.items())
    pages = {f"{SIMPLE}trapped/": ("text/html", links.encode())}
    pages |= {f"/{name}": ("application/octet-stream", content) for name, content in FILES.items()}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            kind, body = pages.get(self.path, ("text/plain", b""))
            self.send_response(200 if body else 404)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def do_HEAD(self) -> None:
            self.do_GET()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer((address, 0), Handler)
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    return server


def simple_url(server: ThreadingHTTPServer) -> str:
    """The index URL of a server."""
    return f"http://{server.server_address[0]!s}:{server.server_address[1]}{SIMPLE}"


@pytest.fixture
def bridge_url(client: docker.DockerClient) -> Iterator[str]:
    """An index at the bridge's gateway, where image builds find it."""
    gateway = gateway_address(client)
    if gateway is None:
        pytest.skip("this engine has no bridge that we can listen on")
    server = serve(gateway)
    yield simple_url(server)
    server.shutdown()
    server.server_close()


def pinned() -> str:
    """A requirements file with the hash of WHEEL."""
    name, version = NormalizedName("trapped"), Version("1.0")
    lock = Lock(target=TARGET, packages=(LockedPackage(name=name, version=version, sdist=None, wheels=()),))
    wheel = IndexFile(filename=WHEEL, url="", sha256=hashlib.sha256(FILES[WHEEL]).hexdigest())
    return hashed_requirements(lock, [Reused(reuse=Reuse(name=name, version=version, wheel=wheel))])


@pytest.mark.docker
@pytest.mark.parametrize("requirements", ["trapped\n", pinned()], ids=["plain", "hashed"])
def test_the_dockerfile_builds(
    client: docker.DockerClient, base_image: str, bridge_url: str, tmp_path: Path, requirements: str
) -> None:
    """An image is built on the base image, without a compiler, and nothing of the index stays in its environment."""
    (tmp_path / "requirements.txt").write_text(requirements)
    address = IndexAddress(host_url="http://127.0.0.1/", image_url=bridge_url)
    (tmp_path / "Dockerfile").write_text(dockerfile(Install(address=address, base_image=base_image)))
    image, _ = client.images.build(path=str(tmp_path), rm=True, forcerm=True)
    try:
        script = f"import os, trapped; print(trapped.VALUE, [k for k, v in os.environ.items() if {bridge_url!r} in v])"
        output = client.containers.run(image, ["python3", "-c", script], network_mode="none", remove=True)
        assert "1 []" == output.decode().strip()
    finally:
        client.images.remove(str(image.id), force=True)


def test_uv_installs(tmp_path: Path) -> None:
    """The command for uv is one that uv takes, and it comes out with our wheel and not with the newer sdist."""
    program = Path(sys.executable).with_name("uv")
    if not program.exists():
        pytest.skip("uv is not installed beside this Python")
    (tmp_path / "requirements.txt").write_text("trapped\n")
    server = serve("127.0.0.1")
    url = simple_url(server)
    install = Install(address=IndexAddress(host_url=url, image_url=""), base_image="")
    command = uv(install).split("# on this machine:\n")[1].removesuffix("\n")
    ended = subprocess.run(
        ["sh", "-c", f"{command} --target there --no-cache --python {sys.executable}"],
        env={**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    server.shutdown()
    server.server_close()
    assert ("", ["trapped-1.0.dist-info"]) == (
        ended.stderr if ended.returncode else "",
        [path.name for path in tmp_path.glob("there/*.dist-info")],
    )
