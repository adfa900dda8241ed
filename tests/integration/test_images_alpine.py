"""builders/alpine on a stand-in for Alpine: the bootstrap base and an `apk` that writes down what it is asked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import docker
import pytest
from docker.errors import ImageNotFound

from mirror.adapters.images.choice import ImagePair, ImageSettings, ensure_images, refresh_images
from mirror.adapters.images.debian import listed
from mirror.adapters.images.engine import BuildRequest, build_image, output_of
from mirror.adapters.images.leftovers import held_images, remove_images
from mirror.adapters.images.packages import PackagedBuilders
from mirror.core.errors import BadInputError, MirrorError, UnusableError
from mirror.core.model import Base, Target
from mirror.core.unused_images import unused
from mirror.resources import builders

pytestmark = pytest.mark.docker

REGISTRY = "stand-in.invalid"
STAND_IN = f"{REGISTRY}/python:3.11-alpine3.22"
HOST_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
APK = b"""#!/usr/local/bin/python3
import hashlib, json, os, pathlib, sys
arguments = sys.argv[1:]
def file(option, read):
    path = arguments[arguments.index(option) + 1] if option in arguments else ""
    return read(pathlib.Path(path)) if path else None
bundle = os.environ.get("SSL_CERT_FILE", "")
pathlib.Path("/var/apk.json").write_text(json.dumps({
    "arguments": arguments,
    "bundle": hashlib.sha256(pathlib.Path(bundle).read_bytes()).hexdigest() if bundle else None,
    "repositories": file("--repositories-file", lambda path: path.read_text()),
    "keys": file("--keys-dir", lambda path: sorted(key.name for key in path.iterdir())),
}))
"""


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[docker.DockerClient]:
    """The engine of this machine, holding the stand-in while these tests run."""
    engine = docker.from_env()
    if not engine.images.list(name="mirror/base:bootstrap-3.11"):
        pytest.skip("the stand-in is made of the bootstrap's base image, which is not here; make it with `mirror up`")
    dockerfile = "FROM mirror/base:bootstrap-3.11\nCOPY apk /sbin/apk\nRUN chmod +x /sbin/apk\nENV SSL_CERT_FILE=\n"
    files = {"Dockerfile": dockerfile.encode(), "apk": APK}
    build_image(engine, BuildRequest(name=STAND_IN, labels={}, files=files, log=tmp_path_factory.mktemp("log") / "log"))
    yield engine
    engine.images.remove(STAND_IN, force=True)
    engine.close()


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> ImageSettings:
    """Settings that name the stand-in's registry."""
    cache = tmp_path_factory.mktemp("cache")
    return ImageSettings(
        base=Base.ALPINE, python="3.11", alpine="3.22", registry=REGISTRY, ca_bundle=HOST_BUNDLE, cache=cache
    )


Make = Callable[[ImageSettings], ImagePair]


@pytest.fixture(scope="module")
def make(client: docker.DockerClient) -> Iterator[Make]:
    """Make images and remove their builder afterwards."""
    made: set[str] = set()

    def ensure(wanted: ImageSettings) -> ImagePair:
        pair = ensure_images(client, wanted, lambda _: None, lambda _: False)
        made.add(pair.builder)
        return pair

    yield ensure
    for builder in made:
        with suppress(ImageNotFound):  # a test has removed it
            client.images.remove(builder, force=True)


def asked_of_apk(client: docker.DockerClient, pair: ImagePair) -> dict[str, object]:
    """What the stand-in apk wrote down while the builder was made."""
    found: dict[str, object] = json.loads(output_of(client, pair.builder, ["cat", "/var/apk.json"]))
    return found


def test_it_asks_for_its_packages(client: docker.DockerClient, make: Make, settings: ImageSettings) -> None:
    """One `apk add` for every package of the list; without settings, from where the base image says."""
    packages = listed((builders() / "alpine" / "packages.txt").read_text())
    pair = make(settings)
    asked = asked_of_apk(client, pair)
    assert ["add", "--no-cache", *packages] == asked["arguments"]
    assert {"musl-dev", "g++", "make", "linux-headers", "pkgconf", "patchelf"} <= set(packages)


def test_the_builder_has_user_and_tools(client: docker.DockerClient, make: Make, settings: ImageSettings) -> None:
    """The build user, the tools in /opt/mirror, and nothing left of what built it."""
    pair = make(settings)
    script = """id -u; id -g; echo $HOME; ls -A /tmp
for tool in uv auditwheel patchelf; do /opt/mirror/bin/$tool --version > /dev/null && echo $tool; done
python3 -c 'import importlib.metadata as m; print(*sorted(d.name for d in m.distributions()))'"""
    output = output_of(client, pair.builder, ["sh", "-c", script]).decode()
    assert ["10001", "10001", "/home/build", "uv", "auditwheel", "patchelf", "pip"] == output.splitlines()
    assert Target(python="3.11", musl=(1, 2), architecture="x86_64") == pair.target
    assert (STAND_IN, Base.ALPINE) == (pair.base_name, pair.kind)


def test_the_ca_bundle_reaches_apk(client: docker.DockerClient, make: Make, settings: ImageSettings) -> None:
    """apk is told of the bundle of the settings while the image is built."""
    assert hashlib.sha256(HOST_BUNDLE.read_bytes()).hexdigest() == asked_of_apk(client, make(settings))["bundle"]


def test_the_ca_bundle_reaches_pip(make: Make, settings: ImageSettings, tmp_path: Path) -> None:
    """With a bundle in which no certificate is, pip trusts nobody: the settings' bundle is the one it uses."""
    bundle = tmp_path / "empty.pem"
    bundle.write_text("# nobody\n")
    with pytest.raises(UnusableError) as caught:
        make(replace(settings, ca_bundle=bundle))
    assert "image-build-failed" == caught.value.code
    assert "connection broken by 'SSLError(" in caught.value.what.splitlines()[0]
    assert caught.value.hint.startswith("ca-bundle in the settings names")


def test_repositories_and_keys_reach_apk(
    client: docker.DockerClient, make: Make, settings: ImageSettings, tmp_path: Path
) -> None:
    """apk reads the settings' repositories with the settings' keys; the finished image keeps its own."""
    (tmp_path / "company.rsa.pub").write_text("a key\n")
    repositories = ("https://alpine.invalid/v3.22/main", "https://alpine.invalid/v3.22/community")
    pair = make(replace(settings, apk_repositories=repositories, apk_keys=tmp_path))
    asked = asked_of_apk(client, pair)
    assert "https://alpine.invalid/v3.22/main\nhttps://alpine.invalid/v3.22/community\n" == asked["repositories"]
    assert ["company.rsa.pub"] == asked["keys"]
    script = "find / -xdev -name 'company*' 2> /dev/null; cat /etc/apk/repositories 2> /dev/null; true"
    assert b"" == output_of(client, pair.builder, ["sh", "-c", script])


def test_a_folder_without_keys_is_an_error(make: Make, settings: ImageSettings, tmp_path: Path) -> None:
    """A wrong apk-keys setting is told before anything is built."""
    with pytest.raises(BadInputError) as caught:
        make(replace(settings, apk_keys=tmp_path))
    assert "apk-keys-missing" == caught.value.code


def test_the_second_time_it_is_found(client: docker.DockerClient, make: Make, settings: ImageSettings) -> None:
    """The same settings find the same images, by reading alone; automatic takes them too."""
    first = make(settings)
    methods: list[str] = []
    client.api.hooks["response"].append(lambda answer, **_: methods.append(answer.request.method))
    try:
        assert [first, first] == [make(settings), make(replace(settings, base=None))]
    finally:
        client.api.hooks["response"].clear()
    assert {"GET"} == set(methods)


def test_a_refresh_makes_the_builder_anew(client: docker.DockerClient, make: Make, settings: ImageSettings) -> None:
    """Under the same name; a base image that cannot be pulled is taken as it is, and that is said."""
    first = make(settings)
    assert first == make(settings)
    said: list[str] = []
    second = refresh_images(client, settings, said.append, lambda _: False)
    try:
        assert replace(first, builder=second.builder) == second
        assert (second, []) == (make(settings), client.images.get(first.builder).tags)
        assert [f"alpine: pulling {STAND_IN}", f"alpine: taking the {STAND_IN} that is here"] == [
            line.partition(";")[0] for line in said[:2]
        ]
        gone = unused(held_images(client), {second.base, second.builder})
        mine = [image for image in gone if image.id == first.builder]
        assert (tuple(mine), ()) == remove_images(client, mine)
        assert [] == [image for image in held_images(client) if image.id == first.builder]
    finally:
        client.images.remove(second.builder, force=True)


def test_packages_of_a_recipe_are_added_once(
    client: docker.DockerClient, make: Make, settings: ImageSettings, tmp_path: Path
) -> None:
    """A derived image for what the builder lacks, found again by whoever asks for the same."""
    pair = make(settings)
    said: list[str] = []
    log = tmp_path / "log"
    builders_of = PackagedBuilders(client=client, pair=pair, settings=settings, say=said.append)
    assert pair.builder == builders_of.builder_with((), log) == builders_of.builder_with(("libffi-dev",), log)
    image = builders_of.builder_with(("geos-dev", "libffi-dev", "proj-dev"), log)
    try:
        assert ["add", "--no-cache", "geos-dev", "proj-dev"] == asked_of_apk(client, replace(pair, builder=image))[
            "arguments"
        ]
        assert b"10001" == output_of(client, image, ["id", "-u"]).strip()
        assert image == builders_of.builder_with(("proj-dev", "geos-dev"), log)
        assert ["alpine: adding geos-dev, proj-dev to the builder image"] == said
        assert log.read_text().splitlines()[0].endswith(" : ARG BUILDER")
    finally:
        client.images.remove(image, force=True)


def test_the_bootstrap_says_which_packages_it_cannot_have(
    client: docker.DockerClient, settings: ImageSettings, tmp_path: Path
) -> None:
    """There is no apk in it: what it has is taken, what it lacks is named."""
    target = Target(python="3.11", musl=(1, 2), architecture="x86_64")
    pair = ImagePair(base="base", builder="builder", kind=Base.BOOTSTRAP, base_name="base", target=target)
    builders_of = PackagedBuilders(client=client, pair=pair, settings=settings, say=lambda _: None)
    assert "builder" == builders_of.builder_with(("libffi-dev", "openssl-dev"), tmp_path / "log")
    with pytest.raises(MirrorError) as caught:
        builders_of.builder_with(("libffi-dev", "geos-dev"), tmp_path / "log")
    assert "no-system-packages" == caught.value.code
    assert "it needs geos-dev, and the bootstrap images have no apk to install them with" == caught.value.what
