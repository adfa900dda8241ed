"""Kill `mirror build` with SIGKILL at random points over a small graph, and see that nothing is lost or done twice.

    .venv/bin/python tests/benchmark/kill.py [KILLS] [--seed N] [--minutes N]

Needs the images that `mirror up` makes; has an index of its own in a temporary folder, and an upstream on loopback.
Runs follow each other over the same data folder until all of a graph is built; then upstream offers the next graph. The
index is no part of the tool and is not killed. Of the kills, three of ten wait for a line that says that something is
being handed over, and come within 80 ms of it; the others are spread evenly over the length of a whole run.

As run once on two busy cores: 500 kills over 243 graphs (1,432 wheels); lost 0, projects with two files 0, compiled
again 0, containers left 0, jobs without the one outcome 0; resumed in 1.5 s (median), 6.2 s (slowest). Uploads could
not be counted then, since the index had put its log aside twice; now it is read as it grows.

Ends with 1 where something was lost, published twice or compiled again after it was published, where a container was
there after the next run, where a job has no outcome, or where the next run took more than 10 s to be at work again.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

import docker

sys.path.insert(0, str(Path(__file__).parents[1]))

from fakes.aftermath import Witness
from fakes.kills import PROMISED_S, Campaign, Figures
from fakes.small_graph import a_site


def show(figures: Figures) -> None:
    """Print what came of it."""
    found = figures.findings
    rows = (
        ("kills", f"{figures.kills} over {figures.graphs} graphs of 6 sdists"),
        ("lost", len(found.lost)),
        ("published or compiled twice", len(found.twice)),
        ("containers left after the next run", len(found.left)),
        ("jobs without the one outcome", len(found.journal)),
        ("resumed, median", f"{figures.median_s:.1f} s"),
        ("resumed, slowest", f"{figures.slowest_s:.1f} s (promised: {PROMISED_S:.0f} s)"),
        ("index servers at once, at most", figures.most_servers),
        ("claims on the index at the end", figures.claims_left),
        ("half files in the data folder at the end", figures.half_files_left),
    )
    for what, value in rows:
        print(f"{what:42} {value}")
    print("\nkills that hit a job in this stage (one kill may hit two):")
    for stage, count in figures.stages.most_common():
        print(f"{stage:42} {count}")


def main() -> int:
    """Kill, show the figures, judge."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("kills", type=int, nargs="?", default=500)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    parser.add_argument("--minutes", type=float, default=120, help="end after so long, however many kills it were")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="mirror-kill-"))
    engine = docker.from_env()
    with a_site(folder) as site:
        campaign = Campaign(site, Witness(site.mirror, engine), seed=options.seed)
        figures = campaign.run(options.kills, deadline=time.monotonic() + options.minutes * 60)
    show(figures)
    if figures.broken:
        print(f"\n{figures.findings}\nwhat was left stands in {folder}", file=sys.stderr)
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
