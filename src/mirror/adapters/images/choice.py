"""The base image and the builder image of some settings: found when they stand, made when they do not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import docker

from mirror.adapters.images.alpine import Alpine
from mirror.adapters.images.bootstrap import Bootstrap
from mirror.adapters.images.model import ImagePair, ImageSettings
from mirror.core.errors import UnusableError
from mirror.core.model import Base

__all__ = ["ImagePair", "ImageSettings", "ensure_images", "refresh_images", "standing_images"]


def ensure_images(
    client: docker.DockerClient,
    settings: ImageSettings,
    say: Callable[[str], None],
    ask: Callable[[str], bool],
) -> ImagePair:
    """Find or make the images of `settings`. What stands is found without starting or pulling anything.

    `say` is told each step; `ask` is asked before anything is installed on this host. Raises UnusableError.
    """
    alpine = Alpine(client=client, settings=settings, say=say)
    bootstrap = Bootstrap(client=client, settings=settings, say=say, ask=ask)
    match settings.base:
        case Base.ALPINE:
            return alpine.standing() or alpine.make()
        case Base.BOOTSTRAP:
            return bootstrap.standing() or bootstrap.make()
        case None:
            return _automatic(alpine, bootstrap, say)


def standing_images(client: docker.DockerClient, settings: ImageSettings) -> ImagePair | None:
    """The images of `settings` where they stand; makes and pulls nothing."""
    alpine = Alpine(client=client, settings=settings, say=_unheard)
    bootstrap = Bootstrap(client=client, settings=settings, say=_unheard, ask=_refuse)
    found = alpine.standing() if settings.base is not Base.BOOTSTRAP else None
    return found or (bootstrap.standing() if settings.base is not Base.ALPINE else None)


def refresh_images(
    client: docker.DockerClient,
    settings: ImageSettings,
    say: Callable[[str], None],
    ask: Callable[[str], bool],
) -> ImagePair:
    """Make the images of `settings` anew: the base as it is pulled today, the packages that there are today.

    The kind stays what it is. A base image that cannot be pulled is taken as it is here. Raises UnusableError.
    """
    standing = standing_images(client, settings)
    fresh = replace(settings, fresh=True)
    match settings.base or (standing.kind if standing else None):
        case Base.ALPINE:
            return Alpine(client=client, settings=fresh, say=say).make()
        case Base.BOOTSTRAP:
            return Bootstrap(client=client, settings=fresh, say=say, ask=ask).make()
        case None:
            return ensure_images(client, fresh, say, ask)


def _unheard(_line: str) -> None:
    """Finding what stands has nothing to say."""


def _refuse(_question: str) -> bool:
    """Nor is anybody asked."""
    return False


def _automatic(alpine: Alpine, bootstrap: Bootstrap, say: Callable[[str], None]) -> ImagePair:
    """Take Alpine's image when the engine holds it or can pull it, else the bootstrap's."""
    pair = alpine.standing()
    if pair:
        return pair
    if not alpine.base_stands():
        pair = bootstrap.standing()
        if pair:
            say(f"images: taking {pair.base_name}, which stands; --base alpine tries {alpine.base_name} again")
            return pair
        why_not = alpine.pull()
        if why_not:
            return _fall_back(bootstrap, f"{alpine.base_name} cannot be pulled ({why_not})", say)
    return alpine.make()


def _fall_back(bootstrap: Bootstrap, why: str, say: Callable[[str], None]) -> ImagePair:
    try:
        bootstrap.check_possible()
    except UnusableError as error:
        raise UnusableError(
            "no-base-image",
            f"{why}, and the images that stand in for it cannot be made either: {error.what}",
            hint=error.hint,
        ) from error
    say(f"alpine: {why}; making the bootstrap images instead")
    return bootstrap.make()
