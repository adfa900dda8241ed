"""The Docker engine: reach the one there is, install one where there is none, and find the address it sees us at."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import docker
import platformdirs
import requests
from docker.errors import APIError, DockerException

from mirror.adapters.environment import passed_on
from mirror.adapters.host import explained, ready_folder
from mirror.core.errors import UnusableError
from mirror.core.host_errors import out_of_files

START_TIMEOUT_S = 60
_INSTALL = ("apt-get", "install", "--yes", "--no-install-recommends", "docker.io", "iptables")
_BY_HAND = f"apt-get update && {' '.join(_INSTALL)}"
_DEFAULT_SOCKET = Path("/var/run/docker.sock")


def connect(say: Callable[[str], None], ask: Callable[[str], bool]) -> docker.DockerClient:
    """Reach the engine of DOCKER_HOST, the current docker context or the default socket.

    Where there is none and this is Debian or Ubuntu with root, `ask` is asked, and then one is installed and started;
    `say` is told. Raises UnusableError (`engine-unreachable`, `engine-permission`, `engine-failed`).
    """
    address = _address(os.environ)
    client, why_not = _reach(address)
    if client:
        return client
    if address or not _can_install():
        raise _unreachable(address, why_not)
    if shutil.which("dockerd") is None:
        if not ask("There is no Docker engine here. Install Debian's (docker.io, iptables) and start it?"):
            raise _unreachable(address, why_not)
        say("engine: installing docker.io and iptables")
        _run(["apt-get", "update"])
        _run(list(_INSTALL))
        client, why_not = _reach(None)
        if client:
            return client
    say("engine: starting it")
    return _start(Path(platformdirs.user_data_dir("mirror")))


def reach() -> docker.DockerClient | None:
    """The engine, if one answers. Starts and installs nothing."""
    return _reach(_address(os.environ))[0]


def gateway_address(client: docker.DockerClient) -> str | None:
    """The IPv4 address of this host on the default bridge, where containers reach it.

    None where we cannot listen there: with a remote engine, Docker Desktop and rootless engines.
    """
    try:
        config = client.api.inspect_network("bridge")["IPAM"]["Config"] or []
    except APIError:
        return None
    address = bridge_gateway(config)
    return address if address and _can_bind(address) else None


def bridge_gateway(config: list[Mapping[str, str]]) -> str | None:
    """The IPv4 gateway in a network's IPAM configuration; the subnet's first host where no gateway is written down."""
    for entry in config:
        try:
            if entry.get("Gateway"):
                return str(IPv4Address(entry["Gateway"].partition("/")[0]))
            return str(next(IPv4Network(entry.get("Subnet", ""), strict=False).hosts()))
        except ValueError:
            continue
    return None


def context_address(config: str, contexts: Mapping[str, str]) -> str | None:
    """The engine's address of the current context, by config.json's text and the meta.json texts; None for the default.

    Raises ValueError where a text is not what docker writes.
    """
    current = json.loads(config or "{}").get("currentContext", "default")
    for text in contexts.values():
        found: dict[str, Any] = json.loads(text)
        if found.get("Name") == current:
            return str(found.get("Endpoints", {}).get("docker", {}).get("Host", "")) or None
    return None


def _address(environment: Mapping[str, str]) -> str | None:
    """Where the user says the engine is; None where they say nothing."""
    if environment.get("DOCKER_HOST"):
        return environment["DOCKER_HOST"]
    # Not Path.home(): it raises where nobody has a home, and then there is no such folder.
    folder = Path(environment.get("DOCKER_CONFIG") or os.path.expanduser("~/.docker"))  # noqa: PTH111
    config = folder / "config.json"
    try:
        text = config.read_text() if config.is_file() else ""
        if environment.get("DOCKER_CONTEXT"):
            text = json.dumps({"currentContext": environment["DOCKER_CONTEXT"]})
        return context_address(text, {str(p): p.read_text() for p in (folder / "contexts/meta").glob("*/meta.json")})
    except (OSError, ValueError) as error:
        raise UnusableError(
            "engine-unreachable",
            f"the docker contexts in {folder} cannot be read: {error}",
            hint="mend them (docker context ls), or set DOCKER_HOST",
        ) from error


def _reach(address: str | None) -> tuple[docker.DockerClient | None, BaseException | None]:
    """A client of the engine at `address` (None: the default socket) that answered, or why there is none."""
    try:
        # from_env reads the certificates of DOCKER_TLS_VERIFY and DOCKER_CERT_PATH too.
        environment = {**os.environ, **({"DOCKER_HOST": address} if address else {})}
        client = docker.from_env(environment=environment, use_ssh_client=True)
        client.ping()
    except (DockerException, requests.RequestException, OSError) as error:
        return None, error
    return client, None


def _unreachable(address: str | None, why_not: BaseException | None) -> UnusableError:
    if refused := out_of_files(why_not):
        return refused
    if _is_permission(why_not):
        return UnusableError(
            "engine-permission",
            f"the Docker engine's socket {address or _DEFAULT_SOCKET} does not let you in",
            hint='join its group (sudo usermod --append --groups docker "$USER", then log in again), or run as root',
        )
    if address:
        hint = "start that engine, or unset DOCKER_HOST (or docker context use default) to take the one of this machine"
    elif sys.platform == "darwin" or sys.platform == "win32":
        hint = "start Docker Desktop (or another engine) and run this again"
    elif _is_debian():
        hint = f"run as root: {_BY_HAND}"
    else:
        hint = "install and start Docker or Podman's Docker-compatible socket, or set DOCKER_HOST"
    details = (str(why_not),) if why_not else ()
    return UnusableError(
        "engine-unreachable", f"no Docker engine answers at {address or _DEFAULT_SOCKET}", hint=hint, details=details
    )


def _is_permission(error: BaseException | None) -> bool:
    """Whether a refused socket lies at the bottom of what the Docker SDK and urllib3 wrapped."""
    while error is not None:
        inner = [argument for argument in error.args if isinstance(argument, BaseException)]
        reason = getattr(error, "reason", None)
        if isinstance(error, PermissionError):
            return True
        error = error.__cause__ or error.__context__ or (inner[0] if inner else None) or reason
    return False


def _is_debian() -> bool:
    return Path("/etc/debian_version").is_file() and shutil.which("apt-get") is not None


def _can_install() -> bool:
    return _is_debian() and os.geteuid() == 0


def _run(command: list[str]) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if ended.returncode != 0:
        raise UnusableError(
            "engine-failed",
            f"{' '.join(command[:2])} failed (exit status {ended.returncode})",
            hint=f"mend what it says, then run: {_BY_HAND}",
            details=(ended.stdout + ended.stderr).splitlines()[-20:],
        )


def _start(data: Path) -> docker.DockerClient:
    """Start the installed engine: by systemd where that runs, else in the background, with a log and a pid file."""
    ready_folder(data)
    log = data / "dockerd.log"
    process: subprocess.Popen[bytes] | None = None
    if Path("/run/systemd/system").is_dir():
        _run(["systemctl", "start", "docker"])
    else:
        pid_file = data / "dockerd.pid"
        with explained(pid_file):
            _forget_the_dead(pid_file)
        with explained(log), log.open("ab") as output:
            process = subprocess.Popen(
                ["dockerd", f"--pidfile={pid_file}"],
                env=passed_on(os.environ),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd="/",
                start_new_session=True,
            )
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and (process is None or process.poll() is None):
        client, _ = _reach(None)
        if client:
            return client
        time.sleep(0.2)
    raise UnusableError(
        "engine-failed",
        "the Docker engine was started and does not answer",
        hint=f"read {log}" if process else "read: journalctl --unit docker",
        details=log.read_text(errors="replace").splitlines()[-20:] if process else (),
    )


def _forget_the_dead(pid_file: Path) -> None:
    """Remove the pid file of an engine that is gone: dockerd refuses to start when another process has its number."""
    if not pid_file.is_file():
        return
    command = Path("/proc") / pid_file.read_text().strip() / "comm"
    if not command.is_file() or command.read_text().strip() != "dockerd":
        pid_file.unlink()


def _can_bind(address: str) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        try:
            listener.bind((address, 0))
        except OSError:
            return False
        return True
