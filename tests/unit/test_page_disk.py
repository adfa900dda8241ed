"""How much disk the index takes, by part."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mirror.server.disk import measure


@pytest.mark.parametrize("elsewhere", [False, True])
def test_every_part_is_counted_once(elsewhere: bool, tmp_path: Path) -> None:
    """A team's packages lie on a volume of their own, and its builds on another; one person's all in one folder."""
    server, data = tmp_path / "data" / "devpi" / "server", tmp_path / "data"
    packages = tmp_path / "files" if elsewhere else server / "+files"
    server.mkdir(parents=True)
    packages.mkdir()
    if elsewhere:
        data = tmp_path / "team"
        (server / "+files").symlink_to(packages)
    sizes = {server / ".sqlite": 1, packages / "a.whl": 10, data / "store" / "x": 4, data / "logs" / "2026" / "y": 2}
    for path, megabytes in sizes.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(megabytes << 20))
    use = measure(server, data)
    found = {part.partition(" ")[0]: size >> 20 for part, size in use.parts}
    assert {"index": 11, "downloads": 4, "wheels": 0, "build": 2} == found
    assert (17, True) == (use.size_bytes >> 20, use.free_bytes > 0)
