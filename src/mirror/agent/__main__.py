"""Read the task from the wire, run its command, send the result."""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path
from typing import BinaryIO

from . import loopback
from .compile import compile_sdist
from .place import Place
from .resolve import resolve
from .verify import import_project, install
from .wire import Wire

COMMANDS = {"resolve": resolve, "compile": compile_sdist, "install": install, "import": import_project}
SCRATCH = Path("/scratch")


def main(source: BinaryIO) -> None:
    """Do the one task that comes in over `source`."""
    wire = Wire(source)
    try:
        for folder in ("inputs", "home", "tmp", "work", "out"):
            (SCRATCH / folder).mkdir()
        task = wire.receive_task(SCRATCH / "inputs")
        wire.serve()
        os.environ.update({"HOME": str(SCRATCH / "home"), "TMPDIR": str(SCRATCH / "tmp")})
        index_url = loopback.start(wire) if task["window"] else ""
        wire.result(COMMANDS[task["command"]](Place(wire, SCRATCH, index_url), task["arguments"]))
    except Exception:
        # A defect of ours, or somebody at work in here: what the tool sees is that no result came.
        os.write(2, traceback.format_exc().encode())
        sys.exit(70)
