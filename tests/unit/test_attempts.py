"""Which limit a failed build has hit, by what its sandbox saw and what its log says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fakes.sdists import LIMITS
from mirror.attempts import limit_that_stopped, limit_that_was_hit
from mirror.ports import End, Ended

REFUSED = "sh: can't fork: Resource temporarily unavailable\n"
HEADER = "x.c:1:10: fatal error: x.h: No such file or directory\n"
FULL = "cc1: error: No space left on device"
ROOM = {
    "free_bytes": LIMITS.scratch_bytes,
    "free_inodes": LIMITS.scratch_inodes,
    "refused_processes": 0,
    "oom_kills": 0,
    "peak_bytes": 1 << 20,
}


@pytest.mark.parametrize(
    ("pressure", "log", "expected"),
    [
        pytest.param(ROOM, "", None, id="none"),
        pytest.param(ROOM | {"refused_processes": 1}, "", "too-many-processes", id="one process too many"),
        pytest.param(ROOM | {"refused_processes": 1}, REFUSED, "too-many-processes", id="and somebody minds"),
        pytest.param(ROOM | {"refused_processes": 1}, HEADER, None, id="and it is something else that fails"),
        pytest.param(ROOM | {"refused_processes": 1}, HEADER + REFUSED, "too-many-processes", id="among others"),
        pytest.param(ROOM, REFUSED, None, id="words of refusal alone"),
        pytest.param(ROOM | {"free_bytes": 0}, "", "scratch-full", id="no byte left"),
        pytest.param(ROOM | {"free_inodes": 0}, "", "scratch-full", id="no file left"),
        pytest.param(ROOM | {"free_bytes": 1 << 20}, "", None, id="little left, and nobody minds"),
        pytest.param(ROOM | {"free_bytes": 1 << 20}, FULL, "scratch-full", id="little left, and somebody minds"),
        pytest.param(ROOM, FULL, None, id="another disk is full"),
        pytest.param(ROOM | {"free_bytes": LIMITS.scratch_bytes // 5}, FULL, "scratch-full", id="seen a moment late"),
        pytest.param(ROOM | {"free_bytes": LIMITS.scratch_bytes // 3}, FULL, None, id="much left, and another is full"),
        pytest.param(ROOM | {"peak_bytes": LIMITS.scratch_bytes}, FULL, "scratch-full", id="full between two looks"),
        pytest.param(ROOM | {"peak_bytes": LIMITS.scratch_bytes}, "", None, id="as much memory, and nobody minds"),
        pytest.param(ROOM | {"peak_bytes": LIMITS.scratch_bytes // 2}, FULL, None, id="never full"),
        pytest.param({}, FULL, None, id="nothing seen"),
        pytest.param(None, FULL, None, id="an older agent"),
        pytest.param({"free_bytes": "0", "free_inodes": True, "refused_processes": [7]}, FULL, None, id="lies"),
    ],
)
def test_which_limit(pressure: object, log: str, expected: str | None) -> None:
    """Where neither is certain, the log's own words are what is told."""
    found = limit_that_was_hit(pressure, LIMITS, log)
    assert expected == (found[0] if found else None)


def test_files_and_bytes_are_told_apart() -> None:
    """Both are cured by the same setting, but who reads of files will not look for a large one."""
    by_bytes, by_files = (limit_that_was_hit(ROOM | {name: 0}, LIMITS, FULL) for name in ("free_bytes", "free_inodes"))
    assert by_bytes is not None
    assert by_files is not None
    assert "it wanted more than the 0.06 GiB of its scratch folder" == by_bytes[1]
    assert "it wanted more than the 16384 files that fit into its scratch folder" == by_files[1]


def ended(end: End = End.FINISHED, **value: Any) -> Ended:
    return Ended(end=end, value=value, outputs={}, exit_code=0, seconds=1.0, message="needed more")


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        pytest.param(ended(End.OUT_OF_MEMORY), "out-of-memory", id="out of memory"),
        pytest.param(ended(ok=False, pressure=ROOM | {"free_bytes": 1}), "scratch-full", id="full"),
        pytest.param(ended(ok=False, pressure=ROOM), None, id="room enough, whatever the log says"),
        pytest.param(ended(ok=False), None, id="an older agent"),
        pytest.param(ended(ok=True, pressure=ROOM | {"free_bytes": 0}), None, id="it went well"),
        pytest.param(ended(End.WALL_CLOCK), None, id="another end"),
    ],
)
def test_what_is_no_compile_is_told_its_limit_too(tmp_path: Path, end: Ended, expected: str | None) -> None:
    """The log's end is what has the words: a result may only say that pip failed."""
    log = tmp_path / "log"
    log.write_text("x" * (2 << 20) + FULL)
    found = limit_that_stopped(end, LIMITS, log)
    assert expected == (found[0] if found else None)
