"""The names that the other packages of a lock own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name
from packaging.version import Version

from fakes.house import House, a_wheel, compiled
from fakes.outcomes import TARGET, a_key
from mirror.core.model import Built, Failed, Job, Recipe, Reuse
from mirror.neighbours import Neighbours

YAML = canonicalize_name("pyyaml")
FILES = {
    "yaml/__init__.py": b"",
    "yaml/loader.py": b"",
    "_yaml.cpython-311-x86_64-linux-musl.so": b"",
    "single.py": b"",
    "google/cloud/__init__.py": b"",
    "tests/__init__.py": b"",
}


@pytest.fixture
def house(tmp_path: Path) -> House:
    """An index with PyYAML as a wheel."""
    house = House(tmp_path)
    filename = "pyyaml-6.0-py3-none-any.whl"
    house.index.add_upstream("pyyaml", filename, a_wheel(filename, FILES))
    return house


def neighbours(house: House) -> Neighbours:
    wheel = house.index.files(YAML)[0]
    return Neighbours(house.index, [Reuse(name=YAML, version=Version("6.0"), wheel=wheel)])


def test_a_package_owns_its_modules_and_packages(house: House) -> None:
    """Not the namespaces that it shares, nor what many install by mistake; and nothing from its own point of view."""
    names = {"pyyaml", "yaml", "-yaml", "single"}
    assert names == neighbours(house).names_beside(canonicalize_name("demo"))
    assert frozenset() == neighbours(house).names_beside(YAML)


def test_a_wheel_that_cannot_be_read_owns_nothing(house: House) -> None:
    """The clean room tells what is wrong with it; the compiled project is not to blame."""
    house.index.corrupt(house.index.files(YAML)[0], b"no longer what was promised")
    assert frozenset() == neighbours(house).names_beside(canonicalize_name("demo"))


@pytest.mark.parametrize(("beside", "expected"), [(True, "foreign-top-level"), (False, None)])
def test_a_compiled_wheel_may_not_take_a_neighbours_name(house: House, beside: bool, expected: str | None) -> None:
    """A wheel that brings `yaml` is refused beside PyYAML, and published where there is none."""
    house.add_wheel("setuptools", "65.0")
    sdist = house.add_sdist("demo", "1.0", ["setuptools"])
    job = Job(key=a_key("demo", "1.0"), sdist=sdist, target=TARGET, recipe=Recipe())
    house.script(
        {"setuptools": ["setuptools 65.0"]},
        {"compile demo 1.0": compiled("demo", "1.0", {"yaml/__init__.py": b"print('mine')\n"})},
    )
    steps = house.steps(("demo", "pyyaml"))
    steps = replace(steps, neighbours=neighbours(house)) if beside else steps
    done = steps.compile(steps.prepare(job, (), lambda _: None), {}, lambda _: None)
    assert isinstance(done, Failed if expected else Built)
    assert expected is None or (isinstance(done, Failed) and expected in done.reason)
