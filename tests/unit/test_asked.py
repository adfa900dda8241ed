"""Which packages of a lock something asks for, by metadata alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from fakes.house import pin
from fakes.outcomes import TARGET
from mirror.core.asked import MOST_LINES, Untold, asked_for, named_by, requires_dist, static_requires_dist
from mirror.core.errors import MirrorError
from mirror.core.lock import Pin

Told = Mapping[str, Sequence[str] | Untold]


def asked(pins: Sequence[str], requirements: Sequence[str], told: Told, constraints: Sequence[str] = ()) -> list[str]:
    """What of `pins` is asked for where releases say what `told` has of them, and no other asks for anything."""

    def tell(found: Pin) -> Sequence[str] | Untold:
        return told.get(found[0], ())

    found = asked_for(map(pin, pins), requirements, constraints, TARGET, tell)
    return [f"{name} {version}" for name, version in found]


@pytest.mark.parametrize(
    ("requirements", "told", "expected"),
    [
        pytest.param(["a"], {}, ["a 1"], id="what the user asks for"),
        pytest.param(["", "b"], {}, ["b 1"], id="no name"),
        pytest.param(["a"], {"a": ["B"], "b": ["c>=1"]}, ["a 1", "b 1", "c 1"], id="what that asks for"),
        pytest.param(["a"], {"a": ["b"], "b": ["a"]}, ["a 1", "b 1"], id="in a circle"),
        pytest.param(["a"], {"b": ["c"]}, ["a 1"], id="not what nobody asks for wants"),
        pytest.param(["a>1"], {}, [], id="not another version than was asked for"),
        pytest.param(["a"], {"a": ["b<1"]}, ["a 1"], id="not another version than a package asks for"),
        pytest.param(["a"], {"a": ["b==1.*; python_version < '3.8'"]}, ["a 1"], id="not for another Python"),
        pytest.param(["a"], {"a": ["b; sys_platform == 'win32'"]}, ["a 1"], id="not on another platform"),
        pytest.param(["a; os_name == 'nt'"], {}, [], id="not where the user's marker is false"),
        pytest.param(["a"], {"a": ["b; python_full_version >= '3.11.2'"]}, ["a 1", "b 1"], id="some patch release"),
        pytest.param(["a"], {"a": ["b; platform_release < '5'"]}, ["a 1", "b 1"], id="a kernel that nobody knows"),
        pytest.param(["a"], {"a": ["b; sys_platform ~= '1'"]}, ["a 1", "b 1"], id="a marker without an answer"),
        pytest.param(["a"], {"a": ["b; extra == 'x'"]}, ["a 1"], id="not of an extra that nobody asks for"),
        pytest.param(["a[x]"], {"a": ["b; extra == 'x'"]}, ["a 1", "b 1"], id="an extra"),
        pytest.param(["a[X_y]"], {"a": ["b; extra == 'x-y'"]}, ["a 1", "b 1"], id="an extra, written otherwise"),
        pytest.param(
            ["a"],
            {"a": ["c", "b"], "b": ["c[x]"], "c": ["d; extra == 'x'"]},
            ["a 1", "b 1", "c 1", "d 1"],
            id="an extra that is asked for later",
        ),
        pytest.param(
            ["a[all]"],
            {"a": ["a[x]; extra == 'all'", "b; extra == 'x'"]},
            ["a 1", "b 1"],
            id="an extra of extras",
        ),
        pytest.param(["a"], {"a": ["b (>=2.0.*)", "c >=0.*,", "="]}, ["a 1", "b 1", "c 1"], id="no specifiers"),
        pytest.param(["a"], {"a": ["b @ https://x.test/b.whl"]}, ["a 1", "b 1"], id="an address"),
        pytest.param(["a", "b"], {"b": Untold.UNREAD}, ["a 1"], id="not what nobody has read"),
        pytest.param(
            ["a"], {"a": Untold.BY_ITS_CODE, "c": Untold.UNREAD}, ["a 1", "b 1", "d 1"], id="what only code can tell of"
        ),
        pytest.param(["a"], {"b": Untold.BY_ITS_CODE}, ["a 1"], id="whose code nobody asked for"),
    ],
)
def test_what_is_asked_for(requirements: Sequence[str], told: Told, expected: list[str]) -> None:
    """On the target, with the extras that were asked for, in the version that was asked for."""
    assert expected == asked(["a 1", "b 1", "c 1", "d 1"], requirements, told)


def test_a_constraint() -> None:
    """What the user constrains is in the lock as constrained, or not at all; a constraint asks for nothing."""
    assert ["a 1"] == asked(["a 1", "b 1", "c 1"], ["a", "b"], {}, ["b<1", "c", "a==1"])


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({}, ["a 1"]),
        ({"a": ["B>9; extra == 'x' and sys_platform == 'win32'"], "b": ["c", "=", "e"]}, ["a 1", "b 1", "c 1"]),
        ({"a": ["b", "a[x]"], "b": ["a", "d @ https://x.test/d.whl"]}, ["a 1", "b 1", "d 1"]),
        ({"a": ["b"], "b": Untold.BY_ITS_CODE}, ["a 1", "b 1"]),
        ({"a": Untold.UNREAD}, ["a 1"]),
    ],
    ids=["nothing", "whatever the marker", "in a circle", "only code tells", "nobody has read it"],
)
def test_what_a_package_may_need(told: Told, expected: list[str]) -> None:
    """Of the lock, all that its metadata names and theirs, whenever that may be."""
    pins = [*map(pin, ["a 1", "b 1", "c 1", "d 1"])]
    found = named_by(pins[0], pins, lambda found: told.get(found[0], ()))
    assert expected == [f"{name} {version}" for name, version in found]


def test_metadata_without_end() -> None:
    """What is read is bounded: the lines that name nothing in the lock cost little, the others are counted."""
    others = [f"x-{n}" for n in range(MOST_LINES + 1)]
    assert ["a 1", "b 1"] == asked(["a 1", "b 1"], ["a"], {"a": [*others, "b"]})
    with pytest.raises(MirrorError) as caught:
        asked(["a 1", "b 1"], ["a"], {"a": ["b"] * (MOST_LINES + 1)})
    assert "bad-lock" == caught.value.code


def test_requires_dist() -> None:
    """The headers alone, whatever a description says."""
    text = b"Metadata-Version: 2.1\nName: a\nRequires-Dist: b>=1\nRequires-Dist: c\n\nRequires-Dist: d\n"
    assert ("b>=1", "c") == requires_dist(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"Metadata-Version: 2.2\nRequires-Dist: b\n", ("b",)),
        (b"Metadata-Version: 2.10\nDynamic: Version\n", ()),
        (b"Metadata-Version: 2.2\nDynamic: requires-DIST\nRequires-Dist: b\n", Untold.BY_ITS_CODE),
        (b"Metadata-Version: 2.1\nRequires-Dist: b\n", Untold.BY_ITS_CODE),
        (b"Metadata-Version: x\n", Untold.BY_ITS_CODE),
        (b"", Untold.BY_ITS_CODE),
    ],
)
def test_an_sdist_s_metadata(text: bytes, expected: object) -> None:
    """It binds from version 2.2 on, where the field is not dynamic (PEP 643)."""
    assert expected == static_requires_dist(text)
