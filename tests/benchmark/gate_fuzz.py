"""Throw damaged wheels and sdists at what reads strangers' bytes, for as long as is said: it must answer, always.

With atheris installed (`pip install '.[fuzz]'`) the inputs follow the code's branches; without, they are random changes
of good ones, of which the unit tests make a few.

    python tests/benchmark/gate_fuzz.py [SECONDS]
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

try:
    import atheris  # type: ignore[import-untyped, unused-ignore]
except ImportError:
    atheris = None
    from fakes.fuzz import PATIENCE_S, damaged, one_input, seeds
else:
    with atheris.instrument_imports(include=["mirror"]):
        from fakes.fuzz import PATIENCE_S, damaged, one_input, seeds


def follow_branches(seconds: int) -> None:
    """Let atheris choose the inputs; it ends the process with 0 when the time is over, and with a trace before."""
    with tempfile.TemporaryDirectory() as folder:
        for number, seed in enumerate(seeds()):
            (Path(folder) / f"seed-{number}").write_bytes(seed)
        options = [f"-max_total_time={seconds}", "-max_len=16384", "-rss_limit_mb=4096", f"-timeout={PATIENCE_S}"]
        atheris.Setup([sys.argv[0], *options, folder], one_input)
        atheris.Fuzz()


def change_at_random(seconds: int) -> None:
    """Change good inputs at random places until the time is over."""
    chance = random.Random(time.time_ns())  # noqa: S311  # no secret
    corpus = list(seeds())
    end, count = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        data = damaged(chance.choice(corpus), chance)
        try:
            one_input(data)
        except BaseException:
            print(f"after {count} inputs: {data!r}", file=sys.stderr)
            raise
        count += 1
    print(f"{count} inputs in {seconds} s, each answered")


if __name__ == "__main__":
    (change_at_random if atheris is None else follow_branches)(int(sys.argv[1]) if len(sys.argv) > 1 else 600)
