"""Lock requirements for this very interpreter, with uv, against the window (PEP 751)."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

from .place import TOOLS, Place
from .pressure import Pressure


def resolve(place: Place, arguments: dict[str, Any]) -> dict[str, Any]:
    """Send the lock as output 0.

    Arguments: requirements, constraints (lists of PEP 508 strings); pre_releases, whether they are taken of every
    project, and pre_releases_of, of which they are taken anyway.
    """
    place.wire.stage("resolve")
    for name in ("requirements", "constraints"):
        (place.work / f"{name}.txt").write_text("".join(line + "\n" for line in arguments[name]))
    lock = place.work / "pylock.toml"
    command: list[str] = [str(TOOLS / "uv"), "pip", "compile", "requirements.txt", "--quiet", "--no-header"]
    command += ["--no-annotate", "--format", "pylock.toml", "--output-file", str(lock)]
    command += ["--python", sys.executable, "--index-url", place.index_url]
    command += ["--constraints", "constraints.txt"]
    command += ["--prerelease", "allow"] if arguments["pre_releases"] else []
    for name in arguments["pre_releases_of"]:
        command += ["--prerelease-package", f"{name}=allow"]
    environment = {
        **os.environ,
        "UV_NO_CONFIG": "1",
        "UV_NO_PROGRESS": "1",
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_HTTP_TIMEOUT": "600",  # the window may be waiting for the index: it knows when to give up, uv does not
        "UV_CACHE_DIR": str(place.work / "cache"),
    }
    with Pressure(place.scratch) as pressure:
        done = subprocess.run(
            command,
            check=False,
            env=environment,
            cwd=place.work,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
    os.write(2, done.stderr)
    if done.returncode:
        message = done.stderr.decode(errors="replace")[-8192:]
        return {"ok": False, "message": message, "pressure": pressure.seen()}
    place.wire.output(0, lock)
    return {"ok": True}
