"""CappedLog: what it keeps, and how little memory it needs."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirror.adapters.sandbox.log import CappedLog
from mirror.core.errors import UnusableError


def written(path: Path, limit_bytes: int, pieces: list[bytes]) -> bytes:
    with CappedLog(path, limit_bytes) as log:
        for piece in pieces:
            log.write(piece)
    return path.read_bytes()


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ([], b""),
        ([b""], b""),
        ([b"ab"], b"ab"),
        ([b"abcde", b"fghij"], b"abcdefghij"),
        ([b"abcdefghij"], b"abcdefghij"),
        ([b"abcdefghijk"], b"abcde\n[... 1 bytes left out here ...]\nghijk"),
        ([b"abc", b"def", b"ghi", b"jkl"], b"abcde\n[... 2 bytes left out here ...]\nhijkl"),
        ([b"abcde", b"0123456789", b"vwxyz"], b"abcde\n[... 10 bytes left out here ...]\nvwxyz"),
        ([bytes([n]) for n in range(100)], bytes(range(5)) + b"\n[... 90 bytes left out here ...]\n_`abc"),
    ],
)
def test_head_and_tail_are_kept(tmp_path: Path, pieces: list[bytes], expected: bytes) -> None:
    """Up to the limit everything stays; over it, the first and the last half, and how much is missing between."""
    assert expected == written(tmp_path / "log", 10, pieces)


@given(st.integers(0, 40), st.lists(st.binary(max_size=30), max_size=30))
def test_nothing_is_lost_but_the_middle(
    tmp_path_factory: pytest.TempPathFactory, limit: int, pieces: list[bytes]
) -> None:
    """However it was cut into pieces, the log holds the head, the tail and the count of the rest."""
    everything = b"".join(pieces)
    head, tail = limit // 2, limit - limit // 2
    omitted = len(everything) - limit
    expected = everything
    if omitted > 0:
        marker = f"\n[... {omitted} bytes left out here ...]\n".encode()
        expected = everything[:head] + marker + everything[len(everything) - tail :]
    assert expected == written(tmp_path_factory.mktemp("log") / "log", limit, pieces)


def test_the_head_can_be_read_while_it_is_written(tmp_path: Path) -> None:
    """Somebody who looks at a running job's log sees its head at once."""
    with CappedLog(tmp_path / "log", 100) as log:
        log.write(b"now")
        assert b"now" == (tmp_path / "log").read_bytes()


@pytest.mark.parametrize("piece_bytes", [1 << 18, 1])
def test_memory_is_flat(tmp_path: Path, piece_bytes: int) -> None:
    """A gigabyte in large pieces, or a flood of single bytes, take no more than twice the tail."""
    limit = 1 << 14
    piece = b"x" * piece_bytes
    with CappedLog(tmp_path / "log", limit) as log:
        tracemalloc.start()
        try:
            for _ in range(4096 if piece_bytes > 1 else 100_000):
                log.write(piece)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 2 * limit + 3 * piece_bytes + 2048


def test_a_full_disk_is_called_one() -> None:
    """At whichever write it comes."""
    with pytest.raises(UnusableError) as caught, CappedLog(Path("/dev/full"), 10) as log:
        log.write(b"x")
    assert ("disk-full", "there is no room for /dev/full: No space left on device") == (
        caught.value.code,
        caught.value.what,
    )


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """A disk that refuses is no failure of the build: it says which file, and what to do."""
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "log"
    with pytest.raises(UnusableError) as caught:
        CappedLog(path, 10)
    assert ("log-failed", f"the log {path} cannot be written: File exists") == (caught.value.code, caught.value.what)
