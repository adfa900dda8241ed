"""What a person is told of their requirements when they meet the index."""

from __future__ import annotations

from pathlib import Path

import pytest
from packaging.utils import NormalizedName, canonicalize_name

from fakes.house import a_wheel
from fakes.index import FakeIndex
from mirror.core.errors import BadInputError, MirrorError
from mirror.core.model import IndexFile, Requirements, Target
from mirror.core.requirements import RequirementsError, parse
from mirror.explained import (
    MOST_GUESSES,
    MOST_INDIRECT,
    MOST_PAGES,
    MOST_SKIPPED,
    skipped_lines,
    together,
    why_not,
)

TARGET = Target(python="3.11")


class CountedIndex(FakeIndex):
    """Remembers whose pages were asked for."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.asked: list[str] = []

    def files(self, name: NormalizedName) -> tuple[IndexFile, ...]:
        self.asked.append(name)
        return super().files(name)


@pytest.fixture
def index(tmp_path: Path) -> CountedIndex:
    """An index that has `there`, and nothing else."""
    index = CountedIndex(tmp_path)
    filename = "there-1.0-py3-none-any.whl"
    index.add_upstream("there", filename, a_wheel(filename))
    return index


def asked(text: str) -> Requirements:
    return parse(["requirements.txt"], [], lambda _: text.encode())


def said(*details: str) -> MirrorError:
    return MirrorError("unresolvable", "no", details=details)


def test_of_a_long_file_not_every_page_is_asked_for(index: CountedIndex) -> None:
    """But those that the resolver names are, wherever they stand."""
    names = [f"nobody-{number}" for number in range(5 * MOST_PAGES)]
    error = why_not(asked("\n".join(names)), TARGET, index, said(f"there are no versions of {names[-1]}"))
    assert isinstance(error, RequirementsError)
    assert f"requirements.txt:{len(names)}:1 " in error.details[-1]
    assert len(set(index.asked) & set(names)) == MOST_PAGES


def test_only_so_many_guesses_are_asked_for(index: CountedIndex) -> None:
    """A file full of names that only the own company has does not become thousands of questions to upstream."""
    names = [f"nobody-{number}-at-all" for number in range(MOST_GUESSES)]
    error = why_not(asked("\n".join(names)), TARGET, index, said("no"))
    assert len(names) == len(error.details)
    assert MOST_GUESSES == len(set(index.asked) - set(names))


def test_what_only_shows_further_down_is_the_resolvers_to_tell(index: CountedIndex) -> None:
    """With the lines that it names, in whatever form it writes them."""
    error = why_not(asked("there>=1\nTHERE<2"), TARGET, index, said("because There==1.0 depends on other<1"))
    assert ("unresolvable", 2) == (error.code, error.status)
    assert ("requirements.txt:1:1: there>=1", "because There==1.0 depends on other<1") == (
        error.details[0],
        error.details[-1],
    )


def test_many_skipped_lines_are_counted() -> None:
    """Who shares a file with Windows need not read all of it."""
    text = "".join(f"a{number}; sys_platform == 'win32'\n" for number in range(MOST_SKIPPED + 5)) + "there\n"
    told = skipped_lines(asked(text), TARGET)
    assert (MOST_SKIPPED + 1, "5 more are skipped on cp311-musllinux_1_2_x86_64") == (len(told), told[-1])


@pytest.mark.parametrize(("indirect", "last"), [(20, "p-0 is wrong → "), (21, "and 1 more that no line names")])
def test_what_no_line_names_is_told_of_so_many(indirect: int, last: str) -> None:
    """All that the user's lines name is told: that is theirs to mend."""
    lines = "".join(f"mine-{n}\n" for n in range(30))
    asked = parse(["requirements.txt"], [], lambda _: lines.encode())
    names = [f"p-{n}" for n in reversed(range(indirect))] + [f"mine-{n}" for n in range(30)]
    wrong = [(canonicalize_name(name), BadInputError("no-usable-file", f"{name} is wrong")) for name in names]
    details = together(wrong, asked).details
    assert 30 + MOST_INDIRECT + (indirect > MOST_INDIRECT) == len(details)
    assert [f"requirements.txt:{n + 1}:1 no-usable-file: mine-{n} is wrong → " for n in range(30)] == list(details[:30])
    assert details[-1].endswith(last)
