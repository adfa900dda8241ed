"""What the index knows of whoever started it, and that it starts however mirror was started."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.command import free_port
from mirror.adapters.devpi import processes
from mirror.adapters.devpi.server import EmbeddedServer

NOWHERE = "http://127.0.0.1:9/simple/"
SECRETS = {
    "AWS_SECRET_ACCESS_KEY": "canary-of-a-cloud",
    "MIRROR_PASSWORD": "canary-of-an-index",
    "DEVPI_SERVERDIR": "/canary-of-devpi",
    "MIRROR_JOURNAL": "/canary-of-ours",
}
pytestmark = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs Linux's /proc")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedServer]:
    """An index that was never started."""
    server = EmbeddedServer(tmp_path / "data" / "devpi", free_port(), upstream=NOWHERE)
    yield server
    server.stop()


def environment_of(pid: int) -> str:
    return Path(f"/proc/{pid}/environ").read_text().replace("\0", "\n")


def test_it_keeps_nothing_of_its_starters_environment(
    server: EmbeddedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither cloud keys nor passwords; what it needs it has. What gets all of it has the canaries: the control."""
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    info = server.ensure_running(lambda _: None)
    found = environment_of(info.pid)
    assert "canary" not in found
    for line in (f"PATH={os.environ['PATH']}", "https_proxy=http://127.0.0.1:9"):
        assert line in found.splitlines()
    other = processes.hold(["sleep", "60"], environment=os.environ, log=tmp_path / "log")
    try:
        assert set(SECRETS.values()) <= {line.partition("=")[2] for line in environment_of(other.pid).splitlines()}
    finally:
        other.give_up()


def test_it_is_its_users_alone_though_it_comes_first(server: EmbeddedServer, tmp_path: Path) -> None:
    """`mirror serve` makes the data folder, where nothing else has."""
    server.ensure_running(lambda _: None)
    assert [0o700, 0o700] == [path.stat().st_mode & 0o777 for path in (tmp_path / "data", tmp_path / "data" / "devpi")]


def test_it_starts_where_mirror_is_found_by_a_variable(tmp_path: Path) -> None:
    """Of a Python that has nothing installed: PYTHONPATH says where mirror, devpi and our plugins are."""
    code = (
        "import sys; from pathlib import Path\n"
        "from mirror.adapters.devpi.server import EmbeddedServer\n"
        "server = EmbeddedServer(Path(sys.argv[1]), int(sys.argv[2]), upstream=sys.argv[3])\n"
        "print(server.ensure_running(lambda _: None).pid)\n"
    )
    paths = [str(Path(path).absolute()) for path in sys.path if path]
    folder, port = tmp_path / "devpi", free_port()
    bare = Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
    done = subprocess.run(
        [str(bare), "-c", code, str(folder), str(port), NOWHERE],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        check=False,
    )
    server = EmbeddedServer(folder, port, upstream=NOWHERE)
    try:
        running = server.status()
        assert running is not None, done.stderr
        assert f"{running.pid}\n" == done.stdout
    finally:
        server.stop()
