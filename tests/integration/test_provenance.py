"""One index, two upstreams with different sdists under one name and version; and a project of nobody's but ours."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import pytest
import requests

from fakes.command import Mirror
from fakes.sdists import IN_TREE, sdist
from fakes.small_graph import BACKEND, Site, a_site
from fakes.upstream import Upstream
from fakes.wheels import wheel_bytes
from mirror.adapters.devpi.http import DevpiClient, Login
from mirror.core.made_of import read_made_of

pytestmark = pytest.mark.docker

FIRST, SECOND = "tale-1.0-py3-none-any.whl", "tale-1.0-1-py3-none-any.whl"
STRANGERS = "corp_tools-99.0-py3-none-any.whl"


def an_sdist(name: str, version: str, words: str) -> bytes:
    """An sdist that compiles to a pure wheel; `words` make it another than the next."""
    metadata = f"Metadata-Version: 2.2\nName: {name}\nVersion: {version}\n"
    backend = BACKEND.format(imports="", name=name, version=version, native=False, seconds=0)
    files = {"PKG-INFO": metadata, "pyproject.toml": IN_TREE, "backend.py": backend, "README": words}
    return sdist(name, version, files)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    folder = tmp_path / "first"
    folder.mkdir()
    with a_site(folder) as site:
        yield site


@pytest.fixture
def other(site: Site, tmp_path: Path) -> Iterator[Site]:
    """Another folder of the same user, so with the same index, and an upstream of its own."""
    upstream = Upstream()
    upstream.start()
    yield Site(site.beside(tmp_path / "second", MIRROR_UPSTREAM=upstream.url).mirror, upstream)
    upstream.stop()


def ask(mirror: Mirror, *lines: str) -> Path:
    path = mirror.folder / "requirements.txt"
    path.write_text("\n".join((*lines, "")))
    return path


def wheels(done: dict[str, Any]) -> dict[str, str]:
    """The file name of each wheel of a build, with how it came to be."""
    return {o["wheel"]["filename"]: o["outcome"] for o in done["targets"][0]["outcomes"]}


def planned(mirror: Mirror, path: Path) -> tuple[list[str], list[str]]:
    """The sdists that would be compiled, by hash, and the wheels that would be reused."""
    (plan,) = mirror.json("plan", path)["targets"]
    return [job["sdist"]["sha256"] for job in plan["jobs"]], [reuse["wheel"]["filename"] for reuse in plan["reuses"]]


def test_each_folder_gets_what_was_made_of_its_own_upstreams_sdist(site: Site, other: Site) -> None:
    """By its hash or without one, in `build`, `plan`, `verify` and `emit requirements`; nothing is done again."""
    for upstream, words in ((site.upstream, "one"), (other.upstream, "two")):
        upstream.add("tale", "tale-1.0.tar.gz", an_sdist("tale", "1.0", words))
    here, there = ask(site.mirror, "tale==1.0"), ask(other.mirror, "tale==1.0")
    assert {FIRST: "built"} == wheels(site.mirror.json("build", here))
    assert {FIRST: "reused"} == wheels(site.mirror.json("build", here))
    assert {SECOND: "built"} == wheels(other.mirror.json("build", there))
    assert {SECOND: "reused"} == wheels(other.mirror.json("build", there))
    assert {SECOND: "reused"} == wheels(other.mirror.json("verify", there))
    pinned = other.mirror("emit", "requirements", there).stdout
    files = page(site.mirror, "tale")
    assert f"tale==1.0 \\\n    --hash=sha256:{files[SECOND]['hashes']['sha256']}" in pinned
    said = {name: made_of(files[name]["url"]) for name in (FIRST, SECOND)}
    assert {FIRST: site.upstream.url, SECOND: other.upstream.url} == {n: found.upstream for n, found in said.items()}
    assert said[SECOND].sha256 == files["tale-1.0.tar.gz"]["hashes"]["sha256"]
    # A requirement that names the first one's sdist gets what was made of that, though the index lists it no longer.
    ask(other.mirror, f"tale==1.0 --hash=sha256:{said[FIRST].sha256}")
    assert ([], [FIRST]) == planned(other.mirror, there)
    assert f"sha256:{files[FIRST]['hashes']['sha256']}" in other.mirror("emit", "requirements", there).stdout
    assert {FIRST: "reused"} == wheels(other.mirror.json("verify", there))
    # And one that names neither is refused.
    ask(other.mirror, f"tale==1.0 --hash=sha256:{'0' * 64}")
    assert "hash-mismatch" == json.loads(other.mirror("plan", there, "--json").stdout)["error"]["code"]
    # Back in the first folder, installers would prefer what is none of its own: that is told.
    back = site.mirror("plan", here)
    assert (0, True) == (back.returncode, f"{SECOND} is not used: it was made of another sdist" in back.stderr)
    assert ([], [FIRST]) == planned(site.mirror, here)


def test_what_upstream_has_withdrawn_is_not_chosen(site: Site, other: Site) -> None:
    """The newest release was a bad one: our wheel of it stays, for whoever has the hash of its sdist."""
    good, bad = an_sdist("tale", "0.9", "good"), an_sdist("tale", "1.0", "bad")
    site.upstream.add("tale", "tale-0.9.tar.gz", good)
    site.upstream.add("tale", "tale-1.0.tar.gz", bad)
    other.upstream.add("tale", "tale-0.9.tar.gz", good)
    here, there = ask(site.mirror, "tale"), ask(other.mirror, "tale")
    assert {FIRST: "built"} == wheels(site.mirror.json("build", here))
    sha256 = made_of(page(site.mirror, "tale")[FIRST]["url"]).sha256
    assert {"tale-0.9-py3-none-any.whl": "built"} == wheels(other.mirror.json("build", there))
    ask(other.mirror, f"tale==1.0 --hash=sha256:{sha256}")
    assert ([], [FIRST]) == planned(other.mirror, there)


def test_a_wheel_that_does_not_say_what_it_was_made_of_answers_for_any(site: Site, other: Site) -> None:
    """As those of older versions: what a record is for. Whoever has hashes gets it by its own alone."""
    other.upstream.add("tale", "tale-1.0.tar.gz", an_sdist("tale", "1.0", "two"))
    there = ask(other.mirror, "tale==1.0")
    other.mirror("up")
    upload(other.mirror, "tale", "1.0", FIRST, wheel_bytes(FIRST))
    whitelist(other.mirror, "tale")
    assert ([], [FIRST]) == planned(other.mirror, there)
    sha256 = page(other.mirror, "tale")["tale-1.0.tar.gz"]["hashes"]["sha256"]
    ask(other.mirror, f"tale==1.0 --hash=sha256:{sha256}")
    assert ([sha256], []) == planned(other.mirror, there)
    assert {SECOND: "built"} == wheels(other.mirror.json("build", there))


def test_pip_takes_a_project_of_ours_and_not_a_strangers(site: Site, tmp_path: Path) -> None:
    """It lies on the index that we publish to; a wheel of it was compiled there, as of any other sdist."""
    site.upstream.add("corp-tools", STRANGERS, wheel_bytes(STRANGERS))
    site.mirror("up")
    upload(site.mirror, "corp-tools", "1.0", "corp_tools-1.0.tar.gz", an_sdist("corp_tools", "1.0", "ours"))
    ours = "corp_tools-1.0-py3-none-any.whl"
    assert {ours: "built"} == wheels(site.mirror.json("build", ask(site.mirror, "corp-tools")))
    assert {ours: "reused"} == wheels(site.mirror.json("build", ask(site.mirror, "corp-tools")))
    assert made_of(page(site.mirror, "corp-tools")[ours]["url"]).upstream is None
    assert [ours] == downloaded(site.mirror, "corp-tools", tmp_path / "one")
    # With the wall down: on the whitelist, where publishing put every name, the stranger's is chosen.
    whitelist(site.mirror, "corp-tools")
    assert [STRANGERS] == downloaded(site.mirror, "corp-tools", tmp_path / "two")


def page(mirror: Mirror, project: str) -> dict[str, Any]:
    """The files of a project by name, as the index lists them."""
    headers = {"Accept": "application/vnd.pypi.simple.v1+json"}
    answer = requests.get(f"{simple(mirror)}{project}/", headers=headers, timeout=30)
    files = answer.json()["files"]
    return {file["filename"]: {**file, "url": urljoin(answer.url, file["url"])} for file in files}


def made_of(url: str) -> Any:
    """What the wheel at this address says of itself."""
    with zipfile.ZipFile(io.BytesIO(requests.get(url, timeout=30).content)) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/mirror.json"))
        return read_made_of(archive.read(name))


def downloaded(mirror: Mirror, project: str, folder: Path) -> list[str]:
    """What pip takes."""
    options = ["--no-cache-dir", "--no-deps", "--isolated", "--dest", str(folder), "--index-url", simple(mirror)]
    subprocess.run([sys.executable, "-m", "pip", "download", *options, project], check=True, capture_output=True)
    return [path.name for path in folder.iterdir()]


def upload(mirror: Mirror, name: str, version: str, filename: str, content: bytes) -> None:
    """Put a file on the index as twine does."""
    form = {":action": "file_upload", "name": name, "version": version}
    url = f"{mirror.server}/mirror/alpine/"
    assert (
        200
        == client(mirror, "mirror")
        .send("POST", url, data=[*form.items()], files={"content": (filename, content)})
        .status
    )


def whitelist(mirror: Mirror, name: str) -> None:
    """As somebody does by hand, and as publishing did."""
    assert (
        200
        == client(mirror, "root")
        .send("PATCH", f"{mirror.server}/mirror/alpine", json=[f"mirror_whitelist+={name}"])
        .status
    )


def client(mirror: Mirror, user: str) -> DevpiClient:
    return DevpiClient(mirror.server, Login(user, (mirror.data / "devpi" / f"{user}-password").read_text))


def simple(mirror: Mirror) -> str:
    return f"{mirror.server}/mirror/alpine/+simple/"
