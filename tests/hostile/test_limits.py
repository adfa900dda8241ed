"""A build that honestly needs more than it may is told which limit that was, how high it is, and what raises it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from hostile.arena import INNER, Result, Walls
from hostile.attacks import backend

pytestmark = pytest.mark.docker

Run = Callable[[str, Walls], Result]
EAT = "blocks = [bytearray(1 << 20) for _ in range(400)]; print(len(blocks))"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What a build does, what it is told where a limit is too low, and a limit that is high enough."""

    name: str
    program: str
    code: str
    reason: str
    hint: str
    enough: Walls


CASES = (
    Case(
        name="memory, the build itself",
        program=EAT,
        code="out-of-memory",
        reason="it ran out of memory: it, or a program it started, needed more than 0.25 GiB",
        hint="raise `memory` in the settings, or lower `jobs`",
        enough=Walls(limits=replace(INNER, memory_bytes=1 << 30)),
    ),
    Case(
        name="memory, a program it starts",
        program=f"subprocess.run([sys.executable, '-c', {EAT!r}], check=True)",
        code="out-of-memory",
        reason="it ran out of memory: it, or a program it started, needed more than 0.25 GiB",
        hint="raise `memory` in the settings, or lower `jobs`",
        enough=Walls(limits=replace(INNER, memory_bytes=1 << 30)),
    ),
    Case(
        name="processes",
        program="children = [subprocess.Popen(['sleep', '3']) for _ in range(80)]\nfor child in children: child.wait()",
        code="too-many-processes",
        reason="the build backend's build_wheel failed with exit status 1: it wanted more than the 64 processes and"
        " threads it may have",
        hint="raise `processes` in the settings; read its log: mirror log attack",
        enough=Walls(limits=replace(INNER, processes=200)),
    ),
    Case(
        name="bytes",
        program="open('large', 'wb').write(bytes(48 << 20))",
        code="scratch-full",
        reason="the build backend's build_wheel failed with exit status 1: it wanted more than the 0.03 GiB of its"
        " scratch folder",
        hint="raise `scratch` in the settings; it lies in memory, so `memory` may have to be raised too;"
        " read its log: mirror log attack",
        enough=Walls(limits=replace(INNER, scratch_bytes=96 << 20)),
    ),
    Case(
        name="bytes, between two looks of the agent",
        program="try: open('large', 'wb').write(bytes(48 << 20))\nexcept OSError: os.remove('large'); raise",
        code="scratch-full",
        reason="the build backend's build_wheel failed with exit status 1: it wanted more than the 0.03 GiB of its"
        " scratch folder",
        hint="raise `scratch` in the settings; it lies in memory, so `memory` may have to be raised too;"
        " read its log: mirror log attack",
        enough=Walls(limits=replace(INNER, scratch_bytes=96 << 20)),
    ),
    Case(
        name="files",
        program="os.mkdir('many')\nfor n in range(10_000): open(f'many/{n}', 'w').close()",
        code="scratch-full",
        reason="the build backend's build_wheel failed with exit status 1: it wanted more than the 8192 files that fit"
        " into its scratch folder",
        hint="raise `scratch` in the settings: each 4 KiB of it are room for one file more;"
        " read its log: mirror log attack",
        enough=Walls(limits=replace(INNER, scratch_bytes=96 << 20)),
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_limit_that_is_too_low_is_named(run: Run, case: Case) -> None:
    """With its height and what raises it; with a higher one the same build comes out whole."""
    result = run(backend(case.program), Walls())
    assert (case.code, case.reason, case.hint) == (result.outcome, result.reason, result.hint), result.log
    assert "built" == run(backend(case.program), case.enough).outcome
