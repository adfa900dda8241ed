"""What apk says where packages cannot be had: real apk of Alpine, and repositories that the test itself has signed."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import docker
import pytest

from fakes.apk_repository import SigningKey, served, write_repository
from mirror.adapters.engine import gateway_address
from mirror.adapters.images.choice import ImagePair, ImageSettings
from mirror.adapters.images.engine import BuildRequest, build_image, output_of, probe
from mirror.adapters.images.packages import PackagedBuilders
from mirror.core.errors import UnusableError
from mirror.core.model import Base, Target

pytestmark = pytest.mark.docker

ALPINE = re.compile(r"(?:.*/)?(?:alpine:3\.\d+|python:3\.\d+-alpine3\.\d+)")
ROOT = "TEST_ALPINE_ROOT"
"""The variable that names a root file system of Alpine's (alpine-minirootfs-*.tar.gz), where no image is at hand."""
KEY = SigningKey()


@pytest.fixture(scope="module")
def client() -> Iterator[docker.DockerClient]:
    """The engine of this machine."""
    engine = docker.from_env()
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def alpine(client: docker.DockerClient) -> Iterator[str]:
    """An image with real apk."""
    if root := os.environ.get(ROOT):
        repository = "mirror-test/alpine"
        client.api.import_image(root, repository=repository, tag="root")
        yield f"{repository}:root"
        client.images.remove(f"{repository}:root", force=True)
        return
    names = sorted(name for image in client.images.list() for name in image.tags if ALPINE.fullmatch(name))
    real = [name for name in names if "stand-in" not in name]
    if not real:
        pytest.skip(f"there is no image of Alpine's here: pull alpine, or name a root file system of it in {ROOT}")
    yield real[-1]


@pytest.fixture(scope="module")
def builder(client: docker.DockerClient, alpine: str) -> Iterator[str]:
    """The id of that image with the user of a builder image."""
    name = "mirror-test/apk:builder"
    dockerfile = f"FROM {alpine}\nRUN addgroup -g 10001 build && adduser -D -u 10001 -G build build\n"
    image, _ = client.images.build(fileobj=io.BytesIO(dockerfile.encode()), tag=name, rm=True)
    yield str(image.id)
    client.images.remove(name, force=True)


@pytest.fixture(scope="module")
def url(client: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A signed repository with one package."""
    folder = tmp_path_factory.mktemp("repository")
    write_repository(folder / "main", KEY, "there-dev")
    with served(folder, gateway_address(client) or "172.17.0.1") as address:
        yield address


Add = Callable[..., str]


@pytest.fixture
def add(client: docker.DockerClient, builder: str, tmp_path: Path) -> Add:
    """Add packages to a builder image that is Alpine's own; the id of the image."""
    target = Target(python="3.11", musl=(1, 2), architecture="x86_64", alpine=(3, 20))
    pair = ImagePair(base=builder, builder=builder, kind=Base.ALPINE, base_name="", target=target)
    plain = ImageSettings(
        base=Base.ALPINE, python="3.11", alpine="3.20", registry="", ca_bundle=None, cache=tmp_path / "cache"
    )

    def add_packages(*packages: str, **changes: object) -> str:
        settings = replace(plain, **changes)  # type: ignore[arg-type]
        builders = PackagedBuilders(client=client, pair=pair, settings=settings, say=lambda _: None)
        return builders.builder_with(packages, tmp_path / "log")

    return add_packages


def test_a_package_comes_from_the_sites_repository(
    client: docker.DockerClient, add: Add, url: str, tmp_path: Path
) -> None:
    """The control of all that follows: with the right address and key the package is installed."""
    image = add("there-dev", apk_repositories=(f"{url}/main",), apk_keys=KEY.write_public(tmp_path / "keys"))
    try:
        assert b"1.0-r0" == output_of(client, image, ["cat", "/usr/share/there-dev"])
    finally:
        client.images.remove(image, force=True)


def apk_says(client: docker.DockerClient, add: Callable[[], str], log: Path) -> tuple[str, str]:
    """The reason and the start of the hint of a build that fails; nothing of it stays but what it said."""
    before = {image.id for image in client.images.list(filters={"dangling": True})}
    with pytest.raises(UnusableError) as caught:
        add()
    after = {image.id for image in client.images.list(filters={"dangling": True})}
    assert set() == {image for image in after - before if _is_of_apk(client, str(image))}
    assert "image-build-failed" == caught.value.code
    said = log.read_text()
    assert "\x1b" not in said
    reason = caught.value.what.partition(" could not be built: ")[2]
    assert reason.removesuffix(" (no such package)").partition(", ")[0] in said
    assert caught.value.hint.endswith(f"; all that the build said: {log}")
    return reason, caught.value.hint.partition(":")[0]


def _is_of_apk(client: docker.DockerClient, image: str) -> bool:
    """Whether a dangling image has a layer of ours: other tests work on this engine, too."""
    return "install-packages.sh" in str(client.images.get(image).history())


def test_a_repository_that_is_down(client: docker.DockerClient, add: Add, tmp_path: Path) -> None:
    """Its address and apk's reason are told first, not that all packages are missing."""
    address = gateway_address(client) or "172.17.0.1"
    dead = f"http://{address}:1/main"
    expected = f"WARNING: fetching {dead}: could not connect to server (check repositories file)"
    hint = "look at apk-repositories in the settings, and at proxy"
    keys = KEY.write_public(tmp_path / "keys")
    assert (expected, hint) == apk_says(
        client, lambda: add("there-dev", apk_repositories=(dead,), apk_keys=keys), tmp_path / "log"
    )


def test_a_name_that_nobody_knows(client: docker.DockerClient, add: Add, tmp_path: Path) -> None:
    """So ends a run without DNS, and one whose repositories are Alpine's own where these are out of reach."""
    expected = "WARNING: fetching http://apk.invalid/main: DNS lookup error"
    hint = "look at apk-repositories in the settings, and at proxy"
    assert (expected, hint) == apk_says(
        client, lambda: add("there-dev", apk_repositories=("http://apk.invalid/main",)), tmp_path / "log"
    )


def test_an_address_with_nothing_there(client: docker.DockerClient, add: Add, url: str, tmp_path: Path) -> None:
    """A release that the package mirror has not, or an address with the architecture in it."""
    expected = f"WARNING: fetching {url}/v9: No such file or directory"
    assert (expected, "apk-repositories names what is not there") == apk_says(
        client, lambda: add("there-dev", apk_repositories=(f"{url}/v9",)), tmp_path / "log"
    )


def test_a_repository_without_trust(client: docker.DockerClient, add: Add, url: str, tmp_path: Path) -> None:
    """https where no TLS is: apk says Permission denied, and OpenSSL why."""
    secure = url.replace("http://", "https://")
    reason, hint = apk_says(client, lambda: add("there-dev", apk_repositories=(f"{secure}/main",)), tmp_path / "log")
    assert re.fullmatch(r"[0-9A-F]+:error:[0-9A-F]+:SSL routines:.*", reason)
    assert hint.startswith("ca-bundle in the settings names the certificates")


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (SigningKey(), ("BAD signature", "the key of that name in the folder of apk-keys is another one")),
        (
            SigningKey("other.rsa.pub"),
            (
                "UNTRUSTED signature",
                "put the package mirror's public key (*.pub) into a folder, and name it with apk-keys; all that the "
                "build said",
            ),
        ),
    ],
    ids=["wrong", "unknown"],
)
def test_a_wrong_key(
    client: docker.DockerClient, add: Add, url: str, tmp_path: Path, key: SigningKey, expected: tuple[str, str]
) -> None:
    """A key of the same name that is another one, and no key that has signed it."""
    keys = key.write_public(tmp_path / "keys")
    reason, hint = expected
    assert (f"WARNING: fetching {url}/main: {reason}", hint) == apk_says(
        client, lambda: add("there-dev", apk_repositories=(f"{url}/main",), apk_keys=keys), tmp_path / "log"
    )


def test_a_package_that_nobody_has(client: docker.DockerClient, add: Add, url: str, tmp_path: Path) -> None:
    """What a recipe names wrongly is named; what is there is not."""
    keys = KEY.write_public(tmp_path / "keys")
    reason, hint = apk_says(
        client,
        lambda: add("nosuch-dev", "other-dev", "there-dev", apk_repositories=(f"{url}/main",), apk_keys=keys),
        tmp_path / "log",
    )
    assert "nosuch-dev, other-dev (no such package)" == reason
    assert hint.startswith("a recipe's system-packages are names of this release of Alpine")


def test_fresh_packages_come_with_a_fresh_build(
    client: docker.DockerClient, builder: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The engine's cache has the package of the first day, whatever the repository has: the control is amidst."""
    repository = tmp_path_factory.mktemp("renewed")
    keys = KEY.write_public(tmp_path / "keys")
    found = []
    with served(repository, gateway_address(client) or "172.17.0.1") as address:
        script = (
            f"apk add --no-cache --keys-dir /keys --repository {address}/main --repositories-file /dev/null there-dev"
        )
        base = client.images.get(builder).tags[0]
        dockerfile = f"FROM {base}\nUSER root\nCOPY keys /keys\nRUN {script}\n"
        files: dict[str, bytes | Path] = {"Dockerfile": dockerfile.encode(), f"keys/{KEY.name}": keys / KEY.name}
        request = BuildRequest(name="mirror-test/apk:fresh", labels={}, files=files, log=tmp_path / "log")
        for version, fresh in (("1.0-r0", False), ("1.0-r1", False), ("1.0-r1", True)):
            write_repository(repository / "main", KEY, "there-dev", version=version)
            image = build_image(client, replace(request, fresh=fresh))
            found.append(output_of(client, image, ["cat", "/usr/share/there-dev"]).decode())
    client.images.remove(request.name, force=True)
    assert ["1.0-r0", "1.0-r0", "1.0-r1"] == found


def test_an_image_without_python_is_told_from_an_engine_that_refuses(client: docker.DockerClient) -> None:
    """Only what has no Python is said to have none."""
    name = "mirror-test/apk:empty"
    client.images.build(fileobj=io.BytesIO(b"FROM scratch\nLABEL empty=yes\n"), tag=name, rm=True)
    try:
        found = [_why_unusable(client, image) for image in (name, "mirror-test/apk:nowhere")]
    finally:
        client.images.remove(name, force=True)
    nowhere = "the engine does not run mirror-test/apk:nowhere: No such image: mirror-test/apk:nowhere"
    assert [f"base-unusable: {name} has no Python that runs", f"engine-refused: {nowhere}"] == found


def _why_unusable(client: docker.DockerClient, image: str) -> str:
    with pytest.raises(UnusableError) as caught:
        probe(client, image)
    return f"{caught.value.code}: {caught.value.what}"
