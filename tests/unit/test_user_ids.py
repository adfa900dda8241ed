"""User ids for sandboxes: drawn from a range, never one that is known to be somebody's."""

from __future__ import annotations

import pytest

from mirror.adapters.sandbox import user_ids
from mirror.core.errors import UnusableError


def test_an_id_that_is_free() -> None:
    """Of all but one, that one is found, or none at all; never one that is refused."""
    everything = range(user_ids.FIRST, user_ids.LAST + 1)
    free = set(everything) - {user_ids.draw(()) for _ in range(50)}
    assert {user_ids.draw(set(everything) - free) for _ in range(50)} <= free


def test_no_id_is_free() -> None:
    """Then no sandbox is started, and the error says so."""
    with pytest.raises(UnusableError) as caught:
        user_ids.draw(range(user_ids.FIRST, user_ids.LAST + 1))
    assert "no-user-id" == caught.value.code


def test_the_range() -> None:
    """Neither root nor compose's services, and nothing that an engine with user namespaces cannot map."""
    assert 10_001 < user_ids.FIRST < user_ids.LAST < 60_001
