"""A disk that can be full: a tmpfs in a mount namespace of its own, which any user may have and nobody else sees."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

_NAMESPACE = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--mount"]
_MOUNT = 'mount -t tmpfs -o size="$1" tmpfs "$2" && cd "$2" && shift 2 && exec "$@"'
_HELPERS = '''
import errno, json, os, sys
from pathlib import Path

DISK = Path.cwd()

def fill():
    """Take all there is left."""
    with open(DISK / "filler", "wb", buffering=0) as filler:
        for size in (1 << 16, 1 << 12, 1):
            try:
                while True:
                    filler.write(bytes(size))
            except OSError as error:
                assert error.errno == errno.ENOSPC

def free():
    """Give it back."""
    (DISK / "filler").unlink()

def tell(value):
    print(json.dumps(value), flush=True)
'''


class SmallDisk:
    """Runs a Python program whose working directory, `DISK`, is a disk of `size` bytes at `folder`.

    The program has `fill()`, `free()` and `tell(value)`; it reads lines from its stdin.
    """

    def __init__(self, folder: Path, size: int, program: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        shell = ["sh", "-c", _MOUNT, "sh", str(size), str(folder)]
        python = [sys.executable, "-c", _HELPERS + program]
        self._process = subprocess.Popen(
            [*_NAMESPACE, *shell, *python], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def hear(self) -> Any:
        """The next value that the program tells."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the program has ended"
        return json.loads(line)

    def say(self, line: str) -> None:
        """Give the program a line."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate(timeout=60)  # closes its stdin: it ends
