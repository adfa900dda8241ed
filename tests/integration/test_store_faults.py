"""The file store on a disk that is really full, really read-only, and with really no file descriptor left."""

from __future__ import annotations

from pathlib import Path

import pytest

from fakes.small_disk import SmallDisk

PROGRAM = """
import hashlib, resource, subprocess
from mirror.adapters.store import Store
from mirror.core.errors import MirrorError

store = Store(DISK / "store")

def files():
    return sorted(path.name for path in DISK.rglob("*") if path.is_file() and path.name != "filler")

def keep(name, size):
    content = name.encode() * (size // len(name))
    try:
        store.keep(hashlib.sha256(content).hexdigest(), name, [content[at:at + 4096] for at in range(0, size, 4096)])
        code = "kept"
    except MirrorError as error:
        code = error.code
    tell([code, files()])

keep("first", 60_000)
"""
FAULTS = {
    "full at the first byte": ("fill()\nkeep('second', 60_000)\nfree()", "disk-full"),
    "full on the way": ("keep('second', 600_000)", "disk-full"),
    "full for a note": ("fill()\ntry:\n    store.keep_note('a' * 64, 'n', bytes(60_000))\n"
        "except MirrorError as error:\n    tell([error.code, files()])\nfree()", "disk-full"),
    "read-only": ("subprocess.run(['mount', '-o', 'remount,ro', str(DISK)], check=True)\nkeep('second', 60_000)\n"
        "subprocess.run(['mount', '-o', 'remount,rw', str(DISK)], check=True)", "data-unwritable"),
    "no descriptor": ("limits = resource.getrlimit(resource.RLIMIT_NOFILE)\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))\n"
        "try:\n    store.keep_note('a' * 64, 'n', b'')\nexcept MirrorError as error:\n    code = error.code\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, limits)\ntell([code, files()])", "too-many-open-files"),
}  # fmt: skip


@pytest.mark.parametrize(("fault", "code"), FAULTS.values(), ids=FAULTS)
def test_no_half_file_stays(tmp_path: Path, fault: str, code: str) -> None:
    """The fault is told by its name, what was kept before stays, and the same file is kept when it has passed."""
    with SmallDisk(tmp_path / "disk", 300_000, f"{PROGRAM}{fault}\nkeep('second', 60_000)\n") as disk:
        assert ["kept", ["first"]] == disk.hear()
        assert [code, ["first"]] == disk.hear()
        assert ["kept", ["first", "second"]] == disk.hear()
