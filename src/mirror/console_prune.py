"""What `mirror prune` says: what goes and how much, what stays and why, what came of it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

from mirror.console_text import columns, size_text
from mirror.core.errors import MirrorError
from mirror.core.retention import DAY_S, Place, Policy, RegisteredLock, Retention, Verdict, Why, size_of

_LEFT = {
    Why.REACHED: "reached by a registered lock",
    Why.YOUNG: "less than a day old",
    Why.WITHIN: "within the bounds",
}


def lock_lines(locks: Sequence[RegisteredLock], forgotten: Sequence[RegisteredLock]) -> list[str]:
    """The registered locks, and which are to be forgotten."""
    if not locks:
        return ["no lock is registered: `mirror build` registers one for each target"]
    gone = {lock.key for lock in forgotten}
    rows = [
        (
            lock.project,
            ", ".join(lock.files),
            lock.target,
            lock.host,
            f"{datetime.fromtimestamp(lock.registered_s, UTC):%Y-%m-%d}" if lock.registered_s else "",
            str(len(lock.wheels)),
            "forget" if lock.key in gone else "",
        )
        for lock in locks
    ]
    header = ("lock", "files", "target", "built on", "registered", "wheels", "")
    return columns(header, rows, right=frozenset({5}))


def retention_lines(retention: Retention, policy: Policy, now_s: float, *, full: bool) -> list[str]:
    """What goes, by name where it is ours or `full`; how much that is; and what stays."""
    shown = [verdict for verdict in retention.removed if full or verdict.file.place is Place.OURS]
    lines = []
    if shown:
        header = ("to remove", "from", "size", "age", "why")
        lines += columns(header, [_row(verdict, now_s) for verdict in shown], right=frozenset({2, 3}))
    for place, what in ((Place.OURS, "of our own"), (Place.CACHE, "of upstream's that devpi keeps")):
        here = [verdict for verdict in retention.removed if verdict.file.place is place]
        if here:
            lines.append(f"to remove {what}: {amount(here)}")
    if not retention.removed:
        lines.append("nothing to remove")
    counts = Counter(verdict.why for verdict in retention.kept)
    reasons = ", ".join(f"{counts[why]} {text}" for why, text in _LEFT.items() if counts[why])
    lines.append(f"to keep: {amount(retention.kept)}" + (f" ({reasons})" if reasons else ""))
    over = size_of(retention.kept) - (policy.max_size_bytes if policy.max_size_bytes is not None else math.inf)
    if over > 0:
        lines.append(f"that is {size_text(int(over))} over --max-size: no more of it may go")
    return lines


def pruned_lines(
    removed: Sequence[Verdict], spared: Sequence[Verdict], failed: Sequence[tuple[Verdict, MirrorError]]
) -> list[str]:
    """What came of it."""
    lines = [f"removed: {amount(removed)}"]
    if spared:
        lines.append(f"spared, since a build has registered them meanwhile: {amount(spared)}")
    lines += [f"not removed [{error.code}]: {error.what}" for _, error in failed]
    lines += [f"  hint: {hint}" for hint in dict.fromkeys(error.hint for _, error in failed) if hint]
    return lines


def question(retention: Retention, forgotten: Sequence[RegisteredLock]) -> str:
    """What is to be agreed to."""
    parts = []
    if forgotten:
        parts.append("forget 1 lock" if len(forgotten) == 1 else f"forget {len(forgotten)} locks")
    if retention.removed:
        parts.append(f"remove {amount(retention.removed)}")
    text = " and ".join(parts)
    return f"{text[:1].upper()}{text[1:]}?"


def amount(verdicts: Sequence[Verdict]) -> str:
    """How many files, and their bytes."""
    files = "1 file" if len(verdicts) == 1 else f"{len(verdicts)} files"
    return f"{files}, {size_text(size_of(verdicts))}"


def _row(verdict: Verdict, now_s: float) -> tuple[str, ...]:
    file = verdict.file
    where = "our index" if file.place is Place.OURS else "cache"
    return (
        file.filename,
        where,
        size_text(file.size_bytes),
        f"{int((now_s - file.since_s) / DAY_S)} d",
        verdict.why.value,
    )
