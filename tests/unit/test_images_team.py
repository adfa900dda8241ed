"""What `mirror up --team` writes beside compose.yaml."""

from __future__ import annotations

from pathlib import Path

import pytest

from mirror.adapters.images.team import _write_site, _write_variables
from mirror.core.errors import UnusableError


def test_lines_of_ones_own_stay(tmp_path: Path) -> None:
    """Only what is ours is written anew."""
    file = tmp_path / ".env"
    file.write_text("TEAM_HTTPS_PORT=8443\nTEAM_REGISTRY=old\n")
    _write_variables(file, {"TEAM_REGISTRY": "new"})
    _write_variables(file, {"TEAM_REGISTRY": "newer"})
    written = "TEAM_HTTPS_PORT=8443\n# Written by `mirror up --team`; lines of your own stay.\nTEAM_REGISTRY=newer\n"
    assert written == file.read_text()


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    """A clone may bring one along in their place."""
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "profile").write_text("theirs")
    (tmp_path / ".env").symlink_to(theirs / "profile")
    (tmp_path / ".site").symlink_to(theirs)
    with pytest.raises(UnusableError):
        _write_variables(tmp_path / ".env", {"TEAM_REGISTRY": "ours"})
    with pytest.raises(UnusableError):
        _write_site(tmp_path / ".site", {"site/ca-bundle.pem": b"ours"})
    assert {"profile": "theirs"} == {path.name: path.read_text() for path in theirs.iterdir()}
