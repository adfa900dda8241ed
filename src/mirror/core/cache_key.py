"""What a compile comes to is a function of this: its failure need not be tried again, its wheel not be made again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping

from mirror.core.model import IndexFile, Job

RULES = 1
"""To be raised when, by our doing, the same compile may come to something else."""


def cache_key(job: Job, *, builder_image: str, wheels: Iterable[IndexFile], limits: Mapping[str, int]) -> str:
    """A SHA-256 in hexadecimal over sdist, target, recipe, builder image, build requirements and limits.

    `wheels` are the build requirements. `limits` are what the sandbox may use: who was given more may get further.
    """
    recipe = job.recipe
    depends_on = {
        "rules": RULES,
        "sdist": job.sdist.sha256,
        "target": str(job.target),
        "recipe": [
            sorted(recipe.system_packages),
            sorted(recipe.environment.items()),
            sorted(recipe.config_settings.items()),
            sorted(recipe.oddities),
            recipe.timeout_s,
        ],
        "builder": builder_image,
        "requires": sorted((wheel.filename, wheel.sha256) for wheel in wheels),
        "limits": sorted(limits.items()),
    }
    return hashlib.sha256(json.dumps(depends_on).encode()).hexdigest()


def claim_key(job: Job) -> str:
    """What two runs must not compile at the same time, as 40 hexadecimal digits: a release for a target.

    From whatever sdists: each takes a file name that the other must see.
    """
    return hashlib.sha256(f"{job.key} {job.target}".encode()).hexdigest()[:40]
