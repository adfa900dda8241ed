"""The images of ours that the engine holds, and the removal of those that nothing needs."""

from __future__ import annotations

from collections.abc import Iterable

import docker
from docker.errors import APIError, ImageNotFound

from mirror.adapters.images import model
from mirror.core.unused_images import HeldImage

_OURS = "mirror/"
"""What the names of our images begin with. Whatever somebody has built on top of one inherits its labels alone."""


def held_images(client: docker.DockerClient) -> tuple[HeldImage, ...]:
    """Every image of ours: with a name of ours, or without any."""
    used = {container["ImageID"] for container in client.api.containers(all=True)}
    found = []
    for summary in client.api.images(filters={"label": model.ROLE}):
        names = tuple(name for name in summary["RepoTags"] or () if name != "<none>:<none>")
        if all(name.startswith(_OURS) for name in names):
            found.append(_held(summary["Id"], names, summary["Labels"], summary["Created"], summary["Id"] in used))
    return tuple(found)


def remove_images(
    client: docker.DockerClient, images: Iterable[HeldImage]
) -> tuple[tuple[HeldImage, ...], tuple[str, ...]]:
    """Remove images; those that went, and what the engine said of each other one."""
    removed, refused = [], []
    for image in images:
        try:
            for name in image.names or (image.id,):
                client.images.remove(name)
        except ImageNotFound:
            removed.append(image)  # with one that stood on it
        except APIError as error:
            refused.append(f"{label_of(image)}: {error.explanation or error}")
        else:
            removed.append(image)
    return tuple(removed), tuple(refused)


def label_of(image: HeldImage) -> str:
    """How a person is told of an image."""
    return ", ".join(image.names) or f"{image.id.removeprefix('sha256:')[:12]} ({image.role}, without a name)"


def _held(image: str, names: tuple[str, ...], labels: dict[str, str], created_s: float, is_in_use: bool) -> HeldImage:
    series = (model.KIND, model.PYTHON, model.ALPINE_RELEASE, model.ARCHITECTURE)
    return HeldImage(
        id=image,
        names=names,
        role=labels[model.ROLE],
        series=tuple(labels.get(label, "") for label in series),
        builder=labels.get(model.BUILDER, ""),
        base=labels.get(model.BASE, ""),
        created_s=created_s,
        is_in_use=is_in_use,
    )
