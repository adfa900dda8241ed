"""What must hold of an index, a journal and an engine, however often the runs over them were killed."""

from __future__ import annotations

import hashlib
import math
import re
import sqlite3
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import docker
import requests

from fakes.command import Mirror, Run
from mirror.adapters.sandbox.options import RUN_LABEL

_BUILT = re.compile(r"^(\S+) \S+: built in ")
_STAGE = "mirror/alpine"
_PATIENCE_S = 60.0
_SAME_PROCESS_S = 60.0
"""A process that begins so long after another one's end may have its number: on a busy machine it takes minutes."""


@dataclass(frozen=True)
class Findings:
    """What does not hold, each as sentences."""

    lost: tuple[str, ...] = ()
    twice: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    """Containers of dead runs."""
    journal: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return any(getattr(self, field.name) for field in fields(self))

    def __or__(self, other: Findings) -> Findings:
        pairs = ((*getattr(self, field.name), *getattr(other, field.name)) for field in fields(self))
        return Findings(*(tuple(dict.fromkeys(pair)) for pair in pairs))

    def __str__(self) -> str:
        return "\n".join(f"{field.name}: {text}" for field in fields(self) for text in getattr(self, field.name))


@dataclass(frozen=True)
class Published:
    """A file of our index. `sha256` is what the index says; `served` what the bytes come to that it serves."""

    project: str
    filename: str
    sha256: str
    served: str


class Witness:
    """Sees runs over one index end, and remembers what they said and what the index had."""

    def __init__(self, mirror: Mirror, engine: docker.DockerClient) -> None:
        self._mirror = mirror
        self._engine = engine
        self._ended: dict[int, float] = {}
        self._reported: set[str] = set()
        self._seen: dict[str, Published] = {}
        self._uploads: Counter[str] = Counter()
        self._read_to: dict[int, int] = {}
        """How far each log was read, by its inode: it keeps that when it is put aside, and is gone some time later."""

    def saw(self, run: Run) -> None:
        """Remember a run that is over, and what it reported as built."""
        self._ended[run.pid] = time.time()
        self._reported |= {found[1] for line in run.lines if (found := _BUILT.match(line.text))}

    def look(self, projects: Iterable[str]) -> Findings:
        """Compare with what was there before. To be called while no run is alive, and the index is."""
        names = frozenset(projects)
        there = [file for name in sorted(names) for file in self._published(name)]
        findings = Findings(
            lost=tuple(self._lost(names, {file.filename: file for file in there})),
            twice=(*self._twice(there), *self._compiled_again()),
            journal=tuple(self._untidy()),
        )
        self._seen |= {file.filename: file for file in there if file.filename not in self._seen}
        return findings

    def look_for_containers(self) -> Findings:
        """Those of runs that this has seen; to be called when another run has begun its work since."""
        return Findings(left=tuple(f"{name} of process {pid}" for name, pid in self._containers()))

    def index_answers(self) -> bool:
        """Whether the index runs: a run may have been killed before it came to start it."""
        with suppress(requests.ConnectionError):
            return _ask(f"{self._mirror.server}/+api").status_code == 200
        return False

    def unfinished(self, projects: Iterable[str]) -> tuple[str, ...]:
        """The projects that have no wheel on the index; all, where it does not run."""
        answers = self.index_answers()
        return tuple(name for name in projects if not (answers and self._published(name)))

    def claims(self) -> tuple[str, ...]:
        """The claims that stand on the index."""
        indexes = _ask(f"{self._mirror.server}/{_STAGE.partition('/')[0]}").json()["result"]["indexes"]
        return tuple(name for name in indexes if name.startswith("claim-"))

    def half_files(self) -> tuple[Path, ...]:
        """Files of ours in the data folder that were never renamed to what they were to become."""
        return tuple(self._mirror.data.rglob(".part-*"))

    def servers(self) -> tuple[int, ...]:
        """The devpi-servers that run over the data folder."""
        folder = str(self._mirror.data / "devpi" / "server").encode()
        return tuple(int(path.parent.name) for path in Path("/proc").glob("[0-9]*/cmdline") if folder in _read(path))

    def _published(self, project: str) -> list[Published]:
        answer = _ask(f"{self._mirror.server}/{_STAGE}/{project}")
        if answer.status_code == 404:
            return []
        links = [link for version in answer.json()["result"].values() for link in version.get("+links", ())]
        return [
            Published(
                project=project,
                filename=link["href"].rpartition("/")[2],
                sha256=link["hashes"]["sha256"],
                served=hashlib.sha256(requests.get(link["href"], timeout=_PATIENCE_S).content).hexdigest(),
            )
            for link in links
            if f"/{_STAGE}/" in link["href"]
        ]

    def _lost(self, names: frozenset[str], there: Mapping[str, Published]) -> Iterable[str]:
        for project in sorted((self._reported & names) - {file.project for file in there.values()}):
            yield f"{project} was reported as built, and nothing of it is on the index"
        for filename, before in self._seen.items():
            if before.project in names and there.get(filename) != before:
                yield f"{before} is now {there.get(filename)}"
        for file in there.values():
            if file.served != file.sha256:
                yield f"{file} is served with other bytes"

    def _twice(self, there: Iterable[Published]) -> Iterable[str]:
        self._count_uploads()
        for project, count in Counter(file.project for file in there).items():
            if count > 1:
                yield f"{project} has {count} files"
            if self._uploads[project] != 1:
                yield f"{project} was uploaded {self._uploads[project]} times"

    def _count_uploads(self) -> None:
        """Upload requests by project, as devpi's log tells them; one that changed nothing is among them."""
        logs = [self._mirror.data / "devpi" / name for name in ("devpi.log.1", "devpi.log")]
        inodes = {log.stat().st_ino: log for log in logs if log.exists()}
        self._read_to = {inode: self._read_to.get(inode, 0) for inode in inodes}
        for inode, log in inodes.items():
            text = log.read_bytes()[self._read_to[inode] :]
            whole = text[: text.rfind(b"\n") + 1]
            self._read_to[inode] += len(whole)
            found = re.findall(rf" {_STAGE}: got submit release info '(\S+)'", whole.decode(errors="replace"))
            self._uploads.update(found)

    def _compiled_again(self) -> Iterable[str]:
        for name, count in self._journal(
            "SELECT later.name, count(*) FROM attempts later JOIN attempts built"
            " ON built.outcome = 'built' AND built.id < later.id"
            " AND (built.name, built.version, built.target) = (later.name, later.version, later.target)"
            " GROUP BY later.name"
        ):
            yield f"{name} was begun {count} times after it had been built"

    def _untidy(self) -> Iterable[str]:
        """A job without an outcome is all right in a run that was killed, until the next one has begun."""
        for run, name in self._journal(
            "SELECT run, name FROM attempts JOIN runs ON runs.id = run WHERE outcome = 'started'"
            " AND (ended IS NOT NULL OR run != (SELECT max(id) FROM runs))"
        ):
            yield f"{name} of run {run} has no outcome"
        for run, name, outcome, reason in self._journal(
            "SELECT run, name, outcome, reason FROM attempts JOIN runs ON runs.id = run"
            " WHERE outcome NOT IN ('started', 'interrupted', 'built') AND NOT (code = 'interrupted' AND status = 130)"
        ):
            yield f"{name} of run {run} is {outcome}, though nothing is wrong with it: {reason}"
        for run, name, count in self._journal(
            "SELECT run, name, count(*) FROM attempts GROUP BY run, target, name, version HAVING count(*) > 1"
        ):
            yield f"{name} of run {run} has {count} outcomes"

    def _journal(self, question: str) -> list[tuple[Any, ...]]:
        file = self._mirror.data / "journal.sqlite"
        if not file.exists():
            return []
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=30)) as connection:
            return connection.execute(question).fetchall()

    def _containers(self) -> Iterable[tuple[str, int]]:
        found = self._engine.containers.list(all=True, filters={"label": RUN_LABEL}, ignore_removed=True)
        for container in found:
            pid = int(container.labels[RUN_LABEL].split(":")[1])
            created = datetime.fromisoformat(container.attrs["Created"][:19]).replace(tzinfo=UTC).timestamp()
            if created < self._ended.get(pid, -math.inf) + _SAME_PROCESS_S:
                yield str(container.name), pid


def _ask(url: str) -> requests.Response:
    """What devpi says of an index, a project or itself, as JSON."""
    return requests.get(url, headers={"Accept": "application/json"}, timeout=_PATIENCE_S)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # none, or a process that is gone
        return b""
