"""Parse large requirements files, good and bad ones, and print how long that takes.

    .venv/bin/python tests/benchmark/requirements.py

Ends with 1 where 10,000 lines took a second or more, or any file 2 seconds. As measured on two cores: 10,000 pinned
lines 0.18 s, with hashes 0.32 s, with markers and extras 0.77 s; lines of 1 MB 0.02 to 0.07 s.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping

from mirror.core.requirements import RequirementsError, parse

LINES = 10_000
DIGEST = "a" * 64
FILES: Mapping[str, Callable[[], str]] = {
    "10,000 pinned lines": lambda: "".join(f"project-{n}==1.{n}\n" for n in range(LINES)),
    "10,000 lines with markers and extras": lambda: "".join(
        f"project-{n}[a,b]>=1.{n},<2; python_version >= '3.8' and sys_platform == 'linux'\n" for n in range(LINES)
    ),
    "10,000 lines with hashes": lambda: "".join(
        f"project-{n}==1.{n} \\\n    --hash=sha256:{n:064x}\n" for n in range(LINES)
    ),
    "10,000 lines of which each is wrong": lambda: "foo==\n" * LINES,
    "one line of 1 MB": lambda: "foo==" + "1" * 1_000_000 + "\n",
    "one comment of 1 MB": lambda: "# " + "x" * 1_000_000 + "\n",
    "one line of 1 MB of options": lambda: "foo==1.0 " + f"--hash=sha256:{DIGEST} " * 12_500 + "\n",
    "one line of 1 MB of brackets": lambda: "foo; " + "(" * 1_000_000 + "\n",
}


def found(content: bytes) -> str:
    """What comes of a file, in a few words."""
    try:
        return f"{len(parse(['requirements.txt'], [], lambda _: content).requirements)} requirements"
    except RequirementsError as error:
        return f"{len(error.problems)} problems"


def main() -> int:
    """Parse, show, judge."""
    slow = False
    for name, make in FILES.items():
        content = make().encode()
        started = time.perf_counter()
        what = found(content)
        seconds = time.perf_counter() - started
        slow |= seconds >= (1.0 if name.startswith("10,000") else 2.0)
        print(f"{name:40} {seconds:6.3f} s  {what}")
    return int(slow)


if __name__ == "__main__":
    sys.exit(main())
