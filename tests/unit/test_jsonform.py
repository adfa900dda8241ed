"""The JSON documents: whole values, as a script reads them."""

from __future__ import annotations

import json

from fakes.outcomes import TARGET, a_blocked, a_built, a_failed, a_job, a_key, a_reused
from mirror.core.errors import BadInputError
from mirror.core.jsonform import error_json, plan_json, report_json
from mirror.core.model import Lock, Plan, Recipe, Report, Verified

TARGET_JSON = {
    "name": "cp311-musllinux_1_2_x86_64",
    "python": "3.11",
    "musl": "1.2",
    "architecture": "x86_64",
}


def file_json(filename: str, size_bytes: int | None) -> dict[str, object]:
    """The form of a file that tests made."""
    return {
        "filename": filename,
        "url": f"http://127.0.0.1/{filename}",
        "sha256": "ab" * 32,
        "size_bytes": size_bytes,
    }


def test_report() -> None:
    """A report holds every outcome with what belongs to it, and their counts."""
    outcomes = (
        a_built("numpy", "1.23.5", 73.21449, 14_200_000, log="/logs/numpy-1.log"),
        a_reused("django", "4.1.13", 8_100_000),
        a_failed("lxml", "5.3.0", "xml2-config is missing.", "Add libxml2-dev to its recipe."),
        a_blocked("pandas", "1.5.3", a_key("lxml", "5.3.0")),
    )
    expected = {
        "version": 1,
        "target": TARGET_JSON,
        "succeeded": False,
        "seconds": 312.4,
        "counts": {"built": 1, "reused": 1, "failed": 1, "blocked": 1},
        "outcomes": [
            {
                "name": "numpy",
                "version": "1.23.5",
                "outcome": "built",
                "wheel": file_json("numpy-1.23.5-cp311-cp311-musllinux_1_2_x86_64.whl", 14_200_000),
                "seconds": 73.214,
                "log": "/logs/numpy-1.log",
            },
            {
                "name": "django",
                "version": "4.1.13",
                "outcome": "reused",
                "wheel": file_json("django-4.1.13-py3-none-any.whl", 8_100_000),
            },
            {
                "name": "lxml",
                "version": "5.3.0",
                "outcome": "failed",
                "code": "compile-failed",
                "reason": "xml2-config is missing.",
                "hint": "Add libxml2-dev to its recipe.",
                "seconds": 73.0,
                "log": None,
            },
            {
                "name": "pandas",
                "version": "1.5.3",
                "outcome": "blocked",
                "cause": {"name": "lxml", "version": "5.3.0"},
            },
        ],
        "verified": None,
        "verify_error": None,
    }
    assert expected == round_trip(report_json(Report(target=TARGET, outcomes=outcomes, seconds=312.4)))


def test_verified_report() -> None:
    """What the clean room measured stands in the report, and why it refused."""
    verified = Verified(
        seconds=6.2, installed=(("django", "4.1.13"),), imported=("django",), downloaded_bytes=8_100_000
    )
    report = Report(target=TARGET, outcomes=(), seconds=0.9, verified=verified, verify_error="import failed: numpy")
    expected = {
        "version": 1,
        "target": TARGET_JSON,
        "succeeded": False,
        "seconds": 0.9,
        "counts": {"built": 0, "reused": 0, "failed": 0, "blocked": 0},
        "outcomes": [],
        "verified": {
            "seconds": 6.2,
            "installed": [{"name": "django", "version": "4.1.13"}],
            "imported": ["django"],
            "downloaded_bytes": 8_100_000,
        },
        "verify_error": "import failed: numpy",
    }
    assert expected == round_trip(report_json(report))


def test_plan() -> None:
    """A plan holds each job with its recipe, and each reuse with its wheel."""
    recipe = Recipe(
        system_packages=("openblas-dev",),
        environment={"NPY_NUM_BUILD_JOBS": "2"},
        build_constraints=("setuptools<80",),
        reasons=("pandas 1.5 imports pkg_resources.",),
    )
    plan = Plan(
        lock=Lock(target=TARGET, packages=()),
        jobs=(a_job("pandas", "1.5.3", recipe),),
        reuses=(a_reused("django", "4.1.13").reuse,),
    )
    expected = {
        "version": 1,
        "target": TARGET_JSON,
        "jobs": [
            {
                "name": "pandas",
                "version": "1.5.3",
                "sdist": file_json("pandas-1.5.3.tar.gz", None),
                "recipe": {
                    "system_packages": ["openblas-dev"],
                    "environment": {"NPY_NUM_BUILD_JOBS": "2"},
                    "config_settings": {},
                    "build_constraints": ["setuptools<80"],
                    "oddities": [],
                    "timeout_s": None,
                    "reasons": ["pandas 1.5 imports pkg_resources."],
                },
            }
        ],
        "reuses": [{"name": "django", "version": "4.1.13", "wheel": file_json("django-4.1.13-py3-none-any.whl", None)}],
    }
    assert expected == round_trip(plan_json(plan))


def test_error() -> None:
    """An error holds its code, its texts and the exit status."""
    error = BadInputError("bad-requirements", "Two lines cannot be read.", details=["a", "b"], hint="Mend them.")
    expected = {
        "version": 1,
        "error": {
            "code": "bad-requirements",
            "what": "Two lines cannot be read.",
            "details": ["a", "b"],
            "hint": "Mend them.",
            "exit_status": 2,
        },
    }
    assert expected == round_trip(error_json(error))


def round_trip(value: dict[str, object]) -> object:
    """What a script reads of a document."""
    return json.loads(json.dumps(value))
