"""The Alpine images: `python:X.Y-alpineX.Y` from a registry as base, and the builder made of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import docker
from docker.errors import APIError, ImageNotFound

from mirror import resources
from mirror.adapters.images.engine import BuildRequest, build_image, built_for, image_id, last_reason, probe
from mirror.adapters.images.model import ImagePair, ImageSettings, labels
from mirror.adapters.images.steps import digest
from mirror.core.errors import BadInputError, UnusableError
from mirror.core.model import Base


@dataclass(frozen=True, slots=True, kw_only=True)
class Alpine:
    """Pulls, makes and finds the Alpine images of some settings."""

    client: docker.DockerClient
    settings: ImageSettings
    say: Callable[[str], None]

    @property
    def base_name(self) -> str:
        """The base image's name, as a user writes it after FROM."""
        prefix = f"{self.settings.registry.rstrip('/')}/" if self.settings.registry else ""
        return f"{prefix}python:{self.settings.python}-alpine{self.settings.alpine}"

    def base_stands(self) -> bool:
        """Whether the engine holds the base image."""
        return image_id(self.client, self.base_name) is not None

    def standing(self) -> ImagePair | None:
        """The images of these settings, if both stand; starts and pulls nothing."""
        base = image_id(self.client, self.base_name)
        return built_for(self.client, Base.ALPINE, self._inputs(base), self.base_name) if base else None

    def pull(self) -> str | None:
        """Pull the base image; the reason in a few words where that fails."""
        self.say(f"alpine: pulling {self.base_name}")
        try:
            self.client.images.pull(self.base_name)
        except (ImageNotFound, APIError) as error:
            return last_reason(error)
        return None

    def make(self) -> ImagePair:
        """Pull the base image where that is wanted, and build the builder image. Raises UnusableError."""
        why_not = self.pull() if self.settings.fresh or not self.base_stands() else None
        base = image_id(self.client, self.base_name)
        if base is None:
            raise UnusableError(
                "pull-failed",
                f"{self.base_name} cannot be pulled ({why_not or 'it is gone again'})",
                hint="see the registry setting, or docker pull it by hand; --base bootstrap needs no registry",
            )
        if why_not:
            self.say(f"alpine: taking the {self.base_name} that is here; it cannot be pulled ({why_not})")
        if not self.settings.fresh and (pair := self.standing()):
            return pair  # the builder of the image that has just been pulled
        return self._make_builder(base)

    def _make_builder(self, base: str) -> ImagePair:
        target = probe(self.client, base)
        inputs = self._inputs(base)
        name = f"mirror/builder:alpine-{self.settings.python}-{self.settings.alpine}-{inputs[:12]}"
        request = BuildRequest(
            name=name,
            labels=labels("builder", Base.ALPINE, inputs, request=inputs, base=base, target=target),
            files=self._context(),
            log=self.settings.log_of(name),
            arguments={"BASE": self.base_name},
            proxy=self.settings.proxy,
            fresh=self.settings.fresh,
        )
        self.say(f"alpine: building {name}")
        builder = build_image(self.client, request)
        return ImagePair(base=base, builder=builder, kind=Base.ALPINE, base_name=self.base_name, target=target)

    def _inputs(self, base: str) -> str:
        """The digest of everything that goes into the builder image."""
        context = self._context()
        named = (part for name in sorted(context) for part in (name.encode(), context[name]))
        return digest(base.encode(), *named)

    def _context(self) -> dict[str, bytes]:
        """The Dockerfile's neighbours: the folder site/ holds what this site's settings add, often nothing."""
        folder = resources.builders() / "alpine"
        files = {name: (folder / name).read_bytes() for name in ("Dockerfile", "packages.txt", "install-packages.sh")}
        files["tools.txt"] = (resources.builders() / "tools.txt").read_bytes()
        return files | site_files(self.settings)


def site_files(settings: ImageSettings) -> dict[str, bytes]:
    """The folder site/ of a build context: what a site's settings add, often nothing. Raises BadInputError."""
    files = {"site/README": b"What the settings of this site add to the build of the image.\n"}
    if settings.ca_bundle:
        files["site/ca-bundle.pem"] = _read(settings.ca_bundle, "ca-bundle")
    if settings.apk_repositories:
        files["site/repositories"] = "".join(f"{line}\n" for line in settings.apk_repositories).encode()
    if settings.apk_keys:
        keys = sorted(path for path in settings.apk_keys.glob("*.pub") if path.is_file())
        if not keys:
            raise BadInputError(
                "apk-keys-missing",
                f"there is no signing key (*.pub) in {settings.apk_keys}",
                hint="the apk-keys setting names a folder with the public keys of the Alpine package mirror",
            )
        files |= {f"site/keys/{path.name}": _read(path, "apk-keys") for path in keys}
    return files


def _read(path: Path, setting: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadInputError(
            f"{setting}-missing",
            f"{path} cannot be read: {error.strerror}",
            hint=f"the {setting} setting names it",
        ) from error
