"""Faults of the host: its disk is full, breaks or is read-only; no more files can be opened. All of it real.

Each test puts the data folder on a small disk of its own, spoils that before or during a build, mends it, and builds
again: everything is there then, the journal is whole, and nothing lies around.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.errors import APIError

from fakes.disks import SmallDisk, small_disk
from fakes.house import a_wheel
from fakes.sdists import IN_TREE, sdist
from fakes.upstream import Upstream
from mirror.adapters.sandbox.options import RUN_LABEL

pytestmark = [
    pytest.mark.docker,
    pytest.mark.skipif(
        not sys.platform.startswith("linux") or os.geteuid() != 0, reason="mounts disks: needs root on Linux, as in CI"
    ),
]

DISK_BYTES = 600 << 20
PROJECTS = ("alpha", "beta", "gamma")
PATIENCE_S = 120
BACKEND = """
import os, time
def build_wheel(folder, *_):
    print("holding", flush=True)
    deadline = time.monotonic() + 60
    while not os.path.exists("/scratch/go") and time.monotonic() < deadline:
        time.sleep(0.02)
    print("talking" * 20_000, flush=True)
    open(os.path.join(folder, {filename!r}), "wb").write({content!r})
    return {filename!r}
"""
"""Waits in the midst of its compile until the test lets it go, and then has more to say than one block holds."""


@dataclass
class Site:
    """The `mirror` beside this Python, its data folder on a small disk, and an upstream of three projects."""

    engine: docker.DockerClient
    disk: SmallDisk
    folder: Path
    upstream: Upstream
    port: int
    pids: set[int] = field(default_factory=set)

    @property
    def data(self) -> Path:
        return self.disk.folder / "data"

    def start(self, *arguments: str, jobs: int = 3, under: Sequence[str] = ()) -> subprocess.Popen[str]:
        """Start the tool; `under` is a command that turns into the one behind it."""
        with (self.folder / "out").open("w") as out, (self.folder / "err").open("w") as err:
            process = subprocess.Popen(
                [*under, str(Path(sys.executable).with_name("mirror")), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                text=True,
                cwd=self.folder,
                env={
                    "PATH": os.environ["PATH"],
                    "HOME": str(self.folder / "home"),
                    "MIRROR_DATA": str(self.data),
                    "MIRROR_PORT": str(self.port),
                    "MIRROR_UPSTREAM": self.upstream.url,
                    "MIRROR_JOBS": str(jobs),
                    **{name: value for name, value in os.environ.items() if name.startswith("DOCKER_")},
                },
            )
        self.pids.add(process.pid)
        return process

    def build(self, **more: Any) -> tuple[int, dict[str, Any], str]:
        """Build to the end; as `finish`."""
        return self.finish(self.start("build", "requirements.txt", "--json", **more))

    def finish(self, process: subprocess.Popen[str]) -> tuple[int, dict[str, Any], str]:
        """Let every compile go on, and wait: the exit status, the document on stdout, and stderr."""
        deadline = time.monotonic() + PATIENCE_S
        while process.poll() is None and time.monotonic() < deadline:
            for container in self.containers():
                with suppress(APIError):  # it has ended, or is not there yet
                    container.exec_run(["touch", "/scratch/go"])
            time.sleep(0.1)
        process.kill()
        status = process.wait()
        error = (self.folder / "err").read_text()
        assert "Traceback" not in error
        assert "defect" not in error
        return status, json.loads((self.folder / "out").read_text() or "{}"), error

    def wait_for_compiles(self, count: int) -> None:
        """Wait until so many compiles hold."""
        deadline = time.monotonic() + PATIENCE_S
        while sum(b"holding" in log.read_bytes() for log in (self.data / "logs").rglob("*.log")) < count:
            assert time.monotonic() < deadline, (self.folder / "err").read_text()
            time.sleep(0.05)

    def containers(self) -> list[Any]:
        """The containers of the processes that were started here."""
        found = self.engine.containers.list(all=True, filters={"label": RUN_LABEL}, ignore_removed=True)
        return [c for c in found if int(c.labels[RUN_LABEL].split(":")[1]) in self.pids]

    def end(self) -> None:
        """Stop the index, and whatever a test that failed left running: the disk could not be unmounted."""
        self.start("down").wait(PATIENCE_S)
        with suppress(FileNotFoundError, ProcessLookupError):
            pid = json.loads((self.data / "devpi" / "state.json").read_bytes())["pid"]
            if os.fsencode(self.data) in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(pid, signal.SIGKILL)
                time.sleep(0.5)

    def litter(self) -> list[str]:
        """Temporary files, ours and devpi's, and containers."""
        names = [path.relative_to(self.data) for path in self.data.rglob("*")]
        ours = [name for name in names if name.name.startswith(".") and "server" not in name.parts]
        devpis = [name for name in names if name.name.endswith(("-tmp", ".new"))]
        return [*map(str, (*ours, *devpis)), *(container.name for container in self.containers())]

    def check_that_all_is_well(self) -> None:
        """Build once more, and find everything built, the journal whole, and nothing lying around."""
        status, document, error = self.build()
        assert 0 == status, error
        outcomes = {outcome["name"]: outcome["outcome"] for outcome in document["targets"][0]["outcomes"]}
        assert set(PROJECTS) == outcomes.keys()
        assert {"built", "reused"} >= set(outcomes.values())
        with closing(sqlite3.connect(self.data / "journal.sqlite")) as journal:
            assert [("ok",)] == journal.execute("PRAGMA integrity_check").fetchall()
        assert [] == self.litter()


@pytest.fixture
def site(tmp_path: Path, engine: docker.DockerClient, builder_image: str) -> Iterator[Site]:
    """A site on a disk of its own; its index is stopped at the end."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = int(listener.getsockname()[1])
    upstream = Upstream()
    for name in PROJECTS:
        upstream.add(name, f"{name}-1.0.tar.gz", held_sdist(name))
    (tmp_path / "requirements.txt").write_text("".join(f"{name}==1.0\n" for name in PROJECTS))
    upstream.start()
    try:
        with small_disk(tmp_path, DISK_BYTES) as disk:
            site = Site(engine, disk, tmp_path, upstream, port)
            try:
                yield site
            finally:
                site.end()
    finally:
        upstream.stop()


def held_sdist(name: str) -> bytes:
    """An sdist of a pure project whose compile holds; its metadata is static, so that resolving runs nothing."""
    filename = f"{name}-1.0-py3-none-any.whl"
    backend = BACKEND.format(filename=filename, content=a_wheel(filename))
    pkg_info = f"Metadata-Version: 2.2\nName: {name}\nVersion: 1.0\n"
    return sdist(name, "1.0", {"PKG-INFO": pkg_info, "pyproject.toml": IN_TREE, "backend.py": backend})


def refused(status: int, document: dict[str, Any]) -> tuple[int, str]:
    """Exit status and code of a run that was refused."""
    return status, document["error"]["code"]


def codes(document: dict[str, Any]) -> dict[str, str]:
    """How each job ended: its outcome, or the code of its failure."""
    outcomes = document["targets"][0]["outcomes"]
    return {outcome["name"]: outcome.get("code") or outcome["outcome"] for outcome in outcomes}


def test_a_disk_without_room_refuses_and_starts_nothing(site: Site) -> None:
    """Full, and below the floor: it says how much room is wanted; with it, everything is built."""
    for left_bytes in (150_000_000, 0):
        site.disk.fill(but_bytes=left_bytes)
        status, document, error = site.build()
        assert (3, "disk-full") == refused(status, document), error
        assert "make room on that disk (200 MB at least)" in document["error"]["hint"]
        assert [] == list(site.data.rglob("*"))
    site.disk.make_room()
    site.check_that_all_is_well()


def test_the_disk_fills_while_three_compile(site: Site) -> None:
    """Each fails with the reason and the remedy; what is written down, and what is not, is as it was."""
    process = site.start("build", "requirements.txt", "--json")
    site.wait_for_compiles(3)
    site.disk.fill()
    status, document, error = site.finish(process)
    assert (1, dict.fromkeys(PROJECTS, "disk-full")) == (status, codes(document)), error
    assert "the history lacks how alpha 1.0 ended: there is no room for " in error
    site.disk.make_room()
    site.check_that_all_is_well()


def test_below_the_floor_no_further_compile_is_started(site: Site) -> None:
    """The one that runs comes to its end, and is published; the others are refused, one reason each."""
    process = site.start("build", "requirements.txt", "--json", jobs=1)
    site.wait_for_compiles(1)
    site.disk.fill(but_bytes=150_000_000)
    status, document, error = site.finish(process)
    assert (1, ["built", "disk-full", "disk-full"]) == (status, sorted(codes(document).values())), error
    site.disk.make_room()
    site.check_that_all_is_well()


def test_a_read_only_disk_refuses(site: Site) -> None:
    """Before anything is started, also where there is something already; `down` and the next `build` go on."""
    site.disk.remount("ro")
    assert (3, "data-unwritable") == refused(*site.build()[:2])
    site.disk.remount("rw")
    site.check_that_all_is_well()
    assert 0 == site.start("down").wait(PATIENCE_S)
    site.disk.remount("ro")
    assert (3, "data-unwritable") == refused(*site.build()[:2])
    site.disk.remount("rw")
    site.check_that_all_is_well()


def test_the_disk_breaks_while_three_compile(site: Site) -> None:
    """The kernel makes it read-only under our hands: each job says so; our index can be stopped all the same."""
    process = site.start("build", "requirements.txt", "--json")
    site.wait_for_compiles(3)
    site.disk.break_down()
    status, document, error = site.finish(process)
    assert (1, dict.fromkeys(PROJECTS, "data-unwritable")) == (status, codes(document)), error
    assert 0 == site.start("down").wait(PATIENCE_S), (site.folder / "err").read_text()
    site.disk.mend()
    site.check_that_all_is_well()


def test_too_few_open_files_refuse(site: Site) -> None:
    """Where the hard limit is too low; a soft one alone is raised by the tool itself."""
    status, document, error = site.build(under=["prlimit", "--nofile=50:50"])
    assert (3, "too-many-open-files") == refused(status, document), error
    assert "ulimit -n" in document["error"]["hint"]
    assert not site.data.exists()
    assert 0 == site.build(under=["prlimit", "--nofile=50:"])[0]
    site.check_that_all_is_well()


def test_no_more_files_can_be_opened_while_three_compile(site: Site) -> None:
    """What needs another connection fails with the reason and the remedy."""
    process = site.start("build", "requirements.txt", "--json")
    site.wait_for_compiles(3)
    resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (3, 3))
    status, document, error = site.finish(process)
    assert (1, dict.fromkeys(PROJECTS, "too-many-open-files")) == (status, codes(document)), error
    site.check_that_all_is_well()
