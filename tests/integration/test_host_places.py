"""Places that cannot be what mirror wants of them: the data folder, HOME, stdout, the folder for temporary files."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from fakes.disks import small_disk
from mirror.adapters.images.steps import Workshop
from mirror.core.errors import UnusableError

needs_root = pytest.mark.skipif(
    not sys.platform.startswith("linux") or os.geteuid() != 0,
    reason="mounts disks and becomes somebody else: needs root on Linux, as in CI",
)
MIRROR = str(Path(sys.executable).with_name("mirror"))
SOMEBODY = 12345
"""A user without a name, and so without a home."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project's folder with a requirements file."""
    (tmp_path / "requirements.txt").write_text("markupsafe==2.0.1\n")
    return tmp_path


def run(folder: Path, command: str, **environment: str) -> tuple[int, str]:
    """Exit status and stderr of a shell's command; there is no engine, so that nothing could be started."""
    done = subprocess.run(
        ["sh", "-c", command],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(folder / "home"),
            "DOCKER_HOST": "tcp://127.0.0.1:9",
            **environment,
        },
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr


@pytest.mark.parametrize("command", ["build requirements.txt", "up", "serve"])
@pytest.mark.parametrize("kind", ["a file", "a dangling link", "below a file"])
def test_a_data_folder_that_is_none(folder: Path, kind: str, command: str) -> None:
    """It says what stands there, and leaves it."""
    place = folder / "data"
    if kind == "a dangling link":
        place.symlink_to(folder / "nowhere")
    else:
        place.touch()
    data = place / "mirror" if kind == "below a file" else place
    status, error = run(folder, f"exec {MIRROR} {command}", MIRROR_DATA=str(data))
    assert (3, True) == (status, error.startswith("error[data-unwritable]: ")), error
    assert "\nhint: move that away, or name other folders in the settings `data` and `cache`\n" in error
    assert "data" in {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("command", ["status", "log numpy"])
def test_a_journal_that_cannot_be(folder: Path, command: str) -> None:
    """Also where nothing is built."""
    (folder / "data").touch()
    status, error = run(folder, f"exec {MIRROR} {command}", MIRROR_DATA=str(folder / "data"))
    assert (3, True) == (status, error.startswith("error[journal-unwritable]: ")), error


@pytest.mark.parametrize("home", ["/sys", "/proc/nowhere"])
def test_a_home_that_cannot_be_written(folder: Path, home: str) -> None:
    """/sys lets not even root make a folder."""
    status, error = run(folder, f"exec {MIRROR} build requirements.txt", HOME=home)
    assert (3, True) == (status, error.startswith(f"error[data-unwritable]: {home}/.local/share/mirror ")), error


@needs_root
def test_without_a_home(folder: Path) -> None:
    """A user whom the system does not know has none, and no folder called ~ is made."""
    command = f"unset HOME; exec unshare --user --map-user={SOMEBODY} {MIRROR} up"
    status, error = run(folder, command)
    assert (2, True) == (status, error.startswith("error[settings]: ")), error
    assert "data no-home: there is no home folder for it → set HOME, or this one\n" in error
    status, error = run(folder, command, MIRROR_DATA=str(folder / "data"), MIRROR_CACHE=str(folder / "cache"))
    assert (3, True) == (status, error.startswith("error[engine-unreachable]: ")), error
    assert ["data", "requirements.txt"] == sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("option", ["", "--json"])
def test_a_full_disk_below_stdout(folder: Path, option: str) -> None:
    """`mirror status > file`: it is told on stderr, and nothing is said twice."""
    status, error = run(folder, f"exec {MIRROR} status {option} > /dev/full", MIRROR_DATA=str(folder / "data"))
    assert (3, True) == (status, error.startswith("error[disk-full]: there is no room for a file of mirror's")), error
    assert 2 == len(error.splitlines())


def test_a_full_disk_below_stdout_does_not_hide_an_error(folder: Path) -> None:
    """The error is on stderr, and its exit status is kept."""
    status, error = run(folder, f"exec {MIRROR} build none.txt --json > /dev/full")
    assert (2, True) == (status, error.startswith("error[requirements]: ")), error


DEFECT = """
import sys
from pathlib import Path
import mirror.cli
def broken(**_):
    raise KeyError("surprise")
mirror.cli.status.callback = broken
sys.argv = ["mirror", "status"]
mirror.cli.main()
"""


@pytest.mark.parametrize(
    ("home", "told"), [("/sys", "hint: please report it; with HOME set to"), ("home", "hint: please report it, with ")]
)
def test_a_defect_is_told_without_a_traceback(folder: Path, home: str, told: str) -> None:
    """That is kept in a report, where one can be written."""
    command = f"exec {sys.executable} -c {shlex.quote(DEFECT)}"
    done = subprocess.run(
        ["sh", "-c", command], capture_output=True, text=True, check=False, env={"HOME": str(folder / home)}
    )
    assert 1 == done.returncode
    assert done.stderr.startswith("error[defect]: mirror itself failed: KeyError: 'surprise'\n")
    assert told in done.stderr
    assert 'File "' not in done.stderr


JOURNAL = f"""
import os, sys
from pathlib import Path
from mirror.adapters.journal.sqlite import SqliteJournal
from mirror.core.errors import UnusableError
os.setuid({SOMEBODY})
try:
    with SqliteJournal(Path(sys.argv[1])) as journal:
        journal.log_path("numpy")
except UnusableError as error:
    print(error.code)
"""


@needs_root
@pytest.mark.parametrize(
    ("path", "mode", "code"),
    [
        ("journal.sqlite", 0o444, "journal-unwritable"),
        ("logs", 0o555, "data-unwritable"),
        (".", 0o555, "data-unwritable"),
        (".", 0o777, ""),
    ],
)
def test_a_journal_of_somebody_elses(tmp_path: Path, path: str, mode: int, code: str) -> None:
    """Each part of it that cannot be written is told; and with all of them writable nothing is."""
    for above in (*tmp_path.parents, tmp_path):
        if above.is_relative_to(tmp_path.parents[1]):
            above.chmod(0o777)
    data = tmp_path / "data"
    data.mkdir(mode=0o777)
    command = [sys.executable, "-c", JOURNAL.replace(f"os.setuid({SOMEBODY})", ""), str(data)]
    subprocess.run(command, check=True)
    for there in (data, *data.rglob("*")):
        there.chmod(0o777)
    for there in (data / path, *(data / path).glob("2*")):  # of logs, today's folder too
        there.chmod(mode)
    done = subprocess.run([sys.executable, "-c", JOURNAL, str(data)], capture_output=True, text=True, check=False)
    assert (code, "") == (done.stdout.strip(), done.stderr)


NO_TMP = """
import tempfile
from pathlib import Path
from mirror.adapters.images.engine import BuildRequest, build_image
from mirror.core.errors import UnusableError
tempfile.tempdir = "/nowhere"
try:
    build_image(None, BuildRequest(name="x", labels={}, files={}, log=Path("x.log")))
except UnusableError as error:
    print(error.code, error.hint, sep=": ")
"""


def test_without_a_folder_for_temporary_files_no_image_is_built() -> None:
    """Python takes whichever there is; where there is none, we say so."""
    done = subprocess.run([sys.executable, "-c", NO_TMP], capture_output=True, text=True, check=False)
    expected = "no-temporary-folder: make room in /tmp, or name a folder in the environment's TMPDIR\n"
    assert expected == done.stdout, done.stderr


@needs_root
@pytest.mark.parametrize(("fault", "code"), [("ro", "data-unwritable"), ("full", "disk-full"), ("none", "")])
def test_the_cache_folder_of_the_bootstrap(tmp_path: Path, fault: str, code: str) -> None:
    """On a read-only disk and on a full one it says so; then the steps run."""
    with small_disk(tmp_path, 20 << 20) as disk:
        script = tmp_path / "step.sh"
        script.write_text('echo made > "$OUT/result"\n')
        workshop = Workshop(
            scripts=tmp_path, cache=disk.folder / "cache", environment={"PATH": "/bin"}, say=lambda _: None
        )
        workshop.cache.mkdir()
        if fault == "ro":
            disk.remount("ro")
        elif fault == "full":
            disk.fill()
        try:
            with workshop.alone():
                workshop.run("step", "0123456789ab", script, {})
        except UnusableError as error:
            assert code == error.code
        else:
            assert "" == code
        assert (fault == "none") == workshop.result("step", "0123456789ab").is_dir()


@needs_root
def test_a_step_of_the_bootstrap_that_fills_the_disk(tmp_path: Path) -> None:
    """It failed for want of room, and that is what is said; with room it goes on."""
    with small_disk(tmp_path, 40 << 20) as disk:
        script = tmp_path / "step.sh"
        script.write_text('set -e\nhead -c 30000000 /dev/zero > "$OUT/result"\n')
        workshop = Workshop(
            scripts=tmp_path, cache=disk.folder / "cache", environment={"PATH": "/bin:/usr/bin"}, say=lambda _: None
        )
        disk.fill(but_bytes=20_000_000)
        with pytest.raises(UnusableError) as caught, workshop.alone():
            workshop.run("step", "0123456789ab", script, {})
        assert "disk-full" == caught.value.code
        disk.make_room()
        with workshop.alone():
            assert (workshop.run("step", "0123456789ab", script, {}) / "result").is_file()
        assert [] == list((workshop.cache / "work").iterdir())
