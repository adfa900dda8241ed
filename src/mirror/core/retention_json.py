"""What `mirror prune --json` prints; the promises of `core.jsonform` hold here too."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from mirror.core.errors import MirrorError
from mirror.core.jsonform import VERSION
from mirror.core.retention import Place, RegisteredLock, Retention, Verdict, Why, size_of


def retention_json(
    retention: Retention, locks: Sequence[RegisteredLock], forgotten: Sequence[RegisteredLock]
) -> dict[str, Any]:
    """What goes and what stays: `{version, locks, forgotten, removed, kept}`.

    A lock has `id`, `files`, `target`, `host`, `registered` (ISO 8601) and `wheels` (how many). `removed` and `kept`
    have `files` (how many), `size_bytes` and, of our own index, `ours`: `{filename, size_bytes, since, why,
    reached_by}`, the last being locks' ids. `removed.cached` lists upstream's files so, and `kept.by_why` counts all.
    """
    cached = [verdict for verdict in retention.removed if verdict.file.place is Place.CACHE]
    by_why = {why.value: sum(verdict.why is why for verdict in retention.kept) for why in Why}
    return {
        "version": VERSION,
        "locks": [_lock(lock) for lock in locks],
        "forgotten": [_lock(lock) for lock in forgotten],
        "removed": {**_side(retention.removed), "cached": [_verdict(verdict) for verdict in cached]},
        "kept": {**_side(retention.kept), "by_why": {why: by_why[why] for why in ("reached", "young", "within")}},
    }


def pruned_json(
    removed: Sequence[Verdict], spared: Sequence[Verdict], failed: Iterable[tuple[Verdict, MirrorError]]
) -> dict[str, Any]:
    """What came of it: `{removed: {files, size_bytes}, spared: [...], failed: [{filename, code, what}]}`."""
    return {
        "removed": {"files": len(removed), "size_bytes": size_of(removed)},
        "spared": [verdict.file.filename for verdict in spared],
        "failed": [
            {"filename": verdict.file.filename, "code": error.code, "what": error.what} for verdict, error in failed
        ],
    }


def _side(verdicts: Sequence[Verdict]) -> dict[str, Any]:
    ours = [_verdict(verdict) for verdict in verdicts if verdict.file.place is Place.OURS]
    return {"files": len(verdicts), "size_bytes": size_of(verdicts), "ours": ours}


def _verdict(verdict: Verdict) -> dict[str, Any]:
    return {
        "filename": verdict.file.filename,
        "size_bytes": verdict.file.size_bytes,
        "since": _time(verdict.file.since_s),
        "why": verdict.why.value,
        "reached_by": sorted({lock.project for lock in verdict.reached_by}),
    }


def _lock(lock: RegisteredLock) -> dict[str, Any]:
    return {
        "id": lock.project,
        "files": list(lock.files),
        "target": lock.target,
        "host": lock.host,
        "registered": _time(lock.registered_s) if lock.registered_s else None,
        "wheels": len(lock.wheels),
    }


def _time(time_s: float) -> str | None:
    return datetime.fromtimestamp(int(time_s), UTC).isoformat() if math.isfinite(time_s) else None
