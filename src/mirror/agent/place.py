"""Where a command runs, and how it runs programs there."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .wire import Wire

TOOLS = Path("/opt/mirror/bin")
"""uv, auditwheel and patchelf: in a builder image, apart from what is being built."""


class TaskError(Exception):
    """The task itself failed (a program of it, say), which is a result, not a defect of the agent."""


@dataclass(frozen=True)
class Place:
    """The wire, the only folder that can be written to, and the window's index URL ("" where there is none)."""

    wire: Wire
    scratch: Path
    index_url: str

    @property
    def work(self) -> Path:
        return self.scratch / "work"

    @property
    def inputs(self) -> Path:
        return self.scratch / "inputs"

    def run(self, arguments: Sequence[str | Path], environment: Mapping[str, str], folder: Path | None = None) -> None:
        """Run a program with its output into the log. Raises TaskError when it fails."""
        words = [str(argument) for argument in arguments]
        print("+ " + " ".join(words), flush=True)
        done = subprocess.run(
            words,
            check=False,
            env={**os.environ, **environment},
            cwd=folder or self.work,
            stdin=subprocess.DEVNULL,
        )
        if done.returncode:
            raise TaskError(f"{Path(words[0]).name} ended with exit status {done.returncode}")
