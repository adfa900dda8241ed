"""Runs over the small graph that are killed, one after the other, until all is built; and then the next graph."""

from __future__ import annotations

import math
import random
import re
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from fakes.aftermath import Findings, Witness
from fakes.command import Line, Run
from fakes.small_graph import NEEDS, Site, graph

PROMISED_S = 10.0
"""How long a run after a kill may take until it is at work again."""
_AIMED = 0.3
"""The share of kills that wait for one of the lines below, and come within so many seconds of it."""
_AIMED_AT_A_JOB = (": send$", ": check$", ": publish$", ": built in ")
_AIMED_AT = (*_AIMED_AT_A_JOB, "^verifying in ")
"""Where a kill is most to be feared lasts some hundredths of a second: by the clock alone it would hardly be hit."""
_AIMED_WITHIN_S = 0.08
_IN_THE_CLEAN_ROOM = 0.2
"""The share of runs with nothing left to build that are killed: most kills shall hit what builds."""
_DOWN = 0.3
"""The share of graphs before which the index is stopped, so that kills hit its start too."""
_EVENT = re.compile(r"^(\w+ [\d.]+|clean room): (.*)$")
_ASIDE = re.compile(r".* waits for |images: |port ")
_AT_WORK = re.compile(r"(\w+ [\d.]+: (unpack|check)$)|clean room: ")
_SWEPT = re.compile(r"^resolving for ", re.MULTILINE)
"""Said by a run that has swept what dead ones left."""


@dataclass
class Figures:
    """What came of it."""

    kills: int = 0
    graphs: int = 0
    stages: Counter[str] = field(default_factory=Counter)
    """How many kills hit while a job was in that stage; one kill may hit several."""
    resumed_s: list[float] = field(default_factory=list)
    claims_left: int = 0
    half_files_left: int = 0
    most_servers: int = 0
    findings: Findings = field(default_factory=Findings)

    @property
    def slowest_s(self) -> float:
        """The longest that a run after a kill took until it was at work."""
        return max(self.resumed_s, default=0.0)

    @property
    def median_s(self) -> float:
        """The middle one of these times."""
        return statistics.median(self.resumed_s or [0.0])

    @property
    def broken(self) -> bool:
        """Whether a promise is."""
        return bool(self.findings) or self.slowest_s > PROMISED_S or self.most_servers > 1


class Campaign:
    """Kills runs on a site; between two kills it looks at what they have left."""

    def __init__(self, site: Site, witness: Witness, *, seed: int) -> None:
        self.figures = Figures()
        self._site = site
        self._witness = witness
        self._chance = random.Random(seed)  # noqa: S311 - no secret
        self._whole_s = 0.0

    def run(self, kills: int, *, deadline: float = math.inf) -> Figures:
        """Kill so often, or until the time is over (`deadline` is on the monotonic clock), and let all be built."""
        self._whole_s = self._undisturbed()

        def goes_on() -> bool:
            return self.figures.kills < kills and time.monotonic() < deadline

        suffixes = ["x"]
        while goes_on():
            suffixes.append(str(self.figures.graphs))
            self._one_graph(suffixes[-1], goes_on)
            self.figures.graphs += 1
        self._note(self._witness.look(name for suffix in suffixes for name in graph(suffix)))
        self.figures.claims_left = len(self._witness.claims())
        self.figures.half_files_left = len(self._witness.half_files())
        return self.figures

    def _undisturbed(self) -> float:
        """How long a whole run takes here, its index's start included; in seconds."""
        run = self._site.mirror.start("build", self._site.offer("x"))
        if run.wait() != 0:
            raise AssertionError(f"not even an undisturbed run ends well:\n{run.text}")
        whole_s = run.elapsed_s
        self._witness.saw(run)
        self._note(self._witness.look(graph("x")))
        return whole_s

    def _one_graph(self, suffix: str, goes_on: Callable[[], bool]) -> None:
        requirements = self._site.offer(suffix)
        if self._chance.random() < _DOWN:
            self._site.mirror("down")
        left, is_first, disturbed = len(NEEDS), True, goes_on()
        while self._one_run(requirements, suffix, left=left, is_first=is_first, disturbed=disturbed):
            left, is_first = len(self._witness.unfinished(graph(suffix))), False
            disturbed = goes_on() and (left > 0 or self._chance.random() < _IN_THE_CLEAN_ROOM)
        missing = self._witness.unfinished(graph(suffix))
        self._note(Findings(lost=tuple(f"{name} has no wheel, and the last run went well" for name in missing)))

    def _one_run(self, requirements: Path, suffix: str, *, left: int, is_first: bool, disturbed: bool) -> bool:
        """Whether it was killed."""
        run = self._site.mirror.start("build", requirements)
        was_killed = disturbed and self._kill(run, left)
        status = run.wait()
        if was_killed:
            self.figures.kills += 1
            self.figures.stages.update(stages(run.lines))
        elif status != 0:
            self._note(Findings(journal=(f"a run that was not killed ended with {status}:\n{run.text}",)))
        resumed_s = None if is_first else at_work_s(run, was_killed=was_killed)
        if resumed_s is not None:
            self.figures.resumed_s.append(resumed_s)
        self._look(run, suffix, was_killed=was_killed)
        return was_killed

    def _kill(self, run: Run, left: int) -> bool:
        """Kill it at a random point; whether it was still there. It has two steps to do beside the `left` projects."""
        if self._chance.random() >= _AIMED:
            return run.kill(after_s=self._chance.uniform(0, self._whole_s * (left + 2) / (len(NEEDS) + 2)))
        pattern = self._chance.choice(_AIMED_AT)
        count = self._chance.randint(1, max(1, left)) if pattern in _AIMED_AT_A_JOB else 1
        with suppress(AssertionError):  # it ends without so many of them
            run.wait_for(pattern, count=count, timeout_s=3 * self._whole_s)
        return run.kill(after_s=self._chance.uniform(0, _AIMED_WITHIN_S))

    def _look(self, run: Run, suffix: str, *, was_killed: bool) -> None:
        if not was_killed or _SWEPT.search(run.text):
            self._note(self._witness.look_for_containers())  # of the runs before this one
        self._witness.saw(run)
        if not was_killed:
            self._note(self._witness.look_for_containers())
        if self._witness.index_answers():
            self._note(self._witness.look(graph(suffix)))
        self.figures.most_servers = max(self.figures.most_servers, len(self._witness.servers()))

    def _note(self, findings: Findings) -> None:
        before = self.figures.findings
        self.figures.findings |= findings
        if self.figures.findings != before:
            print(f"after {self.figures.kills} kills: {findings}", file=sys.stderr, flush=True)


def stages(lines: Sequence[Line]) -> set[str]:
    """What was going on when these were the last lines: each job's stage, or the step of the whole run."""
    step, jobs = "start", dict[str, str]()
    for line in lines:
        if event := _EVENT.match(line.text):
            job, stage = event.groups()
            jobs[job] = re.sub(r"^(built|reused) .*", "between jobs", stage)
        elif not _ASIDE.match(line.text):
            step = " ".join(line.text.split()[:2])
    running = {stage for stage in jobs.values() if stage != "between jobs"}
    return running or {"between jobs" if jobs and step.startswith("compiling") else step}


def at_work_s(run: Run, *, was_killed: bool) -> float | None:
    """Seconds until a run was at work: in a sandbox of a job's or of the clean room, or at its end.

    A run that was killed before that has no such time, unless it was slow already.
    """
    for line in run.lines:
        if _AT_WORK.match(line.text):
            return line.at_s
    return run.elapsed_s if not was_killed or run.elapsed_s > PROMISED_S else None
