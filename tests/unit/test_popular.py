"""Whose a name to import is."""

from __future__ import annotations

import pytest
from packaging.utils import canonicalize_name

from mirror.core.popular import NAMES, owners


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("numpy", {"numpy"}),
        ("yaml", {"pyyaml", "yaml"}),
        ("_yaml", {"pyyaml", "-yaml"}),
        ("PIL", {"pillow", "pillow-simd", "pil"}),
        ("Crypto", {"pycryptodome", "pycrypto", "crypto"}),
        ("psycopg2", {"psycopg2", "psycopg2-binary"}),
        ("typing_extensions", {"typing-extensions"}),
        ("google", set()),
        ("pil", set()),
        ("demo", set()),
    ],
)
def test_a_name_to_import_is_its_projects(name: str, expected: set[str]) -> None:
    """As Python spells it; a namespace is nobody's, and who is named like it may have it, too."""
    assert expected == owners(name)


def test_names_are_normal() -> None:
    """Else nobody would be found by them."""
    assert sorted(NAMES) == sorted(canonicalize_name(name) for name in NAMES)
