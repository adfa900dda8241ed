"""A target's tags and what is preferred among wheels."""

from __future__ import annotations

import pytest

from mirror.core.model import IndexFile, Target
from mirror.core.target import best_wheel, tags, usable

TARGET = Target(python="3.11", musl=(1, 2), architecture="x86_64")


def test_the_best_tags_are_in_pips_order() -> None:
    """The newest musl first, then the older ones, then plain linux; CPython's own ABI before the stable one."""
    assert [
        "cp311-cp311-musllinux_1_2_x86_64",
        "cp311-cp311-musllinux_1_1_x86_64",
        "cp311-cp311-musllinux_1_0_x86_64",
        "cp311-cp311-linux_x86_64",
        "cp311-abi3-musllinux_1_2_x86_64",
    ] == [str(tag) for tag in tags(TARGET)[:5]]


@pytest.mark.parametrize(
    ("expected", "filename"),
    [
        (True, "a-1-cp311-cp311-musllinux_1_2_x86_64.whl"),
        (True, "a-1-cp311-cp311-musllinux_1_1_x86_64.whl"),
        (True, "a-1-cp37-abi3-musllinux_1_2_x86_64.whl"),
        (True, "a-1-py3-none-musllinux_1_2_x86_64.whl"),
        (True, "a-1-py2.py3-none-any.whl"),
        (True, "a-1-cp311-none-any.whl"),
        (False, "a-1-cp311-cp311-musllinux_1_3_x86_64.whl"),
        (False, "a-1-cp311-cp311-musllinux_1_2_aarch64.whl"),
        (False, "a-1-cp311-cp311-manylinux_2_17_x86_64.whl"),
        (False, "a-1-cp312-cp312-musllinux_1_2_x86_64.whl"),
        (False, "a-1-cp312-abi3-musllinux_1_2_x86_64.whl"),
        (False, "a-1-py2-none-any.whl"),
        (False, "a-1.tar.gz"),
        (False, "nonsense.whl"),
    ],
)
def test_usable_is_what_pip_would_take(expected: bool, filename: str) -> None:
    """By the file name alone."""
    assert expected is usable(filename, TARGET)


def test_the_best_wheel_is_the_one_pip_prefers() -> None:
    """The tag decides, then the build number."""

    def wheel(filename: str) -> IndexFile:
        return IndexFile(filename=filename, url="", sha256="")

    any_, abi3, own, rebuilt = (
        wheel("a-1-py3-none-any.whl"),
        wheel("a-1-cp311-abi3-musllinux_1_2_x86_64.whl"),
        wheel("a-1-cp311-cp311-musllinux_1_2_x86_64.whl"),
        wheel("a-1-2-cp311-cp311-musllinux_1_2_x86_64.whl"),
    )
    assert rebuilt == best_wheel((any_, abi3, own, rebuilt), TARGET)
    assert own == best_wheel((any_, abi3, own), TARGET)
    assert any_ == best_wheel((any_, wheel("a-1-cp312-cp312-musllinux_1_2_x86_64.whl")), TARGET)
    assert None is best_wheel((wheel("a-1-cp312-cp312-musllinux_1_2_x86_64.whl"),), TARGET)
