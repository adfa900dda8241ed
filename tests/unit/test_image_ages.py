"""How old images are, and when that is told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from mirror.adapters.images.age import ImageAges, made_at
from mirror.adapters.images.model import ImagePair
from mirror.core.model import Base, Target

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
PAIR = ImagePair(
    base="sha256:b",
    builder="sha256:c",
    kind=Base.ALPINE,
    base_name="python:3.11-alpine3.20",
    target=Target(python="3.11", musl=(1, 2), architecture="x86_64"),
)
MONTH_S = 30 * 86_400


def of_age(days: float | None) -> ImageAges:
    """A builder of that age, of a base that is a day older."""
    builder = None if days is None else NOW - timedelta(days=days)
    base = builder and builder - timedelta(days=1)
    return ImageAges(pair=PAIR, builder_name="mirror/builder:x", base=base, builder=builder, seen=NOW)


@pytest.mark.parametrize(
    ("days", "base", "builder"),
    [
        (0.5, "1 day ago", "less than a day ago"),
        (1, "2 days ago", "1 day ago"),
        (30, "31 days ago", "30 days ago"),
        (31, "32 days ago", "31 days ago (`mirror up --refresh` takes the packages of today)"),
        (None, "at a time that it does not tell", "at a time that it does not tell"),
        (-1, "less than a day ago", "less than a day ago"),
    ],
)
def test_the_ages_are_told(days: float | None, base: str, builder: str) -> None:
    """In days, with what helps where the builder is older than the setting says."""
    expected = (f"base:    python:3.11-alpine3.20, made {base}", f"builder: mirror/builder:x, made {builder}")
    assert expected == of_age(days).lines(MONTH_S)


def test_what_is_due_is_told_before_a_build() -> None:
    """What is not, is not."""
    assert "" == of_age(30).note(MONTH_S)
    assert (
        "the builder image for cp311-musllinux_1_2_x86_64 was made 31 days ago, and what is compiled gets the "
        "libraries of that day: `mirror up --refresh` takes those of today (refresh-after in the settings)"
    ) == of_age(31).note(MONTH_S)


@pytest.mark.parametrize(
    ("created", "expected"),
    [
        ("2026-11-28T12:00:00.109454136Z", datetime(2026, 11, 28, 12, 0, 0, 109454, UTC)),
        ("2026-11-28T12:00:00Z", NOW),
        ("0001-01-01T00:00:00Z", None),
        ("1970-01-01T00:00:00Z", None),
        ("None", None),
    ],
)
def test_dates_of_engines_are_read(created: str, expected: datetime | None) -> None:
    """With nanoseconds, and without a date."""
    assert expected == made_at(created)
