"""Which upstream a project comes from, and who is asked for it."""

from __future__ import annotations

import pytest

from mirror.core.upstreams import (
    FurtherUpstream,
    may_ask,
    parse_pattern,
    read_routes,
    routes_json,
    who_has,
    who_logs_in,
)

CORP = FurtherUpstream(name="corp", url="https://pypi.corp.test/simple/", projects=("corp-*", "secretlib"))
TEAM = FurtherUpstream(
    name="team", url="https://team.test/root/", projects=("corp-team", "team-*"), credentials_file="/etc/team"
)
BOTH = (CORP, TEAM)


@pytest.mark.parametrize(
    ("project", "expected"),
    [
        ("corp-tools", CORP),
        ("Corp_Tools", CORP),
        ("corp.tools", CORP),
        ("secretlib", CORP),
        ("secretlib2", None),
        ("corp", None),
        ("mycorp-tools", None),
        ("corp-team", CORP),  # both name it: the first one has it
        ("team-x", TEAM),
        ("numpy", None),
    ],
)
def test_who_has(project: str, expected: FurtherUpstream | None) -> None:
    """By the normalised name."""
    assert expected == who_has(project, BOTH)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://pypi.test/simple/numpy/", True),
        ("https://pypi.test/simple/corp-tools/", False),
        ("https://pypi.test/simple/Corp.Tools", False),
        ("https://pypi.corp.test/simple/corp-tools/", True),
        ("https://pypi.corp.test/simple/numpy/", False),
        ("https://pypi.corp.test/simple/team-x/", False),
        ("https://team.test/root/team-x/", True),
        ("https://team.test/root/corp-team/", False),
        ("https://pypi.corp.test.evil.test/simple/corp-tools/", False),
    ],
)
def test_who_may_be_asked(url: str, expected: bool) -> None:
    """Each name at one place only."""
    assert expected == may_ask(url, BOTH)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://pypi.corp.test/simple/corp-tools/", CORP),
        ("https://pypi.corp.test/simple/Corp_Tools/", CORP),
        ("https://pypi.corp.test/simple/numpy/", None),
        ("https://pypi.corp.test/elsewhere/corp-tools/", None),
        ("https://pypi.corp.test/packages/ab/corp_tools-1.0-py3-none-any.whl", CORP),
        ("https://pypi.corp.test/packages/corp-tools-1.0.tar.bz2?token=x#sha256=1", CORP),
        ("https://pypi.corp.test/packages/corp%2Dtools-2to3-1.0.zip", CORP),
        ("https://pypi.corp.test/packages/secretlib-1.0.tar.gz.metadata", CORP),
        ("https://pypi.corp.test/packages/numpy-1.0.tar.gz", None),
        ("https://pypi.corp.test/packages/mycorp-tools-1.0.tar.gz", None),
        ("https://pypi.corp.test/admin/delete?name=corp-tools-1.0.tar.gz", None),
        ("https://pypi.corp.test/corp-tools-1.0.tar.gz/delete", None),
        ("https://pypi.corp.test/secretlib", None),
        ("https://pypi.corp.test/", None),
        ("http://pypi.corp.test/packages/corp_tools-1.0-py3-none-any.whl", None),
        ("https://pypi.corp.test:444/packages/corp_tools-1.0-py3-none-any.whl", None),
        ("https://pypi.corp.test.evil.test/packages/corp_tools-1.0-py3-none-any.whl", None),
        ("https://pypi.corp.test@evil.test/packages/corp_tools-1.0-py3-none-any.whl", None),
        ("https://team.test/files/team_x-1.0.tar.gz", TEAM),
        ("https://team.test/files/corp_team-1.0.tar.gz", None),  # which is corp's
    ],
)
def test_who_logs_in(url: str, expected: FurtherUpstream | None) -> None:
    """Whoever has the project, for its page and its files; nobody where a page of another host has led."""
    assert expected == who_logs_in(url, BOTH)


def test_without_further_ones_everything_may_be_asked() -> None:
    """As ever."""
    assert may_ask("https://pypi.test/simple/corp-tools/", ())


@pytest.mark.parametrize(
    ("text", "expected"),
    [("Corp_*", "corp-*"), ("a.b--c", "a-b-c"), (" secretlib ", "secretlib"), ("*-corp", "*-corp")],
)
def test_patterns_are_normalised(text: str, expected: str) -> None:
    """As names are."""
    assert expected == parse_pattern(text)


@pytest.mark.parametrize("text", ["", "*", "**", "-*", "corp/*", "corp?", "[a-z]", "c o", "corp\n"])
def test_patterns_that_are_none(text: str) -> None:
    """One that stands for everything is refused too."""
    with pytest.raises(ValueError, match=r"no project name|every project"):
        parse_pattern(text + " x" if text == "corp\n" else text)


def test_routes_are_read_as_they_were_written() -> None:
    """Over the file between us and the index's plugin."""
    assert BOTH == read_routes(routes_json(BOTH))
