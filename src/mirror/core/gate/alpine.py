"""What the libc of one Alpine has and of another has not: a wheel must load on the oldest that takes it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from mirror.core.gate.elf import Elf
from mirror.core.model import Target

_SINCE: dict[str, tuple[int, int] | None] = {
    "statx": (3, 20),
    "preadv2": (3, 20),
    "pwritev2": (3, 20),
    "renameat2": None,
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

Alpine 3.16 and 3.17 have musl 1.2.3; 3.18 and 3.19 1.2.4; 3.20 to 3.24 1.2.5. musl has statx, preadv2 and pwritev2
since 1.2.5 (its WHATSNEW), renameat2 since 1.2.6 (commit 05ce67fe). The fts family was never in it: Debian's package
adds that, and renameat2 to its 1.2.5.
"""

_RELR_SINCE = (3, 18)
"""musl reads packed relative relocations (DT_RELR) since 1.2.4; before, the file is loaded without them and crashes."""

WATCHED_SYMBOLS = re.compile(b"|".join(re.escape(name).encode() for name in _SINCE))


def lacking(elf: Elf, brought: Iterable[str], target: Target) -> Iterator[str]:
    """Yield what a file needs that not every Alpine has that the target stands for; `brought` are symbols it is given.

    Where the target's base image is no Alpine, nobody knows on which one the wheel will be installed.
    """
    for symbol in sorted(elf.symbols.undefined.difference(brought)):
        if _is_missing(_SINCE[symbol], target):
            yield symbol
    if elf.has_packed_relocations and _is_missing(_RELR_SINCE, target):
        yield "packed relocations (DT_RELR)"


def _is_missing(since: tuple[int, int] | None, target: Target) -> bool:
    return since is None or target.alpine is None or target.alpine < since
