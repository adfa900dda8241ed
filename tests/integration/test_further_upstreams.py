"""Dependency confusion: a stranger publishes a higher version under the name of a project of ours."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
from packaging.utils import canonicalize_name

from fakes.command import free_port
from fakes.upstream import Upstream
from fakes.wheels import checked_wheel
from mirror.adapters.devpi.http import DevpiClient
from mirror.adapters.devpi.index import DevpiIndex
from mirror.adapters.devpi.layout import ROUTES
from mirror.adapters.devpi.server import EmbeddedServer
from mirror.adapters.store import Store
from mirror.core.upstreams import FurtherUpstream

LOGIN = "corp:canary-of-the-password"
PRIVATE = "corp_tools-1.0-py3-none-any.whl"
FORGED = "corp_tools-99.0-py3-none-any.whl"


class Unprotected(EmbeddedServer):
    """The same index, whose plugin knows of no further upstream."""

    def _environment(self) -> dict[str, str]:
        return {key: value for key, value in super()._environment().items() if key != ROUTES}


@dataclass
class World:
    """PyPI, where everybody may publish, and the company's own index, which wants a login."""

    folder: Path
    public: Upstream
    private: Upstream

    def index(self, kind: type[EmbeddedServer], *projects: str) -> tuple[EmbeddedServer, DevpiIndex]:
        """An index over both, to whose further upstream these projects belong."""
        credentials = self.folder / "credentials"
        credentials.write_text(LOGIN + "\n")
        further = FurtherUpstream(
            name="corp", url=self.private.url, projects=projects, credentials_file=str(credentials)
        )
        server = kind(
            self.folder / "devpi", free_port(), upstream=self.public.url, further=(further,) if projects else ()
        )
        info = server.ensure_running(lambda _: None)
        return server, DevpiIndex(info.url, info.login, Store(self.folder / "store"), administrator=info.administrator)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Both have a corp-tools; only PyPI has numpy, and the company has a numpy of its own that nobody wants."""
    world = World(tmp_path, Upstream(), Upstream(login=LOGIN))
    world.public.add("corp-tools", FORGED, checked_wheel(FORGED).content)
    world.public.add("numpy", "numpy-1.0-py3-none-any.whl", checked_wheel("numpy-1.0-py3-none-any.whl").content)
    world.private.add("corp-tools", PRIVATE, checked_wheel(PRIVATE).content)
    world.private.add("numpy", "numpy-99.0-py3-none-any.whl", checked_wheel("numpy-99.0-py3-none-any.whl").content)
    for upstream in (world.public, world.private):
        upstream.start()
    yield world
    for upstream in (world.public, world.private):
        upstream.stop()


def listed(index: DevpiIndex, name: str) -> list[str]:
    return sorted(file.filename for file in index.files(canonicalize_name(name)))


def test_a_project_of_ours_comes_from_us_alone(world: World) -> None:
    """PyPI's is not seen, and PyPI is not even asked; nor is ours asked for anything else. Our file can be had."""
    server, index = world.index(EmbeddedServer, "corp-*")
    try:
        assert ([PRIVATE], ["numpy-1.0-py3-none-any.whl"]) == (listed(index, "corp-tools"), listed(index, "numpy"))
        assert [] == listed(index, "corp-nobody-has-it")
        assert [] == [path for path in world.public.asked if "corp" in path]
        assert [] == [path for path in world.private.asked if "numpy" in path]
        (file,) = index.files(canonicalize_name("corp-tools"))
        assert "corp" == index.upstream_of(file)
        assert checked_wheel(PRIVATE).content == index.fetch(file).read_bytes()
        # Once we have compiled a wheel of it too, it stays so.
        index.publish(checked_wheel("corp_tools-1.0-1-py3-none-any.whl"))
        assert ["corp_tools-1.0-1-py3-none-any.whl", PRIVATE] == listed(index, "corp-tools")
    finally:
        server.stop()
    text = b"".join(path.read_bytes() for path in (world.folder / "devpi").rglob("*") if path.is_file())
    assert b"canary-of-the-password" not in text


def test_without_the_protection_the_attack_succeeds(world: World) -> None:
    """Over the same mirrors: the stranger's version stands beside ours, and is the higher one."""
    server, index = world.index(Unprotected, "corp-*")
    try:
        assert FORGED in listed(index, "corp-tools")
    finally:
        server.stop()


def test_it_holds_for_an_index_that_stood_before(world: World) -> None:
    """What was seen before the setting is not seen any more; the server is started anew for that."""
    server, index = world.index(EmbeddedServer)
    assert [FORGED] == listed(index, "corp-tools")
    try:
        server, index = world.index(EmbeddedServer, "corp-tools")
        assert [PRIVATE] == listed(index, "corp-tools")
    finally:
        server.stop()


def test_the_settings_may_drop_it_again(world: World) -> None:
    """What somebody has put among the bases by hand stays there."""
    server, index = world.index(EmbeddedServer, "corp-*")
    try:
        assert [PRIVATE] == listed(index, "corp-tools")
        server, index = world.index(EmbeddedServer)
        assert [FORGED] == listed(index, "corp-tools")
        assert ["root/pypi"] == bases(server)
        add_base(server)
        server, index = world.index(EmbeddedServer, "corp-*")
        assert ["root/corp", "root/extra", "root/pypi"] == bases(server)
        assert [PRIVATE] == listed(index, "corp-tools")
    finally:
        server.stop()


def client(server: EmbeddedServer) -> tuple[DevpiClient, str]:
    info = server.status()
    assert info is not None
    return DevpiClient(f"http://127.0.0.1:{info.port}", info.administrator), info.url


def bases(server: EmbeddedServer) -> list[str]:
    root, stage = client(server)
    found: list[str] = (root.get(f"{stage}?no_projects=").result() or {})["bases"]
    return found


def add_base(server: EmbeddedServer) -> None:
    root, stage = client(server)
    assert 200 == root.send("PUT", f"{root.root}/root/extra", json={"type": "stage", "bases": []}).status
    assert 200 == root.send("PATCH", stage, json=["bases=root/extra,root/pypi"]).status


class Generous(EmbeddedServer):
    """The same index, whose plugin shows the login at every address of the company's host, as it did once."""

    def _command(self, port: int) -> list[str]:
        command = super()._command(port)
        place = command.index("-m")
        lines = (
            "import mirror.adapters.devpi.plugin as plugin",
            "host = lambda one: one.url.split('/simple/')[0]",
            "plugin.who_logs_in = lambda url, all: next((one for one in all if url.startswith(host(one))), None)",
            "from devpi_server.main import main; raise SystemExit(main())",
        )
        return [*command[:place], "-c", "\n".join(lines), *command[place + 2 :]]


@pytest.mark.parametrize(("kind", "is_had"), [(EmbeddedServer, False), (Generous, True)])
def test_a_strangers_link_gets_no_login(kind: type[EmbeddedServer], is_had: bool, world: World) -> None:
    """A page of PyPI's may link to any address of the company's host: it is asked for as by anybody else."""
    secret = checked_wheel("evil-1.0-py3-none-any.whl")
    world.private.add("evil", secret.filename, secret.content)  # whatever lies there, under whatever name
    link = f"{world.private.url.removesuffix('/simple/')}/files/evil/{secret.filename}"
    world.public.add("evil", secret.filename, secret.content, url=link)
    server, index = world.index(kind, "corp-*")
    try:
        (file,) = index.files(canonicalize_name("evil"))
        status = requests.get(file.url, timeout=60).status_code
        assert is_had == (status == 200)
        assert [f"/files/evil/{secret.filename}"] == [path for path in world.private.asked if "evil" in path]
        # What is the company's own is had with its login, as ever.
        (file,) = index.files(canonicalize_name("corp-tools"))
        assert "corp" == index.upstream_of(file)
        assert 200 == requests.get(file.url, timeout=60).status_code
    finally:
        server.stop()
