"""What tests of every kind share: the engine, and the images that `mirror up` has made stand."""

from __future__ import annotations

from collections.abc import Iterator

import docker
import pytest

from mirror.adapters.images.model import KIND, ROLE
from mirror.core.model import Base


@pytest.fixture(scope="session")
def engine() -> Iterator[docker.DockerClient]:
    """The Docker engine of this machine."""
    client = docker.from_env()
    yield client
    client.close()


@pytest.fixture(scope="session")
def builder_image(engine: docker.DockerClient) -> str:
    """The id of the newest builder image."""
    return _image(engine, "builder")


@pytest.fixture(scope="session")
def base_image(engine: docker.DockerClient) -> str:
    """The id of the newest base image of our own, or of the image the builder image was made of."""
    return _image(engine, "base")


def _image(engine: docker.DockerClient, role: str) -> str:
    # The bootstrap first: on a machine without Docker Hub an Alpine image is a test's stand-in.
    found = sorted(
        engine.images.list(filters={"label": f"{ROLE}={role}"}),
        key=lambda image: (image.labels.get(KIND) == Base.BOOTSTRAP.value, image.attrs["Created"]),
    )
    if not found:
        pytest.fail(f"there is no {role} image on this engine: run `mirror up` first", pytrace=False)
    return str(found[-1].id)
