"""The host's refusals: which errors they are, what is said of them, and what is refused beforehand."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from mirror.adapters import host
from mirror.core.errors import ExitStatus, UnusableError
from mirror.core.host_errors import escaped, out_of_files

NO_MORE = "no more files or connections can be opened"


@pytest.mark.parametrize(
    ("number", "code", "what"),
    [
        (errno.ENOSPC, "disk-full", "there is no room for /data: No space left on device"),
        (errno.EDQUOT, "disk-full", "there is no room for /data: Disk quota exceeded"),
        (errno.EROFS, "data-unwritable", "/data cannot be read or written: Read-only file system"),
        (errno.EACCES, "data-unwritable", "/data cannot be read or written: Permission denied"),
        (errno.EPERM, "data-unwritable", "/data cannot be read or written: Operation not permitted"),
        (errno.EIO, "data-unwritable", "/data cannot be read or written: Input/output error"),
        (errno.EMFILE, "too-many-open-files", f"{NO_MORE}: Too many open files"),
        (errno.ENFILE, "too-many-open-files", f"{NO_MORE}: Too many open files in system"),
    ],
)
def test_what_the_system_refuses_has_a_code(number: int, code: str, what: str) -> None:
    """It says where, why, and what to do; the exit status is that of an environment that cannot be used."""
    with pytest.raises(UnusableError) as caught, host.explained(Path("/data")):
        raise OSError(number, os.strerror(number))
    error = caught.value
    assert (code, what, ExitStatus.UNUSABLE) == (error.code, error.what, error.status)
    assert error.hint.endswith("; then run it again")


HINTS = {
    errno.ENOSPC: "make room on that disk (200 MB at least), or name folders on another one in the settings `data` and"
    " `cache`; then run it again",
    errno.EROFS: "mount that disk read-write, let this user write there, or name other folders in the settings `data`"
    " and `cache`; then run it again",
    errno.EMFILE: "raise the limit (`ulimit -n 4096`; for the whole machine, sysctl fs.file-max), or lower `jobs`; then"
    " run it again",
}


@pytest.mark.parametrize(("number", "hint"), HINTS.items())
def test_each_has_its_remedy(number: int, hint: str) -> None:
    """Word for word."""
    with pytest.raises(UnusableError) as caught, host.explained(Path("/data")):
        raise OSError(number, os.strerror(number))
    assert hint == caught.value.hint


@pytest.mark.parametrize(
    "error", [FileNotFoundError(errno.ENOENT, "x"), requests.ConnectionError("refused"), ValueError("x")], ids=repr
)
def test_other_errors_pass(error: Exception) -> None:
    """They are somebody else's business."""
    with pytest.raises(type(error)) as caught, host.explained(Path("/data")):
        raise error
    assert error is caught.value
    assert None is escaped(error)


def test_an_error_that_nobody_explained_names_its_own_file() -> None:
    """Where it knows one."""
    named = escaped(OSError(errno.ENOSPC, "No space left on device", "/data/x"))
    nameless = escaped(OSError(errno.ENOSPC, "No space left on device"))
    assert named
    assert nameless
    assert "there is no room for /data/x: No space left on device" == named.what
    assert "there is no room for a file of mirror's: No space left on device" == nameless.what


def test_too_many_open_files_are_found_below_what_others_wrapped() -> None:
    """A connection that cannot be opened comes as requests' error; one that was refused is another thing."""
    program = (
        "import resource, requests, socket; from mirror.core.host_errors import out_of_files\n"
        "session = requests.Session()\n"
        "def ask():\n"
        "    try:\n"
        "        session.get('http://127.0.0.1:9')\n"
        "    except requests.RequestException as error:\n"
        "        return out_of_files(error)\n"
        "print(ask() is None)\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))\n"
        "print(ask().code)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "True\ntoo-many-open-files\n" == done.stdout, done.stderr


def test_a_chain_without_end_is_followed_for_a_while() -> None:
    """A cycle of causes is no reason to hang."""
    first, second = ValueError(), ValueError()
    first.__cause__, second.__cause__ = second, first
    assert None is out_of_files(first)


def test_room_is_asked_of_the_nearest_folder(tmp_path: Path) -> None:
    """The data folder itself may not be there yet."""
    assert abs(host.free_bytes(tmp_path) - host.free_bytes(tmp_path / "not" / "yet")) < 1 << 30


def test_too_little_room_is_refused(tmp_path: Path) -> None:
    """With what is there, and what is wanted."""
    host.refuse_if_full(tmp_path, 1)
    with pytest.raises(UnusableError, match=r"there is no room for .*: \d+ MB are free") as caught:
        host.refuse_if_full(tmp_path, 1 << 60)
    assert "disk-full" == caught.value.code
    assert f"({(1 << 60) // 1_000_000} MB at least)" in caught.value.hint


def test_a_folder_is_made_and_nothing_is_left_in_it(tmp_path: Path) -> None:
    """For its owner alone."""
    host.ready_folder(tmp_path / "a" / "b")
    assert [] == list((tmp_path / "a" / "b").iterdir())
    assert 0o700 == (tmp_path / "a" / "b").stat().st_mode & 0o777


@pytest.mark.parametrize("kind", ["a file", "below a file", "a dangling link", "a link to itself"])
def test_something_else_in_a_folders_place_is_told(tmp_path: Path, kind: str) -> None:
    """It is moved away by whoever put it there, not by us."""
    place = folder = tmp_path / "data"
    if "file" in kind:
        place.touch()
        folder = place / "mirror" if kind == "below a file" else place
    else:
        place.symlink_to(place if kind == "a link to itself" else tmp_path / "nowhere")
    with pytest.raises(UnusableError) as caught:
        host.ready_folder(folder)
    assert "data-unwritable" == caught.value.code
    assert caught.value.what.startswith(
        f"{folder} is to be a folder of mirror's, and is or lies below something else: "
    )
    assert ["data"] == [path.name for path in tmp_path.iterdir()]


@pytest.mark.parametrize("place", ["data", "data/store", "data/journal.sqlite"])
def test_a_link_in_our_folders_is_not_followed(tmp_path: Path, place: str) -> None:
    """What is emptied, written or made private there would be somebody else's."""
    folder, link = tmp_path / "data", tmp_path / place
    link.parent.mkdir(exist_ok=True)
    (tmp_path / "elsewhere").mkdir(mode=0o755)
    link.symlink_to(tmp_path / "elsewhere")
    for use in (host.ready_folder, host.refuse_links):
        with pytest.raises(UnusableError) as caught:
            use(folder)
        assert ("data-unwritable", True) == (caught.value.code, str(link) in caught.value.what)
    assert (0o755, []) == (
        (tmp_path / "elsewhere").stat().st_mode & 0o777,
        [*(tmp_path / "elsewhere").iterdir()],
    )


def test_a_folder_below_a_link_of_ours_is_not_made(tmp_path: Path) -> None:
    """At whatever depth; a link above what is ours is its user's own business."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "disk").symlink_to(tmp_path / "elsewhere")
    store = tmp_path / "disk" / "store"
    host.make_folder(store / "ab" / "cd", store)
    (store / "ef").symlink_to(tmp_path)
    with pytest.raises(UnusableError):
        host.make_folder(store / "ef" / "gh", store)
    assert ["disk", "elsewhere"] == sorted(path.name for path in tmp_path.iterdir())


def test_every_folder_that_is_made_is_its_users_alone(tmp_path: Path) -> None:
    """Also those above it: the data folder, where it is the index that comes first."""
    host.ready_folder(tmp_path / "data" / "devpi")
    host.make_folder(tmp_path / "a" / "b" / "c")
    made = [path for path in tmp_path.rglob("*") if path.is_dir()]
    assert {0o700} == {path.stat().st_mode & 0o777 for path in made}


def test_dead_parts_are_swept(tmp_path: Path) -> None:
    """One that was written to a moment ago is somebody's; what is whole stays."""
    dead, alive, whole = tmp_path / "ab" / ".part-1", tmp_path / "ab" / ".part-2", tmp_path / "ab" / "whole"
    dead.parent.mkdir()
    for path in (dead, alive, whole):
        path.touch()
    os.utime(dead, (0, 0))
    os.utime(whole, (0, 0))
    host.sweep_parts(tmp_path)
    host.sweep_parts(tmp_path / "not there")
    assert [alive, whole] == sorted((tmp_path / "ab").iterdir())


OPEN_FILES = (
    "import resource, sys; from mirror.adapters import host; from mirror.core.errors import UnusableError\n"
    "resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]), int(sys.argv[2])))\n"
    "try:\n"
    "    host.ensure_open_files(4)\n"
    "except UnusableError as error:\n"
    "    print(error.code, error.what, sep=': ')\n"
    "print(*resource.getrlimit(resource.RLIMIT_NOFILE))\n"
)
TOO_FEW = f"{NO_MORE}: the limit is 100, and 4 jobs at once may need 256"


@pytest.mark.parametrize(
    ("soft", "hard", "said"),
    [
        (1000, 1000, "1000 1000\n"),
        (100, 1000, "256 1000\n"),
        (100, 200, f"too-many-open-files: {TOO_FEW}\n100 200\n"),
    ],
)
def test_the_limit_of_open_files_is_raised_as_far_as_needed(soft: int, hard: int, said: str) -> None:
    """Where we may; else we refuse."""
    command = [sys.executable, "-c", OPEN_FILES, str(soft), str(hard)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert said == done.stdout, done.stderr
