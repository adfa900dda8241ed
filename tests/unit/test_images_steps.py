"""Steps of the bootstrap: named after their inputs, run once, gone on from after a failure."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

from mirror.adapters.images import nginx
from mirror.adapters.images.bootstrap import steps
from mirror.adapters.images.steps import Step, Workshop, digest, step_keys
from mirror.core.errors import UnusableError
from mirror.resources import builders

MANIFEST = "aa  sources/zlib_1.tar\nbb  sources/xz_1.tar\n"
PLAN = (
    Step(name="zlib", reads=("sources/zlib_*",)),
    Step(name="xz", reads=("sources/xz_*",)),
    Step(name="python", needs=("zlib",)),
)


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    """A builders/bootstrap whose steps say when they ran."""
    folder = tmp_path / "scripts"
    (folder / "steps").mkdir(parents=True)
    (folder / "common.sh").write_text("set -eu\n")
    for name in ("zlib", "xz"):
        script = f'. "$HERE/common.sh"\necho {name} >> "$RUNS"\necho {name} > "$OUT/{name}"\n'
        (folder / "steps" / f"{name}.sh").write_text(script)
    (folder / "steps" / "python.sh").write_text(
        'echo python >> "$RUNS"\n'
        'if [ -e "$RUNS.broken" ]; then echo "no luck"; exit 7; fi\n'
        'cp "$STEP_zlib/zlib" "$OUT/python"\n'
    )
    return folder


@pytest.fixture
def workshop(scripts: Path, tmp_path: Path) -> Workshop:
    """A workshop that runs them."""
    environment = {"PATH": "/usr/bin:/bin", "RUNS": str(tmp_path / "runs")}
    return Workshop(scripts=scripts, cache=tmp_path / "cache", environment=environment, say=lambda _: None)


def runs(tmp_path: Path) -> list[str]:
    """The steps that ran, in order."""
    return (tmp_path / "runs").read_text().split()


def test_byte_strings_are_kept_apart() -> None:
    """Moving a byte from one part to the next is another input."""
    assert digest(b"ab", b"c") != digest(b"a", b"bc")


def test_a_changed_source_changes_what_is_made_of_it(scripts: Path) -> None:
    """A new zlib gives a new Python, and leaves xz as it is."""
    before = step_keys(PLAN, scripts, MANIFEST)
    after = step_keys(PLAN, scripts, MANIFEST.replace("aa", "cc"))
    assert {"zlib", "python"} == {name for name in before if before[name] != after[name]}


def test_a_changed_script_changes_its_own_result(scripts: Path) -> None:
    """Editing python.sh compiles nothing but Python again."""
    before = step_keys(PLAN, scripts, MANIFEST)
    (scripts / "steps" / "python.sh").write_text("true\n")
    after = step_keys(PLAN, scripts, MANIFEST)
    assert {"python"} == {name for name in before if before[name] != after[name]}


def test_steps_run_once(workshop: Workshop, scripts: Path, tmp_path: Path) -> None:
    """A second run finds every result and runs nothing."""
    keys = step_keys(PLAN, scripts, MANIFEST)
    for _ in range(2):
        with workshop.alone():
            workshop.run_all(PLAN, keys, {}, 1)
    assert ["zlib", "xz", "python"] == runs(tmp_path)
    assert "zlib\n" == (workshop.result("python", keys["python"]) / "python").read_text()


def test_an_interrupted_run_goes_on(workshop: Workshop, scripts: Path, tmp_path: Path) -> None:
    """What failed is told with the end of its log, and tried again; what was finished is not."""
    keys = step_keys(PLAN, scripts, MANIFEST)
    (tmp_path / "runs.broken").touch()
    with workshop.alone(), pytest.raises(UnusableError) as caught:
        workshop.run_all(PLAN, keys, {}, 1)
    assert ("bootstrap-step-failed", ("no luck",)) == (caught.value.code, caught.value.details)
    (tmp_path / "runs.broken").unlink()
    again = Workshop(scripts=scripts, cache=workshop.cache, environment=workshop.environment, say=lambda _: None)
    with again.alone():
        again.run_all(PLAN, keys, {}, 1)
    assert ["zlib", "xz", "python", "python"] == runs(tmp_path)
    assert [] == list((workshop.cache / "work").glob("python*"))


def test_every_step_has_its_script_and_comes_after_what_it_needs() -> None:
    """The real plan names scripts that exist, all of them, in an order that can be run."""
    plan = [*steps(Path("ca.pem")), *nginx.STEPS]
    names = [step.name for step in plan]
    assert sorted(names) == sorted(path.stem for path in (builders() / "bootstrap" / "steps").glob("*.sh"))
    assert all(names.index(need) < names.index(step.name) for step in plan for need in step.needs)


def test_what_runs_beside_a_failure_is_finished(workshop: Workshop, scripts: Path) -> None:
    """A failure starts nothing more, but the work of the step that runs beside it is kept."""
    wait_for = "while [ ! -e $RUNS.{} ]; do sleep 0.01; done\n"
    zlib = wait_for.format("xz") + "touch $RUNS.zlib; exit 1\n"
    xz = "touch $RUNS.xz\n" + wait_for.format("zlib") + "sleep 0.3\n"
    (scripts / "steps" / "zlib.sh").write_text(zlib)
    (scripts / "steps" / "xz.sh").write_text(xz)
    plan = (PLAN[0], PLAN[1], Step(name="python", needs=("xz",)))
    keys = step_keys(plan, scripts, MANIFEST)
    with workshop.alone(), pytest.raises(UnusableError):
        workshop.run_all(plan, keys, {}, 2)
    assert [True, False] == [workshop.result(name, keys[name]).is_dir() for name in ("xz", "python")]


def test_a_cache_folder_that_is_none_is_told(workshop: Workshop) -> None:
    """With the remedy."""
    workshop.cache.touch()
    with pytest.raises(UnusableError) as caught, workshop.alone():
        pass
    assert "data-unwritable" == caught.value.code


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs Linux's /proc")
def test_scripts_of_a_killed_mirror_are_ended(workshop: Workshop) -> None:
    """A script whose mirror was killed does not go on beside the next one; other processes do."""
    command = ["sh", "-c", "sleep 60"]
    orphan = subprocess.Popen(command, env={"PATH": "/usr/bin:/bin", "WORK": f"{workshop.cache}/work/openssl-1"})
    other = subprocess.Popen(command, env={"PATH": "/usr/bin:/bin", "WORK": f"{workshop.cache}/elsewhere"})
    try:
        with workshop.alone():
            assert -signal.SIGKILL == orphan.wait(10)
            assert other.poll() is None
    finally:
        other.kill()
        other.wait()
