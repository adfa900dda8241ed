"""What a user has trusted: for nobody else to read or write, one file a folder."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from mirror.adapters.trusted import TrustedFolders
from mirror.core.errors import BadInputError, UnusableError

ONE, OTHER = "1" * 64, "2" * 64


def test_it_is_remembered_until_it_is_revoked(tmp_path: Path) -> None:
    """Each folder for itself, also one whose name is no text."""
    trusted = TrustedFolders(tmp_path / "mirror" / "trusted")
    odd = Path("/home/a\udcff\nb")
    trusted.trust(Path("/home/a"), OTHER)
    trusted.trust(Path("/home/a"), ONE)
    trusted.trust(odd, OTHER)
    again = TrustedFolders(tmp_path / "mirror" / "trusted")
    assert [ONE, OTHER, None] == [again.sha256(one) for one in (Path("/home/a"), odd, Path("/home/b"))]
    assert [True, False] == [trusted.revoke(Path("/home/a")), trusted.revoke(Path("/home/a"))]
    assert [None, OTHER] == [again.sha256(one) for one in (Path("/home/a"), odd)]


def test_it_is_its_users_alone(tmp_path: Path) -> None:
    """From the first moment, with the folders above it that had to be made."""
    TrustedFolders(tmp_path / "mirror" / "trusted").trust(Path("/home/a"), ONE)
    modes = {path.name[-5:]: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*")}
    assert {"irror": 0o700, "usted": 0o700, ".json": 0o600} == modes


@pytest.mark.parametrize("content", ["", "{}", "[]", "7", '{"folder": "/home/b", "sha256": "11"}', "[" * 9999])
def test_what_nobody_understands_trusts_nothing(tmp_path: Path, content: str) -> None:
    """A file of another folder's, too: it may have been put there by its name."""
    trusted = TrustedFolders(tmp_path)
    trusted.trust(Path("/home/a"), ONE)
    (file,) = tmp_path.iterdir()
    file.write_text(content)
    assert trusted.sha256(Path("/home/a")) is None


def test_of_a_user_without_a_home_nothing_is_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would lie in the project, which could bring it along."""
    monkeypatch.chdir(tmp_path)
    TrustedFolders(tmp_path / "~" / "trusted").trust(Path("/home/a"), ONE)
    relative = TrustedFolders(Path("~/trusted"))
    assert relative.sha256(Path("/home/a")) is None
    with pytest.raises(BadInputError) as caught:
        relative.trust(Path("/home/a"), ONE)
    assert "no-home" == caught.value.code


def test_a_link_in_its_place_is_refused(tmp_path: Path) -> None:
    """Nothing is written through it."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "trusted").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UnusableError) as caught:
        TrustedFolders(tmp_path / "trusted").trust(Path("/home/a"), ONE)
    assert ("data-unwritable", []) == (caught.value.code, [*(tmp_path / "elsewhere").iterdir()])
