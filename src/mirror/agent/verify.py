"""Prove in a clean room that pip installs the requirements without a compiler, and that what it installed imports."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from .place import Place, TaskError
from .pressure import Pressure

COMPILERS = ("cc", "gcc", "g++", "clang")


def verify(place: Place, arguments: dict[str, Any]) -> dict[str, Any]:
    """Install with this image's own pip, wheels only, from the window alone; import what each wheel provides.

    Arguments: requirements, constraints (PEP 508 strings), pre_releases, import_names (project to names, if a recipe
    says which).
    """
    env = place.work / "env"
    with Pressure(place.scratch) as pressure:
        try:
            seconds = _install(place, arguments, env)
        except TaskError as error:
            return {"ok": False, "message": str(error), "pressure": pressure.seen()}
    place.wire.stage("import")
    distributions = _distributions(env)
    errors = {
        name: _import_errors(env, arguments["import_names"].get(name, found))
        for name, (_, found) in distributions.items()
    }
    return {
        "ok": True,
        "seconds": seconds,
        "installed": sorted((name, version) for name, (version, _) in distributions.items()),
        "imported": sorted(name for name in distributions if not errors[name]),
        "errors": {name: found for name, found in errors.items() if found},
    }


def _install(place: Place, arguments: dict[str, Any], env: Path) -> float:
    """Install into a new environment; pip's seconds. Raises TaskError."""
    compilers = [name for name in COMPILERS if shutil.which(name)]
    if compilers:
        raise TaskError(f"this is no clean room: it has {', '.join(compilers)}")
    for name in ("requirements", "constraints"):
        (place.work / f"{name}.txt").write_text("".join(line + "\n" for line in arguments[name]))
    place.run([sys.executable, "-m", "venv", "--without-pip", env], {})
    place.wire.stage("install")
    pip: list[str | Path] = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        env / "bin" / "python",
        "--disable-pip-version-check",
    ]
    install = [*pip, "install", "--isolated", "--no-cache-dir", "--progress-bar=off", "--only-binary=:all:"]
    install += [f"--index-url={place.index_url}", "-r", "requirements.txt", "-c", "constraints.txt"]
    install += ["--pre"] if arguments["pre_releases"] else []
    started = time.monotonic()
    place.run(install, {})
    seconds = time.monotonic() - started
    place.run([*pip, "check"], {})
    return seconds


def _distributions(env: Path) -> dict[str, tuple[str, list[str]]]:
    """Normalised project name to version and import names, of everything installed in `env`."""
    site = [str(path) for path in env.glob("lib/python*/site-packages")]
    return {
        re.sub(r"[-_.]+", "-", distribution.metadata["Name"]).lower(): (
            distribution.version,
            import_names([str(file) for file in distribution.files or []]),
        )
        for distribution in importlib.metadata.distributions(path=site)
    }


def import_names(files: list[str]) -> list[str]:
    """The names that a wheel with these files lets you import: public ones, or private where there are no others."""
    names = set()
    for file in files:
        *folders, name = file.split("/")
        stem, _, suffix = name.partition(".")
        if suffix not in ("py", "so") and not suffix.endswith(".so"):
            continue
        if not folders:
            names.add(stem)
        elif name == "__init__.py" and len(folders) == 1:
            names.add(folders[0])
    names = {name for name in names if name.isidentifier()}
    return sorted({name for name in names if not name.startswith("_")} or names)


def _import_errors(env: Path, modules: list[str]) -> dict[str, str]:
    tried = {module: _import(env, module) for module in modules}
    return {module: error for module, error in tried.items() if error}


def _import(env: Path, module: str) -> str:
    """Import a module in a process of its own; what went wrong, or ""."""
    done = subprocess.run(
        [str(env / "bin" / "python"), "-I", "-c", f"import {module}"],
        check=False,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        cwd=env,
    )
    if not done.returncode:
        return ""
    os.write(2, done.stderr)
    lines = done.stderr.decode(errors="replace").strip().splitlines()
    return lines[-1][:500] if lines else f"exit status {done.returncode}"
