"""Small disks that can be filled and can break: ext4 in a file, behind a loop device. For root on Linux."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_BLOCK = 4096


@dataclass(frozen=True)
class SmallDisk:
    """A mounted disk of a few hundred megabytes; what is left free takes no room on the real one."""

    image: Path
    folder: Path

    @property
    def free_bytes(self) -> int:
        found = os.statvfs(self.folder)
        return found.f_bavail * found.f_frsize

    def fill(self, *, but_bytes: int = 0) -> None:
        """Leave so much room and no more."""
        with (self.folder / "filler").open("ab", buffering=0) as filler:
            while (left := self.free_bytes - but_bytes) > 0:
                end = filler.seek(0, os.SEEK_END)
                try:
                    # Halves: some blocks of what is free go into the accounting of what is taken.
                    os.posix_fallocate(filler.fileno(), end, max(_BLOCK, left // 2))
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    return

    def make_room(self) -> None:
        """Take back what `fill` did."""
        (self.folder / "filler").unlink()

    def remount(self, how: str) -> None:
        """Mount it `ro` or `rw`. Fails while somebody has a file open for writing."""
        _run("mount", "-o", f"remount,{how}", str(self.folder))

    def break_down(self) -> None:
        """Let the kernel find the disk broken: under everybody's hands it becomes read-only (ext4's errors=)."""
        device = Path(_run("findmnt", "--noheadings", "--output", "SOURCE", str(self.folder)).strip()).name
        Path(f"/sys/fs/ext4/{device}/trigger_fs_error").write_text("the test's doing")

    def mend(self) -> None:
        """Check the disk and mount it again; nobody may have a file of it open."""
        self.unmount()
        _run("e2fsck", "-fp", str(self.image), allowed=(0, 1))
        self.mount()

    def mount(self) -> None:
        _run("mount", "-o", "loop,errors=remount-ro", str(self.image), str(self.folder))

    def unmount(self) -> None:
        _run("umount", str(self.folder))


@contextmanager
def small_disk(place: Path, size_bytes: int) -> Iterator[SmallDisk]:
    """Make a disk, mounted at `place`/disk, and take it away again."""
    disk = SmallDisk(place / "disk.img", place / "disk")
    disk.folder.mkdir()
    with disk.image.open("wb") as file:
        file.truncate(size_bytes)
    _run("mkfs.ext4", "-q", "-F", "-m", "0", str(disk.image))
    disk.mount()
    try:
        yield disk
    finally:
        disk.unmount()
        disk.image.unlink()


def _run(*command: str, allowed: tuple[int, ...] = (0,)) -> str:
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "PATH": path})
    if done.returncode not in allowed:
        raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout
