"""Who may import whom: the house stays as it is drawn."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "src" / "mirror"

ALLOWED = {
    "core": {"core", "packaging"},
    "ports": {"core", "packaging"},
    "tasks": {"core", "ports", "packaging"},
    "clean_room": {"core", "ports", "tasks", "attempts", "packaging"},
    "neighbours": {"core", "ports", "packaging"},
    "explained": {"core", "ports", "window", "packaging"},
    "attempts": {"core", "ports"},
    "provenance": {"core", "ports", "window", "packaging"},
    "jobs": {"core", "ports", "tasks", "attempts", "neighbours", "provenance", "packaging"},
    "builds": {"core", "ports", "jobs", "packaging"},
    "pipeline": {
        "core",
        "ports",
        "tasks",
        "attempts",
        "jobs",
        "builds",
        "neighbours",
        "clean_room",
        "explained",
        "provenance",
        "registering",
        "window",
        "packaging",
    },
    "registering": {"core", "ports"},
    "pruning": {"core", "ports"},
    "remembered": {"core", "ports", "window", "packaging"},
    "window": {"core", "ports", "window", "packaging"},
    "agent": {"agent"},
    "console": {"core", "ports", "console", "rich", "packaging"},
    "settings": {"core", "ports", "settings", "resources", "packaging", "platformdirs"},
    "resources": set(),
    "worker": {"core", "adapters"},  # it has no ports of its own: a queue and a process
    # adapters/uv.py is the resolver made of a sandbox: it composes a task
    "adapters": {
        "core",
        "ports",
        "tasks",
        "attempts",
        "adapters",
        "resources",
        "packaging",
        "devpi_server",  # our plugin of it
        "docker",
        "httpx",  # devpi-server's
        "pluggy",
        "requests",
        "urllib3",
        "platformdirs",
        "trustme",
    },
    # the page says seconds and sizes in the console's words
    "server": {
        "core",
        "adapters",
        "server",
        "console",
        "packaging",
        "jinja2",
        "markupsafe",
        "pluggy",
        "prometheus_client",
        "pyramid",
    },
}
"""Room to what it may import, beside the standard library. The command line wires, and may import everything."""


def room_of(module: str) -> str:
    """`mirror.adapters.sandbox.docker` is in the room `adapters`; console_lanes.py belongs to `console`."""
    name = module.removeprefix("mirror.").partition(".")[0]
    return name.partition("_")[0] if name.startswith(("console_", "settings_")) else name


def module_of(path: Path) -> str:
    return "mirror." + ".".join(path.relative_to(ROOT).with_suffix("").parts)


def imports(module: str, source: str) -> Iterator[str]:
    """The room or distribution of everything that a module imports, but the standard library."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level:
            names = [module.rpartition(".")[0]]
        elif isinstance(node, ast.ImportFrom) and node.module == "mirror":
            names = [f"mirror.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
        else:
            continue
        for name in names:
            top = name.partition(".")[0]
            if top not in sys.stdlib_module_names:
                yield room_of(name) if top == "mirror" else top


def files() -> list[Path]:
    return sorted(path for path in ROOT.rglob("*.py") if path.parent != ROOT / "cli" and path.name != "__init__.py")


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_room_imports_only_what_it_may(path: Path) -> None:
    """Each arrow of the design, held against the code."""
    module = module_of(path)
    assert set() == set(imports(module, path.read_text())) - ALLOWED[room_of(module)]


IMPURE = {
    "asyncio",
    "glob",
    "http",
    "io.open",
    "logging",
    "os",
    "pathlib.Path",
    "random",
    "secrets",
    "shutil",
    "socket",
}
IMPURE |= {"subprocess", "tempfile", "threading", "time", "urllib.request", "uuid", "open", "print", "input"}


def impurities(source: str) -> set[str]:
    """What of the world a module reaches for: modules, their members, builtins. `os.path` computes with names alone."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            found.add(node.func.id)
    return found & IMPURE


@pytest.mark.parametrize("path", sorted((ROOT / "core").rglob("*.py")), ids=lambda path: path.name)
def test_core_is_pure(path: Path) -> None:
    """No files, clock, environment, network or logging: not even the modules that would give them."""
    assert set() == impurities(path.read_text())


def test_impurity_is_seen() -> None:
    """The check can fail."""
    assert {"os", "pathlib.Path", "time", "open"} == impurities(
        "import os, json\nfrom pathlib import Path, PurePath\nfrom time import time\nopen('x')"
    )


def test_the_check_can_fail() -> None:
    """Every way to write an import is seen."""
    source = """
import docker, json
from mirror.adapters import store
from mirror import pipeline
from . import model
def later():
    import requests.sessions
"""
    assert {"docker", "adapters", "pipeline", "core", "requests"} == set(imports("mirror.core.x", source))
