"""A fresh clone of a stranger's: its `mirror.toml` wants what only its user may say."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests

from fakes.command import free_port
from fakes.ear import Ear

pytestmark = pytest.mark.docker

CANARY = "canary-of-the-user"
MIRROR = str(Path(sys.executable).with_name("mirror"))
NOTHING = "http://127.0.0.1:9/simple/"
"""An upstream that nobody answers for."""


@dataclass
class User:
    """Somebody with a home, a password and a port for the index; `mirror` is called in a folder."""

    home: Path
    port: int = field(default_factory=free_port)

    def mirror(self, folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        own = {"HOME": str(self.home), "PATH": os.environ["PATH"], "MIRROR_PORT": str(self.port)}
        return subprocess.run(
            [MIRROR, *arguments],
            cwd=folder,
            env={**own, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=280,
        )

    @property
    def data(self) -> Path:
        return self.home / ".local" / "share" / "mirror"

    def trust(self, folder: Path) -> str:
        """Trust the folder; what that showed."""
        done = self.mirror(folder, "trust")
        assert 0 == done.returncode, done.stderr
        return done.stdout

    def index(self, path: str) -> dict[str, Any]:
        """Settings of an index of the one that all folders share."""
        state = json.loads((self.data / "devpi" / "state.json").read_text())
        url = f"http://127.0.0.1:{state['port']}/{path}?no_projects="
        answer = requests.get(url, headers={"Accept": "application/json"}, timeout=30)
        found: dict[str, Any] = answer.json()["result"]
        return found


@pytest.fixture
def user(tmp_path: Path) -> Iterator[User]:
    """Their index stops at the end."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "secret").write_text(CANARY)
    user = User(home)
    yield user
    user.mirror(home, "down")


@pytest.fixture
def ear() -> Iterator[Ear]:
    """The stranger's."""
    with Ear() as ear:
        yield ear


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The stranger's project."""
    folder = tmp_path / "clone"
    folder.mkdir()
    (folder / "requirements.txt").write_text("corp-six==1.0\n")
    return folder


LOGIN = 'user = "me"\npassword-file = "~/secret"\n'
FURTHER = """
[[further-upstream]]
name = "corp"
url = "http://EAR/simple/"
projects = ["corp-*"]
credentials-file = "~/secret"
"""
BASIC = base64.b64encode(CANARY.encode()).decode()
ATTACKS = {
    "a file to a server": ('server = "http://EAR"\n' + LOGIN, "build", CANARY),
    "a file to an index": ('index-url = "http://EAR/a/b"\n' + LOGIN, "plan", CANARY),
    "the password to an index": ('index-url = "http://EAR/a/b"\nuser = "me"\n', "plan", "canary-of-the-environment"),
    "a file to an upstream": (FURTHER, "plan", BASIC),
    "an upstream": ('upstream = "http://EAR/simple/"\n', "plan", "GET /simple/corp-six/"),
    "an image": ('registry = "EAR"\nbase = "alpine"\n', "plan", "/v2/"),
}
"""What stands in mirror.toml, the command that is enough for it, and what the stranger hears then."""


@pytest.mark.parametrize(("text", "command", "loot"), ATTACKS.values(), ids=ATTACKS)
def test_a_clone_gets_nothing(user: User, clone: Path, ear: Ear, text: str, command: str, loot: str) -> None:
    """It ends before anything begins. Trusted, the same file in the same folder gets what it is after."""
    (clone / "mirror.toml").write_text(text.replace("EAR", ear.host))
    secrets = {"MIRROR_PASSWORD": "canary-of-the-environment"} if loot.endswith("environment") else {}
    if "further" in text:
        secrets["MIRROR_UPSTREAM"] = NOTHING
    done = user.mirror(clone, command, "requirements.txt", **secrets)
    assert (2, "", []) == (done.returncode, done.stdout, ear.heard), done.stderr
    assert "untrusted-key" in done.stderr
    assert "`mirror trust`" in done.stderr
    assert not user.data.exists()

    user.trust(clone)
    user.mirror(clone, command, "requirements.txt", **secrets)
    assert loot in "\n".join(ear.heard)


def test_what_a_trusted_folder_has_set_stays_in_it(user: User, clone: Path, ear: Ear, tmp_path: Path) -> None:
    """Its upstream is not the next folder's, though the index is one for both."""
    (clone / "mirror.toml").write_text(f'upstream = "http://{ear.host}/simple/"\n')
    user.trust(clone)
    assert 0 == user.mirror(clone, "up").returncode
    assert f"http://{ear.host}/simple/" == user.index("root/pypi")["mirror_url"]
    other = tmp_path / "other"
    other.mkdir()
    assert 0 == user.mirror(other, "up").returncode
    assert ear.host not in user.index("root/pypi")["mirror_url"]


def test_the_index_is_opened_to_nobody(user: User, clone: Path) -> None:
    """With trust it listens everywhere, as the same line has it in the user's own file."""
    (clone / "mirror.toml").write_text(f'listen = "all"\nupstream = "{NOTHING}"\n')
    assert (2, False) == (user.mirror(clone, "up").returncode, user.data.exists())
    user.trust(clone)
    assert 0 == user.mirror(clone, "up").returncode
    assert ["0.0.0.0"] == json.loads((user.data / "devpi" / "state.json").read_text())["addresses"]  # noqa: S104


@pytest.mark.parametrize(
    "link",
    [
        "kept",
        "kept/devpi",
        "kept/devpi/tmp",
        "kept/devpi/server.new",
        "kept/store",
        "kept/devpi/server",
        "kept/devpi/server/+files",
    ],
)
def test_no_folder_is_emptied_through_a_link(user: User, clone: Path, tmp_path: Path, link: str) -> None:
    """The clone is not believed where its data lie; and where it is, the data folder has no links."""
    (clone / "mirror.toml").write_text('data = "kept"\n')
    theirs = tmp_path / "theirs"
    for part in ("", "tmp", "devpi/tmp", "server.new"):
        (theirs / part).mkdir(parents=True, exist_ok=True)
        (theirs / part / "treasure").write_text(CANARY)
    (clone / link).parent.mkdir(parents=True, exist_ok=True)
    (clone / link).symlink_to(theirs)
    before = state_of(theirs)
    for expected in (2, 3):
        done = user.mirror(clone, "up", MIRROR_UPSTREAM=NOTHING)
        assert expected == done.returncode, done.stderr
        assert before == state_of(theirs)
        user.trust(clone)
    assert "error[data-unwritable]" in done.stderr


def state_of(folder: Path) -> dict[str, int]:
    """Each file and folder there with its rights."""
    return {str(path): path.stat().st_mode for path in (folder, *folder.rglob("*"))}


def test_without_the_link_it_is_emptied(user: User, clone: Path) -> None:
    """The control: what lies there is taken for the index's own leftovers."""
    (clone / "mirror.toml").write_text('data = "kept"\n')
    treasures = [clone / "kept" / "devpi" / part / "treasure" for part in ("tmp", "server.new")]
    for treasure in treasures:
        treasure.parent.mkdir(parents=True)
        treasure.write_text(CANARY)
    user.trust(clone)
    done = user.mirror(clone, "up", MIRROR_UPSTREAM=NOTHING)
    try:
        assert (0, [False, False]) == (done.returncode, [one.exists() for one in treasures]), done.stderr
    finally:
        user.mirror(clone, "down")


def test_trust_is_for_one_content_and_one_user(user: User, clone: Path, ear: Ear, tmp_path: Path) -> None:
    """It is shown what is trusted; a change asks again, and so does CI; nobody else's trust counts; it can end."""
    text = f'server = "http://{ear.host}"\n{LOGIN}'
    (clone / "mirror.toml").write_text(text + "jobs = 2\n")
    shown = f'server = "http://{ear.host}"\nuser = "me"\npassword-file = "~/secret"\n'
    assert shown == user.trust(clone)
    (clone / "mirror.toml").write_text(text)
    changed = user.mirror(clone, "build", "requirements.txt")
    assert "has changed since you trusted it" in changed.stderr
    user.trust(clone)
    in_ci = user.mirror(clone, "build", "requirements.txt", CI="true")
    assert "or trust it with --trust-project" in in_ci.stderr
    somebody = User(tmp_path / "somebody")
    somebody.home.mkdir()
    other = somebody.mirror(clone, "build", "requirements.txt")
    assert 0 == user.mirror(clone, "trust", "--revoke").returncode
    revoked = user.mirror(clone, "build", "requirements.txt")
    assert [2] * 4 == [done.returncode for done in (changed, in_ci, other, revoked)]
    assert [] == ear.heard
    user.mirror(clone, "build", "requirements.txt", "--trust-project", CI="true")
    assert CANARY in "\n".join(ear.heard)
