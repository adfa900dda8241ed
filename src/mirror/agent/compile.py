"""Build a wheel from an sdist by PEP 517 and repair it."""

from __future__ import annotations

import json
import os
import pkgutil
import stat
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .place import TOOLS, Place, TaskError
from .pressure import Pressure


def compile_sdist(place: Place, arguments: dict[str, Any]) -> dict[str, Any]:
    """Send the repaired wheel as output 0; or answer with further build requirements that the backend asks for.

    Arguments: sdist (a name under inputs), backend, backend_path, config_settings, requires (every requirement string
    that the wheelhouse answers), environment, processes (how many at once), platform (the tag to repair to).
    """
    with Pressure(place.scratch) as pressure:
        try:
            return _compile(place, arguments)
        except TaskError as error:
            return {"ok": False, "message": str(error), "pressure": pressure.seen()}


def _compile(place: Place, arguments: dict[str, Any]) -> dict[str, Any]:
    place.wire.stage("unpack")
    source = _unpack(place, place.inputs / arguments["sdist"])
    place.wire.stage("build environment")
    frontend = _Frontend(place, arguments, source, _build_environment(place, arguments))
    missing = sorted(set(_wanted(frontend)) - set(arguments["requires"]))
    if missing:
        return {"ok": True, "needs": missing}
    place.wire.stage("compile")
    built = place.work / "built"
    built.mkdir()
    frontend.call("build_wheel", [str(built)], default=None)
    wheel = _repair(place, _only_wheel(built), arguments["platform"])
    place.wire.stage("send")
    place.wire.output(0, wheel)
    return {"ok": True, "wheel": wheel.name}


def _wanted(frontend: _Frontend) -> list[str]:
    hook = "get_requires_for_build_wheel"
    wanted = frontend.call(hook, [], default=[])
    if not isinstance(wanted, list) or not all(isinstance(requirement, str) for requirement in wanted):
        raise TaskError(f"the build backend's {hook} returned no list of strings (PEP 517)")
    return wanted


def _unpack(place: Place, sdist: Path) -> Path:
    """Unpack an sdist; its top folder."""
    folder = place.work / "source"
    folder.mkdir()
    try:
        if sdist.suffix == ".zip":
            with zipfile.ZipFile(sdist) as archive:
                archive.extractall(folder)  # noqa: S202 - a sandbox is where this is done
        else:
            with tarfile.open(sdist) as tar:
                if hasattr(tarfile, "data_filter"):
                    tar.extraction_filter = tarfile.data_filter
                tar.extractall(folder)  # noqa: S202 - a sandbox is where this is done
    except Exception as error:  # the archive modules raise a dozen kinds for what they cannot read
        raise TaskError(f"the sdist cannot be unpacked: {type(error).__name__}: {error}") from error
    tops = [entry for entry in folder.iterdir() if entry.is_dir()]
    if len(tops) != 1:
        raise TaskError(f"an sdist has one top folder (PEP 625); this one has {len(tops)}")
    return tops[0]


def _build_environment(place: Place, arguments: dict[str, Any]) -> dict[str, str]:
    """Make the build environment from the wheelhouse; the variables to run its programs with."""
    env = place.work / "env"
    place.run([sys.executable, "-m", "venv", "--without-pip", env], {})
    wheels = sorted((place.inputs / "wheelhouse").glob("*.whl"))
    if wheels:
        uv: list[str | Path] = [TOOLS / "uv", "pip", "install", "--quiet", "--no-config", "--offline", "--no-index"]
        place.run(
            [*uv, "--no-deps", "--python", env / "bin" / "python", *wheels],
            {"UV_CACHE_DIR": str(place.work / "cache"), "UV_LINK_MODE": "hardlink"},
        )
    processes = str(arguments["processes"])
    # For recipes of projects whose extensions can be compiled side by side: setuptools reads the file that
    # DIST_EXTRA_CONFIG names.
    (place.scratch / "parallel.cfg").write_text(f"[build_ext]\nparallel = {processes}\n")
    return {
        "PATH": f"{env / 'bin'}:{os.environ['PATH']}",
        "VIRTUAL_ENV": str(env),
        "MAKEFLAGS": f"-j{processes}",
        "CMAKE_BUILD_PARALLEL_LEVEL": processes,
        "MAX_JOBS": processes,
        "NPY_NUM_BUILD_JOBS": processes,
        **arguments["environment"],
    }


@dataclass(frozen=True)
class _Frontend:
    """Calls the hooks of one source tree's build backend, each in a process of its own (PEP 517)."""

    place: Place
    arguments: dict[str, Any]
    source: Path
    environment: dict[str, str]

    def call(self, hook: str, before: list[str], default: Any) -> Any:
        """Call `hook` with `before` and the config settings; what it returned."""
        script, call, answer = (self.place.work / name for name in ("hook.py", f"{hook}.json", f"{hook}.answer"))
        script.write_bytes(pkgutil.get_data(str(__package__), "hook.py") or b"")
        call.write_text(
            json.dumps(
                {
                    "backend": self.arguments["backend"],
                    "backend_path": self.arguments["backend_path"],
                    "hook": hook,
                    "arguments": [*before, self.arguments["config_settings"] or None],
                    "default": default,
                }
            )
        )
        print(f"--- {hook}", flush=True)
        done = subprocess.run(
            [str(self.place.work / "env" / "bin" / "python"), str(script), str(call), str(answer)],
            check=False,
            env={**os.environ, **self.environment},
            cwd=self.source,
            stdin=subprocess.DEVNULL,
        )
        if done.returncode or not answer.is_file():
            raise TaskError(f"the build backend's {hook} failed with exit status {done.returncode}")
        try:
            return json.loads(answer.read_text())
        except (OSError, ValueError, RecursionError) as error:
            raise TaskError(f"the build backend's {hook} wrote its own answer: {type(error).__name__}") from error


def _only_wheel(folder: Path) -> Path:
    wheels = list(folder.glob("*.whl"))
    if len(wheels) != 1:
        raise TaskError(f"the build backend left {len(wheels)} wheels; PEP 517 asks for one")
    # A FIFO would keep us waiting for ever, a symlink would send another file.
    if not stat.S_ISREG(wheels[0].lstat().st_mode):
        raise TaskError(f"the build backend left {wheels[0].name!r}, which is no regular file")
    return wheels[0]


def _repair(place: Place, wheel: Path, platform: str) -> Path:
    """Graft what the wheel links to, so that it needs nothing but the base image; a pure wheel stays as it is."""
    if wheel.name.endswith("-any.whl"):
        return wheel
    place.wire.stage("repair")
    out = place.scratch / "out"
    auditwheel: list[str | Path] = [TOOLS / "auditwheel", "repair", "--plat", platform, "--wheel-dir", out, wheel]
    place.run(auditwheel, {"PATH": f"{TOOLS}:{os.environ['PATH']}"})
    return _only_wheel(out)
