"""Who a run is, so that another one can tell whether it is still alive."""

from __future__ import annotations

import os
import socket
from functools import cache

from mirror.adapters.devpi.processes import identity


@cache
def this_process() -> str:
    """`host:pid:identity` of this process; no other that ever ran or will run has the same."""
    return f"{socket.gethostname()}:{os.getpid()}:{identity(os.getpid())}"


def is_dead(owner: str) -> bool:
    """Whether the process that `this_process` named so is gone for certain. Of another host's nobody can tell."""
    host, _, rest = owner.partition(":")
    pid, _, known_as = rest.partition(":")
    return host == socket.gethostname() and pid.isdecimal() and identity(int(pid)) != known_as
