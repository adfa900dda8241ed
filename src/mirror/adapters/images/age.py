"""How old the images are: packages of a builder are grafted into wheels, with the security fixes of their day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import docker

from mirror.adapters.images.model import ImagePair


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageAges:
    """When base and builder of a pair were made (UTC); None where an image does not say. `builder_name` is its name."""

    pair: ImagePair
    builder_name: str
    base: datetime | None
    builder: datetime | None
    seen: datetime
    """When the engine was asked."""

    def is_due(self, refresh_after_s: int) -> bool:
        """Whether the builder is older than that."""
        return self.builder is not None and (self.seen - self.builder).total_seconds() > refresh_after_s

    def lines(self, refresh_after_s: int) -> tuple[str, ...]:
        """What a person is told of them."""
        hint = " (`mirror up --refresh` takes the packages of today)" if self.is_due(refresh_after_s) else ""
        return (
            f"base:    {self.pair.base_name}, made {_ago(self.base, self.seen)}",
            f"builder: {self.builder_name}, made {_ago(self.builder, self.seen)}{hint}",
        )

    def note(self, refresh_after_s: int) -> str:
        """What is said before a build where it is due, else ""."""
        if not self.is_due(refresh_after_s):
            return ""
        ago = _ago(self.builder, self.seen)
        return (
            f"the builder image for {self.pair.target} was made {ago}, and what is compiled gets "
            "the libraries of that day: `mirror up --refresh` takes those of today (refresh-after in the settings)"
        )


def ages_of(client: docker.DockerClient, pair: ImagePair) -> ImageAges:
    """Ask the engine; starts nothing."""
    builder = client.images.get(pair.builder)
    return ImageAges(
        pair=pair,
        builder_name=next(iter(builder.tags), pair.builder),
        base=made_at(str(client.images.get(pair.base).attrs.get("Created"))),
        builder=made_at(str(builder.attrs.get("Created"))),
        seen=datetime.now(UTC),
    )


def made_at(created: str) -> datetime | None:
    """An engine's date of an image; None for the years 1 and 1970 of images that are reproducible."""
    try:
        made = datetime.fromisoformat(created)
    except ValueError:
        return None
    if made.year <= 1970:
        return None
    return made if made.tzinfo else made.replace(tzinfo=UTC)


def _ago(made: datetime | None, now: datetime) -> str:
    if made is None:
        return "at a time that it does not tell"
    days = max(0, (now - made).days)
    return "less than a day ago" if days == 0 else "1 day ago" if days == 1 else f"{days} days ago"
