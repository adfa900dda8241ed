"""The folder of build logs: `DATE/LABEL-N.log`, kept for a while."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

from mirror.adapters.host import make_folder

KEEP_LOGS = 2000
KEEP_LOGS_FOR = timedelta(days=60)
_LABEL_LENGTH = 100
_UNSAFE = re.compile(r"[^A-Za-z0-9._+!-]+")


def create_log(folder: Path, label: str, today: datetime) -> Path:
    """Make a new, empty file for `label`; no other process gets the same."""
    day, name = folder / f"{today:%Y-%m-%d}", _file_name(label)
    number = 1
    while True:
        make_folder(day, folder)
        path = day / f"{name}-{number}.log"
        try:
            path.touch(exist_ok=False)
        except FileExistsError:
            number += 1
        except FileNotFoundError:  # another process has just pruned the empty folder
            continue
        else:
            return path


def _file_name(label: str) -> str:
    """Keep of a label what is safe in every file name; a label may come from a stranger's metadata."""
    return _UNSAFE.sub("-", label).lstrip("-.")[:_LABEL_LENGTH] or "log"


def prune_logs(folder: Path, today: datetime) -> tuple[Path, ...]:
    """Drop the logs that are too old or too many, and the folders of days that have none left; what was dropped."""
    dropped = _too_old_or_too_many(folder, oldest=(today - KEEP_LOGS_FOR).timestamp())
    for path in dropped:
        path.unlink(missing_ok=True)
    for day in {path.parent for path in dropped}:
        with suppress(OSError):  # not empty, or gone
            day.rmdir()
    return tuple(dropped)


def _too_old_or_too_many(folder: Path, *, oldest: float) -> list[Path]:
    dated: list[tuple[float, Path]] = []
    for path in (path for path in folder.glob("*/*.log") if not path.parent.is_symlink()):
        with suppress(FileNotFoundError):  # pruned by another process
            dated.append((path.stat().st_mtime, path))
    dated.sort(reverse=True)
    return [path for i, (modified, path) in enumerate(dated) if i >= KEEP_LOGS or modified < oldest]
