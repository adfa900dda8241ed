"""A simple page may come from anybody: what is sound in it is read, the rest is left out."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mirror.adapters.devpi.simple_page import parse
from mirror.core.errors import UnusableError
from mirror.core.model import IndexFile

PAGE_URL = "http://index.test/user/stage/+simple/demo/"
SHA256 = "ab" * 32
GOOD = {"filename": "demo-1.tar.gz", "url": f"../../+f/ab/demo-1.tar.gz#sha256={SHA256}", "hashes": {"sha256": SHA256}}


def page(*files: Any) -> bytes:
    return json.dumps({"meta": {"api-version": "1.0"}, "name": "demo", "files": files}).encode()


def test_reads_everything_about_a_file() -> None:
    """A file's link is made absolute, and loses its fragment."""
    entry = GOOD | {"requires-python": ">=3.9", "yanked": "broken", "size": 5}
    expected = IndexFile(
        filename="demo-1.tar.gz",
        url="http://index.test/user/stage/+f/ab/demo-1.tar.gz",
        sha256=SHA256,
        requires_python=">=3.9",
        yanked="broken",
        size_bytes=5,
    )
    assert (expected,) == parse(page(entry), PAGE_URL)


def test_takes_the_hash_from_the_link() -> None:
    """A page without `hashes` has the hash in the link's fragment (PEP 503)."""
    (file,) = parse(page(GOOD | {"hashes": {}}), PAGE_URL)
    assert SHA256 == file.sha256


@pytest.mark.parametrize(
    "entry", [GOOD | {"hashes": {"sha256": "AB" * 32}}, {**GOOD, "hashes": {}, "url": f"x#sha256={'Ab' * 32}"}]
)
def test_a_hash_may_be_written_in_capitals(entry: Any) -> None:
    """It is compared with what we compute, which is in lower case."""
    (file,) = parse(page(entry), PAGE_URL)
    assert SHA256 == file.sha256


@pytest.mark.parametrize(("yanked", "expected"), [(True, True), ("", False), (None, False), ("why", "why")])
def test_reads_yanked(yanked: Any, expected: Any) -> None:
    """Yanked is a reason, or yes or no."""
    (file,) = parse(page(GOOD | {"yanked": yanked}), PAGE_URL)
    assert expected == file.yanked


@pytest.mark.parametrize(
    "entry",
    [
        None,
        [],
        "demo-1.tar.gz",
        {},
        GOOD | {"filename": "../../etc/passwd"},
        GOOD | {"filename": "a/b"},
        GOOD | {"filename": ""},
        GOOD | {"filename": "a" * 300},
        GOOD | {"filename": "<script>.whl"},
        GOOD | {"filename": 5},
        GOOD | {"url": None},
        GOOD | {"url": "http://[bad/x"},
        GOOD | {"url": "x", "hashes": {"md5": "0"}},
        GOOD | {"url": "x", "hashes": {"sha256": "AB" * 31}},
        GOOD | {"url": "x", "hashes": {"sha256": 5}},
        GOOD | {"url": "x#sha256=zz", "hashes": []},
    ],
)
def test_leaves_out_what_is_not_sound(entry: Any) -> None:
    """A bad entry is left out, and takes no good one with it."""
    assert ["demo-1.tar.gz"] == [file.filename for file in parse(page(entry, GOOD), PAGE_URL)]


@pytest.mark.parametrize("size", [-1, True, False, 1.5, "1", None, [1]])
def test_ignores_odd_extras(size: Any) -> None:
    """What is not of the type it should be is as if it were not there."""
    (file,) = parse(page(GOOD | {"requires-python": ["x"], "yanked": 1, "size": size}), PAGE_URL)
    assert (None, True, None) == (file.requires_python, file.yanked, file.size_bytes)


@pytest.mark.parametrize(
    "content",
    [b"", b"<html>", b"[]", b"{}", b'{"files": []}', b"[" * 100_000, b'{"meta": {"api-version": "2.0"}, "files": []}'],
)
def test_refuses_what_is_no_page(content: bytes) -> None:
    """What is not a version 1 page in JSON is an index that cannot be used."""
    with pytest.raises(UnusableError) as caught:
        parse(content, PAGE_URL)
    assert "index-bad-page" == caught.value.code
