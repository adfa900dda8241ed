"""Why well-formed requirements cannot be met, told line by line from what the index has."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

from mirror.core.model import IndexFile, Requirements, Target
from mirror.core.requirements import parse
from mirror.core.unresolvable import explain, explain_extras, near_names
from mirror.core.upstreams import FurtherUpstream

DATA = Path(__file__).parent / "data" / "requirements"
CASES = tomllib.loads((DATA / "unresolvable.toml").read_text(encoding="utf-8"))["case"]
TARGET = Target(python="3.11")


def listed(text: str) -> IndexFile:
    """A page's file, as the cases write it."""
    filename, *more = text.split(" ", 1)
    marks = dict(mark.split(":", 1) for mark in more[0].split(" ")) if more else {}
    return IndexFile(
        filename=filename,
        url=f"http://index.test/{filename}",
        sha256="0" * 64,
        requires_python=marks.get("python"),
        yanked=(marks["yanked"].replace("_", " ") or True) if "yanked" in marks else False,
    )


def asked(text: str, constraints: str = "") -> Requirements:
    files = {"requirements.txt": text.strip("\n"), "constraints.txt": constraints}
    return parse(["requirements.txt"], ["constraints.txt"] if constraints else [], lambda path: files[path].encode())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_is_told_exactly(case: Mapping[str, Any]) -> None:
    """File, line and column, a stable code, what, and what to do."""
    pages = {canonicalize_name(name): tuple(map(listed, files)) for name, files in case["pages"].items()}
    requirements = asked(case["requirements"], case.get("constraints", ""))
    assert case["expected"] == [str(p) for p in explain(requirements, TARGET, lambda name: pages.get(name, ()))]


@pytest.mark.parametrize(
    ("text", "provided", "expected"),
    [
        ("demo[fast]", {"fast"}, None),
        ("demo[Fast_IO]", {"fast-io"}, None),
        ("demo", set(), None),
        (
            "demo[fats]",
            {"fast", "docs"},
            "requirements.txt:1:1 unknown-extra: demo 1.0 has no extra [fats] → it has docs, fast",
        ),
        (
            "demo[a,fast,b]==1.0",
            {"fast"},
            "requirements.txt:1:1 unknown-extra: demo 1.0 has no extra [a], [b] → it has fast",
        ),
        (
            "demo[a]",
            set(),
            "requirements.txt:1:1 unknown-extra: demo 1.0 has no extra [a] → it has none: remove the brackets",
        ),
    ],
)
def test_unknown_extras(text: str, provided: set[str], expected: str | None) -> None:
    """Those there are, are listed."""
    problem = explain_extras(asked(text).requirements[0], Version("1.0"), provided)
    assert expected == (str(problem) if problem else None)


def test_of_very_many_lines_none_that_is_told_can_be_left_out() -> None:
    """More than can all be tried: a set from which any other is missing would be no conflict."""
    page = [listed(f"demo-{number}.0.tar.gz") for number in range(1, 31)]
    lines = [line for number in range(1, 31) for line in (f"demo!={number}.0", f"demo>={number / 100}")]
    (problem,) = explain(asked("\n".join(lines)), TARGET, lambda name: page if name == "demo" else ())
    told = set(re.findall(r"demo[!>]=[\d.]+", problem.what))
    assert {f"demo!={number}.0" for number in range(1, 31)} == told


NAMES = ("demo", "other")
FILES = st.sampled_from(
    [
        f"{name}-{version}{kind}"
        for name in NAMES
        for version in ("0.9", "1.0", "1.5rc1", "2.0", "oops")
        for kind in (".tar.gz", "-py3-none-any.whl", "-cp311-cp311-win32.whl")
    ]
)
MARKS = st.sampled_from(["", " python:>=3.12", " python:<3", " python:~", " yanked:", " yanked:because"])
LINES = st.sampled_from(
    [f"{name}{s}" for name in NAMES for s in ("", ">=1", "<1", "==1.0", "===oops", "~=1.5", "!=2.*")]
)


@given(st.lists(LINES, max_size=5), st.lists(LINES, max_size=3), st.lists(st.tuples(FILES, MARKS), max_size=8))
def test_whatever_the_index_has(lines: list[str], constraints: list[str], page: list[tuple[str, str]]) -> None:
    """No page and no lines bring it out of its step; a problem is one line, and at a line that is asked."""
    pages = {
        canonicalize_name(name): [listed(file + mark) for file, mark in page if file.startswith(name)] for name in NAMES
    }
    requirements = asked("\n".join(lines), "\n".join(constraints))
    problems = explain(requirements, TARGET, lambda name: pages.get(name, ()))
    assert all(str(problem).isprintable() for problem in problems)
    assert {p.location for p in problems} <= {
        line.location for line in (*requirements.requirements, *requirements.constraints)
    }


def asked_of(text: str, *further: FurtherUpstream) -> set[str]:
    """The projects whose pages were asked for."""
    pages: list[str] = []

    def page(name: NormalizedName) -> tuple[IndexFile, ...]:
        pages.append(name)
        return ()

    explain(asked(text), TARGET, page, further)
    return set(pages)


def test_what_resembles_a_private_name_is_nobody_elses_business() -> None:
    """Its guesses are asked for where it belongs, and nowhere else; for any other project, everywhere."""
    corp = FurtherUpstream(name="corp", url="https://corp.test/", projects=("corp-*", "*-corp-tools"))
    guesses = {str(name) for name in near_names(canonicalize_name("corp-tools"))}
    assert {"corp-tools", *guesses} == asked_of("corp-tools")
    assert {"corp-tools", "corp-tool", "corp-tools-python", "python-corp-tools"} == asked_of("corp-tools", corp)
    assert {"crop-tools", *near_names(canonicalize_name("crop-tools"))} == asked_of("crop-tools", corp)


@given(st.from_regex(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", fullmatch=True))
def test_near_names_are_names(name: str) -> None:
    """Whatever was written, a guess is another name that an index can be asked for, and there are few."""
    own = canonicalize_name(name)
    near = near_names(own)
    assert own not in near
    assert len(near) <= 20
    assert all(guess == canonicalize_name(guess, validate=True) for guess in near)
