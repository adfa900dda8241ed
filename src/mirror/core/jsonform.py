"""The JSON a script gets with `--json`: the same values a person sees, under keys that stay.

Every document carries `"version": 1`; keys may be added under that version, none is renamed or removed. Sizes are
bytes, durations seconds; what is not known is null.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, assert_never

from mirror.core.errors import MirrorError
from mirror.core.model import (
    Blocked,
    Built,
    Failed,
    IndexFile,
    Job,
    JobKey,
    Outcome,
    Plan,
    Recipe,
    Report,
    Reuse,
    Reused,
    Target,
    Verified,
)

VERSION = 1


def report_json(report: Report) -> dict[str, Any]:
    """The end of a run: `{version, target, succeeded, seconds, counts, outcomes, verified, verify_error}`.

    Each outcome has `name`, `version` and `outcome` ("built", "reused", "failed", "blocked"). Built and reused add
    `wheel` (`{filename, url, sha256, size_bytes}`); built and failed `seconds` and `log`; failed `code`, `reason` and
    `hint`; blocked `cause` (`{name, version}`).
    """
    outcomes = [_outcome(outcome) for outcome in report.outcomes]
    counts = Counter(outcome["outcome"] for outcome in outcomes)
    return {
        "version": VERSION,
        "target": _target(report.target),
        "succeeded": report.succeeded,
        "seconds": round(report.seconds, 3),
        "counts": {word: counts[word] for word in ("built", "reused", "failed", "blocked")},
        "outcomes": outcomes,
        "verified": _verified(report.verified) if report.verified else None,
        "verify_error": report.verify_error or None,
    }


def plan_json(plan: Plan) -> dict[str, Any]:
    """What would be done: `{version, target, jobs, reuses}`; a job has `name`, `version`, `sdist` and `recipe`."""
    return {
        "version": VERSION,
        "target": _target(plan.lock.target),
        "jobs": [_job(job) for job in plan.jobs],
        "reuses": [_reuse(reuse) for reuse in plan.reuses],
    }


def error_json(error: MirrorError) -> dict[str, Any]:
    """An error: `{version, error: {code, what, details, hint, exit_status}}`."""
    return {
        "version": VERSION,
        "error": {
            "code": error.code,
            "what": error.what,
            "details": list(error.details),
            "hint": error.hint,
            "exit_status": int(error.status),
        },
    }


def _outcome(outcome: Outcome) -> dict[str, Any]:
    match outcome:
        case Built():
            wheel = _file(outcome.wheel) | {"size_bytes": outcome.size_bytes}
            timing = {"seconds": round(outcome.seconds, 3), "log": outcome.log or None}
            return {**_key(outcome.job.key), "outcome": "built", "wheel": wheel, **timing}
        case Reused():
            reuse = _reuse(outcome.reuse)
            return {"name": reuse["name"], "version": reuse["version"], "outcome": "reused", "wheel": reuse["wheel"]}
        case Failed():
            why = {"code": outcome.code, "reason": outcome.reason, "hint": outcome.hint}
            timing = {"seconds": round(outcome.seconds, 3), "log": outcome.log or None}
            return {**_key(outcome.job.key), "outcome": "failed", **why, **timing}
        case Blocked():
            return {**_key(outcome.job.key), "outcome": "blocked", "cause": _key(outcome.cause)}
        case _:  # pragma: no cover
            assert_never(outcome)


def _target(target: Target) -> dict[str, Any]:
    musl = f"{target.musl[0]}.{target.musl[1]}"
    return {"name": str(target), "python": target.python, "musl": musl, "architecture": target.architecture}


def _key(key: JobKey) -> dict[str, Any]:
    return {"name": str(key.name), "version": str(key.version)}


def _file(file: IndexFile) -> dict[str, Any]:
    return {"filename": file.filename, "url": file.url, "sha256": file.sha256, "size_bytes": file.size_bytes}


def _reuse(reuse: Reuse) -> dict[str, Any]:
    return {"name": str(reuse.name), "version": str(reuse.version), "wheel": _file(reuse.wheel)}


def _job(job: Job) -> dict[str, Any]:
    return {**_key(job.key), "sdist": _file(job.sdist), "recipe": _recipe(job.recipe)}


def _recipe(recipe: Recipe) -> dict[str, Any]:
    return {
        "system_packages": list(recipe.system_packages),
        "environment": dict(recipe.environment),
        "config_settings": dict(recipe.config_settings),
        "build_constraints": list(recipe.build_constraints),
        "oddities": list(recipe.oddities),
        "timeout_s": recipe.timeout_s,
        "reasons": list(recipe.reasons),
    }


def _verified(verified: Verified) -> dict[str, Any]:
    return {
        "seconds": round(verified.seconds, 3),
        "installed": [{"name": name, "version": version} for name, version in verified.installed],
        "imported": list(verified.imported),
        "downloaded_bytes": verified.downloaded_bytes,
    }
