"""User ids of sandboxes: no two that are there at once, on one engine, have the same.

The kernel counts for each user what no limit of a container bounds: epoll watches, pages in pipes, bytes in message
queues, signals that wait, locked memory. With one id for all, one sandbox could use up the others', and the host's.
"""

from __future__ import annotations

import pwd
import random
from collections.abc import Collection

from mirror.core.errors import UnusableError

FIRST, LAST = 20_000, 59_999
"""Above people's and services' ids, below those that systemd gives out, and below 65,536: more a rootless engine, or
one with user namespaces, may not map."""
LABEL = "org.mirror.user"
"""The label of a container that has the user id in it."""
DRAWS = 100
"""How often an id is drawn that somebody has."""


def draw(refused: Collection[int]) -> int:
    """An id that nobody on this machine has, and none of `refused`. Raises UnusableError (`no-user-id`)."""
    for _ in range(DRAWS):
        user_id = random.randint(FIRST, LAST)  # noqa: S311 - it need not be secret, only another one
        if user_id not in refused and not _is_somebody(user_id):
            return user_id
    raise UnusableError(
        "no-user-id",
        f"no user id between {FIRST} and {LAST} is free for a sandbox",
        hint="look at `docker ps --all`, and at the users of this machine",
    )


def _is_somebody(user_id: int) -> bool:
    try:
        pwd.getpwuid(user_id)
    except KeyError:
        return False
    return True
