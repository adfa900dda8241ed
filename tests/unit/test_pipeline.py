"""The one way through, over fakes: what is compiled, in what order, what is proved, and what an error costs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from fakes.house import (
    WORKSHOP,
    House,
    a_wheel,
    broken,
    compiled,
    imports,
    native,
    proved,
    requirements,
    timeless_report,
)
from fakes.outcomes import TARGET, a_key
from fakes.sandbox import Answer
from fakes.wheels import checked_wheel
from mirror.adapters.store import Store
from mirror.core import recipes
from mirror.core.errors import BadInputError, MirrorError, UnusableError
from mirror.core.misses import OnDemand
from mirror.core.model import (
    Blocked,
    Built,
    Failed,
    IndexFile,
    Job,
    Outcome,
    Report,
    Reuse,
    Reused,
    Verified,
)
from mirror.core.requirements import parse
from mirror.ports import End

ARTICLE = requirements("pandas~=1.5.2", "numpy~=1.23.0", "Django~=4.1.4")
ANSWERS = {
    "pandas~=1.5.2": ["pandas 1.5.3", "numpy 1.23.5"],
    "numpy~=1.23.0": ["numpy 1.23.5"],
    "Django~=4.1.4": ["django 4.1.13"],
    "setuptools": ["setuptools 65.0"],
    "numpy==1.23.2": ["numpy 1.23.2"],
    "numpy==1.23.5": ["numpy 1.23.5"],
}
COMPILES = {
    "compile numpy 1.23.5": compiled("numpy", "1.23.5"),
    "compile numpy 1.23.2": compiled("numpy", "1.23.2"),
    "compile pandas 1.5.3": compiled("pandas", "1.5.3"),
}
INSTALLED = ("django 4.1.13", "numpy 1.23.5", "pandas 1.5.3")


@pytest.fixture
def house(tmp_path: Path) -> House:
    """An index on which the article's packages are, numpy and pandas as sdists alone."""
    house = House(tmp_path)
    house.add_wheel("django", "4.1.13")
    house.add_wheel("setuptools", "65.0")
    house.add_sdist("numpy", "1.23.5", ["setuptools"])
    house.add_sdist("numpy", "1.23.2", ["setuptools"])
    house.add_sdist("pandas", "1.5.3", ["setuptools", "numpy==1.23.2"])
    house.script(ANSWERS, COMPILES | {"verify": proved(*INSTALLED)})
    return house


def file(house: House, filename: str) -> IndexFile:
    """The file of the index that has this name."""
    name = filename.split("-", maxsplit=1)[0]
    return next(found for found in house.index.files(a_key(name, "0").name) if found.filename == filename)


def job(house: House, name: str, version: str) -> Job:
    return Job(
        key=a_key(name, version),
        sdist=file(house, f"{name}-{version}.tar.gz"),
        target=TARGET,
        recipe=house.recipes.for_project(a_key(name, version).name, a_key(name, version).version),
    )


def log_of(house: House, label: str) -> str:
    """The last log that was made under this label."""
    return str([path for found, path in house.journal.labelled if found == label][-1])


def built(house: House, name: str, version: str) -> Built:
    wheel = next(wheel for wheel in house.index.published if wheel.filename == native(name, version))
    return Built(
        job=job(house, name, version),
        wheel=file(house, wheel.filename),
        seconds=0.0,
        size_bytes=len(wheel.content),
        log=log_of(house, f"{name} {version}"),
    )


def reused(house: House, name: str, version: str, filename: str) -> Reused:
    key = a_key(name, version)
    return Reused(reuse=Reuse(name=key.name, version=key.version, wheel=file(house, filename)))


def failed(house: House, name: str, version: str, code: str, reason: str, hint: str = "") -> Failed:
    return Failed(
        job=job(house, name, version),
        code=code,
        reason=reason,
        hint=hint or f"read its log: mirror log {name}",
        seconds=0.0,
        log=log_of(house, f"{name} {version}"),
    )


def report(*outcomes: Outcome, verified: Verified | None = None, verify_error: str = "") -> Report:
    return Report(target=TARGET, outcomes=outcomes, seconds=0.0, verified=verified, verify_error=verify_error)


def verified(*installed: str) -> Verified:
    """What is proved of these; all but Django are ours, and imported."""
    pairs = tuple((name, version) for name, version in (found.split() for found in installed))
    return Verified(
        seconds=2.5,
        installed=pairs,
        imported=tuple(name for name, _ in pairs if name != "django"),
        downloaded_bytes=1000,
    )


def test_the_articles_requirements_are_compiled_each_version_once_and_proved(house: House) -> None:
    """numpy for pandas' build is another version than the lock's: both are compiled, one alone is proved."""
    done = house.pipeline().build(ARTICLE)
    expected = report(
        built(house, "numpy", "1.23.2"),
        built(house, "numpy", "1.23.5"),
        built(house, "pandas", "1.5.3"),
        reused(house, "django", "4.1.13", "django-4.1.13-py3-none-any.whl"),
        verified=verified(*INSTALLED),
    )
    assert expected == timeless_report(done)
    assert {
        "compile numpy 1.23.2": 1,
        "compile numpy 1.23.5": 1,
        "compile pandas 1.5.3": 1,
        "verify": 1,
    } == {label: house.ran.count(label) for label in house.ran}


def test_pandas_waits_for_numpy_and_gets_our_wheel(house: House) -> None:
    """The wheelhouse of pandas' compile holds the numpy that was just published, byte for byte."""
    house.pipeline().build(ARTICLE)
    assert ("pandas 1.5.3", ("numpy 1.23.2",)) in house.reporter.waits
    assert house.ran.index("compile numpy 1.23.2") < house.ran.index("compile pandas 1.5.3")
    task = next(task for task in house.sandbox.tasks if task.label == "compile pandas 1.5.3")
    sent = {name: Path(path).read_bytes() for name, path in task.inputs.items()}  # type: ignore[arg-type]
    published = {wheel.filename: wheel.content for wheel in house.index.published}
    assert {
        "pandas-1.5.3.tar.gz",
        "wheelhouse/setuptools-65.0-py3-none-any.whl",
        f"wheelhouse/{native('numpy', '1.23.2')}",
    } == sent.keys()
    assert published[native("numpy", "1.23.2")] == sent[f"wheelhouse/{native('numpy', '1.23.2')}"]


def test_a_build_requirement_that_is_a_job_of_the_lock_is_compiled_once(house: House) -> None:
    """The same version: one job, published before pandas is compiled."""
    house.add_sdist("pandas", "1.5.3", ["setuptools", "numpy==1.23.5"])
    done = house.pipeline().build(ARTICLE)
    assert [
        built(house, "numpy", "1.23.5"),
        built(house, "pandas", "1.5.3"),
    ] == [outcome for outcome in timeless_report(done).outcomes if isinstance(outcome, Built)]
    assert ["compile numpy 1.23.5", "compile pandas 1.5.3", "verify"] == house.ran


def test_nothing_is_compiled_where_one_of_all_is_denied(house: House) -> None:
    """What an installer has missed is built without what it may not have: told before anything begins."""
    house.denied = OnDemand(deny=("pan*",))
    with pytest.raises(MirrorError) as failure:
        house.pipeline().build(ARTICLE)
    assert ("denied", "pandas 1.5.3 would have to be compiled, and `deny` in [on-demand] says not to") == (
        failure.value.code,
        failure.value.what,
    )
    assert [] == house.ran


def test_a_build_requirement_that_is_denied_is_not_compiled_either(house: House) -> None:
    """That shows only when an sdist was read: what needs it is not built, and the rest is; a wheel may be taken."""
    house.denied = OnDemand(deny=("cython", "django"))
    house.add_sdist("cython", "3.0")
    house.add_sdist("pandas", "1.5.3", ["setuptools", "cython"])
    house.script({**ANSWERS, "cython": ["cython 3.0"]}, COMPILES)
    done = house.pipeline().build(ARTICLE)
    ends = {str(one.job.key): one.code for one in done.outcomes if isinstance(one, Failed)}
    assert {"cython 3.0": "denied"} == ends
    assert ["pandas 1.5.3"] == [str(one.job.key) for one in done.outcomes if isinstance(one, Blocked)]
    assert ["compile numpy 1.23.5"] == house.ran


def test_a_second_run_starts_no_sandbox(house: House) -> None:
    """Nothing is compiled, and the clean room, having proved these very files, is not entered again."""
    house.pipeline().build(ARTICLE)
    house.script(ANSWERS, {})
    done = house.pipeline().build(ARTICLE)
    expected = report(
        reused(house, "django", "4.1.13", "django-4.1.13-py3-none-any.whl"),
        reused(house, "numpy", "1.23.5", native("numpy", "1.23.5")),
        reused(house, "pandas", "1.5.3", native("pandas", "1.5.3")),
    )
    assert expected == timeless_report(done)
    assert [] == house.ran


def test_another_projects_sdist_of_the_same_name_and_version_is_compiled(house: House) -> None:
    """The index lists other bytes than those our wheel was made of; so do build requirements ask for these."""
    house.pipeline().build(ARTICLE)
    sdist = house.add_sdist("numpy", "1.23.5", ["setuptools", "setuptools"])
    older = house.add_sdist("numpy", "1.23.2", ["setuptools", "setuptools"])
    house.add_sdist("pandas", "1.5.3", ["numpy==1.23.2", "setuptools"])
    house.script(ANSWERS, COMPILES | {"verify": proved(*INSTALLED)})
    done = house.pipeline().build(ARTICLE)
    assert [
        (older.sha256, native("numpy", "1.23.2").replace("-1.23.2-", "-1.23.2-1-")),
        (sdist.sha256, native("numpy", "1.23.5").replace("-1.23.5-", "-1.23.5-1-")),
    ] == [(o.job.sdist.sha256, o.wheel.filename) for o in done.outcomes if isinstance(o, Built)][:2]
    house.script(ANSWERS, {})
    assert [] == [outcome for outcome in house.pipeline().build(ARTICLE).outcomes if isinstance(outcome, Built)]


def test_a_wheel_is_read_once_for_what_it_was_made_of(house: House) -> None:
    """A run that has nothing to do asks the index for pages alone."""
    house.pipeline().build(ARTICLE)
    house.script(ANSWERS, {})
    house.pipeline().plan(ARTICLE)
    house.index.calls.clear()
    house.script(ANSWERS, {})
    house.pipeline().build(ARTICLE)
    assert [] == [call for call in house.index.calls if not call.startswith("files ")]


def test_a_wheel_that_cannot_be_had_is_no_answer(house: House) -> None:
    """Another one is made in its place; an index that does not answer is told as that."""
    house.pipeline().build(ARTICLE)
    lost = file(house, native("numpy", "1.23.5"))
    house.index.corrupt(lost, b"something else")
    house.index.empty_store()
    house.notes = Store(house.index.folder / "new notes")
    assert ["numpy"] == [job.key.name for job in house.pipeline().plan(ARTICLE).jobs]
    house.index.down = True
    with pytest.raises(UnusableError):
        house.pipeline().plan(ARTICLE)


def test_every_outcome_is_recorded_and_told(house: House) -> None:
    """Reuses too: `mirror status` counts them."""
    done = house.pipeline().build(ARTICLE)
    by_name = sorted(done.outcomes, key=str)
    assert [(outcome, TARGET) for outcome in by_name] == sorted(house.journal.records, key=str)
    assert by_name == sorted(house.reporter.outcomes, key=str)


@pytest.mark.parametrize(
    "asked",
    [
        requirements("pandas~=1.5.2", "numpy~=1.23.0"),
        requirements("pandas~=1.5.2", "numpy~=1.23.0", "Django~=4.1.4", constraints=["numpy<2"]),
        replace(ARTICLE, pre_releases=True),
    ],
    ids=["other requirements", "constraints", "pre-releases"],
)
def test_a_proof_is_about_what_was_asked(house: House, asked: object) -> None:
    """Anything else that pip is told is proved by itself."""
    house.pipeline().build(ARTICLE)
    house.script(ANSWERS, {"verify": proved(*INSTALLED)})
    house.pipeline().build(asked)  # type: ignore[arg-type]
    assert ["verify"] == house.ran


def test_a_proof_is_about_what_was_imported_and_about_the_image(house: House) -> None:
    """A recipe that names other modules, and a new base image, ask for a new proof."""
    house.pipeline().build(ARTICLE)
    house.script(ANSWERS, {"verify": proved(*INSTALLED)})
    section = {"project": "numpy", "reason": "the rest is for tests", "import-names": ["numpy.core"]}
    house.recipes = recipes.parse([("mirror.toml", {"recipe": [section]})])
    house.pipeline().build(ARTICLE)
    modules = {task.label: task.arguments["modules"] for task in house.sandbox.tasks if task.command == "import"}
    assert {"import numpy 1.23.5": ["numpy.core"], "import pandas 1.5.3": None} == modules
    house.script(ANSWERS, {"verify": proved(*INSTALLED)})
    pipeline = replace(house.pipeline(), workshop=replace(WORKSHOP, base_image="builder"))
    pipeline.build(ARTICLE)
    assert ["verify"] == house.ran


def test_one_failure_stops_what_waits_for_it_and_nothing_else(house: House) -> None:
    """pandas is blocked, the lock's own numpy is built, the clean room is not entered."""
    house.script(
        ANSWERS,
        {"compile numpy 1.23.5": compiled("numpy", "1.23.5"), "compile numpy 1.23.2": broken("no such compiler")},
    )
    done = house.pipeline().build(ARTICLE)
    expected = report(
        failed(house, "numpy", "1.23.2", "build-failed", "no such compiler"),
        built(house, "numpy", "1.23.5"),
        Blocked(job=job(house, "pandas", "1.5.3"), cause=a_key("numpy", "1.23.2")),
        reused(house, "django", "4.1.13", "django-4.1.13-py3-none-any.whl"),
    )
    assert expected == timeless_report(done)
    assert not done.succeeded


def test_a_project_may_need_its_own_older_release_to_build(house: House) -> None:
    """They are two jobs, not a cycle; only the newer one is proved."""
    house.add_sdist("tool", "1.0")
    house.add_sdist("tool", "2.0", ["tool==1.0"])
    house.script(
        {"tool": ["tool 2.0"], "tool==1.0": ["tool 1.0"]},
        {
            "compile tool 1.0": compiled("tool", "1.0"),
            "compile tool 2.0": compiled("tool", "2.0"),
            "verify": proved("tool 2.0"),
        },
    )
    done = house.pipeline().build(requirements("tool"))
    expected = report(built(house, "tool", "1.0"), built(house, "tool", "2.0"), verified=verified("tool 2.0"))
    assert expected == timeless_report(done)


def test_a_build_cycle_is_told_as_a_chain(house: House) -> None:
    """No one of them can be first."""
    house.add_sdist("hen", "1.0", ["egg"])
    house.add_sdist("egg", "1.0", ["hen"])
    house.script({"hen": ["hen 1.0"], "egg": ["egg 1.0"]}, {})
    done = house.pipeline().build(requirements("hen"))
    assert {
        ("egg", "build-cycle", True),
        ("hen", "build-cycle", True),
    } == {
        (o.job.key.name, o.code, "hen 1.0 -> egg 1.0 -> hen 1.0" in o.reason or "egg 1.0 -> hen 1.0 -> egg" in o.reason)
        for o in done.outcomes
        if isinstance(o, Failed)
    }
    assert [] == house.ran


def test_what_is_asked_for_reaches_the_resolver(house: House) -> None:
    """Constraints and --pre are the user's; a build requirement is bounded by its recipe alone."""
    section = {"project": "numpy", "reason": "newer ones broke it", "build-constraints": ["setuptools<66"]}
    house.recipes = recipes.parse([("mirror.toml", {"recipe": [section]})])
    house.script(ANSWERS, {"compile numpy 1.23.5": compiled("numpy", "1.23.5"), "verify": proved("numpy 1.23.5")})
    house.pipeline().build(requirements("numpy~=1.23.0", constraints=["numpy<2"], pre_releases=True))
    assert [
        (("numpy~=1.23.0",), ("numpy<2",), True),
        (("setuptools",), ("setuptools<66",), False),
        # again, over the pages with our wheel on them: the next run need not
        (("numpy~=1.23.0",), ("numpy<2",), True),
    ] == house.resolver.asked


def test_requirements_that_markers_leave_empty_are_proved_as_they_are(house: House) -> None:
    """Nothing is locked, and pip installs nothing."""
    house.script({"tomli; python_version < '3'": []}, {"verify": proved()})
    asked = requirements("tomli; python_version < '3'")
    assert report(verified=verified()) == timeless_report(house.pipeline().build(asked))


class TestHashes:
    """Hashes in the requirements are those of upstream's files."""

    def test_the_sdist_must_have_one_before_anything_is_built(self, house: House) -> None:
        """Nothing is fetched, no sandbox is started."""
        forged = "0" * 64
        with pytest.raises(MirrorError) as caught:
            house.pipeline().build(requirements(f"numpy~=1.23.0 --hash=sha256:{forged}"))
        sdist = file(house, "numpy-1.23.5.tar.gz")
        assert (
            "hash-mismatch",
            (
                "asked    at requirements.txt:1:1",
                f"expected sha256:{forged}",
                f"got      sha256:{sdist.sha256} from {sdist.url}",
            ),
        ) == (caught.value.code, caught.value.details)
        assert [] == house.ran
        assert 0 == house.index.calls["fetch numpy-1.23.5.tar.gz"]

    def test_every_forged_file_is_told_in_one_pass(self, house: House) -> None:
        """Each with where it is asked for, what was expected, what there is, and from where."""
        forged = ["0" * 64, "1" * 64, "2" * 64]
        numpy = file(house, "numpy-1.23.5.tar.gz")
        files = {
            "requirements.txt": f"pandas==1.5.3 --hash=sha256:{forged[0]}\nnumpy==1.23.5 --hash=sha256:{forged[1]}\n",
            "constraints.txt": f"pandas==1.5.3 --hash=sha256:{forged[2]}\n",
        }
        asked = parse(["requirements.txt"], ["constraints.txt"], lambda name: files[name].encode())
        house.script({"pandas==1.5.3": ["pandas 1.5.3"], "numpy==1.23.5": ["numpy 1.23.5"]}, {})
        with pytest.raises(BadInputError) as caught:
            house.pipeline().build(asked)
        changed = "if the files were changed on purpose, update the hashes; else find out who changed them"
        assert (
            "hash-mismatch",
            (
                "requirements.txt:1:1 hash-mismatch: requirements and constraints allow no hash of pandas 1.5.3 in"
                " common → one of them is out of date: update it",
                "  also at constraints.txt:1:1",
                f"  in requirements: sha256:{forged[0]}",
                f"  in constraints: sha256:{forged[2]}",
                "requirements.txt:2:1 hash-mismatch: no file of numpy 1.23.5 has a hash that the requirements allow"
                f" → {changed}",
                f"  expected sha256:{forged[1]}",
                f"  got      sha256:{numpy.sha256} from {numpy.url}",
            ),
        ) == (caught.value.code, caught.value.details)
        assert [] == house.ran

    def test_a_right_hash_builds_and_the_wheel_made_of_it_is_taken_next_time(self, house: House) -> None:
        """Our wheel is in nobody's list of hashes; the sdist it was compiled from was."""
        asked = requirements(f"numpy~=1.23.0 --hash=sha256:{file(house, 'numpy-1.23.5.tar.gz').sha256}")
        tasks = {"compile numpy 1.23.5": compiled("numpy", "1.23.5"), "verify": proved("numpy 1.23.5")}
        house.script(ANSWERS, tasks)
        first = house.pipeline().build(asked)
        house.script(ANSWERS, {})
        second = house.pipeline().build(asked)
        assert report(built(house, "numpy", "1.23.5"), verified=verified("numpy 1.23.5")) == timeless_report(first)
        assert report(reused(house, "numpy", "1.23.5", native("numpy", "1.23.5"))) == timeless_report(second)

    def test_the_hash_of_our_wheel_alone_is_enough(self, house: House) -> None:
        """That is what a list made from our index may hold."""
        house.pipeline().build(ARTICLE)
        wheel = file(house, native("numpy", "1.23.5"))
        plan = house.pipeline().plan(requirements(f"numpy~=1.23.0 --hash=sha256:{wheel.sha256}"))
        assert ((), (wheel,)) == (plan.jobs, tuple(reuse.wheel for reuse in plan.reuses))

    def test_a_forged_sdist_is_found_although_our_wheel_stands(self, house: House) -> None:
        """A wheel of ours does not make a wrong hash right."""
        house.pipeline().build(ARTICLE)
        with pytest.raises(MirrorError) as caught:
            house.pipeline().plan(requirements(f"numpy~=1.23.0 --hash=sha256:{'0' * 64}"))
        assert "hash-mismatch" == caught.value.code

    def test_an_upstream_wheel_without_one_is_not_reused(self, house: House) -> None:
        """The sdist has a listed hash, the wheel beside it has none: it is compiled."""
        house.add_sdist("django", "4.1.13")
        sdist = file(house, "django-4.1.13.tar.gz")
        plan = house.pipeline().plan(requirements(f"Django~=4.1.4 --hash=sha256:{sdist.sha256}"))
        assert ((sdist,), ()) == (tuple(found.sdist for found in plan.jobs), plan.reuses)

    def test_a_wheel_of_ours_that_was_made_of_another_sdist_is_no_answer(self, house: House) -> None:
        """The requirements' sdist is compiled, beside the wheel that was there; each is taken by its own hash."""
        house.pipeline().build(ARTICLE)
        first = file(house, native("numpy", "1.23.5"))
        house.index.drop_upstream("numpy", "numpy-1.23.5.tar.gz")
        sdist = house.add_sdist("numpy", "1.23.5", ["setuptools", "setuptools"])
        asked = requirements(f"numpy~=1.23.0 --hash=sha256:{sdist.sha256}")
        house.script(ANSWERS, COMPILES | {"verify": proved("numpy 1.23.5")})
        done = house.pipeline().build(asked)
        second = file(house, native("numpy", "1.23.5").replace("-1.23.5-", "-1.23.5-1-"))
        assert [second] == [outcome.wheel for outcome in done.outcomes if isinstance(outcome, Built)]
        assert f"{first.filename} is not used: it was made of another sdist, or does not say of which" in (
            house.reporter.steps
        )
        house.script(ANSWERS, {})
        assert [second] == [reuse.wheel for reuse in house.pipeline().plan(asked).reuses]
        house.reporter.steps.clear()
        for wheel in (first, second):
            plan = house.pipeline().plan(requirements(f"numpy~=1.23.0 --hash=sha256:{wheel.sha256}"))
            assert [wheel] == [reuse.wheel for reuse in plan.reuses]
        assert [
            f"resolving for {TARGET}",
            f"{second.filename} is not used: it was made of another sdist, or does not say of which; pip without hashes"
            " takes it all the same: install what `mirror emit requirements` prints",
            f"resolving for {TARGET}",
        ] == house.reporter.steps
        shown = house.views[-1].files(a_key("numpy", "1.23.5").name)
        assert (True, False) == (second in shown, first in shown)

    def test_a_wheel_of_ours_that_says_nothing_is_taken_by_its_own_hash_alone(self, house: House) -> None:
        """Nobody knows whether it was made of the sdist that is allowed: twine may have put it there."""
        own = house.index.add_own("numpy", native("numpy", "1.23.5"), a_wheel(native("numpy", "1.23.5")))
        house.index.publish(checked_wheel("numpy-0.1-py3-none-any.whl"))
        sdist = file(house, "numpy-1.23.5.tar.gz")
        plan = house.pipeline().plan(requirements(f"numpy~=1.23.0 --hash=sha256:{sdist.sha256}"))
        assert [sdist] == [job.sdist for job in plan.jobs]
        for asked in (requirements(f"numpy~=1.23.0 --hash=sha256:{own.sha256}"), requirements("numpy~=1.23.0")):
            assert [own] == [reuse.wheel for reuse in house.pipeline().plan(asked).reuses]

    def test_what_upstream_has_withdrawn_is_still_there_for_whoever_has_its_hash(self, house: House) -> None:
        """For nobody else: the release may have been withdrawn because it was a bad one."""
        sha256 = file(house, "numpy-1.23.5.tar.gz").sha256
        house.pipeline().build(ARTICLE)
        wheel = file(house, native("numpy", "1.23.5"))
        house.index.drop_upstream("numpy", "numpy-1.23.5.tar.gz")
        plan = house.pipeline().plan(requirements(f"numpy~=1.23.0 --hash=sha256:{sha256}"))
        assert ((), [wheel]) == (plan.jobs, [reuse.wheel for reuse in plan.reuses])
        with pytest.raises(BadInputError) as caught:
            house.pipeline().plan(requirements("numpy~=1.23.0"))
        assert "no-usable-file" == caught.value.code

    def test_a_wheel_that_the_resolver_was_not_shown_is_told_where_nothing_answers(self, house: House) -> None:
        """The page lists it, so somebody will wonder."""
        house.pipeline().build(ARTICLE)
        house.index.drop_upstream("pandas", "pandas-1.5.3.tar.gz")
        house.script({}, {})
        house.reporter.steps.clear()
        with pytest.raises(BadInputError):
            house.pipeline().plan(requirements("pandas==1.5.3"))
        wheel = native("pandas", "1.5.3")
        assert [
            f"resolving for {TARGET}",
            f"{wheel} is not used: it was made of another sdist, or does not say of which",
        ] == house.reporter.steps

    def test_what_the_requirements_need_must_have_one_too(self, house: House) -> None:
        """As pip has it: one hash, and every package must have one."""
        pandas = file(house, "pandas-1.5.3.tar.gz")
        with pytest.raises(BadInputError) as caught:
            house.pipeline().build(requirements(f"pandas~=1.5.2 --hash=sha256:{pandas.sha256}"))
        assert ("hash-missing", ("numpy 1.23.5",)) == (caught.value.code, caught.value.details)

    def test_those_of_constraints_count(self, house: House) -> None:
        """A needed package may have its hash there; where both have some, both must allow it."""
        pandas, numpy = file(house, "pandas-1.5.3.tar.gz").sha256, file(house, "numpy-1.23.5.tar.gz").sha256
        asked = f"pandas~=1.5.2 --hash=sha256:{pandas}"
        plan = house.pipeline().plan(requirements(asked, constraints=[f"numpy~=1.23.0 --hash=sha256:{numpy}"]))
        assert {numpy, pandas} == {found.sdist.sha256 for found in plan.jobs}
        with pytest.raises(MirrorError) as caught:
            house.pipeline().plan(
                requirements(
                    asked,
                    f"numpy~=1.23.0 --hash=sha256:{numpy}",
                    constraints=[f"numpy~=1.23.0 --hash=sha256:{'0' * 64}"],
                )
            )
        assert "hash-mismatch" == caught.value.code

    def test_those_of_another_version_do_not_count(self, house: House) -> None:
        """Lines with markers name several versions, each with the hashes of its own files."""
        older, newer = (file(house, f"numpy-{version}.tar.gz").sha256 for version in ("1.23.2", "1.23.5"))
        lines = [f"numpy==1.23.2 --hash=sha256:{newer}", f"numpy==1.23.5 --hash=sha256:{older}"]
        house.script({"numpy==1.23.2": [], "numpy==1.23.5": ["numpy 1.23.5"]}, {})
        with pytest.raises(MirrorError) as caught:
            house.pipeline().plan(requirements(*lines))
        assert f"expected sha256:{older}" == caught.value.details[2]


UNREADABLE = "the clean room's answer cannot be read"
NO_DURATION = "its `seconds` are no duration"
NO_PAIRS = "its `installed` is no list of names and versions"
NO_TABLE = "its `errors` are no table of modules"


class TestCleanRoom:
    """What the clean room says is judged."""

    @pytest.mark.parametrize(
        ("answer", "error"),
        [
            (
                proved("django 4.1.13", "numpy 1.23.4", "pandas 1.5.3"),
                "pip chose otherwise than the lock: numpy 1.23.4 instead of 1.23.5",
            ),
            (
                proved("django 4.1.13", "numpy 1.23.5"),
                "pip chose otherwise than the lock: pandas is missing instead of 1.5.3",
            ),
            (
                proved(*INSTALLED, "stolen 1.0"),
                "pip chose otherwise than the lock: stolen 1.0, which is not in it",
            ),
            (
                broken("pip ended with exit status 1"),
                "pip could not install the requirements: pip ended with exit status 1",
            ),
            (
                Answer(value={"ok": False, "message": "pip ended", "pressure": {"free_bytes": 0}}),
                "the clean room stopped: it wanted more than the 0.06 GiB of its scratch folder; raise `scratch` in the"
                " settings; it lies in memory, so `memory` may have to be raised too",
            ),
            (
                Answer(end=End.OUT_OF_MEMORY, message="it needed more than 0.25 GiB"),
                "the clean room stopped: it ran out of memory: it needed more than 0.25 GiB; raise `memory` in the"
                " settings, or lower `jobs`",
            ),
            (
                Answer(end=End.CRASHED, message="it ended without a result"),
                "the clean room came to no result (crashed): it ended without a result",
            ),
            (
                Answer(end=End.WALL_CLOCK, message="still not done after 60 s"),
                "the clean room came to no result (wall-clock): still not done after 60 s",
            ),
            (Answer(value={"ok": True}), f"{UNREADABLE}: its `seconds` are no duration"),
            *(
                (Answer(value={**proved(*INSTALLED).value, "seconds": seconds}), f"{UNREADABLE}: {NO_DURATION}")
                for seconds in (10**400, -1, 61, True, "2.5", None)
            ),
            *(
                (Answer(value={**proved(*INSTALLED).value, "installed": installed}), f"{UNREADABLE}: {NO_PAIRS}")
                for installed in (1, [["a"]], [["a", 1]], [["a", "1", "2"]], {"a": "1"}, [None])
            ),
            (proved(*INSTALLED, "numpy 1"), f"{UNREADABLE}: its `installed` names a project twice"),
            (
                Answer(value={**proved(*INSTALLED).value, "ok": 1}),
                "pip could not install the requirements: None",
            ),
        ],
    )
    def test_a_problem_is_the_reports_error(self, house: House, answer: Answer, error: str) -> None:
        """What was built stays built; nothing is remembered as proved."""
        house.script(ANSWERS, COMPILES | {"verify": [answer]})
        done = house.pipeline().build(ARTICLE)
        assert (f"{error} (log: {log_of(house, 'verify')})", None, set()) == (
            done.verify_error,
            done.verified,
            house.journal.verified,
        )
        assert 3 == sum(isinstance(outcome, Built) for outcome in done.outcomes)

    def test_what_was_compiled_is_imported_each_in_a_room_of_its_own(self, house: House) -> None:
        """A wheel of upstream's is as upstream wants it: nobody asks whether it imports."""
        done = house.pipeline().build(ARTICLE)
        assert (verified(*INSTALLED), "") == (done.verified, done.verify_error)
        assert ["import numpy 1.23.5", "import pandas 1.5.3"] == house.imported
        wheels = {native("numpy", "1.23.5"), native("pandas", "1.5.3")}
        sent = [{*task.inputs} for task in house.sandbox.tasks if task.command == "import"]
        assert wheels == sent[0] | sent[1]
        assert [1, 1] == [len(files) for files in sent]

    @pytest.mark.parametrize(
        ("answer", "error"),
        [
            (imports(numpy="ImportError: no libz"), "import numpy: ImportError: no libz"),
            (broken("pip ended with exit status 1"), "numpy 1.23.5: pip ended with exit status 1"),
            (
                Answer(end=End.CRASHED, message="it ended without a result"),
                "numpy 1.23.5: its clean room came to no result (crashed): it ended without a result",
            ),
            (
                Answer(end=End.OUT_OF_MEMORY, message="it needed more than 0.25 GiB"),
                "numpy 1.23.5: its clean room stopped: it ran out of memory: it needed more than 0.25 GiB;"
                " raise `memory` in the settings, or lower `jobs`",
            ),
            *(
                (Answer(value=value), f"numpy 1.23.5: the answer cannot be read: {NO_TABLE}")
                for value in ({"ok": True}, {"ok": True, "errors": []}, {"ok": True, "errors": {"numpy": 1}})
            ),
        ],
    )
    def test_an_import_that_fails_is_the_reports_error(self, house: House, answer: Answer, error: str) -> None:
        """Also beside everything else: then it is tried once more, since much asks for what it does not declare."""
        house.script(ANSWERS, COMPILES | {"verify": proved(*INSTALLED), "import numpy 1.23.5": answer})
        done = house.pipeline().build(ARTICLE)
        log = log_of(house, "import numpy 1.23.5")
        assert f"what was installed does not import: {error} (log: {log})" == done.verify_error
        assert set() == house.journal.verified
        first, second = [task for task in house.sandbox.tasks if task.label == "import numpy 1.23.5"]
        numpy, pandas = native("numpy", "1.23.5"), native("pandas", "1.5.3")
        assert ([numpy], [numpy]) == (first.arguments["wheels"], second.arguments["wheels"])
        assert ([], ["django-4.1.13-py3-none-any.whl", pandas]) == (
            first.arguments["beside"],
            second.arguments["beside"],
        )

    def test_what_imports_beside_the_others_imports(self, house: House) -> None:
        """As it does where the requirements are installed."""
        missing = imports(numpy="ModuleNotFoundError: No module named 'django'")
        house.script(ANSWERS, COMPILES | {"verify": proved(*INSTALLED), "import numpy 1.23.5": [missing, imports()]})
        done = house.pipeline().build(ARTICLE)
        assert (verified(*INSTALLED), "") == (done.verified, done.verify_error)

    def test_an_engine_that_goes_away_while_something_is_imported(self, house: House) -> None:
        """Nothing was found wrong with the wheel."""
        lost = Answer(end=End.LOST, message="connection refused")
        house.script(ANSWERS, COMPILES | {"verify": proved(*INSTALLED), "import numpy 1.23.5": lost})
        assert "it could not be verified: connection refused" == house.pipeline().build(ARTICLE).verify_error

    def test_a_version_may_be_written_otherwise(self, house: House) -> None:
        """METADATA need not be normalised."""
        house.add_wheel("certifi", "2022.6.15")
        house.script({"certifi": ["certifi 2022.6.15"]}, {"verify": proved("certifi 2022.06.15")})
        assert house.pipeline().build(requirements("certifi")).succeeded

    def test_an_engine_that_went_away_is_tried_once_more(self, house: House) -> None:
        """It is nobody's fault in there."""
        house.script(ANSWERS, COMPILES | {"verify": [Answer(end=End.LOST, message="gone"), proved(*INSTALLED)]})
        assert house.pipeline().build(ARTICLE).succeeded

    def test_an_engine_that_stays_away_costs_no_report(self, house: House) -> None:
        """What was compiled is published, and the report tells so."""
        house.script(ANSWERS, COMPILES | {"verify": [Answer(end=End.LOST, message="connection refused")]})
        done = house.pipeline().build(ARTICLE)
        assert "it could not be verified: connection refused" == done.verify_error
        assert 4 == len(done.outcomes)


class TestVerify:
    """The clean room alone."""

    def test_missing_wheels_are_an_error(self, house: House) -> None:
        """It says which, and what to do."""
        with pytest.raises(MirrorError) as caught:
            house.pipeline().verify(ARTICLE)
        error = caught.value
        assert (
            "not-built",
            "2 of 3 packages have no wheel for cp311-musllinux_1_2_x86_64",
            ("numpy 1.23.5", "pandas 1.5.3"),
            "run `mirror build` with the same file first",
        ) == (error.code, error.what, error.details, error.hint)
        assert [] == house.ran

    def test_it_enters_the_clean_room_even_if_that_was_done_before(self, house: House) -> None:
        """Who asks for a proof gets one."""
        house.pipeline().build(ARTICLE)
        house.script(ANSWERS, {"verify": proved(*INSTALLED)})
        done = house.pipeline().verify(ARTICLE)
        expected = report(
            reused(house, "django", "4.1.13", "django-4.1.13-py3-none-any.whl"),
            reused(house, "numpy", "1.23.5", native("numpy", "1.23.5")),
            reused(house, "pandas", "1.5.3", native("pandas", "1.5.3")),
            verified=verified(*INSTALLED),
        )
        assert expected == timeless_report(done)

    def test_an_engine_that_went_away_is_no_verdict(self, house: House) -> None:
        """Nothing was found wrong with the wheels."""
        house.pipeline().build(ARTICLE)
        house.script(ANSWERS, {"verify": Answer(end=End.LOST, message="connection refused")})
        with pytest.raises(UnusableError) as caught:
            house.pipeline().verify(ARTICLE)
        assert "engine-lost" == caught.value.code


def test_the_user_is_told_what_goes_on(house: House) -> None:
    """Once each: resolving, how much is compiled, verifying."""
    house.pipeline().build(ARTICLE)
    assert [
        "resolving for cp311-musllinux_1_2_x86_64",
        "compiling 2 of 3 packages",
        "verifying in a clean room",
    ] == house.reporter.steps


def test_a_wheel_that_names_no_libc_is_told_and_not_taken(house: House) -> None:
    """Of the releases of the lock, compiled or reused, and for this Python and architecture: pip would take it."""
    for tag in ("cp311-cp311-linux_x86_64", "cp310-cp310-linux_x86_64", "cp311-cp311-linux_aarch64"):
        house.index.add_upstream("numpy", f"numpy-1.23.5-{tag}.whl", tag.encode())
    house.index.add_upstream("numpy", "numpy-1.23.2-cp311-cp311-linux_x86_64.whl", b"another release")
    house.index.add_upstream("django", "django-4.1.13-py3-none-linux_x86_64.whl", b"beside a pure one")
    plan = house.pipeline().plan(ARTICLE)
    assert [job(house, "numpy", "1.23.5"), job(house, "pandas", "1.5.3")] == sorted(plan.jobs, key=str)
    assert ["django-4.1.13-py3-none-any.whl"] == [reuse.wheel.filename for reuse in plan.reuses]
    assert [
        "resolving for cp311-musllinux_1_2_x86_64",
        *(
            f"{linux} says nothing of its libc and is not taken (pip takes it from an index "
            "that is not `mirror`'s own, since 26.3 before a musllinux wheel)"
            for linux in ("django-4.1.13-py3-none-linux_x86_64.whl", "numpy-1.23.5-cp311-cp311-linux_x86_64.whl")
        ),
    ] == house.reporter.steps
