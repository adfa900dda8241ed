"""The command line as a process: wrong use is exit status 2, and a script that asked for JSON gets JSON."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import hypothesis
import pytest
from hypothesis import strategies as st

from mirror.cli import mirror
from mirror.core.errors import MirrorError

UNREACHABLE = {"DOCKER_HOST": "tcp://127.0.0.1:9"}
"""No engine: so nothing that these tests start could do anything, if it came so far."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project's folder with a requirements file."""
    (tmp_path / "requirements.txt").write_text("markupsafe==2.0.1\n")
    return tmp_path


def start(folder: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    home = folder / "home"
    return subprocess.Popen(
        [str(Path(sys.executable).with_name("mirror")), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "MIRROR_DATA": str(folder / "data"),
            **UNREACHABLE,
            **environment,
        },
    )


def run(folder: Path, *arguments: str, **environment: str) -> tuple[int, str, str]:
    """Exit status, stdout and stderr."""
    with start(folder, *arguments, **environment) as process:
        out, err = process.communicate(timeout=60)
    return process.returncode, out, err


WRONG = {
    "no command": ([], "usage"),
    "no such command": (["compile", "requirements.txt"], "usage"),
    "no file": (["build"], "usage"),
    "no such option": (["build", "requirements.txt", "--fast"], "usage"),
    "an option without its value": (["build", "requirements.txt", "--constraint"], "usage"),
    "no jobs at all": (["build", "requirements.txt", "--jobs", "0"], "usage"),
    "a word for a number": (["build", "requirements.txt", "--jobs", "many"], "usage"),
    "no such base": (["build", "requirements.txt", "--base", "debian"], "usage"),
    "no Python": (["build", "requirements.txt", "--python", "three"], "settings"),
    "a second Python that is none": (["build", "requirements.txt", "--python", "3.11", "--python", "2"], "settings"),
    "no release of Alpine": (["plan", "requirements.txt", "--alpine", "latest"], "settings"),
    "no URL": (["verify", "requirements.txt", "--index-url", "devpi"], "settings"),
    "a password in a URL": (["up", "--index-url", "https://me:hunter2@devpi.example.org/me/x"], "settings"),
    "a file that is not there": (["build", "none.txt"], "requirements"),
    "constraints that are not there": (["build", "requirements.txt", "-c", "none.txt"], "requirements"),
    "a folder": (["plan", "."], "requirements"),
    "louder and quieter": (["plan", "requirements.txt", "-v", "-q"], "bad-options"),
    "plan without a file": (["plan"], "usage"),
    "verify without a file": (["verify"], "usage"),
    "nothing to emit": (["emit"], "usage"),
    "no such kind": (["emit", "conda"], "usage"),
    "up with an argument": (["up", "now"], "usage"),
    "no port": (["up", "--port", "0"], "usage"),
    "a port too high": (["serve", "--port", "70000"], "usage"),
    "nowhere to listen": (["serve", "--listen", "here"], "usage"),
    "status with an argument": (["status", "numpy"], "usage"),
    "down with an argument": (["down", "now"], "usage"),
    "no project": (["log"], "usage"),
    "two projects": (["log", "a", "b"], "usage"),
    "nothing that may go": (["prune"], "usage"),
    "a prune that only looks, at nothing": (["prune", "--dry-run"], "usage"),
    "what a running build may need": (["prune", "--older-than", "1h"], "usage"),
    "images and an age": (["prune", "--images", "--older-than", "90d"], "usage"),
    "no size": (["prune", "--max-size", "20"], "usage"),
    "prune with an argument": (["prune", "requirements.txt"], "usage"),
    "trust with an argument": (["trust", "requirements.txt"], "usage"),
    "nothing there to trust": (["trust"], "no-project-file"),
}


@pytest.mark.parametrize(("arguments", "code"), WRONG.values(), ids=WRONG.keys())
def test_wrong_use_is_exit_status_2(folder: Path, arguments: list[str], code: str) -> None:
    """It says what and what to do, on stderr alone; nothing was started; a password is not repeated."""
    status, out, err = run(folder, *arguments)
    assert (2, "", f"error[{code}]: ") == (status, out, err[: len(f"error[{code}]: ")]), err
    assert "\nhint: " in err
    assert not {"Traceback", "hunter2"} & set(err.split())
    assert "hunter2" not in err
    assert not (folder / "data").exists()


WRONG_VALUES = {
    "--constraint": ("none.txt", ".", "https://example.org/c.txt"),
    "--python": ("2.7", "three", "3", "3.11.4", ""),
    "--alpine": ("latest", "3", "v3.22.1", ""),
    "--base": ("debian", ""),
    "--index-url": ("devpi", "ftp://devpi.example.org/a/b", "https://me:hunter2@devpi.example.org/a/b", "https://", ""),
    "--user": ("", " "),
    "--jobs": ("0", "-1", "many", "1.5", "9999"),
    "--port": ("0", "70000", "http"),
    "--listen": ("here", "127.0.0.1"),
    "--server": ("wheels", "ftp://wheels.example.org", "https://wheels.example.org/mirror/prod", ""),
    **dict.fromkeys(("--packages", "--queue", "--journal", "--tls"), ("requirements.txt", "")),
    "--origin": ("-x:00", "here:/home/me", "here"),
    **dict.fromkeys(("--builder-token", "--facts"), (".", "")),
    "--counts": ("localhost:5140", "127.0.0.1:syslog", "127.0.0.1", "127.0.0.1:70000"),
    "--builds": ("0", "17", "many"),
    "--run-as": ("",),
    "--older-than": ("90", "old", "1h", "0d", "-1d", ""),
    "--max-size": ("20", "0GiB", "-1GiB", "large", ""),
    "--forget": ("", " "),
    "--forget-older-than": ("1h", "old", ""),
}
"""What may stand behind an option that takes a value, and should not."""
FILES = {"build": ["requirements.txt"], "plan": ["requirements.txt"], "verify": ["requirements.txt"], "emit": ["pip"]}


def wrong_options() -> Iterator[tuple[str, ...]]:
    """Every option of every command: behind it nothing, or each wrong value; a flag with a value."""
    for name, command in sorted(mirror.commands.items()):
        for option in command.params:
            if not isinstance(option, click.Option):
                continue
            long = option.opts[-1]
            whole = (name, *FILES.get(name, []))
            if option.is_flag:
                yield (*whole, f"{long}=yes")
                continue
            yield (*whole, long)
            for value in WRONG_VALUES[long] if name in ("build", "up", "serve", "prune") else WRONG_VALUES[long][:1]:
                yield (*whole, f"{long}={value}")


@pytest.mark.parametrize("arguments", tuple(wrong_options()), ids=" ".join)
def test_every_option_can_be_wrong(folder: Path, arguments: tuple[str, ...]) -> None:
    """Exit status 2, one error with what to do, and nothing was started. A new option needs its wrong values here."""
    status, out, err = run(folder, *arguments)
    assert (2, "") == (status, out), err
    assert re.match(r"error\[(usage|settings|requirements)\]: ", err), err
    assert "hint: " in err
    assert not [word for word in ("Traceback", "hunter2") if word in err]
    assert not (folder / "data").exists()


@pytest.mark.parametrize(
    "command", [["build", "requirements.txt"], ["up"], ["status"], ["emit", "pip"], ["down"]], ids=repr
)
def test_no_password_is_shown(folder: Path, command: list[str]) -> None:
    """Neither of the index nor of a proxy, whatever else is told; nor does one reach a file."""
    canary = "hunter2"
    proxy = f"http://me:{canary}@127.0.0.1:9"
    secrets = {"MIRROR_PASSWORD": canary, "http_proxy": proxy, "HTTPS_PROXY": proxy}
    own = folder / "home" / ".config" / "mirror" / "mirror.toml"
    own.parent.mkdir(parents=True)
    own.write_text('index-url = "http://127.0.0.1:9/me/alpine"\nuser = "me"\n')
    _, out, err = run(folder, *command, "--verbose", **secrets)
    assert canary not in out + err
    assert [] == [path for path in folder.rglob("*") if path.is_file() and canary.encode() in path.read_bytes()]


@pytest.mark.parametrize(("arguments", "code"), WRONG.values(), ids=WRONG.keys())
def test_with_json_an_error_is_json_on_stdout(folder: Path, arguments: list[str], code: str) -> None:
    """Even of commands that do not know the option: a script parses stdout and nothing else."""
    status, out, _ = run(folder, *arguments[:1], "--json", *arguments[1:])
    error = read_error(out)
    assert (2, 2) == (status, error["exit_status"])
    assert error["code"] in (code, "usage")
    assert "hunter2" not in out


def read_error(out: str) -> dict[str, Any]:
    """The one document on stdout."""
    document = json.loads(out)
    assert ({"version", "error"}, 1) == (document.keys(), document["version"])
    assert {"code", "what", "details", "hint", "exit_status"} == document["error"].keys()
    error: dict[str, Any] = document["error"]
    return error


@pytest.mark.parametrize(
    ("variables", "file"),
    [
        ({"MIRROR_JOBS": "many"}, ""),
        ({"MIRROR_NO_SUCH_SETTING": "1"}, ""),
        ({}, "jobs = 0"),
        ({}, "jobz = 1"),
        ({}, "jobs = "),
        ({}, 'ca-bundle = "none.pem"'),
        ({"MIRROR_CA_BUNDLE": "none.pem"}, ""),
        ({"MIRROR_TRUST_PROJECT": "perhaps"}, ""),
        ({}, '[proxy]\nhttps = "not a URL"'),
        ({}, "[[recipe]]\nproject = 'a'"),
    ],
    ids=repr,
)
def test_wrong_settings_are_exit_status_2(folder: Path, variables: dict[str, str], file: str) -> None:
    """From the environment and from mirror.toml."""
    (folder / "mirror.toml").write_text(file)
    status, out, _ = run(folder, "plan", "requirements.txt", "--json", **variables)
    assert (2, 2) == (status, read_error(out)["exit_status"])


def test_every_problem_of_a_file_is_told_in_json_too(folder: Path) -> None:
    """With file, line and column."""
    (folder / "requirements.txt").write_text("foo==\nbar=1\n")
    status, out, _ = run(folder, "build", "requirements.txt", "--json")
    error = read_error(out)
    assert (2, "requirements", 2) == (status, error["code"], len(error["details"]))
    assert ["requirements.txt:1:", "requirements.txt:2:"] == [detail[:19] for detail in error["details"]]


@pytest.mark.parametrize("command", ["build", "plan", "verify", "emit pip", "up"])
def test_without_an_engine_it_is_exit_status_3(folder: Path, command: str) -> None:
    """Nothing is installed: the user said where the engine is."""
    files = [] if command == "up" else ["requirements.txt"]
    status, out, err = run(folder, *command.split(), *files, "--json")
    assert (3, 3, "engine-unreachable") == (status, read_error(out)["exit_status"], read_error(out)["code"])
    assert "error[engine-unreachable]" in err


def test_status_starts_nothing_and_fails_at_nothing(folder: Path) -> None:
    """No engine, no index, no run: that is what it says."""
    status, out, err = run(folder, "status", "--json")
    nothing: dict[str, object] = {"version": 1, "engine": None, "index": None, "page": None, "images": [], "runs": []}
    assert (0, nothing, "") == (status, json.loads(out), err)


def test_a_log_that_is_not_there_is_exit_status_1(folder: Path) -> None:
    """It was asked for and not found."""
    status, out, err = run(folder, "log", "numpy")
    assert (1, "") == (status, out)
    assert err.startswith("error[no-log]: no log of numpy is kept\n")


@pytest.mark.parametrize("command", ["build", "plan", "verify"])
def test_empty_requirements_are_done_at_once(folder: Path, command: str) -> None:
    """Also for a script; no engine is asked for."""
    (folder / "requirements.txt").write_text("# nothing yet\n")
    status, out, err = run(folder, command, "requirements.txt", "--json")
    assert (0, {"version": 1, "targets": []}) == (status, json.loads(out))
    assert "nothing to build: the requirements are empty\n" == err


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["build", "--help"], ["--version"]], ids=" ".join)
def test_help_is_no_error(folder: Path, arguments: list[str]) -> None:
    """It is data, on stdout."""
    status, out, err = run(folder, *arguments)
    assert (0, True, "") == (status, bool(out), err)


@pytest.mark.parametrize(("number", "expected"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_as_shells_expect(folder: Path, number: signal.Signals, expected: int) -> None:
    """Interrupted while it reads requirements from a pipe that nobody writes to: no traceback."""
    os.mkfifo(folder / "pipe.txt")
    # In a script's background job SIGINT is ignored, and what we start would inherit that.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        process = start(folder, "plan", "pipe.txt")
    finally:
        signal.signal(signal.SIGINT, before)
    with process:
        writer = os.open(folder / "pipe.txt", os.O_WRONLY)  # waits until the process reads
        try:
            process.send_signal(number)
            _, err = process.communicate(timeout=60)
        finally:
            process.kill()
            os.close(writer)
    assert (expected, False) == (process.returncode, "Traceback" in err)


NOISE = st.binary(max_size=120) | st.lists(
    st.sampled_from(
        [
            *(
                "foo",
                "==",
                "1.0",
                ">=",
                "; ",
                "python_version < '3'",
                "[a]",
                "\n",
                "-r ",
                "-c ",
                "a.txt",
                ".",
                "--pre",
                "#",
            ),
            *("-e .", "--hash=sha256:", "0" * 64, "${X}", "git+https://me:hunter2@h/x", "\\\n", "\x00", "\u202e", "é"),
        ]
    ),
    max_size=15,
).map(lambda pieces: "".join(pieces).encode())


@hypothesis.settings(max_examples=200, deadline=2_000)
@hypothesis.given(content=NOISE, other=NOISE)
def test_whatever_stands_in_a_file(content: bytes, other: bytes) -> None:
    """Nothing to build, a listed error, or, where all is well, no engine; never another exception, never over 2 s."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        Path("requirements.txt").write_bytes(content)
        Path("a.txt").write_bytes(other)
        try:
            with patched(DOCKER_HOST="tcp://127.0.0.1:9", MIRROR_DATA=f"{folder}/data", HOME=folder):
                status = mirror.main(["plan", "requirements.txt"], standalone_mode=False)
        except MirrorError as error:
            status = int(error.status)
            assert all(line.isprintable() for line in (error.what, *error.details))
            assert "hunter2" not in "".join((error.what, error.hint, *error.details))
            assert status != 2 or not (Path(folder) / "data").exists()
        assert status in (0, 2, 3)


@contextlib.contextmanager
def patched(**environment: str) -> Iterator[None]:
    """With these variables in this process's environment."""
    before = dict(os.environ)
    os.environ.update(environment)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
