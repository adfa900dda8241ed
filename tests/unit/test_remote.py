"""What a team's server says of a build, as whoever asked for it reads it."""

from __future__ import annotations

import json

from mirror.adapters.devpi.remote import with_server


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
