"""What a build registers as reached, and what it costs where that fails."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from fakes.house import House, broken, compiled, native, proved, requirements
from mirror.core.retention import Reached

PURE = "django-4.1.13-py3-none-any.whl"
NUMPY, OLD_NUMPY, PANDAS = native("numpy", "1.23.5"), native("numpy", "1.23.2"), native("pandas", "1.5.3")
ASKED = requirements("pandas", "numpy", "django")
ANSWERS = {
    "pandas": ["pandas 1.5.3"],
    "numpy": ["numpy 1.23.5"],
    "django": ["django 4.1.13"],
    "setuptools": ["setuptools 65.0"],
    "numpy==1.23.2": ["numpy 1.23.2"],
}
COMPILES = {
    "compile numpy 1.23.5": compiled("numpy", "1.23.5"),
    "compile numpy 1.23.2": compiled("numpy", "1.23.2"),
    "compile pandas 1.5.3": compiled("pandas", "1.5.3"),
    "verify": proved("django 4.1.13", "numpy 1.23.5", "pandas 1.5.3"),
}


@pytest.fixture
def house(tmp_path: Path) -> House:
    """An index on which numpy and pandas are sdists alone, and pandas' build needs another numpy."""
    house = House(tmp_path)
    house.add_wheel("django", "4.1.13")
    house.add_wheel("setuptools", "65.0")
    for version in ("1.23.5", "1.23.2"):
        house.add_sdist("numpy", version, ["setuptools"])
    house.add_sdist("pandas", "1.5.3", ["setuptools", "numpy==1.23.2"])
    house.script(ANSWERS, COMPILES)
    return house


def reached(house: House) -> list[list[tuple[str, str]]]:
    """File name and what needs it, of each registered lock."""
    return [[(wheel.filename, wheel.needed_by) for wheel in lock.wheels] for lock in house.locks.all()]


def test_a_build_registers_what_it_reaches_and_what_compiling_it_took(house: House) -> None:
    """Upstream's wheels too; of the build requirements those that we had to compile."""
    assert house.pipeline().build(ASKED).succeeded
    assert [[(PURE, ""), (OLD_NUMPY, ""), (OLD_NUMPY, PANDAS), (NUMPY, ""), (PANDAS, "")]] == reached(house)
    sha256 = next(wheel.sha256 for wheel in house.index.published if wheel.filename == PANDAS)
    lock = house.locks.all()[0]
    assert Reached(filename=PANDAS, sha256=sha256) in lock.wheels
    assert (("requirements.txt",), "cp311-musllinux_1_2_x86_64") == (lock.files, lock.target)


def test_a_second_build_keeps_what_compiling_took(house: House) -> None:
    """It compiles nothing, and would not know."""
    house.pipeline().build(ASKED)
    house.pipeline().build(ASKED)
    assert [[(PURE, ""), (OLD_NUMPY, PANDAS), (NUMPY, ""), (PANDAS, "")]] == reached(house)


def test_a_later_build_reaches_what_it_reaches(house: House) -> None:
    """What is required no more is not kept for it."""
    house.pipeline().build(ASKED)
    house.script(ANSWERS, {"verify": proved("django 4.1.13")})
    assert house.pipeline().build(requirements("django")).succeeded
    assert [[(PURE, "")]] == reached(house)


def test_what_a_build_relies_on_is_registered_before_it_compiles(house: House) -> None:
    """A prune in the meantime would take away what the last build reached, or what this one reuses."""
    house.pipeline().build(requirements("django", "numpy"))
    del house.locks.history[:]
    assert house.pipeline().build(ASKED).succeeded
    first, last = house.locks.history
    assert [(PURE, ""), (NUMPY, "")] == [(wheel.filename, wheel.needed_by) for wheel in first.wheels]
    assert PANDAS in {wheel.filename for wheel in last.wheels}


def test_a_build_that_fails_takes_nothing_from_its_lock(house: House) -> None:
    """The last good one's wheels may be what runs in production."""
    house.pipeline().build(requirements("numpy"))
    house.script(ANSWERS, {"compile numpy 1.23.2": broken()})
    report = house.pipeline().build(requirements("pandas", "django"))
    assert (False, [[(PURE, ""), (NUMPY, "")]]) == (report.succeeded, reached(house))


def test_a_build_that_cannot_be_registered_says_so_and_goes_on(house: House) -> None:
    """Its wheels are published; that prune does not know of them is told."""
    house.locks.down = True
    assert house.pipeline().build(ASKED).succeeded
    told = "`mirror prune` does not know of this build, and may remove its wheels: the index does not answer"
    assert [told, told] == [step for step in house.reporter.steps if "prune" in step]


def test_empty_requirements_are_not_registered(house: House) -> None:
    """They reach nothing, and no file is known."""
    house.pipeline().build(requirements())
    assert () == house.locks.all()


def test_somebody_elses_lock_of_the_same_files_is_left(house: House) -> None:
    """It keeps too much, and the build is registered all the same."""
    house.pipeline().build(ASKED)
    there = house.locks.all()[0]
    house.locks.register(replace(there, key="f" * 40))
    house.locks.foreign = frozenset({"f" * 40})
    house.pipeline().build(ASKED)
    assert ({there.key, "f" * 40}, []) == (
        {lock.key for lock in house.locks.all()},
        [step for step in house.reporter.steps if "prune" in step],
    )
