"""Prometheus' text format."""

from __future__ import annotations

from mirror.core.history import How, Saved, Totals
from mirror.core.metrics import Kind, Metric, exposition, figures

TOTALS = Totals(
    attempts={How.BUILT: 12, How.FAILED: 3, How.BUILDING: 2},
    built_seconds=638.4004,
    failed_seconds=73.0,
    built_bytes=35_200_000,
    reused=140,
    runs=9,
)


def test_figures() -> None:
    """The whole text."""
    saved = Saved(downloads=5, size_bytes=71_000_000, compile_seconds=1057.0)
    assert """\
# HELP mirror_builds_total Compiles that ended, by outcome.
# TYPE mirror_builds_total counter
mirror_builds_total{outcome="built"} 12
mirror_builds_total{outcome="failed"} 3
mirror_builds_total{outcome="blocked"} 0
mirror_builds_total{outcome="interrupted"} 0
# HELP mirror_build_seconds_total Seconds that compiles took, by outcome.
# TYPE mirror_build_seconds_total counter
mirror_build_seconds_total{outcome="built"} 638.4
mirror_build_seconds_total{outcome="failed"} 73
# HELP mirror_builds_running Compiles that go on now.
# TYPE mirror_builds_running gauge
mirror_builds_running 2
# HELP mirror_built_bytes_total Bytes of the wheels that were compiled.
# TYPE mirror_built_bytes_total counter
mirror_built_bytes_total 35200000
# HELP mirror_reused_total Wheels that a run found and did not compile.
# TYPE mirror_reused_total counter
mirror_reused_total 140
# HELP mirror_runs_total Runs of mirror that were recorded.
# TYPE mirror_runs_total counter
mirror_runs_total 9
# HELP mirror_index_projects Projects that have files of ours on the index.
# TYPE mirror_index_projects gauge
mirror_index_projects 7
# HELP mirror_downloads_total Downloads of wheels of ours.
# TYPE mirror_downloads_total counter
mirror_downloads_total 5
# HELP mirror_download_bytes_total Bytes of these downloads.
# TYPE mirror_download_bytes_total counter
mirror_download_bytes_total 71000000
# HELP mirror_saved_seconds_total Seconds of compiling that these downloads spared, as our own compiles took.
# TYPE mirror_saved_seconds_total counter
mirror_saved_seconds_total 1057
""" == exposition(figures(TOTALS, saved, projects=7))


def test_what_is_not_known_is_not_said() -> None:
    """No sample at all where downloads were not counted: 0 would be a lie."""
    text = exposition(figures(TOTALS, None, projects=7))
    assert ("mirror_downloads" in text, "mirror_saved" in text, "mirror_runs_total 9\n" in text) == (False, False, True)


def test_labels_are_escaped() -> None:
    """Backslash, quote and newline, as the format has it."""
    metric = Metric(name="m", help="a\\b\nc", kind=Kind.GAUGE, samples=(({"x": 'a"b\\c\nd'}, 0.5),))
    assert '# HELP m a\\\\b\\nc\n# TYPE m gauge\nm{x="a\\"b\\\\c\\nd"} 0.5\n' == exposition([metric])
