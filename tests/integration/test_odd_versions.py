"""Projects with a local version (`+`) and an epoch (`!`), which clients write in an address in more than one way."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import pytest
import requests

from fakes.sdists import IN_TREE, sdist
from fakes.small_graph import BACKEND, Site, a_site
from mirror.adapters.devpi.layout import STAGE
from mirror.server.served import Downloads

pytestmark = pytest.mark.docker

VERSIONS = {"local": "1.0+local.1", "epoch": "1!2.0"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with a_site(tmp_path_factory.mktemp("odd")) as site:
        for name, version in VERSIONS.items():
            backend = BACKEND.format(imports="", name=name, version=version, native=False, seconds=0)
            metadata = f"Metadata-Version: 2.2\nName: {name}\nVersion: {version}\n"
            files = {"PKG-INFO": metadata, "pyproject.toml": IN_TREE, "backend.py": backend}
            site.upstream.add(name, f"{name}-{version}.tar.gz", sdist(name, version, files))
        yield site


@pytest.fixture(scope="module")
def requirements(site: Site) -> Path:
    path = site.mirror.folder / "requirements.txt"
    path.write_text("".join(f"{name}=={version}\n" for name, version in VERSIONS.items()))
    return path


@pytest.fixture(scope="module")
def built(site: Site, requirements: Path) -> dict[str, Any]:
    result: dict[str, Any] = site.mirror.json("build", requirements)["targets"][0]
    return result


def test_they_are_built_and_proved(built: dict[str, Any]) -> None:
    """pip installs both in the clean room, and they import."""
    assert {name: ("built", version) for name, version in VERSIONS.items()} == {
        o["name"]: (o["outcome"], o["version"]) for o in built["outcomes"]
    }
    assert VERSIONS == {p["name"]: p["version"] for p in built["verified"]["installed"]}
    assert sorted(VERSIONS) == sorted(built["verified"]["imported"])


def test_a_second_build_reuses_them(site: Site, requirements: Path, built: dict[str, Any]) -> None:
    """By the names that the index lists."""
    again = site.mirror.json("build", requirements)["targets"][0]
    expected = {outcome["wheel"]["filename"] for outcome in built["outcomes"]}
    assert ({"reused"}, expected) == (
        {outcome["outcome"] for outcome in again["outcomes"]},
        {outcome["wheel"]["filename"] for outcome in again["outcomes"]},
    )


@pytest.mark.parametrize("project", VERSIONS)
def test_the_page_links_to_them(site: Site, built: dict[str, Any], project: str) -> None:
    """An address that leads to the wheel itself."""
    (wheel,) = (outcome["wheel"] for outcome in built["outcomes"] if outcome["name"] == project)
    page = f"{site.mirror.server}/+mirror/projects/{project}"
    (link,) = re.findall(r'href="([^"]+\.whl)"', requests.get(page, timeout=30).text)
    content = requests.get(urljoin(page, link), timeout=30).content
    assert wheel["sha256"] == hashlib.sha256(content).hexdigest()


def test_pips_downloads_of_them_are_counted(site: Site, built: dict[str, Any], tmp_path: Path) -> None:
    """pip percent-encodes what it asks for; what is counted is the wheel's own name."""
    asked = [f"{name}=={version}" for name, version in VERSIONS.items()]
    options = ["--no-cache-dir", "--no-deps", "--isolated", "--dest", str(tmp_path)]
    page = f"{site.mirror.server}/{STAGE}/+simple/"
    command = [sys.executable, "-m", "pip", "download", *options, "--index-url", page]
    subprocess.run([*command, *asked], check=True, capture_output=True)
    names = {outcome["wheel"]["filename"] for outcome in built["outcomes"]}
    assert names == {path.name for path in tmp_path.iterdir()}
    metrics = requests.get(f"{site.mirror.server}/+mirror/metrics", timeout=30).text
    assert "mirror_downloads_total 2.0" in metrics.splitlines()
    served = Downloads(site.mirror.data / "devpi" / "server" / "mirror-served.sqlite").all()
    assert names == {one.filename for one in served or ()}
