"""The matrix of projects and targets."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from mirror.core.history import How, PastAttempt
from mirror.core.matrix import Cell, Row, State, parse_target, row, target_words, wheel_release
from mirror.core.model import Target

TARGET = "cp311-musllinux_1_2_x86_64"
OTHER = "cp312-musllinux_1_2_aarch64"
WHEEL = "demo-1.0-cp311-cp311-musllinux_1_2_x86_64.whl"
PURE = "demo-1.1-py3-none-any.whl"
FAILED = PastAttempt(
    id=7,
    recorded=datetime(2026, 11, 22, tzinfo=UTC),
    target=TARGET,
    name="demo",
    version="2.0",
    how=How.FAILED,
    code="compile-failed",
    reason="It broke.",
    hint="mend it",
)


def only(*filenames: str, attempt: PastAttempt | None = None) -> Cell:
    """The cell of TARGET."""
    found = row("demo", filenames, [attempt] if attempt else [], [TARGET])
    assert Row(name="demo", cells=found.cells) == found
    (cell,) = found.cells
    return cell


def test_what_the_index_has() -> None:
    """The newest wheel that installs there; of one version the compiled one; what installs elsewhere is none."""
    assert Cell(target=TARGET, state=State.WHEEL, version="1.0", wheel="1.0") == only(WHEEL)
    assert Cell(target=TARGET, state=State.PURE, version="1.1", wheel="1.1") == only(WHEEL, PURE)
    assert State.WHEEL is only(WHEEL, "demo-1.0-py3-none-any.whl").state
    nothing = Cell(target=TARGET, state=State.NEVER)
    assert nothing == only("demo-1.0-cp312-cp312-musllinux_1_2_x86_64.whl", "demo-1.0.tar.gz", "garbage")
    assert nothing == only()


@pytest.mark.parametrize(
    ("how", "state"),
    [
        (How.BUILDING, State.BUILDING),
        (How.FAILED, State.FAILED),
        (How.BLOCKED, State.BLOCKED),
        (How.INTERRUPTED, State.INTERRUPTED),
    ],
)
def test_the_newest_attempt_comes_first(how: How, state: State) -> None:
    """A release that failed is told with its reason, and with the older wheel that is there all the same."""
    expected = Cell(
        target=TARGET, state=state, version="2.0", wheel="1.0", reason="It broke.", hint="mend it", attempt=7
    )
    assert expected == only(WHEEL, attempt=replace(FAILED, how=how))


def test_what_is_there_did_not_fail() -> None:
    """Another run has published it since; and what was built and taken away again is not there."""
    assert State.WHEEL is only(WHEEL, attempt=replace(FAILED, version="1.0")).state
    assert State.NEVER is only(attempt=replace(FAILED, how=How.BUILT)).state


def test_every_target_in_its_order() -> None:
    """An attempt for one says nothing of another; one that is no target has no wheels."""
    cells = row("demo", [WHEEL], [FAILED], [OTHER, TARGET, "<b>"]).cells
    assert [State.NEVER, State.FAILED, State.NEVER] == [cell.state for cell in cells]


def test_targets_as_they_are_written() -> None:
    """What a target writes of itself is read again."""
    for target in (Target(python="3.11"), Target(python="3.9", musl=(1, 1), architecture="aarch64")):
        assert target == parse_target(str(target))
    assert "Python 3.12, musl 1.2, aarch64" == target_words(OTHER)


@pytest.mark.parametrize(
    "text", ["", "cp311", "cp-musllinux_1_2_x86_64", "cp311-manylinux_2_17_x86_64", "cp311-a_b_c_d"]
)
def test_what_is_no_target(text: str) -> None:
    """It is shown as it stands."""
    assert (None, text) == (parse_target(text), target_words(text))


def test_releases_of_wheels() -> None:
    """Names are normalised."""
    assert ("ruamel-yaml", "0.18") == wheel_release("ruamel.yaml-0.18-py3-none-any.whl")
    assert wheel_release("demo-1.0.tar.gz") is None
