"""A backup and what is made of it: whole, or nothing."""

from __future__ import annotations

import io
import json
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


def tar(*members: tuple[tarfile.TarInfo, bytes], count: int | None = None) -> io.BytesIO:
    """A backup as somebody else may have made it: with an end, so that it is what it holds that is wrong."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for member, content in (*members, end(len(members) if count is None else count)):
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    stream.seek(0)
    return stream


def member(name: str) -> tuple[tarfile.TarInfo, bytes]:
    """A file, whatever its name."""
    info = tarfile.TarInfo("index/x")
    info.pax_headers = {"path": name}
    return info, b"content"


def end(files: object, version: int = 1) -> tuple[tarfile.TarInfo, bytes]:
    """What a backup ends with."""
    return tarfile.TarInfo("mirror-backup.json"), json.dumps({"version": version, "files": files}).encode()


def refused(stream: io.BytesIO, tmp_path: Path) -> str:
    """Why it is none. Nothing of it is left, anywhere."""
    with pytest.raises(BadInputError) as failure:
        restore(stream, elsewhere(tmp_path))
    assert "no-backup" == failure.value.code
    assert [] == tree(tmp_path)
    return failure.value.what


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


def test_what_is_whole_is_taken(tmp_path: Path) -> None:
    """Else nothing below would say anything."""
    assert 2 == restore(tar(member("index/a"), member("packages/b/c")), elsewhere(tmp_path))
    assert ["new/index/a", "new/packages/b/c"] == tree(tmp_path)


def test_a_backup_without_its_end_is_none(tmp_path: Path) -> None:
    """A tar that was cut between two members is one that Python reads without a word."""
    whole = tar(member("index/a"), member("index/b")).read()
    assert "its end is missing" in refused(io.BytesIO(whole[: whole.index(b"mirror-backup.json")]), tmp_path)
    assert "1 files of 2" in refused(tar(member("index/a"), count=2), tmp_path)
    assert "follows its end" in refused(tar(member("index/a"), end(1), member("index/b")), tmp_path)
    assert "another version" in refused(tar(end(0, version=2)), tmp_path)
    for broken in ("1", True, None, [1]):
        assert "another version" in refused(tar(end(broken)), tmp_path)
    assert "nobody understands" in refused(tar((tarfile.TarInfo("mirror-backup.json"), b"[[" * 400)), tmp_path)


@pytest.mark.parametrize("name", ["index/../../x", "/etc/x", "elsewhere/x", "index", "x"])
def test_a_backup_reaches_its_folders_alone(name: str, tmp_path: Path) -> None:
    """Whoever wrote it."""
    assert "is no file of an index" in refused(tar(member(name)), tmp_path)


@pytest.mark.parametrize(
    "names", [("index/a", "index/a/b"), ("index/a", "index/a"), ("index/a\0b",), (f"index/{'a' * 300}",)]
)
def test_names_that_no_backup_has(names: tuple[str, ...], tmp_path: Path) -> None:
    """A file below a file, twice the same, what no file can be called: it is the backup that is wrong, not mirror."""
    refused(tar(*(member(name) for name in names)), tmp_path)


def test_a_hole_is_no_content(tmp_path: Path) -> None:
    """A sparse member of a few bytes stands for as many as it likes, and all of them would be written."""
    sparse, _ = member("index/x")
    hole = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(1 << 20)}
    sparse.pax_headers = {**sparse.pax_headers, **hole}
    map_of_nothing = b"0\n".ljust(512, b"\0")
    stream = tar((sparse, map_of_nothing))
    with tarfile.open(fileobj=stream) as archive:  # it is what it says: this, and the wall down, write a mebibyte
        (found, _) = archive.getmembers()
        source = archive.extractfile(found)
        assert source is not None
        assert (True, 1 << 20) == (found.issparse(), len(source.read()))
    stream.seek(0)
    assert "is no file of an index" in refused(stream, tmp_path)


def test_a_restored_index_is_its_users_alone(folders: dict[str, Path], tmp_path: Path) -> None:
    """With the folders above it that had to be made; packages are for the proxy too."""
    new = elsewhere(tmp_path)
    restore(backup_of(folders), new)
    modes = [path.stat().st_mode & 0o777 for path in (tmp_path / "new", new["index"], new["packages"])]
    assert [0o700, 0o700, 0o755] == modes


def test_a_link_is_no_file(tmp_path: Path) -> None:
    """It could lead anywhere."""
    link = tarfile.TarInfo("index/x")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc"
    assert "is no file of an index" in refused(tar((link, b"")), tmp_path)
