"""A target's tags and what is preferred among wheels."""

from __future__ import annotations

import pytest

from mirror.core.model import IndexFile, Target
from mirror.core.target import best_wheel, names_no_libc, tags, usable

TARGET = Target(python="3.11", musl=(1, 2), architecture="x86_64")


def test_the_best_tags_are_in_pips_order() -> None:
    """The newest musl first, then the older ones, and no plain linux; CPython's own ABI before the stable one."""
    assert [
        "cp311-cp311-musllinux_1_2_x86_64",
        "cp311-cp311-musllinux_1_1_x86_64",
        "cp311-cp311-musllinux_1_0_x86_64",
        "cp311-abi3-musllinux_1_2_x86_64",
        "cp311-abi3-musllinux_1_1_x86_64",
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
        (False, "a-1-cp311-cp311-linux_x86_64.whl"),
        (False, "a-1-py3-none-linux_x86_64.whl"),
        (True, "a-1-cp311-cp311-linux_x86_64.musllinux_1_2_x86_64.whl"),
        (False, "a-1.tar.gz"),
        (False, "nonsense.whl"),
    ],
)
def test_usable_is_what_is_for_the_target(expected: bool, filename: str) -> None:
    """By the file name alone; a plain linux wheel says nothing of its libc, whichever place pip gives it."""
    assert expected is usable(filename, TARGET)


@pytest.mark.parametrize(
    ("expected", "filename"),
    [
        (True, "a-1-cp311-cp311-linux_x86_64.whl"),
        (True, "a-1-py3-none-linux_aarch64.whl"),
        (True, "a-1-py3-none-linux_armv6l.linux_armv7l.whl"),
        (False, "a-1-cp311-cp311-linux_x86_64.musllinux_1_2_x86_64.whl"),
        (False, "a-1-cp311-cp311-manylinux_2_17_x86_64.whl"),
        (False, "a-1-py3-none-any.whl"),
        (False, "a-1.tar.gz"),
        (False, "linux_x86_64.whl"),
    ],
)
def test_a_plain_linux_wheel_names_no_libc(expected: bool, filename: str) -> None:
    """On whatever architecture."""
    assert expected is names_no_libc(filename)


def test_a_wheel_without_a_libc_is_never_the_best() -> None:
    """Neither before a musllinux wheel of the same release, as pip 26.3 has it, nor where there is no other."""
    linux, musl = (
        IndexFile(filename=f"a-1-cp311-cp311-{platform}_x86_64.whl", url="", sha256="")
        for platform in ("linux", "musllinux_1_1")
    )
    assert musl == best_wheel((linux, musl), TARGET)
    assert musl == best_wheel((musl, linux), TARGET)
    assert None is best_wheel((linux,), TARGET)


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
