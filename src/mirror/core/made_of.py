"""What a wheel of ours was made of: the gate writes it into the wheel, and nothing else that brings such a file passes.

It lies in dist-info, so it is in RECORD, goes wherever the wheel goes, and changes only with the wheel's own hash.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mirror.core.model import Job, Recipe

MADE_OF = "mirror.json"
"""The file in dist-info."""
LONGEST = 1 << 16
"""Bytes of it that are read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeOf:
    """The sdist that a wheel was compiled from, and how.

    `sdist` is its file name, `sha256` its hash. `upstream` is where it is listed, without credentials; None for a
    project of our own, which lies on an index of ours. `recipe` holds what acted of the recipe.
    """

    sdist: str
    sha256: str
    upstream: str | None
    target: str
    recipe: Mapping[str, Any]

    def to_bytes(self) -> bytes:
        """The same bytes for the same value."""
        said = {
            "sdist": self.sdist,
            "sha256": self.sha256,
            "upstream": self.upstream,
            "target": self.target,
            "recipe": self.recipe,
        }
        return (json.dumps(said, indent=2, sort_keys=True) + "\n").encode("ascii")


UNKNOWN = MadeOf(sdist="", sha256="", upstream=None, target="", recipe={})
"""Of a record that cannot be read: it is no sdist's."""


def made_of(job: Job, upstream: str | None) -> MadeOf:
    """What the wheel of a job is made of."""
    return MadeOf(
        sdist=job.sdist.filename,
        sha256=job.sdist.sha256,
        upstream=upstream,
        target=str(job.target),
        recipe=_acting(job.recipe),
    )


def read_made_of(content: bytes) -> MadeOf:
    """What `MadeOf.to_bytes` wrote; UNKNOWN for anything else, which anybody who may upload may have written."""
    try:
        said = json.loads(content)
        found = MadeOf(
            sdist=said["sdist"],
            sha256=said["sha256"],
            upstream=said["upstream"],
            target=said["target"],
            recipe=said["recipe"],
        )
    except (ValueError, KeyError, TypeError, RecursionError):
        return UNKNOWN
    texts = [found.sdist, found.sha256, found.target, *([] if found.upstream is None else [found.upstream])]
    return found if all(isinstance(text, str) for text in texts) and isinstance(found.recipe, dict) else UNKNOWN


def _acting(recipe: Recipe) -> dict[str, Any]:
    """What of a recipe a compile depends on, by the keys of its section; nothing for a project without one."""
    said: dict[str, Any] = {
        "system-packages": sorted(recipe.system_packages),
        "environment": dict(recipe.environment),
        "config-settings": dict(recipe.config_settings),
        "build-constraints": sorted(recipe.build_constraints),
        "oddities": sorted(recipe.oddities),
        "reasons": list(recipe.reasons),
    }
    return {key: value for key, value in said.items() if value}
