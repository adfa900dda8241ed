"""Builder images with the system packages that a recipe asks for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import docker

from mirror import resources
from mirror.adapters.images.alpine import site_files
from mirror.adapters.images.debian import listed
from mirror.adapters.images.engine import BuildRequest, build_image, image_id
from mirror.adapters.images.model import BUILDER, ImagePair, ImageSettings, labels
from mirror.adapters.images.steps import digest
from mirror.core.errors import MirrorError
from mirror.core.model import Base


@dataclass(frozen=True, slots=True, kw_only=True)
class PackagedBuilders:
    """Implements `Builders` over one pair of images; each set of packages is made once, and found again."""

    client: docker.DockerClient
    pair: ImagePair
    settings: ImageSettings
    say: Callable[[str], None]
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def builder_with(self, packages: tuple[str, ...], log: Path) -> str:
        """The id of a builder image that has these apk packages; where it is made, `log` has what that said.

        Raises MirrorError: `no-system-packages` where this kind of image cannot have them, `image-build-failed`.
        """
        kind = "bootstrap" if self.pair.kind is Base.BOOTSTRAP else "alpine"
        file = {"bootstrap": "provides.txt", "alpine": "packages.txt"}[kind]
        wanted = sorted(set(packages) - set(listed((resources.builders() / kind / file).read_text())))
        if not wanted:
            return self.pair.builder
        if self.pair.kind is Base.BOOTSTRAP:
            raise MirrorError(
                "no-system-packages",
                f"it needs {', '.join(wanted)}, and the bootstrap images have no apk to install them with",
                hint="build with --base alpine, where Docker Hub or a registry of your own is in reach",
            )
        with self._lock:
            return self._make(wanted, log)

    def _make(self, packages: list[str], log: Path) -> str:
        folder = resources.builders() / "alpine"
        files = {
            "Dockerfile": (folder / "packages.Dockerfile").read_bytes(),
            "install-packages.sh": (folder / "install-packages.sh").read_bytes(),
            "packages.txt": "".join(f"{name}\n" for name in packages).encode(),
            **site_files(self.settings),
        }
        inputs = digest(self.pair.builder.encode(), *(part for n in sorted(files) for part in (n.encode(), files[n])))
        name = f"mirror/builder:packages-{inputs[:12]}"
        standing = image_id(self.client, name)
        if standing:
            return standing
        self.say(f"alpine: adding {', '.join(packages)} to the builder image")
        request = BuildRequest(
            name=name,
            labels=labels("builder-with-packages", Base.ALPINE, inputs) | {BUILDER: self.pair.builder},
            files=dict(files),
            log=log,
            arguments={"BUILDER": self._builder_name()},
            proxy=self.settings.proxy,
        )
        return build_image(self.client, request)

    def _builder_name(self) -> str:
        """A name of the builder image: a Dockerfile's FROM takes names, and not on every engine ids."""
        names: list[str] = self.client.images.get(self.pair.builder).tags
        return names[0] if names else self.pair.builder
