"""What reads strangers' bytes answers, whatever they are: seconds of what tests/benchmark/gate_fuzz.py does."""

from __future__ import annotations

import random

import pytest

from fakes.fuzz import TARGETS, damaged, one_input, seeds, stuffed

INPUTS = 60

each_reader = pytest.mark.parametrize("good", list(seeds()), ids=[target.__name__ for target in TARGETS])


@each_reader
def test_every_damaged_input_is_answered(good: bytes) -> None:
    """The same inputs at each run: nothing is raised, and the gate takes its own re-pack as it is."""
    one_input(good)
    for number in range(INPUTS):
        one_input(damaged(good, random.Random(number)))  # noqa: S311  # no secret


@each_reader
def test_what_once_broke_a_reader_is_answered_wherever_it_stands(good: bytes) -> None:
    """Digits, brackets and dots without end, other line ends, climbing paths, controls."""
    for data in stuffed(good):
        one_input(data)
