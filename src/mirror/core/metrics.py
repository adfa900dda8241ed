"""Figures in Prometheus' text format, version 0.0.4."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

from mirror.core.history import How, Saved, Totals

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Kind(Enum):
    """What a figure does: only ever grow, or go up and down."""

    COUNTER = "counter"
    GAUGE = "gauge"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One family of samples. Each sample is its labels and its value."""

    name: str
    help: str
    kind: Kind
    samples: tuple[tuple[Mapping[str, str], float], ...]


def exposition(metrics: Iterable[Metric]) -> str:
    """The text that Prometheus reads."""
    return "".join(line + "\n" for metric in metrics for line in _lines(metric))


def figures(totals: Totals, saved: Saved | None, *, projects: int) -> tuple[Metric, ...]:
    """What the journal and the index know. What is not known (`saved` is None) is left out, not said to be 0."""
    outcomes = (How.BUILT, How.FAILED, How.BLOCKED, How.INTERRUPTED)
    builds = tuple(({"outcome": how.value}, float(totals.count(how))) for how in outcomes)
    durations = (({"outcome": "built"}, totals.built_seconds), ({"outcome": "failed"}, totals.failed_seconds))
    found = [
        _metric("builds_total", "Compiles that ended, by outcome.", Kind.COUNTER, builds),
        _metric("build_seconds_total", "Seconds that compiles took, by outcome.", Kind.COUNTER, durations),
        _one("builds_running", "Compiles that go on now.", Kind.GAUGE, totals.count(How.BUILDING)),
        _one("built_bytes_total", "Bytes of the wheels that were compiled.", Kind.COUNTER, totals.built_bytes),
        _one("reused_total", "Wheels that a run found and did not compile.", Kind.COUNTER, totals.reused),
        _one("runs_total", "Runs of mirror that were recorded.", Kind.COUNTER, totals.runs),
        _one("index_projects", "Projects that have files of ours on the index.", Kind.GAUGE, projects),
    ]
    if saved is not None:
        found += [
            _one("downloads_total", "Downloads of wheels of ours.", Kind.COUNTER, saved.downloads),
            _one("download_bytes_total", "Bytes of these downloads.", Kind.COUNTER, saved.size_bytes),
            _one(
                "saved_seconds_total",
                "Seconds of compiling that these downloads spared, as our own compiles took.",
                Kind.COUNTER,
                saved.compile_seconds,
            ),
        ]
    return tuple(found)


def _metric(name: str, text: str, kind: Kind, samples: tuple[tuple[Mapping[str, str], float], ...]) -> Metric:
    return Metric(name=f"mirror_{name}", help=text, kind=kind, samples=samples)


def _one(name: str, text: str, kind: Kind, value: float) -> Metric:
    return _metric(name, text, kind, (({}, value),))


def _lines(metric: Metric) -> Iterable[str]:
    yield f"# HELP {metric.name} {_escaped(metric.help)}"
    yield f"# TYPE {metric.name} {metric.kind.value}"
    for labels, value in metric.samples:
        shown = ",".join(f'{key}="{_escaped(text, quotes=True)}"' for key, text in labels.items())
        yield f"{metric.name}{{{shown}}} {_number(value)}" if shown else f"{metric.name} {_number(value)}"


def _escaped(text: str, *, quotes: bool = False) -> str:
    text = text.replace("\\", r"\\").replace("\n", r"\n")
    return text.replace('"', r"\"") if quotes else text


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(round(float(value), 3))
