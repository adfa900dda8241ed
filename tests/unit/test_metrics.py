"""Prometheus' text format."""

from __future__ import annotations

from mirror.core.history import Durations, How, Saved, Totals
from mirror.server.metrics import build_figures, exposition, page_figures, queue_figures

TOTALS = Totals(
    attempts={How.BUILT: 12, How.FAILED: 3, How.BUILDING: 2},
    built_seconds=638.4004,
    failed_seconds=73.0,
    built_bytes=35_200_000,
    reused=140,
    runs=9,
)
DURATIONS = {How.BUILT: Durations(up_to=((1, 4), (30, 11)), count=12, seconds=638.5)}


def test_figures() -> None:
    """The whole text."""
    saved = Saved(downloads=5, size_bytes=71_000_000, compile_seconds=1057.0)
    assert b"""\
# HELP mirror_builds_total Compiles that ended, by outcome.
# TYPE mirror_builds_total counter
mirror_builds_total{outcome="built"} 12.0
mirror_builds_total{outcome="failed"} 3.0
mirror_builds_total{outcome="blocked"} 0.0
mirror_builds_total{outcome="interrupted"} 0.0
# HELP mirror_build_duration_seconds Seconds that compiles took, by outcome.
# TYPE mirror_build_duration_seconds histogram
mirror_build_duration_seconds_bucket{le="1",outcome="built"} 4.0
mirror_build_duration_seconds_bucket{le="30",outcome="built"} 11.0
mirror_build_duration_seconds_bucket{le="+Inf",outcome="built"} 12.0
mirror_build_duration_seconds_count{outcome="built"} 12.0
mirror_build_duration_seconds_sum{outcome="built"} 638.5
# HELP mirror_builds_running Compiles that go on now.
# TYPE mirror_builds_running gauge
mirror_builds_running 2.0
# HELP mirror_built_bytes_total Bytes of the wheels that were compiled.
# TYPE mirror_built_bytes_total counter
mirror_built_bytes_total 3.52e+07
# HELP mirror_reused_total Wheels that a run found and did not compile.
# TYPE mirror_reused_total counter
mirror_reused_total 140.0
# HELP mirror_runs_total Runs of mirror that were recorded.
# TYPE mirror_runs_total counter
mirror_runs_total 9.0
# HELP mirror_index_projects Projects that have files of ours on the index.
# TYPE mirror_index_projects gauge
mirror_index_projects 7.0
# HELP mirror_downloads_total Downloads of wheels of ours.
# TYPE mirror_downloads_total counter
mirror_downloads_total 5.0
# HELP mirror_download_bytes_total Bytes of these downloads.
# TYPE mirror_download_bytes_total counter
mirror_download_bytes_total 7.1e+07
# HELP mirror_saved_seconds_total Seconds of compiling that these downloads spared, as our own compiles took.
# TYPE mirror_saved_seconds_total counter
mirror_saved_seconds_total 1057.0
# HELP mirror_pages_total Pages made for musl clients, by whether the newest release had a wheel for them.
# TYPE mirror_pages_total counter
mirror_pages_total{found="hit"} 8.0
mirror_pages_total{found="miss"} 2.0
# HELP mirror_queue_builds Builds that were asked for and have not ended.
# TYPE mirror_queue_builds gauge
mirror_queue_builds{state="queued"} 0.0
mirror_queue_builds{state="running"} 0.0
""" == exposition(
        [
            *build_figures(TOTALS, DURATIONS, saved, projects=7),
            *page_figures(hits=8, misses=2),
            *queue_figures([]),
        ]
    )


def test_what_is_not_known_is_not_said() -> None:
    """No sample at all where downloads were not counted: 0 would be a lie."""
    text = exposition(build_figures(TOTALS, {}, None, projects=7))
    found = (b"mirror_downloads" in text, b"mirror_saved" in text, b"mirror_runs_total 9.0\n" in text)
    assert (False, False, True) == found
