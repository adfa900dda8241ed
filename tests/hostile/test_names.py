"""Dependency confusion on a team's index: names that are private and shall never be anything else, and the reverse."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

from fakes.sdists import sdist
from fakes.unguarded import Unguarded
from fakes.upstream import Upstream
from fakes.wheels import checked_wheel
from mirror.adapters.devpi.http import DevpiClient
from mirror.adapters.devpi.layout import INTERNAL, PROD, STAGE, tend_builder
from mirror.adapters.devpi.listening import free_port
from mirror.adapters.devpi.server import Team
from mirror.adapters.devpi.tokens import Tokens

OURS, FORGED = "secret_tool-1.0.tar.gz", "secret_tool-99.0-py3-none-any.whl"


@dataclass
class TeamIndex:
    """A team's index over an upstream where a stranger has taken the name of a private project."""

    root: DevpiClient
    ci: tuple[str, str]
    """May publish to the team's own index."""
    builder: tuple[str, str]
    """May publish to the index of wheels."""

    def allow(self, index: str, name: str, who: tuple[str, str] | None) -> int:
        """Ask for a name to be public; the status."""
        url = f"{self.root.root}/+mirror/allow/{index}/{name}"
        return requests.post(url, json={}, auth=who, timeout=60).status_code

    def upload(self, name: str, filename: str) -> int:
        """Upload a project of the team's own; the status."""
        form = {":action": "file_upload", "name": name, "version": "1.0"}
        files = {"content": (filename, sdist(name, "1.0", {}))}
        url = f"{self.root.root}/{INTERNAL}/"
        return requests.post(url, data=form, files=files, auth=self.ci, timeout=60).status_code

    def listed(self, name: str) -> list[str]:
        """What people who install see."""
        headers = {"Accept": "application/vnd.pypi.simple.v1+json"}
        answer = requests.get(f"{self.root.root}/{PROD}/+simple/{name}/", headers=headers, timeout=60)
        return sorted(file["filename"] for file in answer.json()["files"])

    def whitelist(self, index: str, *names: str) -> None:
        """As root, who may do anything."""
        assert (
            200
            == self.root.send("PATCH", f"{self.root.root}/{index}", json=[f"mirror_whitelist={','.join(names)}"]).status
        )


@contextmanager
def team(folder: Path, *walls: str) -> Iterator[TeamIndex]:
    """One, without these walls."""
    upstream = Upstream()
    upstream.add("secret-tool", FORGED, checked_wheel(FORGED).content)
    upstream.start()
    server = Unguarded(folder / "devpi", free_port(), walls=walls, upstream=upstream.url, team=Team())
    try:
        info = server.ensure_running(lambda _: None)
        root = DevpiClient(info.url.removesuffix(f"/{STAGE}"), info.administrator)
        tend_builder(root, folder / "builder")
        ci = Tokens(root).create("ci", publish_to=INTERNAL, expires_s=None)
        yield TeamIndex(root=root, ci=("ci", ci), builder=("builder", (folder / "builder").read_text()))
    finally:
        server.stop()
        upstream.stop()


def test_no_token_makes_a_private_name_public(tmp_path: Path) -> None:
    """Not on the team's own index before the first upload there, and not afterwards on the index of wheels."""
    with team(tmp_path) as index:
        for stage in (INTERNAL, PROD):
            refused = [index.allow(stage, "secret-tool", who) for who in (None, index.ci, index.builder)]
            assert [403, 403, 403] == refused
        assert [401, 403] == [index.allow(STAGE, "secret-tool", who) for who in (None, index.ci)]
        assert 200 == index.upload("secret-tool", OURS)
        assert 200 == index.allow(STAGE, "Secret_Tool", index.builder)
        assert [OURS] == index.listed("secret-tool")


def test_what_is_public_on_any_index_is_no_name_of_ones_own(tmp_path: Path) -> None:
    """The index that people install from unites the whitelists of all its bases; a star stands for every name."""
    with team(tmp_path) as index:
        assert 200 == index.allow(STAGE, "secret-tool", index.builder)
        assert 409 == index.upload("Secret.Tool", OURS)
        index.whitelist(STAGE)
        for stage, names in ((INTERNAL, ["secret-tool"]), (PROD, ["other", "secret-tool"]), (STAGE, ["*"])):
            index.whitelist(stage, *names)
            assert 409 == index.upload("secret-tool", OURS)
            index.whitelist(stage)
        assert 200 == index.upload("secret-tool", OURS)


def test_without_the_wall_the_strangers_release_is_chosen(tmp_path: Path) -> None:
    """One name on one whitelist is enough for a higher version of a stranger's to stand beside the team's."""
    with team(tmp_path, "mirror.server.changes.guard") as index:
        index.whitelist(INTERNAL, "secret-tool")
        assert 200 == index.upload("secret-tool", OURS)
        assert sorted([OURS, FORGED]) == index.listed("secret-tool")
