"""What the libc of one Alpine has and of another has not: a wheel must load on the oldest that takes it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from mirror.core.gate.elf import Elf
from mirror.core.model import Target

_SINCE: dict[str, tuple[int, int] | None] = {
    "qsort_r": (3, 16),
    "pthread_getname_np": (3, 16),
    "statx": (3, 20),
    "preadv2": (3, 20),
    "pwritev2": (3, 20),
    "renameat2": None,
    "posix_getdents": None,
    "fts_open": None,
    "fts_read": None,
    "fts_children": None,
    "fts_set": None,
    "fts_close": None,
    "fts64_open": None,
    "fts64_read": None,
    "fts64_children": None,
    "fts64_set": None,
    "fts64_close": None,
}
"""The first Alpine whose musl has a symbol; None where none up to 3.24 has it.

Alpine 3.13 to 3.15 have musl 1.2.2; 3.16 and 3.17 1.2.3; 3.18 and 3.19 1.2.4; 3.20 to 3.24 1.2.5. What each musl has
more than the one before is in its WHATSNEW; renameat2 (commit 05ce67fe) and posix_getdents came after 1.2.5. The fts
family was never in it: Debian's package adds that, and renameat2 to its 1.2.5.
"""

OLDEST = (3, 16)
"""What a wheel is judged for where its base image is no Alpine, and nobody knows on which it will be installed."""

_RELR_SINCE = (3, 18)
"""musl reads packed relative relocations (DT_RELR) since 1.2.4; before, the file is loaded without them and crashes."""

WATCHED_SYMBOLS = re.compile(b"|".join(re.escape(name).encode() for name in _SINCE))


def lacking(elf: Elf, brought: Iterable[str], target: Target) -> Iterator[str]:
    """Yield what a file needs that the target's Alpine has not; `brought` are symbols it is given."""
    for symbol in sorted(elf.symbols.undefined.difference(brought)):
        if _is_missing(_SINCE[symbol], target):
            yield symbol
    if elf.has_packed_relocations and _is_missing(_RELR_SINCE, target):
        yield "packed relocations (DT_RELR)"


def _is_missing(since: tuple[int, int] | None, target: Target) -> bool:
    return since is None or (target.alpine or OLDEST) < since
