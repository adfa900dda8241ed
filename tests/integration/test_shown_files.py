"""What the index shows to whom: installers on musl see no wheel that leaves its libc open."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import requests

from fakes.upstream import Upstream
from mirror.adapters.devpi.listening import free_port
from mirror.adapters.devpi.server import EmbeddedServer

JSON, HTML = "application/vnd.pypi.simple.v1+json", "text/html"
PYTHON = '"implementation":{"name":"CPython","version":"3.11.2"},"python":"3.11.2","system":{"name":"Linux"}}'
ON_MUSL = f'pip/26.3 {{"cpu":"x86_64","distro":{{"id":"alpine","name":"Alpine Linux","version":"3.22"}},{PYTHON}'
ON_GLIBC = f'pip/26.3 {{"cpu":"x86_64","distro":{{"name":"Debian","libc":{{"lib":"glibc","version":"2.36"}}}},{PYTHON}'
BROWSER = "Mozilla/5.0"
PLAIN = "demo-1.0-cp311-cp311-linux_x86_64.whl"
OTHERS = {
    "demo-1.0.tar.gz",
    "demo-1.0-cp311-cp311-musllinux_1_2_x86_64.whl",
    "demo-1.0-cp311-cp311-linux_x86_64.musllinux_1_1_x86_64.whl",
    "demo-1.0-cp311-cp311-manylinux_2_17_x86_64.whl",
}


@dataclass(frozen=True)
class Page:
    """A project's page of the index at this address."""

    index: str

    def __call__(self, client: str, form: str, project: str) -> str:
        """As this client gets it in this form."""
        headers = {"Accept": form, "User-Agent": client}
        answer = requests.get(f"{self.index}/+simple/{project}/", headers=headers, timeout=30)
        assert (200, form) == (answer.status_code, answer.headers["Content-Type"].partition(";")[0])
        return answer.text


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """Pages of our index, whose upstream has `demo`, and `other` without wheels."""
    upstream = Upstream()
    for filename in (*OTHERS, PLAIN):
        upstream.add("demo", filename, filename.encode(), requires_python=">=3.8")
    upstream.add("other", "other-1.0.tar.gz", b"other")
    upstream.start()
    server = EmbeddedServer(tmp_path_factory.mktemp("data") / "index", free_port(), upstream=upstream.url)
    try:
        yield Page(server.ensure_running(lambda _: None).url)
    finally:
        server.stop()
        upstream.stop()


@pytest.mark.parametrize(
    ("client", "shown"), [(ON_MUSL, OTHERS), (ON_GLIBC, OTHERS | {PLAIN}), (BROWSER, OTHERS | {PLAIN})]
)
def test_musl_is_shown_no_wheel_that_leaves_its_libc_open(page: Page, client: str, shown: set[str]) -> None:
    """In both forms of the page; whoever is not on musl is shown everything, which is the control."""
    files = json.loads(page(client, JSON, "demo"))["files"]
    assert shown == {file["filename"] for file in files}
    assert {">=3.8"} == {file["requires-python"] for file in files}
    assert shown == set(
        re.findall(r'<a href="[^"]+" data-requires-python="[^"]+">([^<]+)</a><br>\n', page(client, HTML, "demo"))
    )


@pytest.mark.parametrize("form", [JSON, HTML])
def test_a_page_without_such_wheels_is_the_same_for_all(page: Page, form: str) -> None:
    """Nothing of it is read or written anew."""
    assert page(ON_GLIBC, form, "other") == page(ON_MUSL, form, "other")
