"""What all Locks do, the fake ones and those on a real devpi-server alike."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from fakes.devpi import Devpi
from fakes.locks import FakeLocks
from mirror.core.errors import UnusableError
from mirror.core.retention import Reached, RegisteredLock
from mirror.ports import Locks

NewRun = Callable[[], Locks]
LOCK = RegisteredLock(
    key="0" * 40,
    project="12345678",
    path="1" * 40,
    host="here",
    asked="2" * 40,
    files=("a b=c.txt", 'quoted".txt', "é.txt"),
    target="cp311-musllinux_1_2_x86_64",
    wheels=(
        Reached(filename="a-1-py3-none-any.whl", sha256="a" * 64),
        Reached(filename="b-1-py3-none-any.whl", sha256="b" * 64, needed_by="a-1-py3-none-any.whl"),
    ),
)


@pytest.fixture(params=["fake", "devpi"])
def new_run(request: pytest.FixtureRequest) -> Iterator[NewRun]:
    """Makes the locks of another run that shares the index; none is registered, and none is left."""
    if request.param == "fake":
        fake = FakeLocks()
        yield lambda: fake
        return
    devpi: Devpi = request.getfixturevalue("devpi")
    yield devpi.locks
    for name in devpi.lock_indexes():
        devpi.locks().forget(name.removeprefix("lock-"))


def timeless(locks: tuple[RegisteredLock, ...]) -> list[RegisteredLock]:
    return [replace(lock, registered_s=0.0) for lock in locks]


def test_what_one_run_registers_another_sees(new_run: NewRun) -> None:
    """Whole, sorted by key, and dated."""
    other = replace(LOCK, key="9" * 40, wheels=())
    for lock in (other, LOCK):
        new_run().register(lock)
    assert [LOCK, other] == timeless(new_run().all())
    assert all(lock.registered_s > 0 for lock in new_run().all())


def test_a_later_one_takes_its_place(new_run: NewRun) -> None:
    """Under the same key there is one."""
    new_run().register(LOCK)
    new_run().register(replace(LOCK, wheels=LOCK.wheels[:1]))
    assert [replace(LOCK, wheels=LOCK.wheels[:1])] == timeless(new_run().all())


def test_what_is_forgotten_is_gone(new_run: NewRun) -> None:
    """Twice is no error."""
    new_run().register(LOCK)
    for _ in range(2):
        new_run().forget(LOCK.key)
    assert () == new_run().all()


def test_a_large_one_comes_back_whole(new_run: NewRun) -> None:
    """Of 2,000 packages, four times what large requirements have."""
    wheels = tuple(
        Reached(filename=f"project{n:04}-1.0-cp311-cp311-musllinux_1_2_x86_64.whl", sha256=f"{n:064x}")
        for n in range(2000)
    )
    new_run().register(replace(LOCK, wheels=wheels))
    assert [replace(LOCK, wheels=wheels)] == timeless(new_run().all())


def dated(registered: str) -> str:
    """A lock of that time."""
    data = {"version": 1, "project": "", "path": "", "host": "", "asked": "", "files": [], "target": "", "wheels": []}
    return f'{{"registered": {registered}, {json.dumps(data)[1:]}'


@pytest.mark.parametrize("registered", ["0", "1.5", "253370764800"])
def test_one_of_any_year_can_be_read(devpi: Devpi, registered: str) -> None:
    """Which shows that it is the year that is wrong with the others."""
    devpi.leave_lock("f" * 40, dated(registered))
    assert [float(registered)] == [lock.registered_s for lock in devpi.locks().all()]
    devpi.locks().forget("f" * 40)


ODD = [dated(one) for one in ("1e300", "-1", "NaN", "Infinity", "1" + "0" * 400, '"1"', "null")]
ODD.append(dated("0").replace('""', r'"\ud800"'))


@pytest.mark.parametrize("data", ["", "{}", "[]", '{"version": 2}', "no JSON", *ODD])
def test_one_that_cannot_be_read_is_an_error(devpi: Devpi, data: str) -> None:
    """It may reach anything, so nothing may be removed; what else stands beside our index is none of our business."""
    devpi.leave_lock("f" * 40, data)
    try:
        with pytest.raises(UnusableError, match=f"mirror/lock-{'f' * 40} cannot be read") as raised:
            devpi.locks().all()
    finally:
        devpi.locks().forget("f" * 40)
    assert "lock-unreadable" == raised.value.code
