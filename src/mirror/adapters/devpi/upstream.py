"""Whether a devpi stage says all it should: it hides that its upstream cannot be reached.

A mirror answers 502 then, but a stage on top of it answers as if the mirror had no such project: 404, or our own files
alone. Taken at its word, a resolver would choose an old version or none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property, partial
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from packaging.utils import NormalizedName

from mirror.adapters.devpi import simple_page
from mirror.adapters.devpi.http import DevpiClient
from mirror.adapters.devpi.layout import further_title
from mirror.adapters.devpi.patience import PassingError
from mirror.core.errors import UnusableError

_LONGEST_S = 60.0
"""A person waits here, for pages that a resolver wants; and devpi has tried for up to 30 s itself, each time."""


class Upstreams:
    """The mirrors that a stage ("user/index") stands on."""

    def __init__(self, client: DevpiClient, stage: str) -> None:
        self._client = client
        self._stage = stage
        mine = client.waiter.patience
        # Not the index's own: an upstream that fails says nothing of the index.
        self._waiter = client.waiter.beside(replace(mine, total_s=min(mine.total_s, _LONGEST_S)))

    def check(self, name: NormalizedName) -> None:
        """See that each mirror knows what upstream has of a project; a failure that may pass is waited for.

        A 404 of upstream's is an answer: it has no such project. Raises UnusableError (`upstream-unreachable`).
        """
        for mirror in self._mirrors:
            self._client.patiently(partial(self._check_once, mirror, name), self._waiter)

    def _check_once(self, mirror: str, name: NormalizedName) -> None:
        url = f"{self._client.root}/{mirror}/+simple/{name}/"
        try:
            self._client.get_once(url, accept=simple_page.ACCEPT)
        except PassingError as failure:
            if failure.error.code == "index-unreachable":
                raise
            unreachable = UnusableError(
                "upstream-unreachable",
                f"the index cannot read {name} from the upstream of {mirror}",
                hint="check the network, proxy and CA bundle where the index runs; its log says more",
                details=(failure.error.what, *failure.error.details),
            )
            raise PassingError(unreachable, failure.retry_after_s) from failure

    def of(self, url: str) -> str | None:
        """Which upstream a file at `url` comes from, as ports.Index.upstream_of says it."""
        return next((told for mirror, told in self._mirrors.items() if url.startswith(self._folder(mirror))), None)

    def _folder(self, mirror: str) -> str:
        return f"{self._client.root}/{mirror}/"

    @cached_property
    def _mirrors(self) -> dict[str, str]:
        """Those whose settings we may read, at any depth, each with what is told of its upstream."""
        waiting, seen, mirrors = [self._stage], set[str](), dict[str, str]()
        while waiting:
            stage = waiting.pop()
            if stage in seen:
                continue
            seen.add(stage)
            # no_projects: a mirror would fetch the names of everything upstream has.
            settings = self._client.get(f"{self._client.root}/{stage}?no_projects=").result() or {}
            if settings.get("type") == "mirror":
                mirrors[stage] = upstream_name(stage, settings)
            waiting += [str(base) for base in settings.get("bases") or ()]
        return mirrors


def upstream_name(mirror: str, settings: Mapping[str, Any]) -> str:
    """The name of a further upstream of the settings; the address of any other, without what may be secret of it."""
    name = mirror.rpartition("/")[2]
    if settings.get("title") == further_title(name):
        return name
    parts = urlsplit(str(settings.get("mirror_url", "")))
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="")
    return urlunsplit(bare) or mirror
