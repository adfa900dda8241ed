"""What a wheel says of the upstream that its sdist came from: it goes wherever the wheel goes."""

from __future__ import annotations

import pytest

from mirror.adapters.devpi.layout import further_title
from mirror.adapters.devpi.upstream import upstream_name


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"mirror_url": "https://up.test/simple/"}, "https://up.test/simple/"),
        ({"mirror_url": "https://me:canary@up.test:8443/simple/?token=canary#canary"}, "https://up.test:8443/simple/"),
        ({"mirror_url": "https://up.test/canary/", "title": further_title("corp")}, "corp"),
        ({"mirror_url": "https://up.test/simple/", "title": further_title("other")}, "https://up.test/simple/"),
        ({}, "root/corp"),
    ],
    ids=["an address", "with credentials", "a further upstream", "a title of somebody else's", "one that says nothing"],
)
def test_an_upstream_is_named_without_what_may_be_secret(settings: dict[str, str], name: str) -> None:
    """No user, password or query; of a further upstream, whose address may hold a token, the name alone."""
    assert name == upstream_name("root/corp", settings)
