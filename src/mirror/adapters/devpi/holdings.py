"""What a devpi-server keeps: the files of our index, over HTTP; and upstream's files, which lie on its disk."""

from __future__ import annotations

import calendar
import math
import re
import stat
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

from mirror.adapters.devpi.http import DevpiClient
from mirror.adapters.host import explained
from mirror.core.errors import UnusableError
from mirror.core.retention import Held, Place

ASKED_AT_ONCE = 8
_HASHED = re.compile(r"[0-9a-f]{3}/[0-9a-f]{13}")


class DevpiWheels:
    """The wheels that we published to one stage, by whoever may upload there. Implements ports.Holdings.

    Publishing puts an upstream's project on `mirror_whitelist` first. What somebody else has put there, an sdist or a
    project of theirs that no upstream has, cannot be compiled again, and is none of our business; nor are the wheels
    that were compiled of such a project.
    """

    def __init__(self, client: DevpiClient, url: str) -> None:
        self._client = client
        self._url = url

    def held(self) -> tuple[Held, ...]:
        """As ports.Holdings.held; each since its upload, by the index's clock."""
        settings = self._read(self._url)
        listed = {str(name) for name in settings.get("mirror_whitelist") or ()}
        projects = [str(name) for name in settings.get("projects") or () if name in listed]
        with ThreadPoolExecutor(ASKED_AT_ONCE) as pool:
            of_each = list(pool.map(self._links, projects))
            links = [link for links in of_each for link in links]
            sizes = list(pool.map(self._size_bytes, (href for href, _ in links)))
        return tuple(
            Held(
                place=Place.OURS,
                filename=href.rpartition("/")[2],
                size_bytes=size_bytes,
                since_s=since_s,
                address=href,
            )
            for (href, since_s), size_bytes in zip(links, sizes, strict=True)
            if size_bytes is not None
        )

    def remove(self, file: Held) -> bool:
        """As ports.Holdings.remove. `force`, since the index is not volatile: devpi refuses without it.

        The project's name stays in `mirror_whitelist`: upstream's files show with or without it once ours are gone,
        and a build that has seen it there may be about to upload.
        """
        answer = self._client.patiently(lambda: self._client.send("DELETE", f"{file.address}?force="))
        if answer.status in (404, 410):
            return False
        if answer.status != 200:
            raise UnusableError(
                "index-forbidden",
                f"{file.filename} may not be removed from {self._url}: HTTP {answer.status}",
                hint="removing needs a user whom the index's acl_upload names",
                details=answer.said,
            )
        return True

    def _links(self, project: str) -> list[tuple[str, float]]:
        """The address of each file of a project, and since when it is there."""
        versions = self._read(f"{self._url}/{quote(project)}?ignore_bases=")
        return [link for version in versions.values() for link in _released(version, f"{self._url}/")]

    def _size_bytes(self, url: str) -> int | None:
        """None where the file is gone."""
        return self._client.patiently(lambda: self._client.size_once(url))

    def _read(self, url: str) -> dict[str, Any]:
        answer = self._client.get(url)
        result = answer.result()
        if answer.status == 404:
            return {}  # it has lost its last file since it was listed
        if answer.status != 200 or result is None:
            raise UnusableError(
                "index-failed",
                f"the index answers HTTP {answer.status} for {url}",
                hint="look into the index's log",
                details=answer.said,
            )
        return result


def _released(version: object, ours: str) -> Iterator[tuple[str, float]]:
    links = version.get("+links") if isinstance(version, Mapping) else None
    for link in links or ():
        href = str(link.get("href"))
        if link.get("rel") == "releasefile" and href.startswith(ours) and href.endswith(".whl"):
            yield href, _uploaded_s(link)


def _uploaded_s(link: Mapping[str, Any]) -> float:
    """When it was uploaded last; for ever in the future where devpi does not know, so that it is never too old."""
    uploads = [entry.get("when") for entry in link.get("log") or () if entry.get("what") in ("upload", "push")]
    times = [calendar.timegm((*when[:6], 0, 0, 0)) for when in uploads if isinstance(when, list)]
    return float(max(times, default=math.inf))


class UpstreamCache:
    """Upstream's files that the devpi-server over `folder` (its `+files`) has ever downloaded.

    devpi looks for a file each time it is asked for it, and downloads it again, hash-checked, where it is gone; one
    that is being read stays until it is closed. Implements ports.Holdings.
    """

    def __init__(self, folder: Path, mirrors: tuple[str, ...]) -> None:
        self._folder = folder
        self._mirrors = mirrors

    def held(self) -> tuple[Held, ...]:
        """As ports.Holdings.held; each since it was read last, as far as the disk notes that."""
        with explained(self._folder):
            return tuple(held for mirror in self._mirrors for held in self._of(self._folder / mirror))

    def remove(self, file: Held) -> bool:
        """As ports.Holdings.remove."""
        path = Path(file.address)
        with explained(path):
            try:
                path.unlink()
            except FileNotFoundError:
                return False
        # The folders stay: devpi may be about to write the file again.
        return True

    @staticmethod
    def _of(mirror: Path) -> Iterator[Held]:
        # `+f/3 digits/13 digits/NAME`. What ends in -tmp is being written.
        for path in mirror.glob("+f/*/*/*"):
            if not _HASHED.fullmatch(f"{path.parent.parent.name}/{path.parent.name}") or path.name.endswith("-tmp"):
                continue
            try:
                found = path.lstat()
            except FileNotFoundError:
                continue
            if stat.S_ISREG(found.st_mode):
                yield Held(
                    place=Place.CACHE,
                    filename=path.name,
                    size_bytes=found.st_size,
                    since_s=max(found.st_mtime, found.st_atime),
                    address=str(path),
                )
