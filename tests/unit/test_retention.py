"""What may be removed: nothing that is reached, and else by age and size; and whose lock replaces whose."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.house import requirements
from fakes.outcomes import TARGET
from mirror.core.errors import MirrorError
from mirror.core.model import Requirements
from mirror.core.retention import (
    DAY_S,
    Held,
    Origin,
    Place,
    Policy,
    Reached,
    RegisteredLock,
    Retention,
    Verdict,
    Why,
    decide,
    expired,
    joined,
    make_lock,
    named,
    renewed,
    size_of,
)

NOW_S = 1_000 * DAY_S
HERE = Origin(host="here", folder="/app")


def held(filename: str, *, days: float = 100, size_bytes: int = 10, place: Place = Place.OURS) -> Held:
    """A file that is `days` old."""
    return Held(
        place=place,
        filename=filename,
        size_bytes=size_bytes,
        since_s=NOW_S - days * DAY_S,
        address=f"{place.value}/{filename}",
    )


def lock(*filenames: str, origin: Origin = HERE, asks: str = "demo") -> RegisteredLock:
    """What a build of requirements.txt registers that reaches these."""
    return make_lock(requirements(asks), TARGET, origin, [Reached(filename=name, sha256="0") for name in filenames])


def words(retention: Retention) -> tuple[list[str], list[str]]:
    """What goes and what stays, as `a age`."""
    said = [
        [f"{verdict.file.filename} {verdict.why.value}" for verdict in verdicts]
        for verdicts in (retention.removed, retention.kept)
    ]
    return said[0], said[1]


def test_what_is_too_old_goes_unless_a_lock_reaches_it() -> None:
    """A lock holds a file of any age."""
    files = [held("old"), held("reached", days=900), held("new", days=30)]
    found = decide(files, [lock("reached")], Policy(older_than_s=90 * DAY_S), NOW_S)
    assert (["old age"], ["new within", "reached reached"]) == words(found)
    assert Verdict(file=files[1], why=Why.REACHED, reached_by=(lock("reached"),)) == found.kept[1]


def test_without_the_lock_it_goes() -> None:
    """The test above can fail."""
    found = decide([held("reached", days=900)], [], Policy(older_than_s=90 * DAY_S), NOW_S)
    assert (["reached age"], []) == words(found)


def test_what_was_published_today_stays() -> None:
    """Whatever was asked for: its build may be about to register it."""
    files = [held("today", days=0.9), held("yesterday", days=1.1)]
    assert (["yesterday age"], ["today young"]) == words(decide(files, [], Policy(older_than_s=1), NOW_S))
    assert (["yesterday size"], ["today young"]) == words(decide(files, [], Policy(max_size_bytes=1), NOW_S))


def test_while_it_is_too_large_upstreams_go_first_and_the_oldest_first() -> None:
    """A download is cheaper than a compile."""
    files = [
        held("ours-old", days=300),
        held("ours-new", days=50),
        held("cached-old", days=20, place=Place.CACHE),
        held("cached-new", days=10, place=Place.CACHE),
        held("reached", days=400, size_bytes=100),
    ]
    expected = [
        (139, ["cached-old size"]),
        (120, ["cached-old size", "cached-new size"]),
        (119, ["cached-old size", "cached-new size", "ours-old size"]),
        (1, ["cached-old size", "cached-new size", "ours-old size", "ours-new size"]),
    ]
    found = [
        (limit, words(decide(files, [lock("reached")], Policy(max_size_bytes=limit), NOW_S))[0])
        for limit, _ in expected
    ]
    assert expected == found


def test_age_comes_before_size() -> None:
    """What is too old makes room, and is not counted twice."""
    files = [held("old", days=300), held("new", days=50)]
    policy = Policy(older_than_s=90 * DAY_S, max_size_bytes=10)
    assert (["old age"], ["new within"]) == words(decide(files, [], policy, NOW_S))


NAMES = st.sampled_from("abcdefgh")
FILES = st.lists(
    st.builds(
        held,
        NAMES,
        days=st.floats(0, 1_000),
        size_bytes=st.integers(0, 1_000),
        place=st.sampled_from(Place),
    ),
    unique_by=lambda file: file.address,
)
LOCKS = st.lists(st.builds(lambda names: lock(*names), st.sets(NAMES)), max_size=3)
POLICIES = st.builds(
    Policy,
    older_than_s=st.none() | st.integers(1, 900 * DAY_S),
    max_size_bytes=st.none() | st.integers(1, 5_000),
)


@given(files=FILES, locks=LOCKS, policy=POLICIES)
def test_nothing_reached_is_ever_removed(files: list[Held], locks: list[RegisteredLock], policy: Policy) -> None:
    """Every file has one verdict, the bytes add up, and a second prune finds nothing more to do."""
    found = decide(files, locks, policy, NOW_S)
    reached = {wheel.filename for each in locks for wheel in each.wheels}
    assert not reached & {verdict.file.filename for verdict in found.removed}
    assert sorted(file.address for file in files) == sorted(
        verdict.file.address for verdict in (*found.removed, *found.kept)
    )
    assert sum(file.size_bytes for file in files) == size_of(found.removed) + size_of(found.kept)
    again = decide([verdict.file for verdict in found.kept], locks, policy, NOW_S)
    assert ((), found.kept) == (again.removed, again.kept)


@given(files=FILES, locks=LOCKS, policy=POLICIES)
def test_what_stays_over_the_limit_may_not_go(files: list[Held], locks: list[RegisteredLock], policy: Policy) -> None:
    """Only what is reached or young keeps it over the size that was asked for."""
    found = decide(files, locks, policy, NOW_S)
    if policy.max_size_bytes is not None and size_of(found.kept) > policy.max_size_bytes:
        assert {verdict.why for verdict in found.kept} <= {Why.REACHED, Why.YOUNG}


ELSEWHERE = Origin(host="there", folder="/app")


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (lock("x"), True),
        (lock(asks="more"), True),
        (lock(origin=ELSEWHERE), True),
        (lock(origin=ELSEWHERE, asks="more"), False),
        (lock(origin=replace(HERE, folder="/other")), False),
        (make_lock(requirements("demo"), replace(TARGET, python="3.12"), HERE, ()), False),
    ],
    ids=["again", "one more required", "CI", "another machine's project", "another folder", "another target"],
)
def test_a_later_build_of_the_same_files_replaces_its_lock(other: RegisteredLock, expected: bool) -> None:
    """And nobody else's."""
    assert expected == lock("a").replaces(other)


def test_a_file_is_known_by_its_path() -> None:
    """From whichever folder it is named."""
    line = requirements("demo").requirements[0]

    def named_so(folder: str, file: str) -> RegisteredLock:
        asked = Requirements(requirements=(replace(line, location=replace(line.location, file=file)),))
        return make_lock(asked, TARGET, Origin(host="here", folder=folder), ())

    same = [("/app", "dev.txt"), ("/", "app/dev.txt"), ("/app/x", "../dev.txt"), ("/elsewhere", "/app/dev.txt")]
    assert 1 == len({named_so(*each).key for each in same})
    assert named_so("/app", "dev.txt").key != named_so("/other", "dev.txt").key


def test_what_compiling_took_stays_while_what_was_compiled_is_reached() -> None:
    """A build that compiles nothing does not see it; once the wheel is reached no more, it goes too."""
    needed = [
        Reached(filename="tool", sha256="1", needed_by="a"),
        Reached(filename="tool of the tool", sha256="2", needed_by="tool"),
        Reached(filename="other tool", sha256="3", needed_by="b"),
    ]
    before = replace(lock("a", "b"), wheels=(*lock("a", "b").wheels, *needed))
    assert {*lock("a").wheels, *needed[:2]} == set(renewed([before], lock("a")).wheels)
    assert lock("c") == renewed([before], lock("c"))
    assert lock("a", "b", "c").wheels == joined([lock("a", "b")], lock("b", "c")).wheels
    assert lock("a") == renewed([], lock("a")) == joined([], lock("a"))


def test_locks_that_no_build_renews_expire() -> None:
    """But for those of which nobody knows when they were registered."""
    old, new, timeless = (replace(lock(), registered_s=time_s) for time_s in (NOW_S - 100, NOW_S - 50, 0.0))
    assert (old,) == expired([old, new, timeless], 60, NOW_S)


def test_a_lock_is_named_by_a_file_or_its_digits() -> None:
    """All targets of a project together; where two projects say the same, that is asked back."""
    here = [lock(), make_lock(requirements("demo"), replace(TARGET, python="3.12"), HERE, ())]
    other = lock(origin=replace(HERE, folder="/other"))
    assert tuple(here) == named(here, "requirements.txt")
    assert (other,) == named([*here, other], other.project)
    with pytest.raises(MirrorError, match=r"^no lock of dev\.txt is registered$"):
        named(here, "dev.txt")
    with pytest.raises(MirrorError, match=r"^several projects have registered requirements\.txt$") as raised:
        named([*here, other], "requirements.txt")
    assert f"{other.project}: requirements.txt for {TARGET} (here)" in raised.value.details
