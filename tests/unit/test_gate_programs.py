"""The gate on the names of programs: which suffix Python imports, and whose place a script would take."""

from __future__ import annotations

import pytest
from packaging.utils import canonicalize_name

from mirror.core.gate.contents import judge_suffixes
from mirror.core.gate.programs import takes_a_place

SUFFIXES: dict[str, tuple[str, str, bool]] = {
    "its own": ("3.13", ".cpython-313-x86_64-linux-musl.so", True),
    "its own, on Arm": ("3.13", ".cpython-313-arm-linux-musleabihf.so", True),
    "the limited API's": ("3.13", ".abi3.so", True),
    "no Python's": ("3.13", ".so", True),
    "glibc's": ("3.13", ".cpython-313-x86_64-linux-gnu.so", False),
    "glibc's, on Arm": ("3.13", ".cpython-313-arm-linux-gnueabihf.so", False),
    "glibc's, on x32": ("3.13", ".cpython-313-x86_64-linux-gnux32.so", False),
    "another Python's": ("3.13", ".cpython-312-x86_64-linux-musl.so", False),
    "that of a Python without a lock": ("3.13", ".cpython-313t-x86_64-linux-musl.so", False),
    "a Python's before 3.11": ("3.10", ".cpython-310-x86_64-linux-gnu.so", True),
    "a Python's before 3.11, as some Alpine releases had it": ("3.9", ".cpython-39-x86_64-linux-musl.so", True),
    "another Python's before 3.11": ("3.10", ".cpython-39-x86_64-linux-gnu.so", False),
}


@pytest.mark.parametrize("case", SUFFIXES)
def test_a_suffix_is_one_that_this_python_imports(case: str) -> None:
    """Before 3.11, CPython named its suffix after glibc on musl, too."""
    python, suffix, imported = SUFFIXES[case]
    codes = [finding.code for finding in judge_suffixes([f"demo/_speed{suffix}"], python)]
    assert ([] if imported else ["extension-suffix"]) == codes


TAKEN = """
    python python3 python3.11 python3.11-config python3-config pythonw python.exe PYTHON3
    pip pip3 pip3.11 pip-3.11 pydoc pydoc3.11 idle3 2to3 2to3-3.11 easy_install easy_install-3.11 wheel
    activate activate.csh activate.fish activate_this.py Activate.ps1 deactivate deactivate.bat
    sh ash bash busybox env ls cat [ [[ test tar wget su sudo apk ldd getent openssl init patch true
"""
FREE = """
    demo demo3.11 pip-compile pipx pipenv python-argcomplete-check-easy-install-script
    activate-global-python-argcomplete wheel-inspect
    envsubst pytest shtab lsof-wrapper catkin testify tarball pythonpy pydocstyle idlelib py.test
"""


@pytest.mark.parametrize("script", TAKEN.split())
@pytest.mark.parametrize("project", ["demo", "py", "pi", "s", "python-x", "pip-tools"])
def test_a_script_may_not_take_a_programs_place(script: str, project: str) -> None:
    """Whatever the project's name begins with, or is the beginning of."""
    assert takes_a_place(script, canonicalize_name(project))


@pytest.mark.parametrize("script", FREE.split())
def test_a_script_that_merely_begins_like_a_program_is_free(script: str) -> None:
    """No image and no environment has it."""
    assert not takes_a_place(script, canonicalize_name("demo"))


@pytest.mark.parametrize(
    ("project", "script", "taken"),
    [
        ("pip", "pip", False),
        ("pip", "pip3.11", False),
        ("pip", "python", True),
        ("python", "python", True),
        ("wheel", "wheel", False),
        ("wheel", "wheel3.11", False),
        ("setuptools", "easy_install-3.11", False),
        ("setuptools", "pip", True),
        ("patch", "patch", False),
        ("xxd", "patch", True),
        ("activate", "activate", True),
        ("sh", "sh", True),
        ("env", "env", True),
    ],
)
def test_what_is_the_projects_own(project: str, script: str, taken: bool) -> None:
    """Named as the project; but what scripts begin with, and Python and its environments, are nobody's."""
    assert taken == takes_a_place(script, canonicalize_name(project))
