"""Build logs as the page shows them."""

from __future__ import annotations

from pathlib import Path

import pytest

from mirror.server.logs import Piece, last_lines, read_end, read_from, whole


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "x.log"


def test_a_log_that_grows(log: Path) -> None:
    """Whole lines only, each once; at the end the last one, whole or not."""
    log.write_bytes(b"one\ntwo\nthr")
    assert Piece(lines=("one", "two"), offset=0, following=8) == read_from(log, 0)
    assert Piece(lines=(), offset=8, following=8) == read_from(log, 8)
    log.write_bytes(b"one\ntwo\nthree\nfo")
    assert Piece(lines=("three",), offset=8, following=14) == read_from(log, 8)
    assert Piece(lines=("fo",), offset=14, following=16) == read_from(log, 14, to_end=True)
    assert Piece(lines=(), offset=16, following=16) == read_from(log, 16, to_end=True)


@pytest.mark.parametrize("offset", [17, 10**15, 2**63 - 1, 2**64])
def test_no_byte_is_beyond_a_log(offset: int, log: Path) -> None:
    """Not even one that no file can have: there is nothing more there."""
    log.write_bytes(b"one\ntwo\n")
    assert Piece(lines=(), offset=offset, following=offset) == read_from(log, offset)


def test_no_more_at_once_than_fits(log: Path) -> None:
    """What is left is for the next time; a line that is longer than that is broken."""
    log.write_bytes(b"aaaa\nbbbb\ncccc\n")
    assert Piece(lines=("aaaa", "bbbb"), offset=0, following=10) == read_from(log, 0, 12, to_end=True)
    log.write_bytes(b"x" * 30)
    assert Piece(lines=("x" * 12,), offset=0, following=12) == read_from(log, 0, 12)


def test_the_end(log: Path) -> None:
    """Its first line is whole, too."""
    log.write_bytes(b"aaaa\nbbbb\ncccc\n")
    assert Piece(lines=("bbbb", "cccc"), offset=3, following=15) == read_end(log, 12)
    assert Piece(lines=("aaaa", "bbbb", "cccc"), offset=0, following=15) == read_end(log)
    assert (("bbbb", "cccc"), ()) == (last_lines(log, 2), last_lines(None, 2))


def test_a_log_that_is_gone(log: Path) -> None:
    """Logs are pruned while somebody looks at one."""
    nothing = Piece(lines=(), offset=0, following=0)
    assert (nothing, nothing) == (read_from(log, 0), read_end(log))


def test_every_character_is_visible(log: Path) -> None:
    """Colours are left out, which are for terminals; nothing else is, and nothing overwrites what stands there."""
    log.write_bytes(b"\x1b[31merror\x1b[0m\x07\n\xff\x1b]0;title\n50%\r100%\r\na\tb\n\xe2\x80\xaex\n")
    expected = ("error\\x07", "\\xff\\x1b]0;title", "50%", "100%", "a   b", "\\u202ex")
    assert expected == read_from(log, 0).lines
    assert "".join(line + "\n" for line in expected).encode() == b"".join(whole(log))
