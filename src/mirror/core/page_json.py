"""The JSON beside the page. As everywhere: `"version": 1`, keys may be added, none is renamed or removed.

Times are ISO 8601 in UTC, sizes bytes, durations seconds; what is not known is null. README says which address gives
which document.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mirror.core.history import How, PastAttempt, PastRun, Saved, Totals
from mirror.core.jsonform import VERSION
from mirror.core.matrix import Cell, Row


def status_json(
    totals: Totals, building: Sequence[PastAttempt], runs: Sequence[PastRun], saved: Saved | None, *, projects: int
) -> dict[str, Any]:
    """`{version, building, runs, totals, saved}`: what goes on, the last runs, and what it has all come to."""
    return {
        "version": VERSION,
        "building": [_attempt(attempt) for attempt in building],
        "runs": [_run(run) for run in runs],
        "totals": {
            "projects": projects,
            "builds": {how.value: totals.count(how) for how in How if how is not How.BUILDING},
            "built_seconds": round(totals.built_seconds, 3),
            "built_bytes": totals.built_bytes,
            "reused": totals.reused,
        },
        "saved": saved
        and {
            "downloads": saved.downloads,
            "bytes": saved.size_bytes,
            "compile_seconds": round(saved.compile_seconds, 3),
        },
    }


def projects_json(rows: Sequence[Row], targets: Sequence[str], *, page: int, pages: int, total: int) -> dict[str, Any]:
    """`{version, page, pages, total, targets, projects}`; a project has `name` and a list of `targets`."""
    return {
        "version": VERSION,
        "page": page,
        "pages": pages,
        "total": total,
        "targets": list(targets),
        "projects": [_row(row) for row in rows],
    }


def project_json(row: Row, files: Sequence[tuple[str, str]], attempts: Sequence[PastAttempt]) -> dict[str, Any]:
    """`{version, name, targets, files, attempts}`; a file is `{filename, sha256}`."""
    return {
        "version": VERSION,
        **_row(row),
        "files": [{"filename": filename, "sha256": sha256 or None} for filename, sha256 in files],
        "attempts": [_attempt(attempt) for attempt in attempts],
    }


def history_json(attempts: Sequence[PastAttempt], following: int | None) -> dict[str, Any]:
    """`{version, attempts, before}`, newest first; `before` asks for what comes next, null at the end."""
    return {"version": VERSION, "attempts": [_attempt(attempt) for attempt in attempts], "before": following}


def log_json(attempt: PastAttempt, lines: Sequence[str], *, offset: int, following: int, over: bool) -> dict[str, Any]:
    """`{version, attempt, offset, next, over, lines}`: whole lines from the byte `offset` on; ask again from `next`."""
    return {
        "version": VERSION,
        "attempt": _attempt(attempt),
        "offset": offset,
        "next": following,
        "over": over,
        "lines": list(lines),
    }


def error_json(code: str, what: str) -> dict[str, Any]:
    """`{version, error: {code, what}}`."""
    return {"version": VERSION, "error": {"code": code, "what": what}}


def _attempt(attempt: PastAttempt) -> dict[str, Any]:
    return {
        "id": attempt.id,
        "name": attempt.name,
        "version": attempt.version,
        "target": attempt.target,
        "outcome": attempt.how.value,
        "recorded": attempt.recorded.isoformat(),
        "code": attempt.code or None,
        "reason": attempt.reason or None,
        "hint": attempt.hint or None,
        "seconds": round(attempt.seconds, 3) if attempt.seconds else None,
        "size_bytes": attempt.size_bytes or None,
    }


def _run(run: PastRun) -> dict[str, Any]:
    return {
        "id": run.id,
        "command": run.command,
        "started": run.started.isoformat(),
        "ended": run.ended.isoformat() if run.ended else None,
        "status": run.status,
        "killed": run.killed,
        "reused": run.reused,
    }


def _row(row: Row) -> dict[str, Any]:
    return {"name": row.name, "targets": [_cell(cell) for cell in row.cells]}


def _cell(cell: Cell) -> dict[str, Any]:
    return {
        "target": cell.target,
        "state": cell.state.value,
        "version": cell.version or None,
        "wheel": cell.wheel or None,
        "reason": cell.reason or None,
        "hint": cell.hint or None,
        "attempt": cell.attempt,
    }
