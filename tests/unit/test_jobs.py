"""The steps of one job: what is sent to the sandbox, and what every end of it becomes."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from fakes.claims import ClaimBook, FakeClaims
from fakes.house import House, a_wheel, an_sdist, broken, compiled, native, needs, timeless
from fakes.index import UPSTREAM
from fakes.outcomes import TARGET, a_key
from fakes.sandbox import Answer
from fakes.sdists import LIMITS
from fakes.wheels import checked_wheel
from mirror.core.errors import MirrorError, UnusableError
from mirror.core.made_of import made_of, read_made_of
from mirror.core.model import Built, Failed, IndexFile, Job, Recipe, Reuse, Reused
from mirror.jobs import JobSteps, NeedsMore, Prepared
from mirror.ports import End


def quiet(_: str) -> None:
    """Hear nothing."""


@pytest.fixture
def house(tmp_path: Path) -> House:
    """An index with demo 1.0 as an sdist, and the setuptools that its build requires."""
    house = House(tmp_path)
    house.add_wheel("setuptools", "65.0")
    house.add_sdist("demo", "1.0", ["setuptools"])
    return house


def only_file(house: House, name: str) -> IndexFile:
    return next(file for file in house.index.files(a_key(name, "0").name) if "-cp3" not in file.filename)


def the_job(house: House, recipe: Recipe | None = None) -> Job:
    return Job(key=a_key("demo", "1.0"), sdist=only_file(house, "demo"), target=TARGET, recipe=recipe or Recipe())


def run(house: House, *answers: Answer, recipe: Recipe | None = None, projects: tuple[str, ...] = ()) -> object:
    """Prepare and compile demo, whose sandbox ends so; the result without its seconds."""
    house.script({"setuptools": ["setuptools 65.0"]}, {"compile demo 1.0": list(answers)})
    steps = house.steps(projects)
    done = steps.compile(steps.prepare(the_job(house, recipe), (), quiet), {}, quiet)
    return timeless(done) if isinstance(done, Built | Failed) else done


def failed(house: House, code: str, reason: str, hint: str, log: bool = True) -> Failed:
    return Failed(
        job=the_job(house),
        code=code,
        reason=reason,
        hint=hint,
        seconds=0.0,
        log=str(house.journal.labelled[-1][1]) if log else "",
    )


def test_a_compile_ends_with_a_wheel_that_is_published(house: House) -> None:
    """The outcome tells the file as the index lists it, and the size of the re-pack."""
    done = run(house, compiled("demo", "1.0"))
    (wheel,) = house.index.published
    listed = next(file for file in house.index.files(wheel.name) if file.filename == wheel.filename)
    log = str(house.journal.labelled[-1][1])
    assert Built(job=the_job(house), wheel=listed, seconds=0.0, size_bytes=len(wheel.content), log=log) == done
    assert [("demo 1.0", Path(log))] == house.journal.labelled


def test_a_job_is_heard_of_at_each_stage(house: House) -> None:
    """Ours, and those that the sandbox says it reached."""
    heard: list[str] = []
    house.script(
        {"setuptools": ["setuptools 65.0"]},
        {"compile demo 1.0": replace(compiled("demo", "1.0"), stages=("compile", "repair"))},
    )
    steps = house.steps()
    steps.compile(steps.prepare(the_job(house), (), heard.append), {}, heard.append)
    assert [
        "fetch",
        "resolve build requirements",
        "fetch build requirements",
        "compile",
        "repair",
        "check",
        "publish",
    ] == heard


ENDS = [
    (
        End.CRASHED,
        "build-crashed",
        "the sandbox ended without a result",
        "a build that kills every process it sees does this",
    ),
    (
        End.WALL_CLOCK,
        "timed-out",
        "it ran into its wall clock",
        "give the project a longer `timeout` in a recipe",
    ),
    (
        End.SILENCE,
        "silent",
        "it said nothing for too long",
        "raise `silence` in the settings, if the project is just slow",
    ),
    (
        End.OUT_OF_MEMORY,
        "out-of-memory",
        "it ran out of memory",
        "raise `memory` in the settings, or lower `jobs`",
    ),
    (End.OUTPUT_TOO_LARGE, "output-too-large", "its wheel is too large", "raise `output` in the settings"),
    (
        End.PROTOCOL,
        "wire-broken",
        "it sent what the agent never sends",
        "do not trust this sdist: read it before you try again",
    ),
    (
        End.LOST,
        "engine-lost",
        "the Docker engine or the container went away",
        "look at the engine, then run it again",
    ),
]


@pytest.mark.parametrize(("end", "code", "reason", "hint"), ENDS)
def test_every_end_has_its_code(house: House, end: End, code: str, reason: str, hint: str) -> None:
    """Whatever came out of such a sandbox is not looked at; what was seen stands behind the reason."""
    done = run(house, replace(compiled("demo", "1.0"), end=end, message="seen"))
    assert failed(house, code, f"{reason}: seen", hint) == done
    done = run(house, Answer(end=end))
    assert failed(house, code, reason, hint) == done
    assert [] == house.index.published


def test_no_end_is_without_a_code() -> None:
    """A new one must be given its words."""
    assert set(End) == {End.FINISHED, *(end for end, *_ in ENDS)}


def test_a_sandbox_that_was_lost_is_tried_once_more(house: House) -> None:
    """It is nobody's fault in there, and often over at once."""
    done = run(house, Answer(end=End.LOST), compiled("demo", "1.0"))
    assert isinstance(done, Built)
    assert ["compile demo 1.0"] * 2 == house.ran


@pytest.mark.parametrize("end", [end for end, *_ in ENDS if end not in (End.LOST, End.OUT_OF_MEMORY)])
def test_any_other_end_is_final(house: House, end: End) -> None:
    """It would come to the same again."""
    run(house, Answer(end=end), compiled("demo", "1.0"))
    assert ["compile demo 1.0"] == house.ran


def test_out_of_memory_is_tried_once_more_with_one_process(house: House) -> None:
    """Compilers side by side may have been too much; what each attempt said stays in a log of its own."""
    done = run(house, Answer(end=End.OUT_OF_MEMORY), compiled("demo", "1.0"))
    assert isinstance(done, Built)
    assert [2, 1] == [task.arguments["processes"] for task in house.sandbox.tasks]
    logs = [str(path) for label, path in house.journal.labelled if label == "demo 1.0"]
    assert (2, logs[-1]) == (len(logs), done.log)
    assert logs == [str(task.log) for task in house.sandbox.tasks]
    assert 2 == len(house.journal.begun)


def test_out_of_memory_twice_is_a_failure(house: House) -> None:
    """That is remembered; with one process from the start, there is nothing else to try."""
    run(house, Answer(end=End.OUT_OF_MEMORY))
    assert ["compile demo 1.0"] * 2 == house.ran


def test_a_limit_that_was_hit_is_named(house: House) -> None:
    """In place of what the log says of it."""
    pressure = {"free_bytes": 1 << 20, "free_inodes": 1000, "refused_processes": 3}
    done = run(house, Answer(value={"ok": False, "message": "it failed", "pressure": pressure}))
    reason = f"it failed: it wanted more than the {LIMITS.processes} processes and threads it may have"
    hint = "raise `processes` in the settings; read its log: mirror log demo"
    assert failed(house, "too-many-processes", reason, hint) == done


def test_a_failed_build_says_why_in_one_line(house: House) -> None:
    """Whatever a stranger wrote, it is printable and bounded."""
    hint = "read its log: mirror log demo"
    done = run(house, broken("gcc\nfailed"))
    assert failed(house, "build-failed", "gcc\\x0afailed", hint) == done
    done = run(house, broken(""))
    assert failed(house, "build-failed", "the build gave no reason", hint) == done
    done = run(house, broken("a" * 5000))
    assert isinstance(done, Failed)
    assert 1000 == len(done.reason)


@pytest.mark.parametrize(
    ("wheel", "content", "hint"),
    [
        (
            "other-1.0-py3-none-any.whl",
            a_wheel("other-1.0-py3-none-any.whl"),
            "no recipe may allow dist-info-name: tell the project's maintainers, or choose another version",
        ),
        (
            native("demo", "1.0"),
            b"no archive",
            "no recipe may allow not-a-zip: tell the project's maintainers, or choose another version",
        ),
        (
            "",
            b"",
            "no recipe may allow filename: tell the project's maintainers, or choose another version",
        ),
        (
            "demo-1.0-py3-none-any.whl",
            a_wheel("demo-1.0-py3-none-any.whl", {"demo.pth": b""}),
            'where it is right for this project, a recipe may allow it: oddities = ["pth-file"]',
        ),
        (
            "demo-1.1-py3-none-any.whl",
            a_wheel("demo-1.0-py3-none-any.whl", {"demo.pth": b""}),
            "no recipe may allow filename-version: tell the project's maintainers, or choose another version; "
            'where it is right for this project, a recipe may allow it: oddities = ["pth-file"]',
        ),
    ],
    ids=["another project's", "no archive", "nothing", "what a recipe may allow", "both"],
)
def test_what_the_gate_finds_is_the_reason(house: House, wheel: str, content: bytes, hint: str) -> None:
    """The first findings stand in it, the hint says what can be done about these, and nothing is published."""
    done = run(house, Answer(value={"ok": True, "wheel": wheel}, outputs={"0": content}))
    assert isinstance(done, Failed)
    assert failed(house, "gate", done.reason, hint) == done
    reason = "the wheel that came out may not be published; "
    assert done.reason.startswith(reason)
    assert len(reason) < len(done.reason)
    assert [] == house.index.published


def test_of_many_findings_the_reason_tells_the_number(house: House) -> None:
    """Three stand in it."""
    files = {f"demo/bad{number}.so": b"\x7fELF broken" for number in range(5)}
    done = run(house, compiled("demo", "1.0", files))
    assert isinstance(done, Failed)
    assert ("gate", 5, "and 2 more") == (done.code, len(done.reason.split("; ")), done.reason.split("; ")[-1])


def test_a_wheel_may_not_take_the_place_of_a_project_of_the_lock(house: House) -> None:
    """A top-level package that another project is named after."""
    files = {"other/__init__.py": b""}
    done = run(house, compiled("demo", "1.0", files), projects=("demo", "other"))
    assert isinstance(done, Failed)
    assert ("gate", True) == (done.code, "foreign-top-level" in done.reason)
    assert isinstance(run(house, compiled("demo", "1.0", files), projects=("demo",)), Built)


def test_a_recipe_may_expect_a_finding(house: House) -> None:
    """Then it is published."""
    files = {"demo.pth": b"import demo\n"}
    assert isinstance(run(house, compiled("demo", "1.0", files)), Failed)
    assert isinstance(run(house, compiled("demo", "1.0", files), recipe=Recipe(oddities=("pth-file",))), Built)


def test_other_bytes_on_the_index_are_a_conflict(house: House) -> None:
    """A published file never changes: here somebody who knows of no claims publishes while this run compiles."""
    other = checked_wheel(native("demo", "1.0"))
    house.script({"setuptools": ["setuptools 65.0"]}, {"compile demo 1.0": compiled("demo", "1.0")})
    steps = house.steps()

    def stage(name: str) -> None:
        if name == "check":
            house.index.publish(other)

    done = steps.compile(steps.prepare(the_job(house), (), quiet), {}, stage)
    expected = failed(house, "conflict", f"other bytes stand under {other.filename}", "raise the version")
    assert expected == timeless(done)  # type: ignore[arg-type]


def test_an_index_that_goes_away_while_compiling_fails_the_job(house: House) -> None:
    """The log of the compile is kept."""
    house.script({"setuptools": ["setuptools 65.0"]}, {"compile demo 1.0": compiled("demo", "1.0")})
    steps = house.steps()
    prepared = steps.prepare(the_job(house), (), quiet)
    job = the_job(house)

    def stage(name: str) -> None:
        house.index.down = name == "publish"

    done = steps.compile(prepared, {}, stage)
    log = str(house.journal.labelled[-1][1])
    reason = "http://index.test does not answer"
    assert (
        Failed(job=job, code="index-unreachable", reason=reason, hint="start it", seconds=0.0, log=log)
        == timeless(done)  # type: ignore[arg-type]
    )


def test_a_backend_may_ask_for_more(house: House) -> None:
    """That is no outcome yet."""
    done = run(house, needs("cython", "numpy==1.23.2; python_version < '3.12'"))
    log = str(house.journal.labelled[-1][1])
    requires = ("cython", "numpy==1.23.2; python_version < '3.12'")
    assert NeedsMore(job=the_job(house), requires=requires, log=log) == done


@pytest.mark.parametrize(
    "claim",
    [
        *(
            ["--index-url=http://x"],
            ["-r secrets"],
            ["a\n--pre"],
            ["a b"],
            [""],
            [1],
            [["cython"]],
            "cython",
            7,
            {"a": 1},
        ),
        *(["a; os_name == '\r-r x'"], ["a; os_name == '\x1b[2J'"], ["a; os_name == '\ud800'"]),
        *([f"a=={'1' * 5000}"], [f"a; {'(' * 5000}"], ["a"] * 501, ["a" * 2001]),
    ],
    ids=lambda claim: repr(claim)[:40],
)
def test_what_it_asks_for_must_be_requirements(house: House, claim: object) -> None:
    """Anything else would reach the resolver as a line of its own."""
    done = run(house, Answer(value={"ok": True, "needs": claim}))
    assert isinstance(done, Failed)
    assert ("bad-build-requirements", "ask the project's maintainers, or choose another version") == (
        done.code,
        done.hint,
    )


class TestPrepare:
    """From an sdist to its resolved build requirements."""

    def test_what_has_a_wheel_is_fetched_and_what_has_none_is_a_job(self, house: House) -> None:
        """The round after a backend asked for more resolves all of it together."""
        house.add_sdist("numpy", "1.23.2")
        house.script({"setuptools": ["setuptools 65.0"], "numpy==1.23.2": ["numpy 1.23.2"]}, {})
        steps = house.steps()
        prepared = steps.prepare(the_job(house), ("numpy==1.23.2", "setuptools"), quiet)
        numpy = Job(key=a_key("numpy", "1.23.2"), sdist=only_file(house, "numpy"), target=TARGET, recipe=Recipe())
        assert (
            Prepared(
                job=the_job(house),
                source=prepared.source,
                requires=("setuptools", "numpy==1.23.2"),
                wheels=(only_file(house, "setuptools"),),
                missing=(numpy,),
                made_of=made_of(the_job(house), UPSTREAM),
            )
            == prepared
        )
        assert an_sdist("demo", "1.0", ["setuptools"]) == prepared.source.path.read_bytes()

    def test_an_sdist_with_other_bytes_than_the_index_promises_is_refused(self, house: House) -> None:
        """Nothing is resolved for it, nothing is run."""
        house.index.corrupt(only_file(house, "demo"), b"something else")
        code = refused(house.steps(), the_job(house))
        assert ("hash-mismatch", []) == (code, house.resolver.asked)

    def test_an_sdist_that_cannot_be_read_is_refused(self, house: House) -> None:
        """It is never unpacked outside a sandbox."""
        house.index.add_upstream("demo", "demo-1.0.tar.gz", b"no archive")
        assert "bad-sdist" == refused(house.steps(), the_job(house))

    def test_build_requirements_that_nothing_answers_are_an_error(self, house: House) -> None:
        """The resolver's."""
        assert "unresolvable" == refused(house.steps(), the_job(house))

    def test_an_index_that_does_not_answer_is_an_error(self, house: House) -> None:
        """Of its own kind."""
        job = the_job(house)
        house.index.down = True
        with pytest.raises(UnusableError):
            house.steps().prepare(job, (), quiet)


def refused(steps: JobSteps, job: Job) -> str:
    """The code of what preparing raises."""
    with pytest.raises(MirrorError) as caught:
        steps.prepare(job, (), quiet)
    return caught.value.code


def test_a_compile_runs_where_its_system_packages_are(house: House) -> None:
    """The recipe's apk names decide about the image: here that one is missing, and the plain one is there."""
    done = run(house, compiled("demo", "1.0"), recipe=Recipe(system_packages=("libffi-dev",)))
    assert isinstance(done, Failed)
    assert "the image builder-libffi-dev is not on the engine" == done.reason
    assert isinstance(run(house, compiled("demo", "1.0")), Built)
    assert ["builder"] == [task.image for task in house.sandbox.tasks]


def test_what_never_began_has_a_log_that_says_why(house: House) -> None:
    """The reason leads to the log: an empty one would say that there is none."""
    done = run(house, compiled("demo", "1.0"), recipe=Recipe(system_packages=("nosuch-dev",)))
    assert isinstance(done, Failed)
    first, *_ = Path(done.log).read_text().splitlines()
    assert "error[image-missing]: the image builder-nosuch-dev is not on the engine" == first


def test_what_ended_without_a_word_has_a_log_that_says_how(house: House) -> None:
    """A sandbox that was ended from outside may have printed nothing."""
    done = run(house, Answer(end=End.SILENCE))
    assert isinstance(done, Failed)
    assert "It printed nothing, and ended after 0.0 s: silence\n" == Path(done.log).read_text()


def test_a_failed_build_says_what_its_log_says(house: House) -> None:
    """The compiler's first word, not distutils' last, and what usually helps."""
    log = b"gcc -c x.c\nx.c:1:1: fatal error: ffi.h: No such file or directory\nerror: command 'gcc' failed\n"
    done = run(house, replace(broken("the backend failed"), log=log))
    reason = "the backend failed: fatal error: ffi.h: No such file or directory"
    hint = "a recipe can add system-packages (apk names): look up which one has it; read its log: mirror log demo"
    assert failed(house, "build-failed", reason, hint) == done


class TestNothingIsDoneTwice:
    """Not what failed, not what was compiled and never published, not what another run does."""

    def test_what_failed_is_not_tried_again(self, house: House) -> None:
        """While nothing has changed; the reason is told again, with its day and log."""
        first = record(house, compile_once(house, broken("no such header")))
        again = compile_once(house)
        assert isinstance(again, Failed)
        assert (first.code, first.log, "") == (again.code, again.log, again.cache_key)
        assert f"{first.reason} (on " == again.reason[: len(first.reason) + 5]
        assert again.reason.endswith("; not tried again, since nothing has changed)")
        assert again.hint.endswith("; `--retry` tries it again all the same")
        assert [] == house.ran

    def test_it_is_tried_again_when_told(self, house: House) -> None:
        """`--retry`; and since it went well then, it counts as no failure afterwards."""
        record(house, compile_once(house, broken()))
        house.retry = True
        assert isinstance(record(house, compile_once(house, compiled("demo", "1.0"))), Built)
        assert {} == house.journal.failures

    def test_it_is_tried_again_with_another_recipe(self, house: House) -> None:
        """Another environment may be what it lacked."""
        record(house, compile_once(house, broken()))
        recipe = Recipe(environment={"FAST": "1"})
        assert isinstance(compile_once(house, compiled("demo", "1.0"), recipe=recipe), Built)

    def test_what_may_pass_is_tried_again(self, house: House) -> None:
        """An engine that went away, say."""
        record(house, compile_once(house, Answer(end=End.LOST)))
        assert {} == house.journal.failures
        assert isinstance(compile_once(house, compiled("demo", "1.0")), Built)

    def test_a_wheel_that_was_not_published_is_published_by_the_next_run(self, house: House) -> None:
        """The index was away when it was ready: nothing is compiled again."""

        def stage(name: str) -> None:
            house.index.down = name == "publish"

        assert isinstance(compile_once(house, compiled("demo", "1.0"), on_stage=stage), Failed)
        house.index.down = False
        built = compile_once(house)
        assert isinstance(built, Built)
        assert ([], {}) == (house.ran, house.journal.wheels)
        assert [native("demo", "1.0")] == [wheel.filename for wheel in house.index.published]

    def test_a_kept_wheel_that_the_gate_refuses_is_made_anew(self, house: House) -> None:
        """Somebody has changed it on the disk, or the gate has learnt something."""

        def stage(name: str) -> None:
            house.index.down = name == "publish"

        compile_once(house, compiled("demo", "1.0"), on_stage=stage)
        house.index.down = False
        ((key, kept),) = house.journal.wheels.items()
        house.journal.wheels[key] = replace(kept, content=b"PK" + kept.content)
        assert isinstance(compile_once(house, compiled("demo", "1.0")), Built)
        assert ["compile demo 1.0"] == house.ran

    def test_a_wheel_that_another_run_has_published_is_reused(self, house: House) -> None:
        """It came after this run had planned, so the page is asked for anew."""
        house.script({"setuptools": ["setuptools 65.0"]}, {})
        steps = house.steps()
        prepared = steps.prepare(the_job(house), (), quiet)
        listed = house.index.publish(checked_wheel(native("demo", "1.0"), made_of=made_of(the_job(house), UPSTREAM)))
        reuse = Reuse(name=a_key("demo", "1.0").name, version=a_key("demo", "1.0").version, wheel=listed)
        assert Reused(reuse=reuse) == steps.compile(prepared, {}, quiet)

    @pytest.mark.parametrize("says", [True, False], ids=["made of another", "does not say"])
    def test_one_that_was_made_of_another_sdist_is_not(self, house: House, says: bool) -> None:
        """Another one is compiled, under a number that installers prefer; what stands on the index stays."""
        house.script({"setuptools": ["setuptools 65.0"]}, {"compile demo 1.0": compiled("demo", "1.0")})
        steps = house.steps()
        prepared = steps.prepare(the_job(house), (), quiet)
        other = replace(made_of(the_job(house), UPSTREAM), sha256="ff" * 32) if says else None
        house.index.publish(checked_wheel(native("demo", "1.0"), made_of=other))
        house.index.publish(checked_wheel(native("demo", "1.0").replace("-1.0-", "-1.0-1-"), made_of=other))
        built = steps.compile(prepared, {}, quiet)
        assert isinstance(built, Built)
        assert native("demo", "1.0").replace("-1.0-", "-1.0-2-") == built.wheel.filename
        assert 3 == len(house.index.published)

    def test_a_wheel_for_another_python_is_in_nobodys_way(self, house: House) -> None:
        """Nobody would take it for this target, so the file name needs no number."""
        house.index.publish(checked_wheel(native("demo", "1.0").replace("cp311", "cp312")))
        built = compile_once(house, compiled("demo", "1.0"))
        assert isinstance(built, Built)
        assert native("demo", "1.0") == built.wheel.filename

    def test_a_kept_wheel_is_published_for_its_own_sdist_alone(self, house: House) -> None:
        """Another upstream lists other bytes under the same name by now: they are compiled."""

        def stage(name: str) -> None:
            house.index.down = name == "publish"

        compile_once(house, compiled("demo", "1.0"), on_stage=stage)
        house.index.down = False
        house.index.add_upstream("demo", "demo-1.0.tar.gz", an_sdist("demo", "1.0", ["setuptools", "setuptools"]))
        house.index.forget(a_key("demo", "1.0").name)
        assert isinstance(compile_once(house, compiled("demo", "1.0")), Built)
        assert ["compile demo 1.0"] == house.ran

    def test_a_kept_wheel_that_the_index_has_lost_is_published_again(self, house: House) -> None:
        """The page lists it, and its bytes cannot be had: it comes back under the same name."""

        def stage(name: str) -> None:
            house.index.down = name == "publish"

        compile_once(house, compiled("demo", "1.0"), on_stage=stage)
        house.index.down = False
        ((_, kept),) = house.journal.wheels.items()
        lost = house.index.add_own("demo", kept.filename, kept.content)
        house.index.whitelist("demo")
        house.index.corrupt(lost, b"")
        built = compile_once(house)
        assert isinstance(built, Built)
        assert (lost, []) == (built.wheel, house.ran)

    def test_what_it_was_made_of_stands_in_the_wheel(self, house: House) -> None:
        """The sdist, its upstream and the recipe, for whoever looks at the index later."""
        recipe = Recipe(environment={"FAST": "1"})
        assert isinstance(compile_once(house, compiled("demo", "1.0"), recipe=recipe), Built)
        (wheel,) = house.index.published
        with zipfile.ZipFile(io.BytesIO(wheel.content)) as archive:
            said = read_made_of(archive.read("demo-1.0.dist-info/mirror.json"))
        assert (made_of(the_job(house, recipe), UPSTREAM), UPSTREAM) == (said, wheel.upstream)

    def test_a_project_of_our_own_is_published_as_such(self, house: House) -> None:
        """Its sdist lies on our index: nothing of its name is let show from upstream."""
        house.index.drop_upstream("demo", "demo-1.0.tar.gz")
        house.index.add_upstream("demo", "demo-99.0-py3-none-any.whl", b"a stranger's")
        house.index.add_own("demo", "demo-1.0.tar.gz", an_sdist("demo", "1.0", ["setuptools"]))
        built = compile_once(house, compiled("demo", "1.0"))
        assert isinstance(built, Built)
        assert [built.wheel.filename, "demo-1.0.tar.gz"] == [
            file.filename for file in house.index.files(a_key("demo", "1.0").name)
        ]

    def test_one_of_two_runs_compiles_and_the_other_waits(self, house: House, tmp_path: Path) -> None:
        """Both end with the same wheel; it was compiled once."""
        book, waits = ClaimBook(), Event()
        house.claims = FakeClaims(book)
        answer = replace(compiled("demo", "1.0"), stages=("compile",))
        house.script({"setuptools": ["setuptools 65.0"]}, {"compile demo 1.0": answer})
        first = house.steps()
        house.claims = FakeClaims(book)
        second = house.steps()
        prepared = first.prepare(the_job(house), (), quiet)
        outcomes: list[object] = []

        def other(stage: str) -> None:
            if stage.startswith("wait for another run"):
                waits.set()

        waiting = Thread(target=lambda: outcomes.append(second.compile(prepared, {}, other)))

        def start_the_other(stage: str) -> None:
            if stage == "compile":
                waiting.start()
                assert waits.wait(timeout=30)

        built = first.compile(prepared, {}, start_the_other)
        waiting.join(timeout=30)
        assert isinstance(built, Built)
        (reused,) = outcomes
        assert isinstance(reused, Reused)
        assert built.wheel == reused.reuse.wheel
        assert ["compile demo 1.0"] == house.ran


def compile_once(
    house: House,
    *answers: Answer,
    recipe: Recipe | None = None,
    on_stage: Callable[[str], None] = quiet,
) -> object:
    """Prepare and compile demo in a new run whose sandbox answers so, or which must start none."""
    house.script({"setuptools": ["setuptools 65.0"]}, {"compile demo 1.0": list(answers)} if answers else {})
    steps = house.steps()
    return steps.compile(steps.prepare(the_job(house, recipe), (), quiet), {}, on_stage)


def record(house: House, outcome: object) -> Any:
    """Let the journal have it, as Builds does."""
    assert isinstance(outcome, Built | Failed)
    house.journal.record(outcome, TARGET)
    return outcome
