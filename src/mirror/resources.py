"""Where the data files stand: beside the modules of an installed mirror, at the top level of a checkout."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def builders() -> Path:
    """The folder of what images are made from."""
    return _folder("builders")


def config() -> Path:
    """The folder of the settings and recipes that ship."""
    return _folder("config")


def _folder(name: str) -> Path:
    installed = _PACKAGE / "_data" / name
    return installed if installed.is_dir() else _PACKAGE.parent.parent / name
