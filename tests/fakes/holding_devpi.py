"""devpi-server as a program that holds uploads, with a folder as its first argument (see held_devpi.py).

Where that holds a file `hold-MOMENT`, the next upload that comes to this moment renames it to `held-MOMENT`, and goes
on when that is gone.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from devpi_server import main
from devpi_server.filestore_fs_base import FSIOFileBase
from devpi_server.keyfs_sqlite import Writer


def _hold_at(folder: Path, moment: str) -> None:
    """Be held here, if somebody is to be."""
    held = folder / f"held-{moment}"
    try:
        (folder / f"hold-{moment}").rename(held)
    except FileNotFoundError:
        return
    while held.exists():
        time.sleep(0.002)


def _holding(inner: Callable[..., Any], folder: Path, *, before: str, after: str | None = None) -> Callable[..., Any]:
    """A step of devpi's, with a moment before it and one after it where it is an upload's."""

    def outer(self: Any, *arguments: Any) -> Any:
        paths = self.rel_renames if isinstance(self, Writer) else self._dirty_files
        is_upload = any("mirror/alpine/+f/" in str(path) for path in paths)
        if is_upload:
            _hold_at(folder, before)
        result = inner(self, *arguments)
        if is_upload and after:
            _hold_at(folder, after)
        return result

    return outer


if __name__ == "__main__":
    moments = Path(sys.argv.pop(1))
    setattr(Writer, "commit", _holding(Writer.commit, moments, before="written"))  # noqa: B010 - for mypy
    renaming = _holding(FSIOFileBase._commit, moments, before="committed", after="renamed")
    setattr(FSIOFileBase, "_commit", renaming)  # noqa: B010 - for mypy
    sys.exit(main.main())  # type: ignore[no-untyped-call]
