"""What prune says, as exact text, and what a script gets."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mirror.console_prune import lock_lines, pruned_lines, question, retention_lines
from mirror.core.errors import UnusableError
from mirror.core.retention import DAY_S, Held, Place, Policy, Reached, RegisteredLock, Retention, Verdict, decide
from mirror.core.retention_json import pruned_json, retention_json

NOW_S = 20_000.0 * DAY_S
LOCK = RegisteredLock(
    key="k",
    project="0a1b2c3d",
    path="p",
    host="here",
    asked="a",
    files=("dev.txt", "requirements.txt"),
    target="cp311-musllinux_1_2_x86_64",
    wheels=(Reached(filename="a.whl", sha256="0"),),
    registered_s=NOW_S,
)
UNDATED = replace(LOCK, key="l", registered_s=0.0)


def held(filename: str, days: int, place: Place = Place.OURS) -> Held:
    return Held(place=place, filename=filename, size_bytes=2_000_000, since_s=NOW_S - days * DAY_S, address=filename)


FILES = [
    held("a.whl", 400),
    held("b.whl", 100),
    held("c.whl", 0),
    held("d.whl", 10),
    held("e.whl", 200, Place.CACHE),
    held("f.whl", 20, Place.CACHE),
]
POLICY = Policy(older_than_s=90 * DAY_S)


def found(policy: Policy = POLICY) -> Retention:
    return decide(FILES, [LOCK], policy, NOW_S)


def test_what_goes_is_listed_where_it_is_ours() -> None:
    """What devpi has of upstream's may be ten thousands of files: of those the number, and by name when verbose."""
    summary = [
        "to remove of our own: 1 file, 2 MB",
        "to remove of upstream's that devpi keeps: 1 file, 2 MB",
        "to keep: 4 files, 8 MB (1 reached by a registered lock, 1 less than a day old, 2 within the bounds)",
    ]
    ours = ["to remove  from       size    age  why", "b.whl      our index  2 MB  100 d  age"]
    assert [*ours, *summary] == retention_lines(found(), POLICY, NOW_S, full=False)
    cached = ["e.whl      cache      2 MB  200 d  age"]
    assert [ours[0], *cached, ours[1], *summary] == retention_lines(found(), POLICY, NOW_S, full=True)


def test_what_stays_over_the_size_is_told() -> None:
    """The bound cannot be kept: what is reached or young stays."""
    policy = Policy(max_size_bytes=1_000_000)
    assert [
        "to keep: 2 files, 4 MB (1 reached by a registered lock, 1 less than a day old)",
        "that is 3 MB over --max-size: no more of it may go",
    ] == retention_lines(found(policy), policy, NOW_S, full=False)[-2:]


def test_nothing_to_remove_is_said() -> None:
    """Also of an index that holds nothing."""
    expected = ["nothing to remove", "to keep: 0 files, 0 B"]
    assert expected == retention_lines(decide([], [], POLICY, NOW_S), POLICY, NOW_S, full=False)


def test_the_locks_are_listed() -> None:
    """With what tells them apart, and which are forgotten."""
    assert [
        "lock      files                      target                      built on  registered  wheels",
        "0a1b2c3d  dev.txt, requirements.txt  cp311-musllinux_1_2_x86_64  here      2024-10-04       1",
        "0a1b2c3d  dev.txt, requirements.txt  cp311-musllinux_1_2_x86_64  here                       1  forget",
    ] == lock_lines([LOCK, UNDATED], [UNDATED])
    assert ["no lock is registered: `mirror build` registers one for each target"] == lock_lines([], [])


def test_what_came_of_it() -> None:
    """A hint stands once."""
    error = UnusableError("index-forbidden", "b.whl may not be removed", hint="ask its owner")
    verdicts = found().removed
    failed = [(verdicts[0], error), (verdicts[1], error)]
    assert [
        "removed: 2 files, 4 MB",
        "spared, since a build has registered them meanwhile: 1 file, 2 MB",
        "not removed [index-forbidden]: b.whl may not be removed",
        "not removed [index-forbidden]: b.whl may not be removed",
        "  hint: ask its owner",
    ] == pruned_lines(verdicts, verdicts[:1], failed)
    assert {
        "removed": {"files": 2, "size_bytes": 4_000_000},
        "spared": ["e.whl"],
        "failed": [{"filename": "e.whl", "code": "index-forbidden", "what": "b.whl may not be removed"}],
    } == pruned_json(verdicts, verdicts[:1], failed[:1])


@pytest.mark.parametrize(
    ("verdicts", "forgotten", "expected"),
    [
        (found().removed, (), "Remove 2 files, 4 MB?"),
        (found().removed, (LOCK,), "Forget 1 lock and remove 2 files, 4 MB?"),
        ((), (LOCK, UNDATED), "Forget 2 locks?"),
    ],
)
def test_it_is_asked_how_much(
    verdicts: tuple[Verdict, ...], forgotten: tuple[RegisteredLock, ...], expected: str
) -> None:
    """Files and bytes, before anything goes."""
    assert expected == question(Retention(removed=verdicts, kept=()), forgotten)


def test_the_json() -> None:
    """Every file of ours, and of upstream's those that go; a time that nobody knows is null."""
    timeless = replace(FILES[3], since_s=float("inf"))
    document = retention_json(decide([*FILES[:2], timeless, *FILES[4:]], [LOCK], POLICY, NOW_S), [LOCK, UNDATED], [])
    lock = {
        "id": "0a1b2c3d",
        "files": ["dev.txt", "requirements.txt"],
        "target": "cp311-musllinux_1_2_x86_64",
        "host": "here",
        "registered": "2024-10-04T00:00:00+00:00",
        "wheels": 1,
    }

    def file(name: str, since: str | None, why: str, *reached_by: str) -> dict[str, object]:
        return {
            "filename": name,
            "size_bytes": 2_000_000,
            "since": since,
            "why": why,
            "reached_by": list(reached_by),
        }

    assert {
        "version": 1,
        "locks": [lock, lock | {"registered": None}],
        "forgotten": [],
        "removed": {
            "files": 2,
            "size_bytes": 4_000_000,
            "ours": [file("b.whl", "2024-06-26T00:00:00+00:00", "age")],
            "cached": [file("e.whl", "2024-03-18T00:00:00+00:00", "age")],
        },
        "kept": {
            "files": 3,
            "size_bytes": 6_000_000,
            "ours": [
                file("a.whl", "2023-08-31T00:00:00+00:00", "reached", "0a1b2c3d"),
                file("d.whl", None, "young"),
            ],
            "by_why": {"reached": 1, "young": 1, "within": 1},
        },
    } == document
