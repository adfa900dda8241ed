"""The upstream of an index: it is what the settings say now, and nothing is left of what they said before."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from packaging.utils import canonicalize_name

from fakes.command import free_port
from fakes.upstream import Upstream
from mirror.adapters.devpi.http import DevpiClient
from mirror.adapters.devpi.index import DevpiIndex
from mirror.adapters.devpi.server import EmbeddedServer
from mirror.adapters.store import Store
from mirror.core.upstreams import FurtherUpstream

ETAG = '"the-etag-of-another"'
FORGED = "demo-99.0.tar.gz"
HONEST = "demo-1.0.tar.gz"


@contextmanager
def started(upstream: Upstream) -> Iterator[Upstream]:
    upstream.start()
    try:
        yield upstream
    finally:
        upstream.stop()


@pytest.fixture
def stranger() -> Iterator[Upstream]:
    """What somebody's settings named once: it has a demo of its own, under an ETag that it has seen elsewhere."""
    upstream = Upstream(etag=ETAG)
    upstream.add("demo", FORGED, b"forged")
    with started(upstream):
        yield upstream


@pytest.fixture
def port() -> int:
    return free_port()


def server(folder: Path, port: int, upstream: str | None, **further: str) -> EmbeddedServer:
    """An index with these upstreams, each of which has all that is called demo."""
    more = tuple(
        FurtherUpstream(name=name, url=url, projects=("demo",), credentials_file="") for name, url in further.items()
    )
    return EmbeddedServer(folder / "devpi", port, upstream=upstream, further=more)


def listed(server: EmbeddedServer, folder: Path) -> list[str]:
    """The files of demo, as everybody sees them."""
    info = server.ensure_running(lambda _: None)
    index = DevpiIndex(info.url, info.login, Store(folder / "store"), administrator=info.administrator)
    return [file.filename for file in index.files(canonicalize_name("demo"))]


def root_of(server: EmbeddedServer) -> DevpiClient:
    info = server.ensure_running(lambda _: None)
    return DevpiClient(f"http://127.0.0.1:{info.port}", info.administrator)


def settings(root: DevpiClient, path: str) -> dict[str, Any]:
    return root.get(f"{root.root}/{path}?no_projects=").result() or {}


def test_it_goes_back_to_devpis_own(tmp_path: Path, port: int, stranger: Upstream) -> None:
    """When nothing sets it any more; all else is as it was at the first start. No address of PyPI is ours."""
    first = server(tmp_path, port, None)
    try:
        untouched = settings(root_of(first), "root/pypi")
        # devpi-init has written both, and we never touch the second.
        assert untouched["mirror_web_url_fmt"].startswith(untouched["mirror_url"].removesuffix("simple/"))
        assert stranger.url == settings(root_of(server(tmp_path, port, stranger.url)), "root/pypi")["mirror_url"]
        root = root_of(server(tmp_path, port, None))
        assert untouched == settings(root, "root/pypi")
        assert ["root/pypi"] == settings(root, "mirror/alpine")["bases"]
    finally:
        first.stop()


@pytest.mark.parametrize("kind", ["it has no demo", "it says that nothing has changed", "nobody reaches it"])
def test_nothing_is_left_of_the_one_before(tmp_path: Path, port: int, stranger: Upstream, kind: str) -> None:
    """Not even where the next one has no such project, is out of reach, or seems to answer to what is remembered."""
    last = server(tmp_path, port, stranger.url)
    with started(Upstream(etag=ETAG)) as honest:
        if kind == "it says that nothing has changed":
            honest.add("demo", HONEST, b"honest")
        url = "http://127.0.0.1:9/simple/" if kind == "nobody reaches it" else honest.url
        try:
            assert [FORGED] == listed(last, tmp_path)
            last = server(tmp_path, port, url)
            info = last.ensure_running(lambda _: None)
            page = root_of(last).get(f"{info.url}/+simple/demo/", accept="application/vnd.pypi.simple.v1+json")
            assert b"demo-99.0" not in page.content
            assert (HONEST in page.content.decode()) == (kind == "it says that nothing has changed")
        finally:
            last.stop()


def test_with_the_address_alone_it_would_be(tmp_path: Path, port: int, stranger: Upstream) -> None:
    """The control: devpi goes on to show what it saw at the address before."""
    last = server(tmp_path, port, stranger.url)
    with started(Upstream(etag=ETAG)) as honest:
        honest.add("demo", HONEST, b"honest")
        try:
            assert [FORGED] == listed(last, tmp_path)
            assert (
                200
                == root_of(last)
                .send("PATCH", f"{root_of(last).root}/root/pypi", json=[f"mirror_url={honest.url}"])
                .status
            )
            last.stop()
            assert [FORGED] == listed(server(tmp_path, port, honest.url), tmp_path)
        finally:
            last.stop()


def test_it_holds_for_a_further_upstream(tmp_path: Path, port: int, stranger: Upstream) -> None:
    """One that keeps its name and gets another address."""
    last = server(tmp_path, port, "http://127.0.0.1:9/simple/", corp=stranger.url)
    with started(Upstream(etag=ETAG)) as honest:
        honest.add("demo", HONEST, b"honest")
        try:
            assert [FORGED] == listed(last, tmp_path)
            last = server(tmp_path, port, "http://127.0.0.1:9/simple/", corp=honest.url)
            assert [HONEST] == listed(last, tmp_path)
            assert ["root/corp", "root/pypi"] == settings(root_of(last), "mirror/alpine")["bases"]
        finally:
            last.stop()


@pytest.mark.parametrize("moment", ["it may be deleted", "it is deleted"])
def test_a_change_that_was_killed_half_way(tmp_path: Path, port: int, stranger: Upstream, moment: str) -> None:
    """The next start brings it to its end."""
    last = server(tmp_path, port, stranger.url)
    try:
        assert [FORGED] == listed(last, tmp_path)
        before, root = settings(root_of(last), "root/pypi"), root_of(last)
        assert 200 == root.send("PATCH", f"{root.root}/root/pypi", json=["volatile=True"]).status
        if moment == "it is deleted":
            assert 201 == root.send("DELETE", f"{root.root}/root/pypi", json=None).status
        last.stop()
        with started(Upstream()) as honest:
            honest.add("demo", HONEST, b"honest")
            last = server(tmp_path, port, honest.url)
            assert [HONEST] == listed(last, tmp_path)
            after = settings(root_of(last), "root/pypi")
        same = ("type", "title", "volatile", "mirror_no_project_list", "mirror_ignore_serial_header")
        assert [before[key] for key in same] == [after[key] for key in same]
    finally:
        last.stop()
