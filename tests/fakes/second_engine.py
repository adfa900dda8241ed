"""A Docker engine of the test's own, that it may stop and start as it likes, and a cable to an engine, to be cut."""

from __future__ import annotations

import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import docker
from docker.errors import DockerException

_START_S = 60


class SecondEngine:
    """A dockerd beside the machine's, with its data in `folder`: without network, which no sandbox has."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """For DOCKER_HOST."""
        return f"unix://{self._folder}/sock"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    # In a network of its own: one without a bridge takes the machine's engine's away.
                    *("unshare", "--net", "--"),
                    "dockerd",
                    *("--data-root", str(self._folder / "data"), "--exec-root", str(self._folder / "exec")),
                    *("--pidfile", str(self._folder / "pid"), "--host", self.address),
                    *("--bridge=none", "--iptables=false", "--ip-forward=false"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + _START_S
        while not self._answers():
            assert self._process.poll() is None, (self._folder / "log").read_text()[-2000:]
            assert time.monotonic() < deadline, "it does not answer"
            time.sleep(0.1)

    def stop(self) -> None:
        """Stop it, and every container with it."""
        assert self._process is not None
        self._process.terminate()
        self._process.wait(timeout=60)

    def client(self) -> docker.DockerClient:
        return docker.DockerClient(base_url=self.address)

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as connection:
            if connection.connect_ex(str(self._folder / "sock")) != 0:
                return False
        with suppress(DockerException), closing(self.client()) as client:
            client.ping()
            return True
        return False


@contextmanager
def second_engine(first: docker.DockerClient, folder: Path, *images: str) -> Iterator[SecondEngine]:
    """A running one that has these images of the first."""
    folder.mkdir()
    engine = SecondEngine(folder)
    engine.start()
    try:
        client = engine.client()
        for image in images:
            saved: Any = first.images.get(image).save(named=True)  # pieces, which `load` takes too
            client.images.load(saved)
        client.close()
        yield engine
    finally:
        engine.stop()


class Cable:
    """Carries connections from the socket `here` to the engine's socket `there`, until they are cut."""

    def __init__(self, here: Path, there: Path) -> None:
        self._there = there
        self._talks: list[socket.socket] = []
        self._to_lose: dict[bytes, bool] = {}
        self.lost = 0
        self._deaf: set[socket.socket] = set()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(here))
        self._listener.listen()
        self.address = f"unix://{here}"
        threading.Thread(target=self._accept, name="cable", daemon=True).start()

    def cut_the_wires(self) -> int:
        """Cut every connection over which a container's streams go; how many there were."""
        cut, self._talks = self._talks, []
        for talk in cut:
            with suppress(OSError):
                talk.shutdown(socket.SHUT_RDWR)
        return len(cut)

    def lose(self, request: bytes, *, is_done: bool) -> None:
        """Cut the connection of the next request that begins so: when it is done, or before the engine hears of it."""
        self._to_lose[request] = is_done

    def close(self) -> None:
        """Take no more connections."""
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.socket(socket.AF_UNIX)
                far.connect(str(self._there))
                threading.Thread(target=self._carry, args=(near, far, True), daemon=True).start()
                threading.Thread(target=self._carry, args=(far, near, False), daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket, is_asking: bool) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                if is_asking and b"/attach?" in data:
                    self._talks += [source, sink]
                for request in [request for request in self._to_lose if is_asking and data.startswith(request)]:
                    self.lost += 1
                    if not self._to_lose.pop(request):
                        raise ConnectionError
                    self._deaf.add(source)
                if sink in self._deaf:
                    raise ConnectionError
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self._deaf.discard(sink)
        source.close()  # the other one is read by the other direction's thread, and closed there
