"""What a team's server is asked for: nothing but requirements travels, and a stranger's request is read as one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirror.core import requirements as requirements_files
from mirror.core.build_request import (
    LARGEST_TEXT,
    MOST_FILES,
    BuildRequest,
    SourceFile,
    read_build_request,
    source_files,
)
from mirror.core.errors import BadInputError

HASH = "--hash=sha256:" + "a" * 64
FILES = {
    "app/requirements.txt": f"--pre\n-r base.txt\n-c ../limits.txt\n# a comment\nnumpy==1.23.5 \\\n    {HASH}\n",
    "app/base.txt": f"\ndjango==4.1.4 {HASH} # why\n",
    "app/../limits.txt": "six<2\n",
    "other/base.txt": f"six==1.16.0 {HASH}\n",
}


def read(path: str) -> bytes:
    if path not in FILES:
        raise FileNotFoundError
    return FILES[path].encode()


def a_request(**changes: Any) -> dict[str, Any]:
    """A request as it travels."""
    plain = {"version": 1, "requirements": [{"name": "requirements.txt", "text": "six\n"}]}
    return {**plain, **changes}


def test_only_requirements_travel_each_on_its_line() -> None:
    """No include, no comment, no option but --pre; two files of one name have two."""
    parsed = requirements_files.parse(["app/requirements.txt", "other/base.txt"], [], read)
    assert (
        SourceFile(name="base.txt", text=f"\ndjango==4.1.4 {HASH}\n--pre\n"),
        SourceFile(name="requirements.txt", text=f"\n\n\n\nnumpy==1.23.5 {HASH}\n"),
        SourceFile(name="2-base.txt", text=f"six==1.16.0 {HASH}\n"),
        SourceFile(name="limits.txt", text="six<2\n", constraint=True),
    ) == source_files(parsed)


def test_a_request_survives_the_journey() -> None:
    """Read again, it is the same; and so is what is read of that."""
    files = source_files(requirements_files.parse(["app/requirements.txt"], [], read))
    request = BuildRequest(
        files=files, python=("3.11", "3.12"), retry=True, as_json=True, volume="quiet", origin="ci-1:0a1b"
    )
    assert request == read_build_request(request.to_json())


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        "{}",
        {},
        a_request(version=2),
        a_request(requirements=[]),
        a_request(requirements="requirements.txt"),
        a_request(requirements=[["requirements.txt", "six"]]),
        a_request(requirements=[{"name": "requirements.txt"}]),
        a_request(requirements=[{"name": "requirements.txt", "text": "# nothing\n"}]),
        a_request(requirements=[{"name": name, "text": "six\n"} for name in ("a.txt", "a.txt")]),
        a_request(constraints=[{"name": "requirements.txt", "text": "six\n"}]),
        a_request(requirements=[{"name": f"{n}.txt", "text": "six\n"} for n in range(MOST_FILES + 1)]),
        a_request(requirements=[{"name": "a.txt", "text": "#" * (LARGEST_TEXT + 1)}]),
        a_request(python="3.11"),
        a_request(python=["3.11; rm -rf /"]),
        a_request(python=["--index-url=x"]),
        a_request(python=["3.11"] * 11),
        a_request(retry="yes"),
        a_request(volume="loud"),
        a_request(origin="-x:00"),
        a_request(origin="a:b c"),
        a_request(origin=7),
        *(
            a_request(requirements=[{"name": name, "text": "six\n"}])
            for name in ("../x", "/etc/passwd", "a/b", "-r", "", ".", "..", "a\nb", "x" * 101, "a\x00", "mirror.toml")
        ),
    ],
)
def test_what_is_no_request_is_refused(value: object) -> None:
    """Whatever a stranger sends."""
    with pytest.raises(BadInputError) as failure:
        read_build_request(value)
    assert "bad-request" == failure.value.code


@pytest.mark.parametrize(
    "text",
    [
        "-r /etc/passwd\n",
        "-c base.txt\n",
        "--index-url https://evil.example/\nsix\n",
        "-e .\n",
        "./local\n",
        "six=1\n",
    ],
)
def test_what_could_reach_elsewhere_is_refused(text: str) -> None:
    """A request has files of its own and nothing of the server's."""
    with pytest.raises(BadInputError) as failure:
        read_build_request(a_request(requirements=[{"name": "requirements.txt", "text": text}]))
    assert "requirements" == failure.value.code


KEYS = st.sampled_from(["version", "requirements", "name", "text", "python", "constraints"])
NONSENSE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner)
)


@given(NONSENSE)
def test_nothing_but_an_error_of_ours_comes_of_nonsense(value: object) -> None:
    """No TypeError, no KeyError."""
    try:
        read_build_request(value)
    except BadInputError:
        return


def test_no_name_that_is_made_shorter_becomes_that_of_settings() -> None:
    """The worker writes the files into a folder, whose mirror.toml would be read."""
    name = "a" * 20 + "-" * 69 + "mirror.toml"
    request = read_build_request({"version": 1, "requirements": [{"name": name, "text": "six"}]})
    assert ["2-mirror.toml"] == [file.name for file in request.files]
