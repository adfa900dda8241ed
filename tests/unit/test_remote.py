"""What a team's server says of a build, as whoever asked for it reads it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mirror.adapters.devpi.remote import with_server
from mirror.cli.remote import base_image_of
from mirror.settings import Machine, load


def test_a_servers_document_names_files_where_we_find_them() -> None:
    """The address that the server's builder has for its index is nobody else's; all the rest stays as it is."""
    files: list[dict[str, object]] = [
        {"url": "http://index:3141/mirror/alpine/+f/ab/cd/six-1.0-py3-none-any.whl"},
        {"url": "https://files.example.org/six.whl"},
        {"url": None, "reason": "see http://index:3141/mirror/alpine/+f/x"},
    ]
    moved = json.loads(with_server(json.dumps({"files": files}), "https://wheels.example.org"))
    expected = "https://wheels.example.org/mirror/alpine/+f/ab/cd/six-1.0-py3-none-any.whl"
    assert {"files": [{"url": expected}, *files[1:]]} == moved
    assert ["", "no JSON", "[" * 100_000] == [
        with_server(text, "https://wheels.example.org") for text in ("", "no JSON", "[" * 100_000)
    ]


def test_a_hostile_document_stays_what_it_is() -> None:
    """One that is too deep to be written anew, or has an address that is none: no traceback."""
    for depth in range(100, 1_100, 20):
        text = "[" * depth + "]" * depth
        assert text == "".join(with_server(text, "https://wheels.example.org").split())
    assert '{"url": "http://["}' == with_server('{"url": "http://["}', "https://wheels.example.org")


@pytest.mark.parametrize(
    ("said", "registry", "expected"),
    [
        ("registry.test/python:3.11-alpine3.20", "", "registry.test/python:3.11-alpine3.20"),
        ("", "", "python:3.11-alpine3.22"),
        ("", "mine.test", "mine.test/python:3.11-alpine3.22"),
        ("python:3.11\nRUN wget evil.test", "", "python:3.11-alpine3.22"),
        ("--platform=x python", "", "python:3.11-alpine3.22"),
    ],
)
def test_the_lines_to_paste_are_about_the_servers_image(
    said: str, registry: str, expected: str, tmp_path: Path
) -> None:
    """Its wheels were built for that one, and proved there; what is no name of an image is not pasted."""
    flags = {"python": ("3.11",), "alpine": "3.22", "registry": registry or None}
    here = Machine(processors=2, memory_bytes=2**33, config=tmp_path, data=tmp_path / "d", cache=tmp_path / "c")
    settings = load(environment={}, folder=tmp_path, flags=flags, machine=here)
    assert expected == base_image_of(said, settings)
