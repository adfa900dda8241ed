"""What a program that outlives us learns of whoever started it."""

from __future__ import annotations

from mirror.adapters.environment import passed_on


def test_what_it_needs_and_nothing_else() -> None:
    """Names are known, not kinds: a secret may be called anything."""
    needed = {"PATH": "/bin", "HOME": "/home/me", "LC_ALL": "C", "TZ": "UTC", "https_proxy": "http://me:x@proxy"}
    secret = {"AWS_SECRET_ACCESS_KEY": "x", "MIRROR_PASSWORD": "x", "LC": "x", "DOCKER_AUTH_CONFIG": "x", "Path": "x"}
    assert needed == passed_on({**needed, **secret})
