"""What a wheel of ours says it was made of, and for what it is an answer."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.house import requirements
from fakes.outcomes import a_file, a_job
from mirror.core.hashes import hashes_by_project
from mirror.core.lock import is_answer
from mirror.core.made_of import UNKNOWN, MadeOf, made_of, read_made_of
from mirror.core.model import IndexFile, Recipe

RECIPE = Recipe(
    system_packages=("zlib-dev", "libffi-dev"),
    environment={"B": "2", "A": "1"},
    config_settings={"fast": "yes"},
    build_constraints=("setuptools<80",),
    oddities=("pth-file",),
    import_names=("demo",),
    timeout_s=60,
    reasons=("it needs it",),
)
SDIST = a_file("demo-1.0.tar.gz", sha256="aa" * 32)
OTHER = a_file("demo-1.0.zip", sha256="bb" * 32)
WHEEL = a_file("demo-1.0-cp311-cp311-musllinux_1_2_x86_64.whl", sha256="cc" * 32)
OURS = made_of(replace(a_job("demo", "1.0"), sdist=SDIST), "https://upstream.test/simple/")


def test_what_acted_is_said_and_nothing_else() -> None:
    """By the keys that a recipe has in its file; what only verify or the clock reads is left out."""
    assert MadeOf(
        sdist="demo-1.0.tar.gz",
        sha256="ab" * 32,
        upstream="corp",
        target="cp311-musllinux_1_2_x86_64",
        recipe={
            "system-packages": ["libffi-dev", "zlib-dev"],
            "environment": {"A": "1", "B": "2"},
            "config-settings": {"fast": "yes"},
            "build-constraints": ["setuptools<80"],
            "oddities": ["pth-file"],
            "reasons": ["it needs it"],
        },
    ) == made_of(a_job("demo", "1.0", RECIPE), "corp")
    assert {} == made_of(a_job("demo", "1.0"), None).recipe


def test_the_same_is_written_in_the_same_bytes() -> None:
    """In whatever order a recipe came together: else the same compile had two hashes."""
    turned = replace(RECIPE, environment={"A": "1", "B": "2"}, system_packages=("libffi-dev", "zlib-dev"))
    assert made_of(a_job("demo", "1.0", RECIPE), "corp").to_bytes() == (
        made_of(a_job("demo", "1.0", turned), "corp").to_bytes()
    )


@given(st.text(), st.text(), st.none() | st.text())
def test_what_was_written_is_read(sdist: str, sha256: str, upstream: str | None) -> None:
    """Whatever stands in it."""
    said = MadeOf(sdist=sdist, sha256=sha256, upstream=upstream, target="t", recipe={"environment": {"A": sdist}})
    assert said == read_made_of(said.to_bytes())


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"\xff",
        b"[" * 100_000,
        b'{"sdist": 1}',
        OURS.to_bytes().replace(b'"aa', b'["aa').replace(b'aa",', b'aa"],'),
        OURS.to_bytes().replace(b'"https://upstream.test/simple/"', b"{}"),
        OURS.to_bytes().replace(b'"recipe": {}', b'"recipe": []'),
        OURS.to_bytes()[:-3],
    ],
)
def test_anything_else_is_no_sdists(content: bytes) -> None:
    """Whoever may upload may put any file there; it is an answer for nothing."""
    assert UNKNOWN == read_made_of(content)
    assert not is_answer(WHEEL, UNKNOWN, [SDIST, OTHER], [])
    assert not is_answer(WHEEL, UNKNOWN, [SDIST, OTHER], [f"sha256:{SDIST.sha256}"])


@pytest.mark.parametrize(
    ("said", "listed", "hashes", "answers"),
    [
        (OURS, [SDIST, OTHER], [], True),
        (OURS, [OTHER], [], False),
        (OURS, [], [], False),
        (OURS, [], [SDIST.sha256], True),
        (OURS, [SDIST], [OTHER.sha256], False),
        (OURS, [SDIST], [OTHER.sha256, SDIST.sha256], True),
        (OURS, [SDIST], [WHEEL.sha256], True),
        (None, [OTHER], [], True),
        (None, [], [], True),
        (None, [SDIST], [SDIST.sha256], False),
        (None, [SDIST], [WHEEL.sha256], True),
    ],
    ids=[
        "made of what is listed",
        "made of what is listed no longer",
        "nothing is listed but the wheel",
        "made of what is allowed, though nothing lists it any more",
        "made of what is not allowed",
        "made of one of two that are allowed",
        "allowed itself",
        "it does not say, and nothing is asked",
        "it does not say, and is alone",
        "it does not say, and its sdist would be allowed",
        "it does not say, and is allowed itself",
    ],
)
def test_a_wheel_of_ours_answers_for_the_sdist_that_it_was_made_of(
    said: MadeOf | None, listed: list[IndexFile], hashes: list[str], answers: bool
) -> None:
    """A hash decides alone where there is one; else the very sdist has to be on the index still."""
    assert answers is is_answer(WHEEL, said, [*listed, WHEEL], [f"sha256:{found}" for found in hashes])


def test_the_hashes_of_a_project_are_those_that_both_files_allow() -> None:
    """As for one release; a line without any takes nothing away."""
    asked = requirements(
        "a==1 --hash=sha256:11 --hash=sha256:22",
        "a==2 --hash=sha256:33",
        "b==1 --hash=sha256:44",
        "c",
        constraints=["a==1 --hash=sha256:22 --hash=sha256:55", "d==1 --hash=sha256:66", "b"],
    )
    assert {
        "a": ("sha256:22",),
        "b": ("sha256:44",),
        "d": ("sha256:66",),
    } == hashes_by_project(asked)
