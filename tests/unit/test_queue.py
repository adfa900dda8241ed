"""The queue of a team's server: in order, once, and again after whoever built is gone."""

from __future__ import annotations

import sqlite3
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mirror.adapters import queue as queue_module
from mirror.adapters.queue import (
    MOST_BEGUN,
    MOST_WAITING,
    MOST_WAITING_OF_ONE,
    BuildState,
    Origin,
    Queue,
    QueueFullError,
)
from mirror.core.build_request import BuildRequest, SourceFile
from mirror.core.errors import UnusableError


def a_request(name: str = "six") -> BuildRequest:
    return BuildRequest(files=(SourceFile(name="requirements.txt", text=f"{name}\n"),), python=("3.11",))


@pytest.fixture
def queue(tmp_path: Path) -> Queue:
    """An empty one."""
    return Queue(tmp_path / "queue")


def taken(queue: Queue) -> str:
    """The topic of what is taken next."""
    found = queue.take()
    assert found is not None
    return found[0].topic


def test_it_is_its_users_alone(queue: Queue) -> None:
    """What is asked for, and what is said of it, is nobody else's; nothing is written through a link."""
    assert [0o700, 0o700] == [path.stat().st_mode & 0o777 for path in (queue.folder, queue.folder / "output")]
    (queue.folder / "worker.lock").symlink_to(queue.folder / "elsewhere")
    with pytest.raises(UnusableError):
        Queue(queue.folder)


def test_first_come_first_served_and_people_before_installers(queue: Queue) -> None:
    """What nobody waits for in person waits itself."""
    queue.submit(a_request(), asked_by="10.0.0.1", origin=Origin.MISS, topic="a miss")
    for topic in ("one", "two"):
        queue.submit(a_request(), asked_by="alice", topic=topic)
    ahead = [queue.ahead_of(build) for build in queue.open()]
    assert [2, 0, 1] == ahead
    assert ["one", "two", "a miss"] == [taken(queue) for _ in range(3)]
    assert queue.take() is None


def test_a_build_comes_back_as_it_was_asked_for(queue: Queue) -> None:
    """And is known by its id from its beginning to its end."""
    asked = queue.submit(a_request("numpy"), asked_by="alice")
    found = queue.take()
    assert found is not None
    build, request = found
    assert (asked.id, a_request("numpy"), "requirements.txt") == (build.id, request, build.topic)
    assert (BuildState.QUEUED, BuildState.RUNNING) == (asked.state, build.state)
    queue.finish(build.id, 1)
    ended = queue.find(build.id)
    assert ended is not None
    assert (BuildState.ENDED, 1, "alice") == (ended.state, ended.status, ended.asked_by)
    assert queue.find("0" * 32) is None


def test_each_is_taken_once(queue: Queue) -> None:
    """However many take at the same time."""
    for number in range(15):
        queue.submit(a_request(), asked_by="alice", topic=str(number))
    found: list[str] = []

    def take() -> None:
        while (one := queue.take()) is not None:
            found.append(one[0].topic)

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(str, range(15))) == sorted(found)


def test_what_was_being_built_is_built_again(queue: Queue, tmp_path: Path) -> None:
    """By whoever builds next; two never build at once."""
    build = queue.submit(a_request(), asked_by="alice")
    with queue.working():
        assert queue.take() is not None
        with pytest.raises(UnusableError) as failure, Queue(tmp_path / "queue").working():
            pass
        assert "queue-worked" == failure.value.code
        assert queue.take() is None
    with Queue(tmp_path / "queue").working():
        again = queue.take()
        assert again is not None
        assert build.id == again[0].id
    assert [("stderr", "the builder was started again; going on from there\n")] == queue.said(build.id, 0)[0]
    queue.give_back(build.id)
    assert queue.take() is not None


def test_what_kills_every_builder_is_given_up(queue: Queue) -> None:
    """Else one build of one user could keep all others from theirs. A builder that is told to end has not died."""
    build = queue.submit(a_request(), asked_by="alice")
    for _ in range(5):
        assert queue.take() is not None
        queue.give_back(build.id)
    for died in range(1, MOST_BEGUN + 1):
        assert queue.take() is not None
        with queue.working():
            found = queue.find(build.id)
            assert found is not None
            assert (BuildState.ENDED if died == MOST_BEGUN else BuildState.QUEUED) == found.state
    assert found is not None
    assert (1, None) == (found.status, queue.take())
    assert "died 3 times" in queue.said(build.id, 0)[0][-1][1]


def test_a_miss_is_queued_once(queue: Queue) -> None:
    """Who misses the same gets the same build; after its end, another one."""
    first, second = (
        queue.submit(a_request(), asked_by=who, origin=Origin.MISS, topic="six==1 for x") for who in ("a", "b")
    )
    assert first.id == second.id
    queue.take()
    assert first.id == queue.submit(a_request(), asked_by="c", origin=Origin.MISS, topic="six==1 for x").id
    queue.finish(first.id, 0)
    third = queue.submit(a_request(), asked_by="c", origin=Origin.MISS, topic="six==1 for x")
    last = queue.last_about("six==1 for x")
    assert first.id != third.id
    assert last is not None
    assert third.id == last.id
    assert 2 == queue.asked_since(datetime.now(UTC) - timedelta(hours=1), Origin.MISS)
    assert 0 == queue.asked_since(datetime.now(UTC) + timedelta(hours=1), Origin.MISS)


def test_nobody_fills_it(queue: Queue) -> None:
    """One user has so many places, and all together have so many."""
    for _ in range(MOST_WAITING_OF_ONE):
        queue.submit(a_request(), asked_by="mallory")
    with pytest.raises(QueueFullError) as failure:
        queue.submit(a_request(), asked_by="mallory")
    assert "queue-full" == failure.value.code
    for number in range(MOST_WAITING - MOST_WAITING_OF_ONE):
        queue.submit(a_request(), asked_by=f"user{number}")
    with pytest.raises(QueueFullError):
        queue.submit(a_request(), asked_by="alice")


def test_what_nobody_wants_is_not_built(queue: Queue) -> None:
    """It ends where it waits; where it runs, whoever builds learns of it; what has ended stays as it is."""
    waiting, running, ended = (queue.submit(a_request(), asked_by="alice") for _ in range(3))
    queue.cancel(waiting.id)
    found = queue.find(waiting.id)
    assert found is not None
    assert (BuildState.ENDED, 130, True) == (found.state, found.status, found.cancelled)
    assert queue.take() is not None
    queue.cancel(running.id)
    found = queue.find(running.id)
    assert found is not None
    assert (BuildState.RUNNING, None, True) == (found.state, found.status, found.cancelled)
    queue.finish(ended.id, 0)
    queue.cancel(ended.id)
    found = queue.find(ended.id)
    assert found is not None
    assert (0, False) == (found.status, found.cancelled)


def test_what_a_build_says_is_read_piece_by_piece(queue: Queue) -> None:
    """From a byte on, whole pieces only, each once."""
    build = queue.submit(a_request(), asked_by="alice").id
    assert ([], 0) == queue.said(build, 0)
    queue.say(build, "stderr", "one\n")
    queue.say(build, "stdout", "two é\x1b[31m\n")
    first, offset = queue.said(build, 0, most=3)  # less than one piece
    assert [("stderr", "one\n")] == first
    assert [("stdout", "two é\x1b[31m\n")] == queue.said(build, offset)[0]
    with (queue.folder / "output" / f"{build}.jsonl").open("ab") as file:
        file.write(b'["stdout", "half')
    _, end = queue.said(build, offset)
    assert ([], end) == queue.said(build, end)
    beyond = (end + 9, 10**15, 2**64)
    assert [([], start) for start in beyond] == [queue.said(build, start) for start in beyond]
    # A byte in the middle of a piece: that one is left out.
    assert ([("stdout", "two é\x1b[31m\n")], end) == queue.said(build, 3)


def test_what_a_build_says_has_an_end(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk is not filled by one build."""
    monkeypatch.setattr(queue_module, "LARGEST_OUTPUT", 1_000)
    build = queue.submit(a_request(), asked_by="alice").id
    for _ in range(100):
        queue.say(build, "stdout", "x" * 100)
    assert (queue.folder / "output" / f"{build}.jsonl").stat().st_size < 1_200


def test_old_builds_go(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what they said; what has not ended stays."""
    monkeypatch.setattr(queue_module, "MOST_KEPT", 2)
    builds = [queue.submit(a_request(), asked_by=f"user{n}").id for n in range(4)]
    for build in builds[:3]:
        queue.say(build, "stdout", "x")
        queue.take()
        queue.finish(build, 0)
    assert [None, True, True, True] == [queue.find(build) and True for build in builds]
    assert 2 == len(list((queue.folder / "output").iterdir()))
    assert [4, 3, 2] == [build.number for build in queue.newest(10)]


def test_a_damaged_queue_is_said(tmp_path: Path) -> None:
    """And what to do about it."""
    (tmp_path / "queue").mkdir()
    (tmp_path / "queue" / "queue.sqlite").write_bytes(b"no database at all, but long enough to be looked at" * 100)
    with pytest.raises(UnusableError) as failure:
        Queue(tmp_path / "queue")
    assert "queue-unusable" == failure.value.code
    assert isinstance(failure.value.__cause__, sqlite3.Error)
