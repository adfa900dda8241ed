"""Everything a pipeline stands on, faked; and sdists and wheels that its steps really read."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from packaging.utils import canonicalize_name
from packaging.version import Version

from fakes.claims import FakeClaims
from fakes.elves import AnElf
from fakes.index import FakeIndex
from fakes.journal import FakeJournal
from fakes.locks import FakeLocks
from fakes.outcomes import TARGET
from fakes.sandbox import Answer, FakeSandbox
from fakes.sdists import LIMITS, sdist
from mirror.adapters.store import Store
from mirror.core.errors import MirrorError
from mirror.core.hashes import NO_HASHES, Hashes
from mirror.core.lock import Pin
from mirror.core.misses import OnDemand
from mirror.core.model import Built, Failed, IndexFile, Location, Outcome, Report, RequirementLine, Requirements
from mirror.core.recipes import Recipes
from mirror.core.retention import Origin
from mirror.jobs import JobSteps
from mirror.neighbours import Neighbours
from mirror.pipeline import Pipeline
from mirror.ports import Response
from mirror.provenance import Provenance
from mirror.tasks import Workshop
from mirror.window import View

WORKSHOP = Workshop(base_image="base", builder_image="builder", limits=LIMITS, processes=2)


class FakeResolver:
    """Answers each requirement string with its pins; `asked` is what was asked, in order."""

    def __init__(self, answers: Mapping[str, Iterable[str]]) -> None:
        self.asked: list[tuple[tuple[str, ...], tuple[str, ...], bool]] = []
        self._answers = {text: tuple(map(pin, pins)) for text, pins in answers.items()}

    def resolve(
        self,
        requirements: Sequence[str],
        constraints: Sequence[str],
        *,
        pre_releases: bool = False,
        hashes: Hashes = NO_HASHES,
    ) -> tuple[Pin, ...]:
        self.asked.append((tuple(requirements), tuple(constraints), pre_releases))
        unknown = [text for text in requirements if text not in self._answers]
        if unknown:
            raise MirrorError("unresolvable", f"nothing answers {unknown[0]}", hint="ask for something else")
        return tuple(sorted({found for text in requirements for found in self._answers[text]}))


@dataclass
class FakeReporter:
    """Remembers what it was told. `raises` is raised whenever a job has ended."""

    raises: BaseException | None = None
    steps: list[str] = field(default_factory=list)
    stages: list[tuple[str, str]] = field(default_factory=list)
    waits: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)

    def step(self, message: str) -> None:
        self.steps.append(message)

    def waiting(self, job: str, for_what: tuple[str, ...]) -> None:
        self.waits.append((job, for_what))

    def stage(self, job: str, stage: str) -> None:
        self.stages.append((job, stage))

    def ended(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        if self.raises:
            raise self.raises


class FakeBuilders:
    """Has every system package, in an image named after them."""

    def builder_with(self, packages: tuple[str, ...], log: Path) -> str:
        return "-".join(("builder", *packages))


@dataclass(frozen=True)
class FakeWindow:
    """A window over a view, through which 1,000 bytes went; nothing needs anything."""

    view: View | None = None
    bytes_served: int = 1000

    def dependencies(self, _: Pin) -> tuple[str, ...]:
        return ()

    def get(self, path: str) -> Response:
        return Response(status=404, content_type="text/plain", body=[], length=0)


class House:
    """A pipeline over fakes. What is added to `index` and scripted in `compiles` and `resolver` decides a run."""

    def __init__(self, folder: Path) -> None:
        self.index = FakeIndex(folder / "store")
        self.journal = FakeJournal(folder)
        self.claims = FakeClaims()
        self.locks = FakeLocks()
        self.retry = False
        self.reporter = FakeReporter()
        self.resolver = FakeResolver({})
        self.sandbox = FakeSandbox({})
        self.recipes = Recipes()
        self.denied = OnDemand()
        self.notes = Store(folder / "notes")
        self.views: list[View] = []
        """What each clean room saw."""

    def script(self, resolutions: Mapping[str, Iterable[str]], tasks: Mapping[str, Answer | list[Answer]]) -> None:
        """Say what the next run's resolver and sandbox answer; both forget what they were asked before."""
        self.resolver, self.sandbox = FakeResolver(resolutions), FakeSandbox({"import": imports(), **tasks})

    def add_sdist(self, name: str, version: str, requires: Sequence[str] = ()) -> IndexFile:
        """Let upstream have an sdist with these build requirements."""
        return self.index.add_upstream(name, f"{name}-{version}.tar.gz", an_sdist(name, version, requires))

    def add_wheel(self, name: str, version: str) -> IndexFile:
        """Let upstream have a pure wheel."""
        filename = f"{name}-{version}-py3-none-any.whl"
        return self.index.add_upstream(name, filename, a_wheel(filename))

    def steps(self, projects: Iterable[str] = ()) -> JobSteps:
        """The steps of a job."""
        return JobSteps(
            sandbox=self.sandbox,
            index=self.index,
            provenance=self._provenance(),
            resolver=self.resolver,
            builders=FakeBuilders(),
            journal=self.journal,
            claims=self.claims,
            workshop=WORKSHOP,
            recipes=self.recipes,
            projects=frozenset(projects),
            neighbours=Neighbours(self.index, ()),
            retry=self.retry,
        )

    def pipeline(self, jobs: int = 2) -> Pipeline:
        """The whole of it."""
        return Pipeline(
            sandbox=self.sandbox,
            index=self.index,
            provenance=self._provenance(),
            resolver=self.resolver,
            builders=FakeBuilders(),
            journal=self.journal,
            claims=self.claims,
            locks=self.locks,
            origin=Origin(host="here", folder="/home/me/app"),
            reporter=self.reporter,
            verify_window=self._window,
            workshop=WORKSHOP,
            recipes=self.recipes,
            target=TARGET,
            jobs=jobs,
            retry=self.retry,
            denied=self.denied,
        )

    def _window(self, view: View) -> FakeWindow:
        self.views.append(view)
        return FakeWindow(view)

    def _provenance(self) -> Provenance:
        return Provenance(self.index, self.notes, TARGET)

    @property
    def ran(self) -> list[str]:
        """The labels of the tasks that were run, in order, but for those that import."""
        return [task.label for task in self.sandbox.tasks if task.command != "import"]

    @property
    def imported(self) -> list[str]:
        """The labels of the tasks that import, sorted: they run side by side."""
        return sorted(task.label for task in self.sandbox.tasks if task.command == "import")


def pin(text: str) -> Pin:
    """`numpy 1.23.5` as a pin."""
    name, version = text.split()
    return canonicalize_name(name), Version(version)


def an_sdist(name: str, version: str, requires: Sequence[str] = ()) -> bytes:
    """An sdist with these build requirements."""
    listed = ", ".join(f'"{requirement}"' for requirement in requires)
    table = f'[build-system]\nrequires = [{listed}]\nbuild-backend = "backend"\n'
    return sdist(name, version, {"pyproject.toml": table})


def a_wheel(filename: str, files: Mapping[str, bytes] | None = None) -> bytes:
    """A wheel with nothing wrong about it: one module, and an extension unless it is for any platform."""
    name, version, *_, python, abi, platform = filename.removesuffix(".whl").split("-")
    is_pure = platform == "any"
    info = f"{name}-{version}.dist-info"
    contents: dict[str, bytes] = {
        f"{name}/__init__.py": b"VALUE = 1\n",
        **({} if is_pure else {f"{name}/_fast.cpython-311-x86_64-linux-musl.so": bytes(AnElf())}),
        **(files or {}),
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": (
            f"Wheel-Version: 1.0\nGenerator: fake\nRoot-Is-Purelib: {str(is_pure).lower()}\n"
            f"Tag: {python}-{abi}-{platform}\n"
        ).encode(),
    }
    record = io.StringIO(newline="")
    rows = csv.writer(record, lineterminator="\n")
    for path, content in contents.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        rows.writerow((path, f"sha256={digest}", len(content)))
    rows.writerow((f"{info}/RECORD", "", ""))
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in {**contents, f"{info}/RECORD": record.getvalue().encode()}.items():
            archive.writestr(zipfile.ZipInfo(path), content)
    return stream.getvalue()


def native(name: str, version: str) -> str:
    """The file name of a wheel for TARGET."""
    return f"{name}-{version}-cp311-cp311-musllinux_1_2_x86_64.whl"


def compiled(name: str, version: str, files: Mapping[str, bytes] | None = None) -> Answer:
    """The end of a compile that brought a wheel."""
    filename = native(name, version)
    return Answer(value={"ok": True, "wheel": filename}, outputs={"0": a_wheel(filename, files)})


def needs(*requirements: str) -> Answer:
    """The end of a compile whose backend asks for more."""
    return Answer(value={"ok": True, "needs": list(requirements)})


def broken(message: str = "the build backend's build_wheel failed with exit status 1") -> Answer:
    """The end of a compile that failed."""
    return Answer(value={"ok": False, "message": message})


def proved(*installed: str) -> Answer:
    """The end of a clean room in which these (`numpy 1.23.5`) were installed."""
    return Answer(value={"ok": True, "seconds": 2.5, "installed": [found.split() for found in installed]})


def imports(**errors: str) -> Answer:
    """The end of a clean room in which a project was imported, with these errors of modules."""
    return Answer(value={"ok": True, "errors": errors})


def requirements(*texts: str, constraints: Sequence[str] = (), pre_releases: bool = False) -> Requirements:
    """What a user asked for; hashes stand behind the specifier, as in a file."""
    return Requirements(
        requirements=tuple(map(_line, texts)), constraints=tuple(map(_line, constraints)), pre_releases=pre_releases
    )


def _line(text: str) -> RequirementLine:
    specifier, *hashes = text.split(" --hash=")
    name = canonicalize_name(specifier.translate(dict.fromkeys(map(ord, "=<>~!"), " ")).split()[0])
    return RequirementLine(
        text=specifier, name=name, location=Location(file="requirements.txt", line=1), hashes=tuple(hashes)
    )


def timeless(outcome: Outcome) -> Outcome:
    """An outcome without its seconds and its cache key, which no test can know."""
    return replace(outcome, seconds=0.0, cache_key="") if isinstance(outcome, Built | Failed) else outcome


def timeless_report(report: Report) -> Report:
    """A report without seconds."""
    return replace(report, seconds=0.0, outcomes=tuple(map(timeless, report.outcomes)))
