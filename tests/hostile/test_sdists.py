"""Sdists that attack: harmless and rightly named with every wall up, and through with that one wall down."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import docker
import pytest

from fakes.index import FakeIndex
from fakes.journal import FakeJournal
from fakes.sdists import IN_TREE, sdist, with_changes
from fakes.wheels import wheel_bytes
from hostile.arena import ALL_UP, INNER, SUCCEEDED, TARGET, Result, Walls
from hostile.attacks import ATTACKS, WHEEL, Attack, backend
from hostile.forgeries import FORGERIES, Forgery
from hostile.nuisances import ESCAPES, NUISANCES, Nuisance
from hostile.probes import PROBES, Probes
from mirror.adapters.sandbox.docker import DockerSandbox
from mirror.adapters.store import Store
from mirror.adapters.uv import UvResolver
from mirror.tasks import Workshop
from mirror.window import window_for

pytestmark = pytest.mark.docker

Run = Callable[[str, Walls], Result]

Begin = Callable[[str, Walls], "Future[Result]"]


@pytest.fixture(scope="module")
def begin(request: pytest.FixtureRequest, run: Run) -> Iterator[Begin]:
    """Begin every run of the selected tests, four at a time: most of a short sandbox is waiting for the engine."""
    with ThreadPoolExecutor(4) as pool:
        begun: dict[tuple[str, int], Future[Result]] = {}

        def begin(program: str, walls: Walls) -> Future[Result]:
            key = (program, id(walls))
            if key not in begun:
                begun[key] = pool.submit(run, program, walls)
            return begun[key]

        for item in request.session.items:
            for case in (getattr(item, "callspec", None) and item.callspec.params.values()) or ():  # type: ignore[attr-defined]
                if isinstance(case, Attack | Forgery | Nuisance | Probes):
                    for program, walls in runs_of(case):
                        begin(program, walls)
        yield begin
        pool.shutdown(cancel_futures=True)


def runs_of(case: Attack | Forgery | Nuisance | Probes) -> tuple[tuple[str, Walls], ...]:
    """What of a case is run behind which walls: the attack, and its control."""
    match case:
        case Attack():
            return ((case.program, case.up), (case.program, case.down))
        case Forgery() | Probes():
            return ((case.program, ALL_UP), (case.program, case.down))
        case Nuisance():
            return ((case.program, case.up), (case.control or case.program, case.down))


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_attacks(attack: Attack, begin: Begin) -> None:
    """With every wall up it does not get through; with that one wall down it does."""
    up, down = (begin(program, walls).result() for program, walls in runs_of(attack))
    shown = f"{up}\n{down}"
    assert (attack.outcome, False) == (up.outcome, up.succeeded), shown
    assert (attack.down_outcome, True) == (down.outcome, down.succeeded), shown


@pytest.mark.parametrize(
    ("probes", "name"), [pytest.param(probes, name, id=name) for probes in PROBES for name in probes.bodies]
)
def test_probes(probes: Probes, name: str, begin: Begin) -> None:
    """Each attack of a sandbox fails with every wall up; with the wall down that it runs against, it gets through."""
    up, down = (begin(program, walls).result() for program, walls in runs_of(probes))
    assert ("built", f"attack failed <{name}>") == (up.outcome, verdict(up, name)), f"{up}\n{down}"
    assert ("built", f"{SUCCEEDED} <{name}>") == (down.outcome, verdict(down, name)), f"{up}\n{down}"


def verdict(result: Result, name: str) -> str:
    """The line of the log that tells what came of an attack."""
    return next((line for line in result.log.splitlines() if line.endswith(f"<{name}>")), "nothing said")


@pytest.mark.parametrize("forgery", FORGERIES, ids=lambda forgery: forgery.name)
def test_forgeries(forgery: Forgery, begin: Begin) -> None:
    """The gate refuses by name what the program wants published; without that wall it is published."""
    up, down = (begin(program, walls).result() for program, walls in runs_of(forgery))
    assert ("gate", ()) == (up.outcome, up.published), f"{up}\n{down}"
    assert forgery.reason in up.reason
    assert ("built", (forgery.published,)) == (down.outcome, down.published), f"{up}\n{down}"


@pytest.mark.parametrize("nuisance", NUISANCES, ids=lambda nuisance: nuisance.name)
def test_nuisances(nuisance: Nuisance, begin: Begin) -> None:
    """Who breaks their own build gets an outcome that says how; the control gets past what stopped it."""
    result, control = (begin(program, walls).result() for program, walls in runs_of(nuisance))
    assert (nuisance.outcome, nuisance.reason, ()) == (result.outcome, result.reason, result.published), result
    assert nuisance.control_outcome == control.outcome, control


def test_terminal_escapes_in_a_reason(begin: Begin) -> None:
    """What the sandbox said would move the cursor; what a person is shown does not."""
    result = begin(ESCAPES, ALL_UP).result()
    assert ("build-failed", "\\x1b[2Jall is well") == (result.outcome, result.reason)
    assert "\x1b[2Jall is well" == result.message


def test_neighbours_are_unharmed(run: Run) -> None:
    """While others bomb, eat memory and fill their disks beside it, an honest job is built."""
    bombs = [attack.program for attack in ATTACKS if attack.name in ("fork bomb", "eat memory", "fill the disk")]
    with ThreadPoolExecutor(4) as pool:
        attacks = [pool.submit(run, program, ALL_UP) for program in bombs]
        honest = pool.submit(run, backend("return False"), ALL_UP).result()
        assert [False] * 3 == [attack.result().succeeded for attack in attacks]
    assert ("built", (WHEEL,)) == (honest.outcome, honest.published)


METADATA_HOOK = """
import os, socket
def attack():
    with socket.socket(socket.AF_INET) as s:
        s.settimeout(3)
        try:
            s.connect(("{gateway}", {port}))
            return s.recv(6) == b"canary"
        except OSError:
            return False
def prepare_metadata_for_build_wheel(folder, *_):
    os.mkdir(folder + "/attack-1.0.dist-info")
    requires = "Requires-Dist: stolen" if attack() else ""
    with open(folder + "/attack-1.0.dist-info/METADATA", "w") as file:
        file.write("Metadata-Version: 2.1\\nName: attack\\nVersion: 1.0\\n" + requires)
    with open(folder + "/attack-1.0.dist-info/WHEEL", "w") as file:
        file.write("Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
    return "attack-1.0.dist-info"
def build_wheel(*_):
    raise SystemExit("resolving builds nothing")
"""


@pytest.mark.parametrize(("options", "pins"), [({}, ["attack"]), ({"network_mode": "bridge"}, ["attack", "stolen"])])
def test_metadata_hooks_are_somebody_else_s_code_too(
    client: docker.DockerClient,
    builder_image: str,
    places: Mapping[str, object],
    tmp_path: Path,
    options: Mapping[str, object],
    pins: list[str],
) -> None:
    """Resolving runs an sdist's metadata hook: it reads its window, and reaches nothing else."""
    index = FakeIndex(tmp_path / "store")
    program = METADATA_HOOK.replace("{gateway}", str(places["gateway"])).replace("{port}", str(places["port"]))
    index.add_upstream(
        "attack", "attack-1.0.tar.gz", sdist("attack", "1.0", {"pyproject.toml": IN_TREE, "backend.py": program})
    )
    index.add_upstream("stolen", "stolen-1.0-py3-none-any.whl", wheel_bytes("stolen-1.0-py3-none-any.whl"))
    resolver = UvResolver(
        DockerSandbox(client, options=with_changes(**options)),
        Workshop(base_image=builder_image, builder_image=builder_image, limits=INNER, processes=1),
        TARGET,
        lambda _: window_for(index, TARGET, Store(tmp_path / "notes")),
        FakeJournal(tmp_path),
    )
    assert pins == [name for name, _ in resolver.resolve(["attack"], [])]


DAEMON = """
import subprocess, sys, time
daemon = "import signal, time; [signal.signal(n, signal.SIG_IGN) for n in (1, 2, 3, 15)]; time.sleep(100)"
subprocess.Popen([sys.executable, "-c", daemon, "MARKER"], start_new_session=True)
"""


def test_daemons_end_with_their_sandbox(client: docker.DockerClient, run: Run, builder_image: str) -> None:
    """A daemon that a build leaves behind is gone when its job has its outcome; in a plain container it lives on."""
    marker = f"daemon-{os.getpid()}"
    program = DAEMON.replace("MARKER", marker)
    assert "built" == run(backend(program), ALL_UP).outcome
    assert not is_running(marker)
    command = ["python3", "-c", program + "time.sleep(100)"]
    container = client.containers.run(builder_image, command, detach=True, network_mode="none", pids_limit=50)
    try:
        deadline = time.monotonic() + 20
        while not is_running(marker):
            assert time.monotonic() < deadline, "the control's daemon does not show"
    finally:
        container.remove(force=True)


def is_running(marker: str) -> bool:
    """Whether a process of this machine has `marker` as an argument of its own."""
    found = False
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            found = found or marker.encode() in path.read_bytes().split(b"\0")
    return found
