"""What a wheel would change of others when pip installs it beside them: with the gate nothing, without it all this."""

from __future__ import annotations

import hashlib
import importlib.util
import marshal
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from packaging.utils import parse_wheel_filename

from fakes.house import a_wheel
from mirror.core.gate import Expected, Judgement, Layout, check
from mirror.core.model import Target
from mirror.neighbours import read_layout

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
DEMO = "demo-1.0-py3-none-any.whl"
HOST = "host-6.0-py3-none-any.whl"
TAKEN = b"VALUE = 'taken'\n"
HONEST = b"VALUE = 'honest'\n"
RUNS_TOOL = "import subprocess, sys; subprocess.run([sys.executable, '-B', sys.prefix + '/bin/tool'], check=True)"
HOST_FILES: Mapping[str, bytes] = {
    "host/__init__.py": HONEST,
    "host/data.txt": b"honest",
    "host.libs/libhost-1.so": b"honest",
    "single.py": HONEST,
    "space/inner/__init__.py": HONEST,
    "both/__init__.py": b"__import__('pkg_resources').declare_namespace(__name__)",
    "host-6.0.data/scripts/tool": b"#!python\nprint('honest')\n",
    "host-6.0.data/headers/host.h": b"honest",
    "host-6.0.data/data/share/man/man1/host.1": b"honest",
    "host-6.0.dist-info/entry_points.txt": b"[console_scripts]\nhost = host:main\n",
}


def bytecode(name: str) -> bytes:
    """A cache that Python does not hold against the source (PEP 552)."""
    unchecked = (1).to_bytes(4, "little")
    return importlib.util.MAGIC_NUMBER + unchecked + bytes(8) + marshal.dumps(compile(TAKEN, name, "exec"))


@dataclass(frozen=True, kw_only=True)
class Attack:
    """A wheel `demo` of these files. `asks` is what is asked of Python afterwards; `codes` is what the gate says."""

    files: Mapping[str, bytes]
    codes: tuple[str, ...]
    asks: str = ""
    victim: str = HOST
    has: Mapping[str, bytes] = field(default_factory=lambda: HOST_FILES)
    in_lock: bool = True


ATTACKS = {
    "a file in its package": Attack(
        files={"demo-1.0.data/purelib/host/data.txt": b"taken"}, codes=("foreign-file", "foreign-top-level")
    ),
    "its module, through the environment's root": Attack(
        files={f"demo-1.0.data/data/lib/python{PYTHON}/site-packages/single.py": TAKEN},
        codes=("data-scheme", "foreign-file", "foreign-top-level"),
    ),
    "its script": Attack(files={"demo-1.0.data/scripts/tool": b"#!python\nprint(1)"}, codes=("foreign-file",)),
    "its script, by an entry point": Attack(
        files={"demo-1.0.dist-info/entry_points.txt": b"[console_scripts]\ntool = demo:main\n"},
        codes=("foreign-file",),
    ),
    "its entry point": Attack(
        files={"demo-1.0.dist-info/entry_points.txt": b"[gui_scripts]\nhost = demo:main\n"}, codes=("foreign-file",)
    ),
    "its entry point, by a script through the environment's root": Attack(
        files={"demo-1.0.data/data/bin/host": b"#!python\n"}, codes=("data-scheme", "foreign-file")
    ),
    "its header": Attack(
        files={f"demo-1.0.data/data/include/site/python{PYTHON}/host/host.h": b"taken"},
        codes=("data-scheme", "foreign-file"),
    ),
    "its manual": Attack(files={"demo-1.0.data/data/share/man/man1/host.1": b"taken"}, codes=("foreign-file",)),
    "a library that was grafted for it": Attack(
        files={"host.libs/libhost-1.so": b"taken"}, codes=("foreign-file", "foreign-top-level")
    ),
    "the folder that it shares": Attack(
        files={"space/__init__.py": TAKEN},
        codes=("foreign-module",),
        asks="import space.inner; print(getattr(space, 'VALUE', 'honest'))",
    ),
    "the folder that it shares, by a module": Attack(
        files={"space.py": TAKEN}, codes=("foreign-module",), asks="import space; print(getattr(space, 'VALUE', ''))"
    ),
    "its module, by a package of the name": Attack(
        files={"single/__init__.py": TAKEN},
        codes=("foreign-module", "foreign-top-level"),
        asks="import single; print(single.VALUE)",
    ),
    "its module, by a cache": Attack(
        files={f"__pycache__/single.{sys.implementation.cache_tag}.pyc": bytecode("single.py")},
        codes=("foreign-module", "foreign-top-level"),
        asks="import single; print(single.VALUE)",
    ),
    "its module, by a script that its program finds first": Attack(
        files={"demo-1.0.data/scripts/single.py": TAKEN},
        has={"single.py": HONEST, "host-6.0.data/scripts/tool": b"#!python\nimport single\nprint(single.VALUE)\n"},
        codes=("foreign-module",),
        asks=RUNS_TOOL,
    ),
    "the standard library, by such a script": Attack(
        files={"demo-1.0.data/scripts/colorsys.py": b"print('taken')\n"},
        has={"host-6.0.data/scripts/tool": b"#!python\nimport colorsys\nprint('honest')\n"},
        codes=("script-shadows",),
        asks=RUNS_TOOL,
        in_lock=False,
    ),
    "a module inside of it, by a package": Attack(
        files={"space/inner/deep/__init__.py": TAKEN},
        has={"space/inner/__init__.py": HONEST, "space/inner/deep.py": HONEST},
        codes=("foreign-module", "foreign-top-level"),
        asks="import space.inner.deep; print(space.inner.deep.VALUE)",
    ),
    "pip": Attack(
        files={"pip/__init__.py": TAKEN},
        victim="pip-6.0-py3-none-any.whl",
        has={"pip/__init__.py": HONEST},
        codes=("base-image-file",),
        in_lock=False,
    ),
    "what setuptools starts with": Attack(
        files={"distutils-precedence.pth": b"import sys"},
        victim="setuptools-6.0-py3-none-any.whl",
        has={"distutils-precedence.pth": b"import os"},
        codes=("base-image-file", "pth-file"),
        in_lock=False,
    ),
    "setuptools' own helper": Attack(
        files={"demo-1.0.data/platlib/pkg_resources/__init__.py": TAKEN},
        victim="setuptools-6.0-py3-none-any.whl",
        has={"pkg_resources/__init__.py": HONEST},
        codes=("base-image-file",),
        in_lock=False,
    ),
    "a project that everybody knows, in nobody's lock": Attack(
        files={"yaml/__init__.py": TAKEN},
        victim="pyyaml-6.0-py3-none-any.whl",
        has={"yaml/__init__.py": HONEST},
        codes=("foreign-top-level",),
        in_lock=False,
    ),
}


def judged(attack: Attack, beside: tuple[Layout, ...], oddities: tuple[str, ...] = ()) -> Judgement:
    """What the gate says of the attacker's wheel."""
    name, version, _, _ = parse_wheel_filename(DEMO)
    expected = Expected(name=name, version=version, target=Target(python=PYTHON), beside=beside, oddities=oddities)
    return check(DEMO, a_wheel(DEMO, attack.files), expected)


class Environment:
    """A virtual environment into which pip installs wheels, without an index."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "env"
        self.wheels = folder
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", self.folder], check=True, timeout=60)
        self.python = self.folder / "bin" / "python"

    def install(self, filename: str, content: bytes) -> Path:
        """Install one wheel, by its bytes; where they lie."""
        wheel = self.wheels / filename
        wheel.write_bytes(content)
        options = ["--isolated", "--disable-pip-version-check", "--quiet", "--no-index", "--no-deps", "--no-compile"]
        command: list[str | Path] = [sys.executable, "-m", "pip", "--python", self.python, "install", *options, wheel]
        subprocess.run(command, check=True, timeout=120, capture_output=True)
        return wheel

    def look(self, paths: set[str], asks: str) -> dict[str, str]:
        """The hash of each of these files, and what Python says."""
        seen = {path: hashlib.sha256((self.folder / path).read_bytes()).hexdigest() for path in sorted(paths)}
        if asks:
            command: list[str | Path] = [self.python, "-B", "-c", asks]
            answer = subprocess.run(command, check=False, timeout=60, capture_output=True, text=True)
            seen["python"] = answer.stdout or answer.stderr
        return seen

    @property
    def files(self) -> set[str]:
        """Every file in it."""
        found = (Path(folder, name) for folder, _, names in os.walk(self.folder) for name in names)
        return {str(path.relative_to(self.folder)) for path in found}


@pytest.mark.parametrize("case", ATTACKS)
def test_nothing_of_a_neighbour_changes(case: str, tmp_path: Path) -> None:
    """The gate refuses the wheel; installed all the same, it changes a file of the other, or what is imported."""
    attack = ATTACKS[case]
    environment = Environment(tmp_path)
    victim = environment.install(attack.victim, a_wheel(attack.victim, attack.has))
    installed = environment.files
    before = environment.look(installed, attack.asks)
    layout = read_layout(parse_wheel_filename(attack.victim)[0], victim)
    assert layout is not None
    judgement = judged(attack, (layout,) if attack.in_lock else ())
    assert attack.codes == tuple(sorted({finding.code for finding in judgement.findings}))
    assert None is judgement.wheel
    environment.install(DEMO, a_wheel(DEMO, attack.files))
    assert before != environment.look(installed, attack.asks)


@pytest.mark.parametrize("case", [case for case, attack in ATTACKS.items() if attack.in_lock])
def test_without_the_neighbours_each_passes(case: str) -> None:
    """The control: it is what others install that refuses them, and what is told of the data scheme besides."""
    judgement = judged(ATTACKS[case], (), oddities=("data-scheme", "foreign-top-level"))
    assert () == judgement.findings
    assert judgement.wheel is not None


BESIDE: dict[str, Mapping[str, bytes]] = {
    "the same file": {"space/inner/__init__.py": HONEST},
    "another part of a folder that both share": {"space/outer/__init__.py": b"1"},
    "a plug-in in a folder that is nobody's package": {"space/plugin.py": b"1"},
    "what says that a folder is shared": {
        "space/__init__.py": b"__path__ = __import__('pkgutil').extend_path(__path__, __name__)\n",
        "space/outer.py": b"1",
    },
    "what says so in other words": {
        "both/__init__.py": b'__import__("pkg_resources").declare_namespace(__name__)\n',
        "both/mine.py": b"1",
    },
    "a script of its own": {"demo-1.0.data/scripts/demo": b"#!python\n"},
    "headers of its own": {"demo-1.0.data/headers/host.h": b"mine"},
    "libraries of its own": {"demo.libs/libhost-1.so": b"mine"},
    "tests, as everybody has them": {"tests/__init__.py": b"", "tests/test_demo.py": b"1"},
    "a manual of its own": {"demo-1.0.data/data/share/man/man1/demo.1": b"mine"},
}


@pytest.mark.parametrize("case", BESIDE)
def test_what_stands_beside_others_passes_and_changes_nothing(case: str, tmp_path: Path) -> None:
    """What is installed is what the gate wrote."""
    environment = Environment(tmp_path)
    victim = environment.install(HOST, a_wheel(HOST, {**HOST_FILES, "tests/__init__.py": b""}))
    installed = environment.files
    asks = "import host, single, space.inner; print(host.VALUE, single.VALUE, space.inner.VALUE)"
    installed.discard(f"lib/python{PYTHON}/site-packages/both/__init__.py")  # it may come to say the same otherwise
    before = environment.look(installed, asks)
    layout = read_layout(parse_wheel_filename(HOST)[0], victim)
    assert layout is not None
    judgement = judged(Attack(files=BESIDE[case], codes=()), (layout,))
    assert () == judgement.findings
    assert judgement.wheel is not None
    environment.install(DEMO, judgement.wheel.content)
    assert before == environment.look(installed, asks)
