"""The read-only view of the index that a sandbox sees, composed of small parts."""

from __future__ import annotations

from collections.abc import Callable

from mirror.core.model import Target
from mirror.window.core_metadata import CoreMetadata, Notes, read_dist_info
from mirror.window.counted import CountedWindow
from mirror.window.index_window import IndexWindow
from mirror.window.named_libcs import NamedLibcs
from mirror.window.target_files import TargetFiles
from mirror.window.view import View

__all__ = [
    "CoreMetadata",
    "CountedWindow",
    "IndexWindow",
    "NamedLibcs",
    "Notes",
    "TargetFiles",
    "View",
    "read_dist_info",
    "window_for",
]


def window_for(
    view: View, target: Target, notes: Notes, narrow: Callable[[View], View] = lambda view: view
) -> IndexWindow:
    """The usual window: what can matter to the target, made narrower still, with core metadata for every wheel."""
    narrowed = narrow(TargetFiles(view, target))
    return IndexWindow(narrowed, CoreMetadata(narrowed, notes))
