"""Logs of builds that failed, and the line that says why."""

from __future__ import annotations

import pytest

from mirror.core.diagnose import diagnose

SYSTEM = "a recipe can add system-packages (apk names): look up which one has it"
BUILD = "a recipe can bound the build requirements with build-constraints"

CASES = {
    "a missing header": (
        "gcc -c x.c\nx.c:3:10: fatal error: libpq-fe.h: No such file or directory\n    3 | #include\n"
        "compilation terminated.\nerror: command '/usr/bin/gcc' failed with exit code 1\n",
        ("fatal error: libpq-fe.h: No such file or directory", SYSTEM),
    ),
    "a missing library": (
        "ld: cannot find -lxml2: No such file or directory\ncollect2: error: ld returned 1 exit status\n",
        ("ld: cannot find -lxml2: No such file or directory", SYSTEM),
    ),
    "pkg-config finds nothing": (
        "Package libffi was not found\nNo package 'libffi' found\n",
        ("No package 'libffi' found", SYSTEM),
    ),
    "a build requirement of another age": (
        "Traceback (most recent call last):\n  File \"x\"\nModuleNotFoundError: No module named 'pkg_resources'\n",
        ("ModuleNotFoundError: No module named 'pkg_resources'", BUILD),
    ),
    "C that this compiler refuses": (
        "a.c:1:2: warning: x\na.c:17:5: error: unknown type name 'foo'\nerror: command 'gcc' failed\n",
        ("a.c:17:5: error: unknown type name 'foo'", ""),
    ),
    "a disk that is full": (
        "cc1: fatal error: /scratch/x.s: No space left on device\n",
        ("cc1: fatal error: /scratch/x.s: No space left on device", "raise `scratch` in the limits of the settings"),
    ),
    "a compiler that the kernel killed": (
        "cc: fatal error: Killed signal terminated program cc1plus\ncompilation terminated.\nerror: command failed\n",
        (
            "cc: fatal error: Killed signal terminated program cc1plus",
            "raise `memory` in the limits of the settings, or lower `jobs`",
        ),
    ),
    "a process too many": (
        "sh: can't fork: Resource temporarily unavailable\n",
        ("sh: can't fork: Resource temporarily unavailable", "raise `processes` in the limits of the settings"),
    ),
    "an exception of setup.py": (
        "Traceback\nRuntimeError: this is not for you\n",
        ("RuntimeError: this is not for you", ""),
    ),
    "only the last words of distutils": ("error: command '/usr/bin/gcc' failed with exit code 1\n", ("", "")),
    "nothing at all": ("", ("", "")),
    "colours": (
        "\x1b[01mx.c:1:1:\x1b[m \x1b[01;31m\x1b[Kfatal error: \x1b[m\x1b[Kffi.h: No such file or directory\n",
        ("fatal error: ffi.h: No such file or directory", SYSTEM),
    ),
    "terminal escapes": (
        "ValueError: \x1b[2J\x1b]0;owned\x07\n",
        ("ValueError: \\x1b[2J\\x1b]0;owned\\x07", ""),
    ),
}


@pytest.mark.parametrize(("log", "expected"), CASES.values(), ids=CASES)
def test_a_log_says_why(log: str, expected: tuple[str, str]) -> None:
    """The first cause, not the last line; and what usually helps."""
    found = diagnose(log)
    assert expected == (found.reason, found.hint)
