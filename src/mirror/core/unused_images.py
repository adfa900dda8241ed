"""Which of the images that we have made nothing needs any more."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldImage:
    """An image of ours on the engine.

    `role` is its label's, `series` what a newer one takes its place in: a builder's kind, Python and Alpine. `builder`
    is the id of what an image with packages was made of, `base` that of a builder's base image.
    """

    id: str
    names: tuple[str, ...]
    role: str
    series: tuple[str, ...]
    builder: str
    base: str
    created_s: float
    is_in_use: bool
    """A container stands on it."""


def unused(images: Sequence[HeldImage], current: Collection[str]) -> tuple[HeldImage, ...]:
    """Those that may go, what stands on others first; `current` are the ids that the settings of today take.

    Of each series the newest builder stays, with its base image and what recipes have added to it; so does whatever a
    container stands on.
    """
    kept = {image.id for image in images if image.id in current or image.is_in_use}
    kept |= {image.id for image in _newest(image for image in images if image.role == "builder" and image.names)}
    packaged = [image for image in images if image.role == "builder-with-packages"]
    kept |= {image.id for image in packaged if image.names and image.builder in kept}
    kept |= {image.builder for image in packaged if image.id in kept}
    kept |= {image.base for image in images if image.id in kept}
    # A base image and those of compose.yaml are found by their names: what has one is in use.
    others = {"builder", "builder-with-packages"}
    kept |= {image.id for image in images if image.role not in others and image.names}
    rank = {"builder-with-packages": 0, "builder": 1}
    gone = [image for image in images if image.id not in kept]
    return tuple(sorted(gone, key=lambda image: (rank.get(image.role, 2), image.created_s)))


def _newest(builders: Iterable[HeldImage]) -> Collection[HeldImage]:
    found: dict[tuple[str, ...], HeldImage] = {}
    for image in sorted(builders, key=lambda image: image.created_s):
        found[image.series] = image
    return found.values()
