"""Measure what hardening costs: one compile in a sandbox, and the same compile by a plain `docker run`.

Both run the same steps of the same agent on the same image. The plain one has what `docker run` gives anybody: root,
a bridge, a writable root, Docker's own seccomp profile, no limits, its inputs by bind mounts. The sandbox has
everything else: its walls, its limits, and the wire, over which inputs go in and logs and the wheel come out. They
take turns, and what counts is the median of the ratios of neighbours, so that a busy machine tells in both.

Run it with the Python that mirror is installed for, where `mirror up` ran. FOLDER holds one sdist, and in `wheelhouse`
the wheels of its build requirements:

    pip download --no-deps --no-binary :all: --dest FOLDER psutil==7.1.3
    pip download --dest FOLDER/wheelhouse setuptools
    .venv/bin/python tests/benchmark/hardening.py FOLDER --pairs 9

Much of what the walls cost the sandbox's scratch folder pays back, being in memory: `--tmpfs` gives the plain one such
a folder too.

Ends with 1 where it costs more than the promised 5 %.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any

import docker
from packaging.utils import parse_sdist_filename

from mirror.adapters.images.model import ROLE
from mirror.adapters.sandbox.docker import DockerSandbox
from mirror.core.model import IndexFile, Job, JobKey, Recipe, Target
from mirror.core.sdist import read_source
from mirror.ports import End, Limits, Task
from mirror.tasks import BuildEnvironment, Workshop, compile_task

PROMISED = 1.05
LIMITS = Limits(
    memory_bytes=4 << 30,
    scratch_bytes=4 << 30,
    processes=1024,
    open_files=4096,
    wall_clock_s=3600,
    silence_s=1800,
    log_bytes=10 << 20,
    output_bytes=512 << 20,
)
PLAIN = """
import json, os, sys
from pathlib import Path
from agent.compile import compile_sdist
from agent.place import Place

class Quiet:
    def stage(self, name): pass
    def output(self, number, path): print(path.stat().st_size)

for name in ("home", "tmp", "work", "out"):
    os.makedirs("/scratch/" + name)
os.environ.update(HOME="/scratch/home", TMPDIR="/scratch/tmp")
done = compile_sdist(Place(Quiet(), Path("/scratch"), ""), json.loads(sys.argv[1]))
sys.exit(0 if done.get("wheel") else str(done))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compile:
    """What is compiled: the folder it lies in, the sdist in it, and the task."""

    folder: Path
    sdist: Path
    task: Task


def prepared(client: docker.DockerClient, folder: Path, processes: int, log: Path) -> Compile:
    """Read the folder."""
    (sdist,) = (path for path in folder.iterdir() if path.name.endswith((".tar.gz", ".zip")))
    with sdist.open("rb") as content:
        facts = read_source(sdist.name, content)
    name, version = parse_sdist_filename(sdist.name)
    images = client.images.list(filters={"label": f"{ROLE}=builder"})
    image = str(max(images, key=lambda found: found.attrs["Created"]).id)
    job = Job(
        key=JobKey(name=name, version=version),
        sdist=IndexFile(filename=sdist.name, url="", sha256=""),
        target=Target(python="3.11"),
        recipe=Recipe(),
    )
    wheels = {path.name: path for path in (folder / "wheelhouse").glob("*.whl")}
    environment = BuildEnvironment(build_system=facts.build_system, requires=facts.build_system.requires, wheels=wheels)
    workshop = Workshop(base_image=image, builder_image=image, limits=LIMITS, processes=processes)
    return Compile(folder=folder, sdist=sdist, task=compile_task(workshop, job, environment, sdist, log))


def in_a_sandbox(sandbox: DockerSandbox, task: Task) -> float:
    """Seconds of a compile as mirror does it, up to the wheel's bytes in hand."""
    started = time.perf_counter()
    ended = sandbox.run(task, lambda _: None)
    seconds = time.perf_counter() - started
    if ended.end is not End.FINISHED or "0" not in ended.outputs:
        raise SystemExit(f"the sandbox ended as {ended.end.value}: {ended.message or dict(ended.value)} ({task.log})")
    return seconds


def by_docker_run(work: Compile, more: Sequence[str]) -> float:
    """Seconds of the same compile by a plain `docker run`; `more` are options of it."""
    arguments: Mapping[str, Any] = work.task.arguments
    mounts = {
        str(resources.files("mirror.agent")): "/agent/agent",
        str(work.sdist): f"/scratch/inputs/{work.sdist.name}",
        str(work.folder / "wheelhouse"): "/scratch/inputs/wheelhouse",
    }
    command = [
        "docker",
        "run",
        "--rm",
        "--user=0:0",
        "--env",
        "PYTHONPATH=/agent",
        "--env",
        "PYTHONDONTWRITEBYTECODE=1",
    ]
    command += [f"--mount=type=bind,source={source},target={target},readonly" for source, target in mounts.items()]
    command += ["--entrypoint=", work.task.image, "python3", "-c", PLAIN, json.dumps(dict(arguments))]
    started = time.perf_counter()
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    seconds = time.perf_counter() - started
    if done.returncode:
        raise SystemExit(done.stdout.decode(errors="replace")[-2000:])
    return seconds


def measure(folder: Path, pairs: int, processes: int, more: Sequence[str]) -> list[tuple[float, float]]:
    """(hardened, plain) seconds of every pair; who goes first takes turns."""
    client = docker.from_env()
    sandbox = DockerSandbox(client)
    with tempfile.TemporaryDirectory() as logs:
        work = prepared(client, folder.resolve(), processes, Path(logs) / "log")
        warm = replace(work.task, log=None)
        in_a_sandbox(sandbox, warm), by_docker_run(work, more)
        found = []
        for number in range(pairs):
            if number % 2:
                plain, hardened = by_docker_run(work, more), in_a_sandbox(sandbox, work.task)
            else:
                hardened, plain = in_a_sandbox(sandbox, work.task), by_docker_run(work, more)
            found.append((hardened, plain))
            print(f"sandbox {hardened:6.2f} s, docker run {plain:6.2f} s: {hardened / plain:.3f}", flush=True)
        return found


def main(arguments: Sequence[str]) -> int:
    """Measure and judge; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--tmpfs", action="store_true")
    chosen = parser.parse_args(arguments)
    more = ["--tmpfs=/scratch:exec"] if chosen.tmpfs else []
    pairs = measure(chosen.folder, chosen.pairs, chosen.processes, more)
    ratio = statistics.median(hardened / plain for hardened, plain in pairs)
    spread = f"{min(h / p for h, p in pairs):.3f} to {max(h / p for h, p in pairs):.3f}"
    print(f"median of {len(pairs)} ratios: {ratio:.3f} ({spread}), promised at most {PROMISED}")
    return 0 if ratio <= PROMISED else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
