"""compose.yaml started for real: a copy of this tree, images made on this machine, on ports and volumes of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import requests

from mirror.adapters.devpi.listening import free_port
from mirror.adapters.images import debian

ROOT = Path(__file__).parents[2]
PARTS = ("compose.yaml", ".dockerignore", "pyproject.toml", "LICENSE", "README.md", "src", "builders", "config")
MIRROR = str(Path(sys.executable).with_name("mirror"))


def ensure_compose() -> str:
    """Debian's docker-compose, installed where it is missing: as root on Debian."""
    if not shutil.which("docker-compose"):
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "docker-compose"]
        for command in (["apt-get", "update", "-qq"], install):
            subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL, timeout=600)
    return "docker-compose"


def fetch_compose_v2(folder: Path) -> str:
    """Debian 13's, which is Compose v2: brought and checked by apt, and put nowhere but in `folder`."""
    sources = debian.private_sources(debian.host_sources())
    assert sources is not None, "this host has no apt sources"
    (folder / "next.list").write_text(sources[1])
    for part in ("lists/partial", "cache/archives/partial"):
        (folder / part).mkdir(parents=True)
    options = [
        f"Dir::Etc::sourcelist={folder}/next.list",
        "Dir::Etc::sourceparts=-",
        f"Dir::State::lists={folder}/lists",
    ]
    options += [f"Dir::Cache={folder}/cache", "APT::Sandbox::User=root", "APT::Get::List-Cleanup=false"]
    apt = ["apt-get", "-qq", *(f"-o{option}" for option in options)]
    for command in ([*apt, "update"], [*apt, "download", "docker-compose"]):
        subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=600)
    package = next(folder.glob("docker-compose_2*.deb"))
    unpack = ["dpkg-deb", "--fsys-tarfile", str(package)]
    with subprocess.Popen(unpack, stdout=subprocess.PIPE) as unpacking:
        name = "./usr/libexec/docker/cli-plugins/docker-compose"
        subprocess.run(["tar", "-x", name], cwd=folder, stdin=unpacking.stdout, check=True, timeout=60)
    return str(folder / name)


@dataclass(frozen=True, kw_only=True)
class Stack:
    """A running stack. `compose` is the program, `folder` the copy of the tree."""

    compose: Sequence[str]
    folder: Path
    port: int
    project: str

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    @property
    def ca(self) -> Path:
        """The authority that a client has to trust."""
        return self.folder / "authority.pem"

    def run(self, *arguments: str, check: bool = True, **options: Any) -> subprocess.CompletedProcess[str]:
        """Call compose."""
        done = subprocess.run(
            [*self.compose, "-p", self.project, *arguments],
            cwd=self.folder,
            env={**os.environ, "DOCKER_BUILDKIT": "0", "COMPOSE_DOCKER_CLI_BUILD": "0"},
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
            **options,
        )
        assert not check or 0 == done.returncode, f"{arguments}\n{done.stdout}\n{done.stderr}"
        return done

    def up(self, *services: str) -> None:
        """Start it, or what is missing of it, and wait until it answers."""
        self.run("up", "-d", *services)
        self.ca.write_text(self.execute("proxy", "cat", "/tls/authority.pem"))
        self.wait_until_healthy()

    def wait_until_healthy(self, timeout_s: float = 120.0) -> None:
        """Until the index answers through the proxy."""
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                if 200 == self.get("/+api").status_code:
                    return
            except requests.RequestException:
                pass
            assert time.monotonic() < deadline, self.run("logs").stdout[-4000:]
            time.sleep(0.5)

    def execute(self, service: str, *command: str) -> str:
        """Run a command in a service's container; its stdout."""
        return self.run("exec", "-T", service, *command).stdout

    def container(self, service: str) -> str:
        """Its id."""
        return self.run("ps", "-q", service).stdout.strip()

    def token(self, user: str, *options: str) -> str:
        """A new token."""
        return self.execute("index", "mirror", "token", "create", user, *options).strip()

    def request(self, method: str, path: str, **options: Any) -> requests.Response:
        """Ask through the proxy, with TLS."""
        with requests.Session() as session:
            session.trust_env = False
            return session.request(method, self.url + path, verify=str(self.ca), timeout=120, **options)

    def get(self, path: str, **options: Any) -> requests.Response:
        """Likewise."""
        return self.request("GET", path, **options)

    def mirror(self, folder: Path, *arguments: str, token: str, user: str = "alice") -> subprocess.Popen[str]:
        """Start `mirror ... --server` of somebody who has no engine."""
        return subprocess.Popen(
            [MIRROR, *arguments, "--server", self.url, "--user", user],
            cwd=folder,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(folder / "home"),
                "MIRROR_PASSWORD": token,
                "MIRROR_CA_BUNDLE": str(self.ca),
                "DOCKER_HOST": "tcp://127.0.0.1:9",
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def network(self) -> str:
        """The network that a client's container joins."""
        return f"{self.project}_default"


def copy_tree(folder: Path) -> None:
    """What a clone has of what compose.yaml needs."""
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, folder / part)


@contextmanager
def opened_stack(folder: Path, project: str, compose: str = "", **environment: str) -> Iterator[Stack]:
    """A stack made and started in `folder`, and gone without a trace afterwards, but for its images."""
    compose = compose or ensure_compose()
    copy_tree(folder)
    subprocess.run([MIRROR, "up", "--team", "--yes"], cwd=folder, check=True, capture_output=True, timeout=1800)
    port = free_port()
    with (folder / ".env").open("a") as file:
        file.write("".join(f"{name}={value}\n" for name, value in {"TEAM_HTTPS_PORT": port, **environment}.items()))
    stack = Stack(compose=[compose], folder=folder, port=port, project=project)
    try:
        stack.run("build")
        stack.up()
        yield stack
    finally:
        stack.run("down", "--volumes", "--timeout", "20", check=False)


def tar_of(files: dict[str, bytes]) -> bytes:
    """An archive, as Docker's API takes it."""
    buffer = BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, BytesIO(content))
    return buffer.getvalue()
