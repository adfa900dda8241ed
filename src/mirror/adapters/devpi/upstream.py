"""Whether a devpi stage says all it should: it hides that its upstream cannot be reached.

A mirror answers 502 then, but a stage on top of it answers as if the mirror had no such project: 404, or our own files
alone. Taken at its word, a resolver would choose an old version or none.
"""

from __future__ import annotations

from functools import cached_property

from packaging.utils import NormalizedName

from mirror.adapters.devpi import simple_page
from mirror.adapters.devpi.http import DevpiClient
from mirror.core.errors import UnusableError


class Upstreams:
    """The mirrors that a stage ("user/index") stands on."""

    def __init__(self, client: DevpiClient, stage: str) -> None:
        self._client = client
        self._stage = stage

    def check(self, name: NormalizedName) -> None:
        """See that each mirror knows what upstream has of a project. Raises UnusableError (`upstream-unreachable`)."""
        for mirror in self._mirrors:
            url = f"{self._client.root}/{mirror}/+simple/{name}/"
            answer = self._client.get(url, accept=simple_page.ACCEPT)
            if answer.status >= 500:
                raise UnusableError(
                    "upstream-unreachable",
                    f"the index cannot reach the upstream of {mirror} (HTTP {answer.status} for {name})",
                    hint="check the network, proxy and CA bundle where the index runs; its log says more",
                )

    @cached_property
    def _mirrors(self) -> tuple[str, ...]:
        """Those whose settings we may read, at any depth."""
        waiting, seen, mirrors = [self._stage], set[str](), []
        while waiting:
            stage = waiting.pop()
            if stage in seen:
                continue
            seen.add(stage)
            # no_projects: a mirror would fetch the names of everything upstream has.
            settings = self._client.get(f"{self._client.root}/{stage}?no_projects=").result() or {}
            if settings.get("type") == "mirror":
                mirrors.append(stage)
            waiting += [str(base) for base in settings.get("bases") or ()]
        return tuple(mirrors)
