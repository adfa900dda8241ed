"""The whole way, with everything real: the command line, the engine, devpi, upstream, compilers, pip."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
KINDS = EXAMPLES / "kinds.txt"

pytestmark = pytest.mark.docker


@dataclass(frozen=True)
class Mirror:
    """The `mirror` beside this Python, over a data folder of its own."""

    folder: Path
    port: int

    def __call__(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(Path(sys.executable).with_name("mirror")), *(str(argument) for argument in arguments)],
            check=False,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            cwd=self.folder,
            env={**os.environ, "MIRROR_DATA": str(self.folder / "data"), "MIRROR_PORT": str(self.port)},
        )

    def json(self, *arguments: str | Path) -> dict[str, Any]:
        """The result of a command that must succeed."""
        done = self(*arguments, "--json")
        assert 0 == done.returncode, done.stderr
        result: dict[str, Any] = json.loads(done.stdout)
        return result


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mirror]:
    """One index for this module, stopped at its end."""
    command = Mirror(tmp_path_factory.mktemp("mirror"), free_port())
    try:
        yield command
    finally:
        command("down")


@pytest.fixture(scope="module")
def built(mirror: Mirror) -> dict[str, Any]:
    """The first build of one project of each kind."""
    result: dict[str, Any] = mirror.json("build", KINDS)["targets"][0]
    return result


def pins(path: Path) -> dict[str, str]:
    """Name to version of a file of exact pins."""
    return dict(re.findall(r"^([\w-]+)==(\S+)", path.read_text(), re.MULTILINE))


def test_one_project_of_each_kind_compiles_and_verifies(built: dict[str, Any]) -> None:
    """Each comes out as a wheel for this target, published on our index, and imports in a clean room."""
    wheels = {o["name"]: o for o in built["outcomes"] if o["outcome"] == "built" and o["name"] in pins(KINDS)}
    assert pins(KINDS) == {name: outcome["version"] for name, outcome in wheels.items()}
    platform = built["target"]["name"].partition("-")[2]
    assert [] == [
        w["wheel"]["filename"] for w in wheels.values() if not w["wheel"]["filename"].endswith(f"-{platform}.whl")
    ]
    assert [] == [w["wheel"]["url"] for w in wheels.values() if "/mirror/alpine/" not in w["wheel"]["url"]]
    assert pins(KINDS).items() <= {p["name"]: p["version"] for p in built["verified"]["installed"]}.items()
    assert pins(KINDS).keys() <= set(built["verified"]["imported"])


def test_a_second_build_does_nothing_and_says_so(mirror: Mirror, built: dict[str, Any]) -> None:
    """Nothing is compiled, no job is planned, and the clean room is not entered again."""
    again = mirror.json("build", KINDS)["targets"][0]
    assert {"reused"} == {outcome["outcome"] for outcome in again["outcomes"]}
    assert None is again["verified"]
    assert len(built["verified"]["installed"]) == len(again["outcomes"])
    assert "Nothing to build" in mirror("build", KINDS).stdout
    assert [] == mirror.json("plan", KINDS)["targets"][0]["jobs"]


def test_an_sdist_is_compiled_where_the_hashes_name_it_alone(mirror: Mirror) -> None:
    """Upstream's wheel is left aside, ours is published and proved; what is emitted pins ours by its hash."""
    hashed = EXAMPLES / "hashed.txt"
    (outcome,) = mirror.json("build", hashed)["targets"][0]["outcomes"]
    assert ("built", "cysignals", "1.12.5") == (outcome["outcome"], outcome["name"], outcome["version"])
    pinned = mirror("emit", "requirements", hashed)
    assert 0 == pinned.returncode, pinned.stderr
    assert f"cysignals==1.12.5 \\\n    --hash=sha256:{outcome['wheel']['sha256']}\n" in pinned.stdout
    assert {"reused"} == {o["outcome"] for o in mirror.json("build", hashed)["targets"][0]["outcomes"]}


def test_verify_alone_enters_the_clean_room(mirror: Mirror, built: dict[str, Any]) -> None:
    """`mirror verify` proves what `mirror build` published."""
    verified = mirror.json("verify", KINDS)["targets"][0]["verified"]
    assert built["verified"]["installed"] == verified["installed"]


def test_verify_of_what_was_never_built_fails_and_says_what_to_do(mirror: Mirror, tmp_path: Path) -> None:
    """No wheel is missing silently."""
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("markupsafe==2.0.0\n")
    done = mirror("verify", requirements)
    assert 1 == done.returncode
    assert "not-built" in done.stderr
    assert "mirror build" in done.stderr


def test_one_failed_project_does_not_stop_the_others(mirror: Mirror, built: dict[str, Any], tmp_path: Path) -> None:
    """What cannot be built has its reason and its log; what can is there; the exit status says so."""
    # aiohttp 3.7.4's C was generated by a Cython that knows no CPython 3.11: longintrepr.h is no longer there. Its
    # setup.py then builds a pure wheel and says nothing; the gate does.
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("aiohttp==3.7.4.post0\nmarkupsafe==2.0.0\n")
    done = mirror("build", requirements, "--json")
    outcomes = {o["name"]: o for o in json.loads(done.stdout)["targets"][0]["outcomes"]}
    assert 1 == done.returncode
    assert "built" == outcomes["markupsafe"]["outcome"]
    assert ("failed", "gate") == (outcomes["aiohttp"]["outcome"], outcomes["aiohttp"]["code"])
    assert "no-extension: " in outcomes["aiohttp"]["reason"]
    assert "longintrepr.h" in Path(outcomes["aiohttp"]["log"]).read_text()


def test_the_emitted_dockerfile_builds_without_a_compiler(mirror: Mirror, built: dict[str, Any]) -> None:
    """Pasted as it is: FROM the base image, pip, our index on the bridge's gateway, seconds."""
    (mirror.folder / "requirements.txt").write_text(KINDS.read_text())
    (mirror.folder / "Dockerfile").write_text(mirror("emit", "dockerfile").stdout)
    client = docker.from_env()
    try:
        image, _ = client.images.build(path=str(mirror.folder), dockerfile="Dockerfile", nocache=True, rm=True)
        listed = client.containers.run(image.id, ["pip", "list", "--format=json"], network_mode="none", remove=True)
        assert pins(KINDS).items() <= {p["name"].lower(): p["version"] for p in json.loads(listed)}.items()
        client.images.remove(image.id)
    finally:
        client.close()


def test_the_log_of_a_build_is_kept(mirror: Mirror, built: dict[str, Any]) -> None:
    """`mirror log` shows the compiler's words."""
    done = mirror("log", "markupsafe")
    assert 0 == done.returncode
    assert "--- build_wheel" in done.stdout


def test_status_tells_what_runs_and_what_was(mirror: Mirror, built: dict[str, Any]) -> None:
    """Engine, index and the last runs."""
    status = mirror.json("status")
    assert f"http://127.0.0.1:{mirror.port}/mirror/alpine/+simple/" == status["index"]
    first = status["runs"][-1]
    assert (0, len(pins(KINDS))) == (first["status"], min(first["built"], len(pins(KINDS))))


def test_bad_input_starts_nothing(tmp_path: Path) -> None:
    """Exit status 2, every problem with its place, and no index was made."""
    mirror = Mirror(tmp_path, free_port())
    (tmp_path / "requirements.txt").write_text("foo==\nbar=1\n")
    done = mirror("build", "requirements.txt")
    assert 2 == done.returncode
    assert "requirements.txt:1:" in done.stderr
    assert "requirements.txt:2:" in done.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["build"],
        ["build", "--no-such-option", "x"],
        ["no-such-command"],
        ["build", "x", "--python", "three"],
        ["emit", "y"],
    ],
    ids=" ".join,
)
def test_a_wrong_command_line_is_bad_input(tmp_path: Path, arguments: list[str]) -> None:
    """Never a traceback, always exit status 2."""
    done = Mirror(tmp_path, free_port())(*arguments)
    assert 2 == done.returncode
    assert "Traceback" not in done.stderr
    assert "error[" in done.stderr
