"""The base image of the team's proxy where there is no registry: the bootstrap's base image, and nginx."""

from __future__ import annotations

from dataclasses import dataclass

from mirror.adapters.images.bootstrap import HOST_CA_BUNDLE, Bootstrap, steps
from mirror.adapters.images.engine import BuildRequest, build_image, image_id
from mirror.adapters.images.model import INPUTS, labels
from mirror.adapters.images.steps import Step, digest
from mirror.core.model import Base

NAME = "mirror/nginx:bootstrap"
_NEEDS = ("kernel-headers", "openssl", "zlib")
STEPS = (
    Step(name="pcre2", reads=("sources/pcre2_*",)),
    Step(name="nginx", needs=(*_NEEDS, "pcre2"), reads=("sources/nginx_*",)),
)
_DOCKERFILE = b"ARG BASE\nFROM ${BASE}\nADD nginx.tar /\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class NginxBase:
    """Makes that image from the parts that the bootstrap has made already."""

    bootstrap: Bootstrap
    base: str
    """The id of the bootstrap's base image."""

    def make(self) -> str:
        """Its name; made unless it stands. Raises UnusableError."""
        bootstrap = self.bootstrap
        with bootstrap.opened() as workshop:
            libraries = [step for step in steps(HOST_CA_BUNDLE) if step.name in _NEEDS]
            known = bootstrap.run(workshop, libraries, bootstrap.fetch(workshop))
            fetched = bootstrap.fetch(workshop, "fetch-nginx.sh", ("nginx-sources.txt",))
            keys = bootstrap.run(workshop, STEPS, fetched, known)
            inputs = digest(self.base.encode(), keys["nginx"].encode(), _DOCKERFILE)
            if not self._stands(inputs):
                result = workshop.result("nginx", keys["nginx"])
                request = BuildRequest(
                    name=NAME,
                    labels=labels("proxy-base", Base.BOOTSTRAP, inputs),
                    files={"Dockerfile": _DOCKERFILE, "nginx.tar": result / "nginx.tar"},
                    log=bootstrap.settings.log_of(NAME),
                    arguments={"BASE": self.base},
                )
                bootstrap.say(f"bootstrap: building {NAME}")
                build_image(bootstrap.client, request)
        return NAME

    def _stands(self, inputs: str) -> bool:
        client = self.bootstrap.client
        found = image_id(client, NAME)
        return found is not None and client.images.get(found).labels.get(INPUTS) == inputs
