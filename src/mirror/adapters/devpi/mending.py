"""Mends what a killed devpi-server leaves: uploads that it lists and whose bytes never came to their place.

devpi (6.20) writes an upload beside its place, as `NAME-DIGEST-tmp`, commits it to its database, and then renames the
file. At its start it finishes what the last transaction has left to rename. Where another transaction was committed in
between, the first one's file stays aside for ever: it is listed, and asking for it is answered with 404.
"""

from __future__ import annotations

import hashlib
import math
import re
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from mirror.adapters.devpi.http import DevpiClient
from mirror.adapters.devpi.patience import PassingError
from mirror.core.errors import UnusableError

_UPLOADED = re.compile(r"[^/]+/[^/]+/\+f/[0-9a-f]{3}/[0-9a-f]{13}/[^/]*[^/.][^/]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_DOUBTED_S = 60.0
"""Before the last transaction. A kernel keeps what it has not written to the disk yet for half a minute."""
_MOST_DROPPED = 20
"""A kill costs the few files that were uploaded at that moment. More are missing where somebody moved a folder."""


def finish_uploads(server: Path, user: str, say: Callable[[str], None]) -> tuple[str, ...]:
    """Bring the files of a user's indexes to their places while no server runs over the folder `server`.

    A file is brought there only where its hash is the one that is listed. Returns what is listed and whose bytes are
    nowhere (a power failure takes them), as paths from the server's root; () where those are too many for that, which
    `say` hears. What nobody can have been told of is removed. Raises UnusableError (`index-database`).
    """
    files = server / "+files"
    doubted_since_s = (server / ".sqlite").stat().st_mtime - _DOUBTED_S
    with _opened(server / ".sqlite") as database:
        (last,) = database.execute("SELECT max(serial) FROM changelog").fetchone()
        lost = _not_brought(database, files, user, doubted_since_s)
    if len(lost) > _MOST_DROPPED:
        say(f"{len(lost)} files of the index's are not on its disk: has a folder been moved, or not been mounted?")
        return ()
    for path in (path for path, serial in lost.items() if serial == last):
        # devpi refuses to start without what the last transaction has written.
        (files / path).parent.mkdir(parents=True, exist_ok=True)
        (files / path).touch()
    for aside in (files / user).glob("*/+f/*/*/*-tmp"):
        aside.unlink(missing_ok=True)
    return tuple(sorted(lost))


def drop(root: DevpiClient, lost: Sequence[str], say: Callable[[str], None]) -> None:
    """Let the index, where `root` is logged in as root, no longer list files whose bytes are lost.

    Then they can be published again. `say` hears of each. Raises UnusableError (`index-layout`).
    """
    for path in lost:
        try:
            answer = root.send("DELETE", f"{root.root}/{quote(path)}?force=")
        except PassingError as failure:
            raise failure.error from None
        if answer.status not in (200, 404, 410):
            raise UnusableError(
                "index-layout",
                f"the embedded index refused to remove {path}, whose bytes are lost: HTTP {answer.status}",
                hint="look into its log, devpi.log in its data folder",
                details=answer.said,
            )
        say(f"the index had lost the bytes of {path.rpartition('/')[2]}, and lists it no longer")


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    """devpi's database, to be read. Raises UnusableError (`index-database`) where it cannot be."""
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as database:
            yield database
    except sqlite3.Error as error:
        raise UnusableError(
            "index-database",
            f"the index's database {path} cannot be read: {error}",
            hint="put back a backup, or move the index's data folder away to begin anew",
        ) from error


def _not_brought(database: sqlite3.Connection, files: Path, user: str, doubted_since_s: float) -> dict[str, int]:
    """Each listed file whose bytes are not in its place and could not be brought there, with its last transaction.

    Bytes that were written since `doubted_since_s` (POSIX) are looked at: a power failure may have left a part of them.
    """
    # The keys between are exactly those that begin with "USER/", and the database finds them by its index.
    rows = database.execute(
        "SELECT key, serial FROM kv WHERE key > ? AND key < ? AND keyname = 'STAGEFILE'", (f"{user}/", f"{user}0")
    )
    lost = {}
    for path, serial in rows.fetchall():
        place = files / path
        if not _UPLOADED.fullmatch(path) or _written_s(place) < doubted_since_s:
            continue
        sha256 = _listed_hash(database, path, serial)
        if sha256 is not None and not _is_whole(place, sha256) and not _bring(place, sha256):
            lost[path] = serial
    return lost


def _written_s(path: Path) -> float:
    """When a file was written; never, as it were, where there is not a byte in it."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return math.inf
    return found.st_mtime if found.st_size else math.inf


def _is_whole(place: Path, sha256: str) -> bool:
    return place.is_file() and _hash_of(place) == sha256


def _listed_hash(database: sqlite3.Connection, path: str, serial: int) -> str | None:
    """The SHA-256 that devpi lists the file with; None where it was removed, or has none."""
    from devpi_server.fileutil import loads  # noqa: PLC0415 - 150 ms, for what is seldom needed

    row = database.execute("SELECT data FROM changelog WHERE serial = ?", (serial,)).fetchone()
    changes, _ = loads(row[0])  # type: ignore[no-untyped-call]
    _, _, value = changes[path]
    listed = str((value or {}).get("hash_spec")).removeprefix("sha256=")
    return listed if _SHA256.fullmatch(listed) else None


def _bring(place: Path, sha256: str) -> bool:
    """Rename what lies beside the place and has this hash; whether there was such a file."""
    for aside in place.parent.glob("*-tmp"):
        if aside.name.startswith(f"{place.name}-") and _hash_of(aside) == sha256:
            aside.replace(place)
            return True
    return False


def _hash_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
