"""The JSON beside the page: whole documents."""

from __future__ import annotations

from datetime import UTC, datetime

from mirror.core.history import How, PastAttempt, PastRun, Saved, Totals
from mirror.core.matrix import Cell, Row, State
from mirror.core.page_json import error_json, history_json, log_json, project_json, projects_json, status_json

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
TARGET = "cp311-musllinux_1_2_x86_64"
FAILED = PastAttempt(
    id=7,
    recorded=NOON,
    target=TARGET,
    name="demo",
    version="1.0",
    how=How.FAILED,
    code="compile-failed",
    reason="It broke.",
    hint="mend it",
    seconds=73.04567,
)
FAILED_JSON = {
    "id": 7,
    "name": "demo",
    "version": "1.0",
    "target": TARGET,
    "outcome": "failed",
    "recorded": "2026-11-22T12:00:00+00:00",
    "code": "compile-failed",
    "reason": "It broke.",
    "hint": "mend it",
    "seconds": 73.046,
    "size_bytes": None,
}
ROW = Row(name="demo", cells=(Cell(target=TARGET, state=State.WHEEL, version="1.0", wheel="1.0"),))
ROW_JSON = {
    "name": "demo",
    "targets": [
        {
            "target": TARGET,
            "state": "wheel",
            "version": "1.0",
            "wheel": "1.0",
            "reason": None,
            "hint": None,
            "attempt": None,
        }
    ],
}


def test_status() -> None:
    """What goes on and what it has come to; what is not known is null."""
    run = PastRun(id=3, command="build a.txt", started=NOON, ended=None, status=None, reused=0, killed=True)
    totals = Totals(attempts={How.BUILT: 2, How.BUILDING: 1}, built_seconds=1.5, built_bytes=9, reused=4, runs=1)
    expected = {
        "version": 1,
        "building": [FAILED_JSON],
        "runs": [
            {
                "id": 3,
                "command": "build a.txt",
                "started": "2026-11-22T12:00:00+00:00",
                "ended": None,
                "status": None,
                "killed": True,
                "reused": 0,
            }
        ],
        "totals": {
            "projects": 5,
            "builds": {"built": 2, "failed": 0, "blocked": 0, "interrupted": 0},
            "built_seconds": 1.5,
            "built_bytes": 9,
            "reused": 4,
        },
        "saved": {"downloads": 2, "bytes": 10, "compile_seconds": 99.5},
    }
    saved = Saved(downloads=2, size_bytes=10, compile_seconds=99.5)
    assert expected == status_json(totals, [FAILED], [run], saved, projects=5)
    assert expected | {"saved": None} == status_json(totals, [FAILED], [run], None, projects=5)


def test_projects() -> None:
    """One page of the matrix, and one project with all that is known of it."""
    assert {
        "version": 1,
        "page": 2,
        "pages": 3,
        "total": 101,
        "targets": [TARGET],
        "projects": [ROW_JSON],
    } == projects_json([ROW], [TARGET], page=2, pages=3, total=101)
    assert {
        "version": 1,
        **ROW_JSON,
        "files": [{"filename": "demo.whl", "sha256": "ab"}, {"filename": "old.whl", "sha256": None}],
        "attempts": [FAILED_JSON],
    } == project_json(ROW, [("demo.whl", "ab"), ("old.whl", "")], [FAILED])


def test_history_logs_and_errors() -> None:
    """The rest."""
    assert {"version": 1, "attempts": [FAILED_JSON], "before": 7} == history_json([FAILED], 7)
    assert {
        "version": 1,
        "attempt": FAILED_JSON,
        "offset": 0,
        "next": 5,
        "over": True,
        "lines": ["one"],
    } == log_json(FAILED, ("one",), offset=0, following=5, over=True)
    assert {"version": 1, "error": {"code": "no-log", "what": "gone"}} == error_json("no-log", "gone")
