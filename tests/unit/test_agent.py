"""The agent's pure parts, and the script that calls a build backend's hooks."""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from mirror.agent import hook
from mirror.agent.verify import CHECK, _importable, _unpack, import_names


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ([], []),
        (["six.py", "six-1.16.0.dist-info/RECORD"], ["six"]),
        (["numpy/__init__.py", "numpy/core/__init__.py", "numpy.libs/libz.so"], ["numpy"]),
        (["_cffi_backend.cpython-311-x86_64-linux-musl.so", "cffi/__init__.py"], ["cffi"]),
        (["_only.cpython-311-x86_64-linux-musl.so"], ["_only"]),
        (["namespace/part/__init__.py"], []),
        (["a-b.py", "1a.py", "data/file.txt"], []),
        (["yaml/__init__.py", "_yaml/__init__.py"], ["yaml"]),
    ],
)
def test_import_names(files: list[str], expected: list[str]) -> None:
    """What a wheel lets you import is read off its files; private names count where there are no others."""
    assert expected == import_names(files)


def call(tree: Path, **changes: Any) -> tuple[int, Any]:
    """Run hook.py in `tree`; its exit status and the answer it wrote, if one."""
    value = {"backend": "backend", "backend_path": ["."], "hook": "build_wheel", "arguments": [1, None], "default": 0}
    (tree.parent / "call.json").write_text(json.dumps({**value, **changes}))
    answer = tree.parent / "answer.json"
    done = subprocess.run(
        [sys.executable, "-I", str(Path(hook.__file__)), str(tree.parent / "call.json"), str(answer)],
        cwd=tree,
        check=False,
        capture_output=True,
    )
    return done.returncode, json.loads(answer.read_text()) if answer.exists() else None


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A source tree with a backend in it."""
    folder = tmp_path / "tree"
    (folder / "inner").mkdir(parents=True)
    (folder / "backend.py").write_text("def build_wheel(*a):\n    return ['top', *a]\n")
    (folder / "inner" / "backend.py").write_text(
        "import sys\nsys.argv[:] = []\n"
        "class Deep:\n    @staticmethod\n    def build_wheel(*a):\n        return ['inner', *a]\n"
        "deep = Deep\n"
    )
    return folder


def test_a_hook_is_called(tree: Path) -> None:
    """The backend gets the arguments; what it returns is the answer."""
    assert (0, ["top", 1, None]) == call(tree)


def test_backend_path_comes_first(tree: Path) -> None:
    """A backend is looked for in backend-path, in its order, and an object path after the colon is followed."""
    assert (0, ["inner", 1, None]) == call(tree, backend="backend:deep", backend_path=["inner", "."])


def test_the_tree_is_not_on_the_path(tree: Path) -> None:
    """PEP 517: without backend-path the source tree's modules are not importable."""
    assert (1, None) == call(tree, backend_path=[])


def test_a_hook_that_is_left_out(tree: Path) -> None:
    """A backend without the hook is answered for by the default."""
    assert (0, ["nothing"]) == call(tree, hook="get_requires_for_build_wheel", default=["nothing"])


def test_a_hook_that_fails(tree: Path) -> None:
    """A backend that raises leaves no answer."""
    (tree / "backend.py").write_text("def build_wheel(*a):\n    raise SystemExit(3)\n")
    assert (3, None) == call(tree)


CANARY = "import pathlib; pathlib.Path(r'{}').touch()\n"


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A folder of installed packages: one asks for what is not there, and code runs at every start and by a name."""
    site = tmp_path / "site"
    for path, text in {
        "asks-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: asks\nVersion: 1.0\nRequires-Dist: missing\n",
        "attr/__init__.py": CANARY.format(tmp_path / "imported"),
        "start.pth": CANARY.format(tmp_path / "started"),
    }.items():
        (site / path).parent.mkdir(parents=True, exist_ok=True)
        (site / path).write_text(text)
    return site


def test_pip_checks_what_is_installed_and_runs_nothing_of_it(installed: Path, tmp_path: Path) -> None:
    """Neither code at every start nor a module that pip itself would use if it is there."""
    pips = importlib.metadata.distribution("pip").locate_file("")
    command = [sys.executable, "-I", "-S", "-c", CHECK, str(pips), str(installed)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (1, "asks 1.0 requires missing, which is not installed.\n") == (done.returncode, done.stdout), done.stderr
    assert {"site"} == {path.name for path in tmp_path.iterdir()}


def test_pip_would_run_it_else(installed: Path, tmp_path: Path) -> None:
    """The control: with the packages where Python looks for modules, pip imports one, and a start runs the other."""
    start = f"import site; site.addsitedir({str(installed)!r})"
    subprocess.run([sys.executable, "-c", start], capture_output=True, check=False)
    assert (tmp_path / "started").exists()
    subprocess.run(
        [sys.executable, "-m", "pip", "check"],
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(installed)},
    )
    assert (tmp_path / "imported").exists()


def test_a_program_of_a_wheel_can_be_started_where_it_is_unpacked(tmp_path: Path) -> None:
    """As where pip installs it; nothing else becomes a program."""
    site = tmp_path / "env" / "lib" / "python3.11" / "site-packages"
    site.mkdir(parents=True)
    modes = {"a/run": 0o100755, "a/data": 0o100644, "a-1.data/platlib/a/run2": 0o100755, "a/none": 0}
    with zipfile.ZipFile(tmp_path / "a.whl", "w") as archive:
        for name, mode in modes.items():
            member = zipfile.ZipInfo(name)
            member.external_attr = mode << 16
            archive.writestr(member, b"")
    _unpack(tmp_path / "a.whl", _importable(tmp_path / "env"))
    programs = sorted(path.name for path in (site / "a").iterdir() if path.stat().st_mode & 0o111)
    assert ["run", "run2"] == programs
