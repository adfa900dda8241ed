"""Let a build print ten gigabytes, and see that the tool's memory stays as it was and that the log stays small.

    .venv/bin/python tests/benchmark/log_flood.py [GIGABYTES]

Needs the images that `mirror up` makes. The build prints by both of its streams; what it prints goes over the wire, of
which the log keeps head and tail. Ends with 1 where the tool's peak grew by more than 48 MiB, or the log is larger than
its limit. As measured on two cores that were busy with tests: 10 GB in 144 s, flat at 68 MiB (33 before), log 16 MiB.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

import docker

sys.path.insert(0, str(Path(__file__).parents[1]))

from fakes.sdists import LIMITS, backend_task
from mirror.adapters.images.model import ROLE
from mirror.adapters.sandbox.docker import DockerSandbox

MOST_GROWTH_BYTES = 48 << 20
LOG_BYTES = 16 << 20
PRINT = """
import os
def build_wheel(folder, *_):
    piece = b"x" * 4095 + b"\\n"
    for _ in range({pieces}):
        os.write(1, piece * 16)
        os.write(2, piece * 16)
    raise SystemExit(1)
"""


def resident_bytes(what: str) -> int:
    """This process's VmRSS or VmHWM."""
    return int(Path("/proc/self/status").read_text().partition(f"{what}:")[2].split()[0]) * 1024


def main() -> int:
    """Flood, show, judge."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("gigabytes", type=float, nargs="?", default=10)
    options = parser.parse_args()
    engine = docker.from_env()
    image = str(engine.images.list(filters={"label": f"{ROLE}=builder"})[0].id)
    limits = replace(LIMITS, wall_clock_s=3600, silence_s=600, log_bytes=LOG_BYTES)
    sandbox = DockerSandbox(engine)
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"

        def run(pieces: int) -> None:
            task = backend_task(image, PRINT.format(pieces=pieces), limits=limits, log=log)
            ended = sandbox.run(task, lambda _: None)
            assert not ended.value["ok"], ended

        run(100)  # what is imported and allocated at first use is no matter of the flood
        Path("/proc/self/clear_refs").write_text("5")
        before, started, over = resident_bytes("VmHWM"), time.monotonic(), threading.Event()

        def watch() -> None:
            while not over.wait(5):
                print(f"{time.monotonic() - started:5.0f} s: {resident_bytes('VmRSS') >> 20} MiB", flush=True)

        threading.Thread(target=watch, daemon=True).start()
        run(int(options.gigabytes * 1e9 / (2 * 16 * 4096)))
        over.set()
        seconds, peak, kept = time.monotonic() - started, resident_bytes("VmHWM"), log.stat().st_size
    print(f"{options.gigabytes:g} GB in {seconds:.0f} s; peak {before >> 20} -> {peak >> 20} MiB; log {kept >> 20} MiB")
    return int(peak - before > MOST_GROWTH_BYTES or kept > LOG_BYTES + 4096)


if __name__ == "__main__":
    sys.exit(main())
