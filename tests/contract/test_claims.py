"""What all Claims do, the fake ones and those on a real devpi-server alike."""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from fakes.claims import ClaimBook, FakeClaims
from fakes.devpi import Devpi
from mirror.adapters.devpi import processes
from mirror.adapters.devpi.claims import SWEPT_AFTER_S
from mirror.adapters.file_claims import FileClaims
from mirror.core.errors import UnusableError
from mirror.ports import Claims

NewRun = Callable[[], Claims]


@pytest.fixture(params=["fake", "devpi", "files"])
def new_run(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[NewRun]:
    """Makes the claims of another run that shares the index."""
    if request.param == "fake":
        book = ClaimBook()
        yield lambda: FakeClaims(book)
    elif request.param == "files":
        yield lambda: FileClaims(tmp_path / "claims")
    else:
        devpi: Devpi = request.getfixturevalue("devpi")
        yield devpi.claims


@pytest.fixture
def key(request: pytest.FixtureRequest) -> str:
    """A key of the test's own."""
    return format(abs(hash(request.node.name)), "x").rjust(40, "0")[-40:]


def quiet() -> None:
    """Hear nothing."""


def test_a_claim_that_nobody_has_is_ours_at_once(new_run: NewRun, key: str) -> None:
    """And again afterwards: nobody has to be waited for."""
    waited: list[str] = []
    for _ in range(2):
        with new_run().hold(key, lambda: waited.append("")):
            pass
    assert [] == waited


def test_one_after_another(new_run: NewRun, key: str) -> None:
    """Of several runs one has it at a time; each of them gets it, and hears once that it waits."""
    inside, most, waited = [0], [0], list[str]()
    lock = threading.Lock()

    def run(name: str) -> None:
        with new_run().hold(key, lambda: waited.append(name)):
            with lock:
                inside[0] += 1
                most[0] = max(most[0], inside[0])
            threading.Event().wait(0.3)
            with lock:
                inside[0] -= 1

    threads = [threading.Thread(target=run, args=(str(n),)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert [] == [thread for thread in threads if thread.is_alive()]
    assert 1 == most[0]
    assert len(set(waited)) == len(waited) <= 4


def test_another_key_is_another_claim(new_run: NewRun, key: str) -> None:
    """Nobody waits for a stranger's job."""
    with ExitStack() as stack:
        stack.enter_context(new_run().hold(key, quiet))
        stack.enter_context(new_run().hold(key[::-1], lambda: pytest.fail("it waits")))


def test_an_error_lets_go_of_it(new_run: NewRun, key: str) -> None:
    """A compile that fails in whatever way does not keep the next one waiting."""
    with pytest.raises(ZeroDivisionError), new_run().hold(key, quiet):
        raise ZeroDivisionError
    with new_run().hold(key, lambda: pytest.fail("it waits")):
        pass


def test_who_waits_can_be_stopped(new_run: NewRun, key: str) -> None:
    """Ctrl-C ends the waiting too, and leaves the claim to whom it belongs."""
    other, waits = new_run(), threading.Event()
    errors: list[UnusableError] = []

    def wait() -> None:
        try:
            with other.hold(key, waits.set):
                pytest.fail("it is not free")
        except UnusableError as error:
            errors.append(error)

    with new_run().hold(key, quiet):
        waiting = threading.Thread(target=wait)
        waiting.start()
        assert waits.wait(timeout=30)
        other.stop()
        waiting.join(timeout=30)
        assert ["stopped"] == [error.code for error in errors]
        with pytest.raises(UnusableError, match="given up"), other.hold(key, quiet):
            pass


def test_claims_that_are_over_leave_nothing(devpi: Devpi, key: str) -> None:
    """No index is left beside the one that is published to."""
    with devpi.claims().hold(key, quiet):
        assert [f"claim-{key}-1"] == devpi.claim_indexes(key)
    assert [] == devpi.claim_indexes(key)


def test_the_claim_of_a_dead_run_on_this_machine_is_taken_over_at_once(devpi: Devpi, key: str) -> None:
    """Its process is known to be gone."""
    with subprocess.Popen(["true"]) as ended:
        pass
    devpi.leave_claim(key, f"{socket.gethostname()}:{ended.pid}:{processes.identity(1)}:x")
    with devpi.claims(expires_s=3600).hold(key, lambda: pytest.fail("it waits")):
        assert [f"claim-{key}-2"] == devpi.claim_indexes(key)


def test_the_claim_of_a_dead_run_elsewhere_expires(devpi: Devpi, key: str) -> None:
    """Where nobody can look whether it lives, its count that stands still tells; before that, it is waited for."""
    waited = threading.Event()
    devpi.leave_claim(key, "elsewhere:1:x:y")
    with devpi.claims(expires_s=3.0).hold(key, waited.set):
        assert waited.is_set()
        assert [f"claim-{key}-2"] == devpi.claim_indexes(key)


def test_a_claim_that_beats_does_not_expire(devpi: Devpi, key: str) -> None:
    """Its owner lives elsewhere and says so: the one who waits goes on waiting."""
    devpi.leave_claim(key, "elsewhere:1:x:y")
    run, waits = devpi.claims(expires_s=3.0), threading.Event()
    errors: list[UnusableError] = []

    def wait() -> None:
        try:
            with run.hold(key, waits.set):
                pytest.fail("it is not free")
        except UnusableError as error:
            errors.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    assert waits.wait(timeout=30)
    for beat in range(1, 8):
        devpi.beat_claim(key, "elsewhere:1:x:y", beat)
        threading.Event().wait(1.0)
    run.stop()
    waiting.join(timeout=30)
    assert ["stopped"] == [error.code for error in errors]


def test_the_claims_of_the_dead_are_swept(devpi: Devpi, key: str) -> None:
    """Of those that died on this machine at once, of others after a while; whoever lives elsewhere may be at it."""
    with subprocess.Popen(["true"]) as ended:
        pass
    dead, elsewhere, long_ago, living = (key[1:] + letter for letter in "abcd")
    devpi.leave_claim(dead, f"{socket.gethostname()}:{ended.pid}:{processes.identity(1)}:x")
    devpi.leave_claim(elsewhere, "elsewhere:1:x:y", age_s=SWEPT_AFTER_S / 2)
    devpi.leave_claim(long_ago, "elsewhere:1:x:y", age_s=SWEPT_AFTER_S * 2)
    with devpi.claims().hold(living, quiet):
        devpi.claims().sweep()
        left = {key: len(devpi.claim_indexes(key)) for key in (dead, elsewhere, long_ago, living)}
    assert {dead: 0, elsewhere: 1, long_ago: 0, living: 1} == left


def test_a_run_that_is_given_up_lets_go(devpi: Devpi, tmp_path: Path, key: str) -> None:
    """Though it may ask the index nothing more: nobody must wait until it expires."""
    index = devpi.open(tmp_path)
    with index.claims().hold(key, quiet):
        assert [f"claim-{key}-1"] == devpi.claim_indexes(key)
        index.stop()
    assert [] == devpi.claim_indexes(key)
