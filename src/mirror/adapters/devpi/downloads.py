"""Files of a devpi-server, downloaded to the store."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import count
from pathlib import Path

from mirror.adapters.devpi.http import DevpiClient, read_answer
from mirror.adapters.devpi.patience import PassingError
from mirror.adapters.store import Store
from mirror.core.errors import MirrorError
from mirror.core.model import IndexFile

_CHUNK = 1 << 18
_DOT_SEGMENT = re.compile(r"/(?:\.|%2e){1,2}(?:/|$)", re.IGNORECASE)
_WRONG_BYTES_TRIES = 3
"""What came with another hash may have been changed on the way; a third time, it stands there so."""
_LATE_SHARE = 8
"""devpi lists an upload a moment before its bytes are in their place; killed in between, perhaps for ever. An eighth of
all patience is long enough for the moment, and leaves time to publish it again."""


class LostBytesError(MirrorError):
    """The index lists `file`, which somebody has uploaded, and does not have its bytes. The code: `download-failed`."""

    def __init__(self, file: IndexFile, seen: tuple[str, ...]) -> None:
        super().__init__(
            "download-failed",
            f"the index lists {file.filename} and has lost its bytes",
            hint="our own index mends that at its start: `mirror down`, `mirror up`; with a devpi of your own, have it "
            f"forget the file (`curl -X DELETE -u USER '{file.url}?force='`), and build again",
            details=seen,
        )
        self.file = file


class Downloads:
    """Downloads through `client`, as patiently as that is; keeps each file by its hash."""

    def __init__(self, client: DevpiClient, store: Store) -> None:
        self._client = client
        self._store = store

    def find(self, file: IndexFile) -> Path:
        """The kept file, or `download` it. Raises as `download` does."""
        self._check_origin(file)
        return self._store.find(file.sha256, file.filename) or self.download(file)

    def download(self, file: IndexFile) -> Path:
        """The file, asked for now. Raises MirrorError (`hash-mismatch`, `download-failed`), LostBytesError."""
        wrong = count(1)
        mine = self._client.waiter.patience
        late = self._client.waiter.beside(replace(mine, total_s=mine.total_s / _LATE_SHARE)).tries()

        def once() -> Path:
            while True:
                try:
                    return self._download_once(file)
                except LostBytesError as error:
                    late.wait(PassingError(error))
                except MirrorError as error:
                    if error.code != "hash-mismatch" or next(wrong) == _WRONG_BYTES_TRIES:
                        raise
                    raise PassingError(error) from error

        return self._client.patiently(once)

    def _check_origin(self, file: IndexFile) -> None:
        """A page must not send us, or the sandbox through us, to another host or another service of this one."""
        if not file.url.startswith(f"{self._client.root}/") or _DOT_SEGMENT.search(file.url):
            raise MirrorError(
                "download-failed",
                f"{file.filename} is not on the index but at {file.url}",
                hint="turn `mirror_use_external_urls` off on the index's mirror",
            )

    def _download_once(self, file: IndexFile) -> Path:
        """Raises PassingError, LostBytesError, MirrorError (`hash-mismatch`, `download-failed`)."""
        try:
            with self._client.opened(file.url) as response:
                if response.status_code != 200:
                    said = (f"HTTP {response.status_code}", *read_answer(response, file.url).said)
                    if response.status_code == 404 and self._was_uploaded(file):
                        raise LostBytesError(file, said)
                    raise _download_failed(file, said)
                chunks = response.iter_content(_CHUNK)
                return self._store.keep(file.sha256, file.filename, chunks, origin=file.url)
        except PassingError as failure:
            # The index's own words are about the server; what is asked for here is a file.
            seen = (failure.error.what, *failure.error.details)
            raise PassingError(_download_failed(file, seen), failure.retry_after_s) from failure.__cause__

    def _was_uploaded(self, file: IndexFile) -> bool:
        """Whether devpi still knows the file, and not from an upstream: what that no longer has is gone.

        Asked for JSON, devpi tells of a file instead of sending it, wherever its bytes are.
        """
        answer = self._client.get_once(file.url)
        known = answer.result()
        return answer.status == 200 and known is not None and not known.get("url")


def _download_failed(file: IndexFile, seen: tuple[str, ...]) -> MirrorError:
    return MirrorError(
        "download-failed",
        f"{file.filename} could not be downloaded from {file.url}",
        hint="try again; if it stays, look into the index's log: its upstream may be out of reach",
        details=seen,
    )
