"""What is on the index, asked of devpi itself inside a request's own transaction."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from mirror.adapters.devpi.layout import OWNER, STAGE
from mirror.adapters.devpi.locks import LOCK, read_lock
from mirror.core.retention import RegisteredLock


@dataclass(frozen=True, slots=True, kw_only=True)
class ShelfFile:
    """A file of ours. `url` is its path from the server's root; `sha256` is "" where devpi keeps another hash."""

    filename: str
    url: str
    sha256: str


class Shelf:
    """Our index. A project's files are one look into devpi's database: ask for those that are shown, not for all."""

    def __init__(self, xom: Any, stage: str = STAGE) -> None:
        self._model = xom.model
        self._stage = xom.model.getstage(stage)

    def may_read(self, request: Any) -> bool:
        """Whether the index lets whoever asks read its packages. Where there is no index, there is nothing to hide."""
        return self._stage is None or bool(request.has_permission("pkg_read", self._stage))

    def projects(self) -> frozenset[str]:
        """Every project that has files of ours, by its normalised name."""
        return frozenset() if self._stage is None else frozenset(self._stage.list_projects_perstage())

    def files(self, name: str) -> tuple[ShelfFile, ...]:
        """The files of a project, none where there is no such."""
        if self._stage is None:
            return ()
        links: Iterable[Any] = self._stage.key_projsimplelinks(name).get().get("links", ())
        return tuple(_file(filename, href) for filename, href, *_ in links)

    def locks(self) -> tuple[RegisteredLock, ...]:
        """What requirements files reach, as their last builds registered it; one that cannot be read is left out."""
        user = self._model.get_user(OWNER)
        indexes = user.get().get("indexes", {}) if user is not None else {}
        found = []
        for name, config in sorted(indexes.items()):
            if match := LOCK.fullmatch(name):
                with suppress(ValueError, TypeError, KeyError, AttributeError):
                    found.append(read_lock(match[1], config["custom_data"]))
        return tuple(sorted(found, key=lambda lock: -lock.registered_s))

    def filenames(self, name: str) -> tuple[str, ...]:
        """The names of these files."""
        return tuple(file.filename for file in self.files(name))


def _file(filename: str, href: str) -> ShelfFile:
    path, _, digest = href.partition("#")
    algorithm, _, value = digest.partition("=")
    return ShelfFile(filename=filename, url=path, sha256=value if algorithm == "sha256" else "")
