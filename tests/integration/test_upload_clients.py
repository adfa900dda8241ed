"""What people upload with goes on working at an index that is strict about forms: twine, uv and devpi's own client."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from fakes.wheels import checked_wheel
from mirror.adapters.devpi.http import DevpiClient
from mirror.adapters.devpi.layout import INTERNAL, OWNER, STAGE
from mirror.adapters.devpi.listening import free_port
from mirror.adapters.devpi.server import EmbeddedServer, ServerInfo, Team
from mirror.adapters.devpi.tokens import Tokens

UV = str(Path(sys.executable).with_name("uv"))


@pytest.fixture(scope="module")
def info(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerInfo]:
    """A team's index, with nothing on it."""
    folder = tmp_path_factory.mktemp("clients")
    server = EmbeddedServer(folder / "devpi", free_port(), upstream="http://127.0.0.1:9/simple/", team=Team())
    yield server.ensure_running(lambda _: None)
    server.stop()


@pytest.fixture(scope="module")
def token(info: ServerInfo) -> str:
    """Of ci, which may publish."""
    root = DevpiClient(url(info, ""), info.administrator)
    return Tokens(root).create("ci", publish_to=INTERNAL, expires_s=None)


def url(info: ServerInfo, path: str) -> str:
    """Something on the index."""
    return f"{info.url.removesuffix(f'/{STAGE}')}/{path}"


def run(folder: Path, *command: str) -> str:
    """Call a program, which must succeed; what it says. `uv tool run` brings it."""
    done = subprocess.run(
        [UV, *command],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert 0 == done.returncode, done.stdout + done.stderr
    return done.stdout


def files(folder: Path, name: str) -> list[str]:
    """Two wheels of one release to upload."""
    names = [f"{name}-1.0-py3-none-any.whl", f"{name}-1.0-py2.py3-none-any.whl"]
    for wheel in names:
        (folder / wheel).write_bytes(checked_wheel(wheel).content)
    return sorted(names)


def listed(info: ServerInfo, name: str, index: str = INTERNAL) -> list[str]:
    """What the index has of a project."""
    headers = {"Accept": "application/vnd.pypi.simple.v1+json"}
    answer = requests.get(url(info, f"{index}/+simple/{name}/"), headers=headers, timeout=60)
    return sorted(file["filename"] for file in answer.json()["files"]) if answer.status_code == 200 else []


def test_twine_uploads(info: ServerInfo, token: str, tmp_path: Path) -> None:
    """Several files, with a token."""
    names = files(tmp_path, "of_twine")
    options = ["--repository-url", url(info, f"{INTERNAL}/"), "--non-interactive", "-u", "ci", "-p", token]
    run(tmp_path, "tool", "run", "twine", "upload", *options, *names)
    assert names == listed(info, "of-twine")


def test_twine_is_told_why_not(info: ServerInfo, tmp_path: Path) -> None:
    """A refusal stands in the reason, which is all that it shows."""
    names = files(tmp_path, "of_nobody")
    options = ["--repository-url", url(info, f"{INTERNAL}/"), "--non-interactive", "-u", "ci", "-p", "wrong"]
    command = [UV, "tool", "run", "twine", "upload", *options, *names]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    said = " ".join((done.stdout + done.stderr).split())
    assert (1, True) == (done.returncode, "nobody may upload to mirror/internal without a login" in said), said
    assert [] == listed(info, "of-nobody")


def test_uv_publishes(info: ServerInfo, token: str, tmp_path: Path) -> None:
    """Likewise."""
    names = files(tmp_path, "of_uv")
    run(tmp_path, "publish", "--publish-url", url(info, f"{INTERNAL}/"), "-u", "ci", "-p", token, *names)
    assert names == listed(info, "of-uv")


def test_devpis_client_uploads_pushes_and_removes(info: ServerInfo, tmp_path: Path) -> None:
    """As the indexes' owner: log in, upload, push from one index to the other, remove, log off."""
    names = files(tmp_path, "of_devpi")

    def devpi(command: str, *arguments: str) -> None:
        client = ["tool", "run", "--from", "devpi-client", "devpi", command, "--clientdir", str(tmp_path / "client")]
        run(tmp_path, *client, *arguments)

    devpi("use", url(info, INTERNAL))
    devpi("login", OWNER, "--password", info.password_file.read_text())
    devpi("upload", *names)
    assert names == listed(info, "of-devpi")
    devpi("push", "of-devpi==1.0", STAGE)
    assert names == listed(info, "of-devpi", STAGE)
    devpi("remove", "-y", "-f", "of-devpi==1.0")
    assert [] == listed(info, "of-devpi")
    devpi("logoff")
