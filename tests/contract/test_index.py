"""What every ports.Index promises, the fake and devpi alike; and what devpi's own traps are."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from packaging.utils import NormalizedName, canonicalize_name

from fakes.devpi import Devpi
from fakes.upstream import Upstream
from fakes.wheels import checked_wheel, wheel_bytes
from mirror.adapters.devpi.http import Login
from mirror.adapters.devpi.index import DevpiIndex
from mirror.adapters.devpi.listening import free_port
from mirror.adapters.devpi.patience import Patience, Recovery
from mirror.adapters.devpi.server import EmbeddedServer
from mirror.adapters.store import Store
from mirror.core.errors import MirrorError, UnusableError
from mirror.core.model import CheckedWheel, IndexFile
from mirror.window import CoreMetadata, IndexWindow

TAGS = "cp311-cp311-musllinux_1_2_x86_64"


@pytest.fixture
def name() -> NormalizedName:
    """A project nobody else has: the devpi-server is shared by all tests."""
    return canonicalize_name(f"demo{uuid4().hex[:12]}")


def listed(files: tuple[IndexFile, ...]) -> list[tuple[str, str]]:
    return sorted((file.filename, file.sha256) for file in files)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def code_of(act: Callable[[], Any]) -> str:
    with pytest.raises(MirrorError) as caught:
        act()
    assert caught.value.hint
    return caught.value.code


def test_no_files_of_an_unknown_project(subject: Any, name: NormalizedName) -> None:
    """A project that is nowhere has no files; it is no error."""
    assert () == subject.index.files(name)


def test_shows_and_serves_upstream(subject: Any, name: NormalizedName) -> None:
    """Upstream's files are listed with their hashes, and can be downloaded."""
    subject.add_upstream(name, f"{name}-1.0.tar.gz", b"an sdist")
    files = subject.index.files(name)
    assert [(f"{name}-1.0.tar.gz", sha256(b"an sdist"))] == listed(files)
    assert b"an sdist" == subject.index.fetch(files[0]).read_bytes()


def test_publishes_and_lists(subject: Any, name: NormalizedName) -> None:
    """What was published is listed with its hash and Python requirement, and can be downloaded."""
    assert () == subject.index.files(name)
    wheel = checked_wheel(f"{name}-1.0-{TAGS}.whl", requires_python=">=3.9")
    published = subject.index.publish(wheel)
    assert (wheel.filename, wheel.sha256, ">=3.9") == (
        published.filename,
        published.sha256,
        published.requires_python,
    )
    assert (published,) == subject.index.files(name)
    assert wheel.content == subject.index.fetch(published).read_bytes()


def test_publishing_again_changes_nothing(subject: Any, name: NormalizedName) -> None:
    """The same bytes again are the same file."""
    wheel = checked_wheel(f"{name}-1.0-{TAGS}.whl")
    assert subject.index.publish(wheel) == subject.index.publish(wheel)


def test_a_published_file_never_changes(subject: Any, name: NormalizedName) -> None:
    """Other bytes under a published name are a conflict, and the first ones stay."""
    first = checked_wheel(f"{name}-1.0-{TAGS}.whl")
    subject.index.publish(first)
    other = checked_wheel(first.filename, payload=b"OTHER = 1\n")
    assert "conflict" == code_of(lambda: subject.index.publish(other))
    assert [(first.filename, first.sha256)] == listed(subject.index.files(name))


def test_upstream_still_shows_beside_ours(subject: Any, name: NormalizedName) -> None:
    """Publishing a wheel of a project takes nothing of upstream's away."""
    subject.add_upstream(name, f"{name}-1.0.tar.gz", b"one")
    subject.add_upstream(name, f"{name}-2.0.tar.gz", b"two")
    wheel = checked_wheel(f"{name}-1.0-{TAGS}.whl")
    subject.index.publish(wheel)
    expected = [
        (wheel.filename, wheel.sha256),
        (f"{name}-1.0.tar.gz", sha256(b"one")),
        (f"{name}-2.0.tar.gz", sha256(b"two")),
    ]
    assert expected == listed(subject.index.files(name))


def test_a_project_of_our_own_is_never_shown_from_upstream(subject: Any, name: NormalizedName) -> None:
    """Its sdist lies on our index: a stranger's higher version stays out of sight, whatever is published of it."""
    subject.add_upstream(name, f"{name}-99.0.tar.gz", b"a stranger's")
    subject.add_own(name, "1.0", f"{name}-1.0.tar.gz", b"ours")
    wheel = checked_wheel(f"{name}-1.0-{TAGS}.whl", upstream=None)
    subject.index.publish(wheel)
    assert [(wheel.filename, wheel.sha256), (f"{name}-1.0.tar.gz", sha256(b"ours"))] == listed(
        subject.index.files(name)
    )


def test_knows_where_a_file_comes_from(subject: Any, name: NormalizedName) -> None:
    """Upstream's address, which is the same on every machine; and nowhere for what is ours."""
    subject.add_upstream(name, f"{name}-1.0.tar.gz", b"an sdist")
    (theirs,) = subject.index.files(name)
    own = canonicalize_name(f"{name}-own")
    subject.add_own(own, "1.0", f"{name}_own-1.0.tar.gz", b"ours")
    (ours,) = subject.index.files(own)
    assert (subject.upstream, None) == (subject.index.upstream_of(theirs), subject.index.upstream_of(ours))


@pytest.mark.parametrize("version", ["1.0.0.post", "01.0", "1.0+local.1", "1.0-3", "2022.06.15"])
def test_publishes_a_version_as_its_file_name_writes_it(subject: Any, name: NormalizedName, version: str) -> None:
    """Equal as versions, other as text: the gate has passed it."""
    published = subject.index.publish(wheel := checked_wheel(f"{name}-{version}-{TAGS}.whl"))
    assert (wheel.filename, wheel.sha256) == (published.filename, published.sha256)


def test_refuses_bytes_with_another_hash(subject: Any, name: NormalizedName) -> None:
    """What was downloaded is compared with the hash that was asked for."""
    subject.add_upstream(name, f"{name}-1.0.tar.gz", b"an sdist")
    (file,) = subject.index.files(name)
    wrong = replace(file, sha256="0" * 64)
    assert "hash-mismatch" == code_of(lambda: subject.index.fetch(wrong))


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9/x-1.tar.gz", "{root}@127.0.0.1:9/x", "{root}/a/../x", "{root}/a/%2E%2e/x", "file:///x"]
)
def test_fetches_from_the_index_alone(subject: Any, url: str) -> None:
    """A page cannot send us to another host, nor out of the index's own path."""
    root = subject.index.simple_url.split("/+simple")[0]
    file = IndexFile(filename="x-1.tar.gz", url=url.format(root=root), sha256="0" * 64)
    assert "download-failed" == code_of(lambda: subject.index.fetch(file))


def test_fetches_nothing_that_is_gone(subject: Any, name: NormalizedName) -> None:
    """A file that is not there is a failed download."""
    subject.add_upstream(name, f"{name}-1.0.tar.gz", b"an sdist")
    (file,) = subject.index.files(name)
    gone = replace(file, url=file.url.replace("-1.0", "-9.9"), filename="gone-1.tar.gz")
    assert "download-failed" == code_of(lambda: subject.index.fetch(gone))


def test_the_window_works_over_it(subject: Any, name: NormalizedName, tmp_path: Path) -> None:
    """A window over it serves the metadata of an upstream wheel."""
    filename = f"{name}-1.0-py3-none-any.whl"
    subject.add_upstream(name, filename, wheel_bytes(filename))
    window = IndexWindow(subject.index, CoreMetadata(subject.index, Store(tmp_path / "notes")))
    assert 200 == window.get(f"/simple/{name}/").status
    answer = window.get(f"/files/{sha256(wheel_bytes(filename))}/{filename}.metadata")
    assert f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode() == b"".join(answer.body)


def test_does_nothing_once_it_is_stopped(subject: Any, name: NormalizedName) -> None:
    """When the run is given up, whoever asks for something learns so."""
    subject.add_upstream(name, f"{name}-1.0.tar.gz", b"an sdist")
    (file,) = subject.index.files(name)
    subject.index.stop()
    subject.index.stop()
    other = canonicalize_name(f"{name}-other")
    for act in (
        lambda: subject.index.files(other),
        lambda: subject.index.fetch(file),
        lambda: subject.index.publish(checked_wheel(f"{name}-1.0-{TAGS}.whl")),
    ):
        assert "stopped" == code_of(act)


class UploadsAlone(DevpiIndex):
    """What a publisher without the whitelist step would be."""

    def _whitelist(self, name: NormalizedName) -> None:
        """Forget it."""


def test_devpi_hides_upstream_without_the_whitelist(devpi: Any, name: NormalizedName, tmp_path: Path) -> None:
    """devpi's trap: shows that the test of upstream's files beside ours can fail."""
    devpi.upstream.add(name, f"{name}-1.0.tar.gz", b"one")
    index = UploadsAlone(devpi.info.url, devpi.info.login, Store(tmp_path))
    wheel = checked_wheel(f"{name}-1.0-{TAGS}.whl")
    index.publish(wheel)
    assert [(wheel.filename, wheel.sha256)] == listed(index.files(name))


class WhitelistsAll(DevpiIndex):
    """A publisher that does not ask where an sdist came from."""

    def publish(self, wheel: CheckedWheel) -> IndexFile:
        return super().publish(replace(wheel, upstream="upstream"))


def test_devpi_shows_a_strangers_files_beside_ours_once_whitelisted(
    devpi: Any, name: NormalizedName, tmp_path: Path
) -> None:
    """The other side of that: shows that the test of a project of our own can fail."""
    devpi.upstream.add(name, f"{name}-99.0.tar.gz", b"a stranger's")
    devpi.upload(name, "1.0", f"{name}-1.0.tar.gz", b"ours")
    index = WhitelistsAll(devpi.info.url, devpi.info.login, Store(tmp_path), administrator=devpi.info.administrator)
    index.publish(checked_wheel(f"{name}-1.0-{TAGS}.whl", upstream=None))
    assert f"{name}-99.0.tar.gz" in [file.filename for file in index.files(name)]


def test_devpi_is_asked_once_for_a_page(devpi: Any, name: NormalizedName, tmp_path: Path) -> None:
    """A page is remembered until it is forgotten."""
    index = devpi.open(tmp_path)
    assert () == index.files(name)
    devpi.open(tmp_path).publish(checked_wheel(f"{name}-1.0-{TAGS}.whl"))
    assert () == index.files(name)
    index.forget(name)
    assert 1 == len(index.files(name))


def test_devpi_is_usable(devpi: Any, tmp_path: Path) -> None:
    """The embedded server passes every check that a user's own devpi must pass."""
    devpi.open(tmp_path).ensure_index()


def test_devpi_refuses_a_wrong_password(devpi: Any, tmp_path: Path) -> None:
    """A wrong password is told as such, and appears nowhere."""
    login = Login("mirror", lambda: "not-the-password")
    index = DevpiIndex(devpi.info.url, login, Store(tmp_path))
    with pytest.raises(UnusableError) as caught:
        index.ensure_index()
    assert "index-login" == caught.value.code
    told = repr(caught.value) + caught.value.what + caught.value.hint + "".join(caught.value.details) + repr(login)
    assert "not-the-password" not in told


def test_devpi_says_how_to_make_a_missing_index(devpi: Any, tmp_path: Path) -> None:
    """An index that is not there is told with the command that makes it."""
    index = DevpiIndex(devpi.info.url.replace("/alpine", "/other"), devpi.info.login, Store(tmp_path))
    with pytest.raises(UnusableError) as caught:
        index.ensure_index()
    assert ("index-missing", True) == (
        caught.value.code,
        "devpi index -c mirror/other bases=root/pypi volatile=False" in caught.value.hint,
    )


@pytest.mark.parametrize(
    ("stage", "code"),
    [("root/pypi", "index-mirror"), ("root/foreign", "index-forbidden"), ("root/loose", "index-volatile")],
)
def test_devpi_checks_the_index(devpi: Any, tmp_path: Path, stage: str, code: str) -> None:
    """An index that we cannot or should not publish to is told before anything is built."""
    for other, settings in {"foreign": {"volatile": False}, "loose": {"volatile": True}}.items():
        root = DevpiIndex(f"{devpi.info.url_at('127.0.0.1')}", devpi.info.administrator, Store(tmp_path))
        url = devpi.info.url.replace("mirror/alpine", f"root/{other}")
        answer = root._client.send("PUT", url, json={"type": "stage", "bases": ["root/pypi"], **settings})
        assert answer.status in (200, 409)
    url = devpi.info.url.replace("mirror/alpine", stage)
    assert code == code_of(DevpiIndex(url, devpi.info.login, Store(tmp_path)).ensure_index)


def test_an_upstream_is_no_devpi(devpi: Any, tmp_path: Path) -> None:
    """Another kind of index is told apart."""
    url = devpi.upstream.url.replace("/simple/", "/user/index")
    assert "index-not-devpi" == code_of(DevpiIndex(url, None, Store(tmp_path)).ensure_index)


def test_nobody_answers(tmp_path: Path) -> None:
    """An index that is not there at all is told with its address."""
    index = DevpiIndex("http://127.0.0.1:9/user/index", None, Store(tmp_path))
    assert "index-unreachable" == code_of(index.ensure_index)


@pytest.mark.parametrize("url", ["ftp://x/u/i", "http://x", "http://x/one", "http://me:pw@x/u/i", "http://x/u/i?a=b"])
def test_refuses_urls_that_are_no_index(tmp_path: Path, url: str) -> None:
    """An index URL names user and index, and holds no secret."""
    assert "bad-index-url" == code_of(lambda: DevpiIndex(url, None, Store(tmp_path)))


def test_publishing_without_a_login_is_refused(devpi: Any, name: NormalizedName, tmp_path: Path) -> None:
    """Who may not upload learns so, and nothing is there afterwards."""
    index = DevpiIndex(devpi.info.url, None, Store(tmp_path))
    assert "index-forbidden" == code_of(lambda: index.publish(checked_wheel(f"{name}-1.0-{TAGS}.whl")))
    assert () == index.files(name)


def test_the_names_of_all_projects_are_never_asked_for(devpi: Any, name: NormalizedName, tmp_path: Path) -> None:
    """Not even for a project that upstream lacks: PyPI has 900,000 names."""
    devpi.open(tmp_path).files(name)
    assert f"/simple/{name}/" in devpi.upstream.asked
    assert "/simple/" not in devpi.upstream.asked


def test_upstream_may_have_the_same_file_name(devpi: Any, name: NormalizedName, tmp_path: Path) -> None:
    """A file of upstream's is not mistaken for the one that was published: ours shows in its place."""
    wheel = checked_wheel(f"{name}-1.0-{TAGS}.whl")
    devpi.upstream.add(name, wheel.filename, b"upstream's")
    index = devpi.open(tmp_path)
    assert [(wheel.filename, sha256(b"upstream's"))] == listed(index.files(name))
    index.publish(wheel)
    assert [(wheel.filename, wheel.sha256)] == listed(index.files(name))


def test_devpi_that_cannot_ask_upstream_is_told(tmp_path: Path, name: NormalizedName) -> None:
    """devpi's other trap: with upstream out of reach a stage shows no project, or ours alone, as if that were all."""
    upstream = Upstream()
    upstream.start()
    upstream.add("seen", "seen-1.0.tar.gz", b"an sdist")
    server = EmbeddedServer(tmp_path / "devpi", free_port(), upstream=upstream.url)
    try:
        devpi = Devpi(server.ensure_running(lambda _: None), upstream)
        devpi.open(tmp_path).files(canonicalize_name("seen"))
        upstream.stop()
        index = devpi.open(tmp_path, Recovery(patience=Patience(total_s=0.5)))
        wheel = checked_wheel(f"{name}-1.0-{TAGS}.whl")
        assert wheel.sha256 == index.publish(wheel).sha256
        for unknown in (name, canonicalize_name("never-seen")):
            assert "upstream-unreachable" == code_of(lambda: index.files(unknown))  # noqa: B023 - called at once
        assert ["seen-1.0.tar.gz"] == [file.filename for file in index.files(canonicalize_name("seen"))]
    finally:
        server.stop()
