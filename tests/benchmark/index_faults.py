"""How many of N uploads land through a faulty way to a real devpi-server: none lost, none twice.

    .venv/bin/python tests/benchmark/index_faults.py [UPLOADS]

Before each upload's request the proxy throws a die (with a fixed seed): pass, 500, 502, 503, a reset before or after
it was forwarded, a reply that is cut, a delay; the same for pages and files. Three times the server itself is killed
(kill -9) in the middle of it all, and started again. Everything is on loopback; 200 uploads unless told otherwise,
2000 at most.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from fakes.proxy import Fault, FaultyProxy
from fakes.upstream import Upstream
from fakes.wheels import checked_wheel
from mirror.adapters.devpi.index import DevpiIndex
from mirror.adapters.devpi.listening import free_port
from mirror.adapters.devpi.patience import Patience, Recovery
from mirror.adapters.devpi.server import EmbeddedServer
from mirror.adapters.store import Store
from mirror.core.errors import MirrorError
from mirror.core.model import CheckedWheel

LARGEST = 2000
AT_ONCE = 4
KILLS = 3
FAULTS = {
    "500": Fault(forward=False, status=500),
    "502 after it arrived": Fault(status=502),
    "503": Fault(forward=False, status=503),
    "429, Retry-After": Fault(forward=False, status=429, headers=(("Retry-After", "1"),)),
    "reset before": Fault(forward=False, reset=True),
    "reset after": Fault(reset=True),
    "cut": Fault(cut=True),
    "slow": Fault(delay_s=0.3),
}


class Die:
    """Befalls a third of all requests, of whatever kind."""

    def __init__(self) -> None:
        self.thrown: Counter[str] = Counter()
        self._random = random.Random(4)  # noqa: S311 - the same faults each time

    def __call__(self, _method: str, _path: str) -> Fault:
        if self._random.random() > 1 / 3:
            return Fault()
        kind = self._random.choice([*FAULTS])
        self.thrown[kind] += 1
        return FAULTS[kind]


def main(uploads: int) -> int:
    """Print the figures; 0 where nothing was lost and nothing stands twice."""
    upstream = Upstream()
    upstream.start()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        server = EmbeddedServer(folder / "devpi", free_port(), upstream=upstream.url)
        try:
            return _measure(server, folder, uploads)
        finally:
            server.stop()
            upstream.stop()


def _measure(server: EmbeddedServer, folder: Path, uploads: int) -> int:
    info = server.ensure_running(lambda _: None)
    wheels = [checked_wheel(f"demo{n}-1.0-cp311-cp311-musllinux_1_2_x86_64.whl") for n in range(uploads)]
    kill_at = {uploads * n // (KILLS + 1) for n in range(1, KILLS + 1)} - {0}
    said: list[str] = []
    die = Die()
    with FaultyProxy(info.url, befalls=die) as proxy:
        index = DevpiIndex(
            proxy.instead_of(info.url),
            info.login,
            Store(folder / "store"),
            administrator=info.administrator,
            recovery=Recovery(patience=Patience(), say=said.append),
        )

        def publish(n: int) -> str:
            if n in kill_at:
                status = server.status()
                if status is not None:
                    os.kill(status.pid, signal.SIGKILL)
                server.ensure_running(said.append)
            try:
                return index.publish(wheels[n]).sha256
            except MirrorError as error:
                return f"{error.code}: {error.what}"

        began = time.monotonic()
        with ThreadPoolExecutor(AT_ONCE) as pool:
            results = [*pool.map(publish, range(uploads))]
        seconds = time.monotonic() - began
        sent = proxy.count("POST", "/mirror/alpine/")
    failed = [result for result, wheel in zip(results, wheels, strict=True) if result != wheel.sha256]
    reader = DevpiIndex(info.url, info.login, Store(folder / "reader"), administrator=info.administrator)
    copies = [_copies(reader, wheel) for wheel in wheels]
    print(f"uploads          {uploads}, {AT_ONCE} at once, sent {sent} times")
    print(
        f"faults           {die.thrown.total()}: {', '.join(f'{n} x {kind}' for kind, n in die.thrown.most_common())}"
    )
    print(f"server killed    {len(kill_at)} times (kill -9)")
    print(f"landed           {uploads - len(failed)} of {uploads}")
    print(f"lost             {copies.count(0)}")
    print(f"there twice      {sum(1 for n in copies if n > 1)}")
    print(f"seconds          {seconds:.1f}")
    for failure in failed[:5]:
        print(f"  {failure}")
    return 0 if not failed and copies == [1] * uploads else 1


def _copies(reader: DevpiIndex, wheel: CheckedWheel) -> int:
    """How often the index lists the wheel, its bytes being right."""
    files = [file for file in reader.files(wheel.name) if file.sha256 == wheel.sha256]
    return sum(1 for file in files if reader.fetch(file).read_bytes() == wheel.content)


if __name__ == "__main__":
    sys.exit(main(min(LARGEST, int(sys.argv[1]) if len(sys.argv) > 1 else 200)))
