"""Figures for Prometheus, made anew for each time that it asks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector

from mirror.adapters.queue import BuildState, QueuedBuild
from mirror.core.history import Durations, How, Saved, Totals

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4


def exposition(metrics: Iterable[Metric]) -> bytes:
    """The text that Prometheus reads."""

    class Once(Collector):
        def collect(self) -> Iterable[Metric]:
            return metrics

    return generate_latest(Once())


def build_figures(
    totals: Totals, durations: Mapping[How, Durations], saved: Saved | None, *, projects: int
) -> tuple[Metric, ...]:
    """What the journal and the index know. What is not known (`saved` is None) is left out, not said to be 0."""
    outcomes = (How.BUILT, How.FAILED, How.BLOCKED, How.INTERRUPTED)
    builds = [(how.value, totals.count(how)) for how in outcomes]
    found = [
        _counter("builds", "Compiles that ended, by outcome.", "outcome", builds),
        _durations(durations),
        _gauge("builds_running", "Compiles that go on now.", totals.count(How.BUILDING)),
        _total("built_bytes", "Bytes of the wheels that were compiled.", totals.built_bytes),
        _total("reused", "Wheels that a run found and did not compile.", totals.reused),
        _total("runs", "Runs of mirror that were recorded.", totals.runs),
        _gauge("index_projects", "Projects that have files of ours on the index.", projects),
    ]
    if saved is not None:
        spared = "Seconds of compiling that these downloads spared, as our own compiles took."
        found += [
            _total("downloads", "Downloads of wheels of ours.", saved.downloads),
            _total("download_bytes", "Bytes of these downloads.", saved.size_bytes),
            _total("saved_seconds", spared, saved.compile_seconds),
        ]
    return tuple(found)


def queue_figures(queued: Sequence[QueuedBuild]) -> tuple[Metric, ...]:
    """What a team has asked for."""
    family = GaugeMetricFamily(
        "mirror_queue_builds", "Builds that were asked for and have not ended.", labels=["state"]
    )
    for state in (BuildState.QUEUED, BuildState.RUNNING):
        family.add_metric([state.value], sum(one.state is state for one in queued))
    return (family,)


def page_figures(*, hits: int, misses: int) -> tuple[Metric, ...]:
    """What installers found."""
    text = "Pages made for musl clients, by whether the newest release had a wheel for them."
    return (_counter("pages", text, "found", [("hit", hits), ("miss", misses)]),)


def _durations(durations: Mapping[How, Durations]) -> Metric:
    text = "Seconds that compiles took, by outcome."
    family = HistogramMetricFamily("mirror_build_duration_seconds", text, labels=["outcome"])
    for how, found in durations.items():
        buckets = [(f"{bound:g}", float(count)) for bound, count in found.up_to]
        family.add_metric([how.value], [*buckets, ("+Inf", found.count)], sum_value=found.seconds)
    return family


def _counter(name: str, text: str, label: str, samples: Iterable[tuple[str, float]]) -> Metric:
    family = CounterMetricFamily(f"mirror_{name}", text, labels=[label])
    for value, count in samples:
        family.add_metric([value], count)
    return family


def _total(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(f"mirror_{name}", text, value=value)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"mirror_{name}", text, value=value)
