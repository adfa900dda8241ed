"""Prove in clean rooms that pip installs the requirements without a compiler, and that what was compiled imports.

Nothing of what is installed runs in the room that installs it: neither pip nor we start an interpreter that could see
it, for a package can have code that runs at every start (.pth files). So what that room says is not theirs to say.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import stat
import subprocess
import sys
import time
import venv
import zipfile
import zlib
from pathlib import Path
from typing import Any

from .place import Place, TaskError
from .pressure import Pressure

COMPILERS = ("cc", "gcc", "g++", "clang")
CHECK = """
import sys
pips, site = sys.argv[1:]
sys.path.append(pips)
from pip._internal.cli.main import main
import pip._internal.commands.check
sys.path.remove(pips)
sys.path.append(site)
sys.exit(main(["--disable-pip-version-check", "check"]))
"""
"""`pip check`, over a folder that is not there yet when pip's own modules look for what they can do with."""


def install(place: Place, arguments: dict[str, Any]) -> dict[str, Any]:
    """Install with this image's own pip, wheels only, from the window alone.

    Arguments: requirements, constraints (PEP 508 strings), pre_releases.
    """
    compilers = [name for name in COMPILERS if shutil.which(name)]
    if compilers:
        return {"ok": False, "message": f"this is no clean room: it has {', '.join(compilers)}"}
    for name in ("requirements", "constraints"):
        (place.work / f"{name}.txt").write_text("".join(line + "\n" for line in arguments[name]))
    wanted = ["--only-binary=:all:", f"--index-url={place.index_url}", "-r", "requirements.txt"]
    wanted += ["-c", "constraints.txt", *(["--pre"] if arguments["pre_releases"] else [])]
    with Pressure(place.scratch) as pressure:
        try:
            env = _environment(place)
            place.wire.stage("install")
            started = time.monotonic()
            _pip(place, "install", *_into(env), *wanted)
            seconds = time.monotonic() - started
            place.run([sys.executable, "-I", "-S", "-c", CHECK, _pips().parent, _site(env)], {})
        except TaskError as error:
            return {"ok": False, "message": str(error), "pressure": pressure.seen()}
    installed = sorted((_normal(found), found.version) for found in _distributions(env))
    return {"ok": True, "seconds": seconds, "installed": installed}


def import_project(place: Place, arguments: dict[str, Any]) -> dict[str, Any]:
    """Import what one project provides, beside the packages that it needs.

    Arguments: project, beside (file names of wheels under inputs that must not run at every start), wheels (the others,
    its own last, so that it is the one that stays), modules (to be imported, where a recipe says which; or none).
    """
    place.wire.stage("unpack")
    with Pressure(place.scratch) as pressure:
        try:
            env = _environment(place)
            for name in arguments["beside"]:
                _unpack(place.inputs / name, _importable(env))
            _drop_what_runs_at_every_start(_site(env))
            for name in arguments["wheels"]:
                _unpack(place.inputs / name, {**_importable(env), "data": env})
        except (OSError, RuntimeError, ValueError, zipfile.BadZipFile, zlib.error) as error:
            return {"ok": False, "message": f"{type(error).__name__}: {error}"[:500], "pressure": pressure.seen()}
    place.wire.stage("import")
    modules = arguments["modules"]
    if modules is None:
        mine = [found for found in _distributions(env) if _normal(found) == arguments["project"]]
        modules = import_names([str(file) for found in mine for file in found.files or []])
    return {"ok": True, "errors": _import_errors(env, modules)}


def _environment(place: Place) -> Path:
    env = place.work / "env"
    venv.EnvBuilder(symlinks=True).create(env)
    return env


def _into(env: Path) -> list[str]:
    return ["--prefix", str(env), "--no-cache-dir", "--progress-bar=off", "--no-warn-script-location"]


def _importable(env: Path) -> dict[str, Path]:
    """The schemes that lie where Python imports from, and their folder. Data may be what Python itself is set up by."""
    return dict.fromkeys(("purelib", "platlib"), _site(env))


def _unpack(wheel: Path, folders: dict[str, Path]) -> None:
    """Put the files of these schemes where pip puts them: pip itself has proved that the wheel installs."""
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.infolist():
            first, _, rest = member.filename.partition("/")
            kind, _, path = rest.partition("/")
            if not first.endswith(".data"):
                _extract(archive, member, folders["purelib"])
            elif kind in folders and path:
                member.filename = path
                _extract(archive, member, folders[kind])


def _extract(archive: zipfile.ZipFile, member: zipfile.ZipInfo, folder: Path) -> None:
    """As pip does, with the right to be started: some packages start a program of theirs when they are imported."""
    place = Path(archive.extract(member, folder))
    mode = member.external_attr >> 16
    if stat.S_ISREG(mode) and mode & 0o111:
        place.chmod(place.stat().st_mode | 0o111)


def _drop_what_runs_at_every_start(site: Path) -> None:
    """Path configuration files, and the module that `site` imports unasked, in whatever form (`python -I`, too)."""
    for path in [*site.glob("*.pth"), *site.glob("sitecustomize*")]:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _pips() -> Path:
    """The folder of this image's own pip."""
    found = importlib.metadata.distribution("pip").locate_file("pip")
    return Path(str(found))


def _pip(place: Place, *words: str) -> None:
    """Run this image's pip, which finds nothing but itself and the standard library."""
    runner = _pips() / "__pip-runner__.py"
    place.run([sys.executable, "-I", "-S", runner, "--disable-pip-version-check", "--isolated", *words], {})


def _site(env: Path) -> Path:
    return next(env.glob("lib/python*/site-packages"))


def _distributions(env: Path) -> list[importlib.metadata.Distribution]:
    """Everything that is installed in `env`."""
    return list(importlib.metadata.distributions(path=[str(_site(env))]))


def _normal(found: importlib.metadata.Distribution) -> str:
    return re.sub(r"[-_.]+", "-", found.metadata["Name"]).lower()


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
