"""A backup and what is made of it: whole, or nothing."""

from __future__ import annotations

import io
import sqlite3
import tarfile
from contextlib import closing
from pathlib import Path

import pytest

from mirror.adapters.backup import restore, write_backup
from mirror.core.errors import BadInputError


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    """An index with something in every kind of file."""
    index, packages = tmp_path / "index", tmp_path / "packages"
    for path, content in {
        index / "root-password": b"secret",
        index / "server" / ".nodeinfo": b"{}",
        index / "devpi.log": b"GET /",
        index / "state.json": b"{}",
        index / "tmp" / "upload": b"half",
        packages / "root" / "tmp" / "a-1.0.whl": b"wheel",
        packages / "root" / "b-1.0.whl-tmp": b"half",
    }.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (index / "root-password").chmod(0o600)
    (index / "server" / "+files").symlink_to(packages)
    with closing(sqlite3.connect(index / "server" / ".sqlite")) as connection, connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE kv (value TEXT)")
        connection.execute("INSERT INTO kv VALUES ('kept')")
    return {"index": index, "packages": packages}


def backup_of(folders: dict[str, Path]) -> io.BytesIO:
    stream = io.BytesIO()
    write_backup(stream, folders)
    stream.seek(0)
    return stream


def elsewhere(tmp_path: Path) -> dict[str, Path]:
    return {name: tmp_path / "new" / name for name in ("index", "packages")}


def tree(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_all_that_matters_is_there_again(folders: dict[str, Path], tmp_path: Path) -> None:
    """Databases as they were at one moment, even one that is being written; secrets for nobody else's eyes."""
    with closing(sqlite3.connect(folders["index"] / "server" / ".sqlite", isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("INSERT INTO kv VALUES ('never committed')")
        stream = backup_of(folders)
    new = elsewhere(tmp_path)
    assert 4 == restore(stream, new)
    assert ["root-password", "server/.nodeinfo", "server/.sqlite"] == tree(new["index"])
    assert ["root/tmp/a-1.0.whl"] == tree(new["packages"])
    assert 0o600 == (new["index"] / "root-password").stat().st_mode & 0o777
    with closing(sqlite3.connect(new["index"] / "server" / ".sqlite")) as connection:
        assert [("kept",)] == connection.execute("SELECT value FROM kv").fetchall()


def test_nothing_is_written_over(folders: dict[str, Path]) -> None:
    """An index that is there stays."""
    before = (folders["index"] / "root-password").read_bytes()
    with pytest.raises(BadInputError) as failure:
        restore(backup_of(folders), folders)
    assert ("not-empty", before) == (failure.value.code, (folders["index"] / "root-password").read_bytes())


@pytest.mark.parametrize("content", [b"", b"no archive", None])
def test_half_a_backup_is_none(content: bytes | None, folders: dict[str, Path], tmp_path: Path) -> None:
    """Nothing is left of it."""
    (folders["packages"] / "large.whl").write_bytes(bytes(100_000))
    stream = io.BytesIO(backup_of(folders).read()[:-60_000] if content is None else content)
    new = elsewhere(tmp_path)
    with pytest.raises(BadInputError) as failure:
        restore(stream, new)
    assert "no-backup" == failure.value.code
    assert [[], []] == [list(folder.iterdir()) for folder in new.values()]


@pytest.mark.parametrize("name", ["index/../../x", "/etc/x", "elsewhere/x", "index", "x"])
def test_a_backup_reaches_its_folders_alone(name: str, tmp_path: Path) -> None:
    """Whoever wrote it."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.addfile(tarfile.TarInfo(name))
    stream.seek(0)
    with pytest.raises(BadInputError) as failure:
        restore(stream, elsewhere(tmp_path))
    assert "no-backup" == failure.value.code
    assert [] == tree(tmp_path)


def test_a_link_is_no_file(tmp_path: Path) -> None:
    """It could lead anywhere."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        link = tarfile.TarInfo("index/x")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc"
        archive.addfile(link)
    stream.seek(0)
    with pytest.raises(BadInputError):
        restore(stream, elsewhere(tmp_path))
