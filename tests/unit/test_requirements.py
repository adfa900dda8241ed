"""Requirements files: what they say, and exactly what is said about what is wrong with them."""

import os.path
import re
import time
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.utils import canonicalize_name

from mirror.core.errors import ExitStatus
from mirror.core.model import Location, RequirementLine, Requirements, Target
from mirror.core.requirements import RequirementsError, parse
from mirror.core.target import applies

DATA = Path(__file__).parent / "data" / "requirements"
CASES = tomllib.loads((DATA / "problems.toml").read_text(encoding="utf-8"))["case"]
DIGEST = "a" * 64


def reader(files: Mapping[str, bytes]) -> Callable[[str], bytes]:
    """A file system of `files`, with a folder, a locked file and a broken device in it."""
    trouble: dict[str, OSError] = {
        "folder": IsADirectoryError(21, "Is a directory"),
        "locked.txt": PermissionError(13, "Permission denied"),
        "broken.txt": OSError(5, "Input/output error"),
    }

    def read(path: str) -> bytes:
        name = os.path.normpath(path)
        if name in files:
            return files[name]
        raise trouble.get(name, FileNotFoundError(2, "No such file or directory"))

    return read


def parsed(text: str | bytes, **others: str) -> Requirements:
    """What requirements.txt says."""
    content = text if isinstance(text, bytes) else text.encode()
    files = {"requirements.txt": content, **{f"{name}.txt": other.encode() for name, other in others.items()}}
    return parse(["requirements.txt"], [], reader(files))


def texts(requirements: Requirements) -> list[str]:
    """The specifiers alone."""
    return [line.text for line in requirements.requirements]


def content_of(case: Mapping[str, Any]) -> dict[str, bytes]:
    """The files of a case as bytes."""
    files = case.get("files", {})
    return {name: bytes.fromhex(v["hex"]) if isinstance(v, dict) else v.encode() for name, v in files.items()}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_problems_are_rendered_exactly(case: Mapping[str, Any]) -> None:
    """Each wrong input is answered with exactly these lines."""
    with pytest.raises(RequirementsError) as caught:
        parse(case.get("named", ["requirements.txt"]), case.get("constraints", []), reader(content_of(case)))
    assert case["expected"] == [*caught.value.details]
    assert (ExitStatus.BAD_INPUT, "requirements") == (caught.value.status, caught.value.code)


def test_the_articles_own_requirements() -> None:
    """The plain case: three specifiers, each with its place."""
    assert Requirements(
        requirements=(
            RequirementLine(
                text="pandas~=1.5.2",
                name=canonicalize_name("pandas"),
                location=Location(file="requirements.txt", line=1),
            ),
            RequirementLine(
                text="Django~=4.1.4",
                name=canonicalize_name("django"),
                location=Location(file="requirements.txt", line=3, column=3),
            ),
        )
    ) == parsed("pandas~=1.5.2\n# a comment\n  Django ~= 4.1.4  # why\n")


@pytest.mark.parametrize(
    ("written", "normal"),
    [
        ("foo", "foo"),
        ("Foo.Bar_baz", "Foo.Bar_baz"),
        ("foo >= 1, < 2", "foo<2,>=1"),
        ("foo (>=1)", "foo>=1"),
        ("foo[b, a]>=1", "foo[a,b]>=1"),
        ("foo==1.*", "foo==1.*"),
        ("foo===2004d", "foo===2004d"),
        ("foo;python_version<'3.9'", 'foo; python_version < "3.9"'),
        ("foo ; (os_name=='a' or os_name=='b')", 'foo; os_name == "a" or os_name == "b"'),
        ("foo==1\\\n.0", "foo==1.0"),
        ("foo \\\n>=1 \\\n,<2", "foo<2,>=1"),
        ("foo \\\n# a comment ends the line\n", "foo"),
    ],
)
def test_specifiers_are_normalised(written: str, normal: str) -> None:
    """The text is the specifier as packaging writes it."""
    assert [normal] == texts(parsed(written))


def test_hashes_stand_beside_their_requirement() -> None:
    """Several hashes over continued lines, in any of the forms that pip takes."""
    text = f"foo==1.0 \\\n  --hash=sha256:{DIGEST} \\\n  --hash 'sha512:{DIGEST.upper()}{DIGEST}'\n"
    assert (f"sha256:{DIGEST}", f"sha512:{DIGEST}{DIGEST}") == parsed(text).requirements[0].hashes


def test_includes_are_relative_to_the_file_they_stand_in() -> None:
    """A nested -r and -c, in every spelling of the option."""
    files = {
        "requirements.txt": b"-r nested/a.txt\n-cnested/c.txt\nlast\n",
        "nested/a.txt": b"--requirement=b.txt\n--constraint ../d.txt\n",
        "nested/b.txt": b"foo\n",
        "nested/c.txt": b"bar==1\n",
        "d.txt": b"baz==2\n",
    }
    read = parse(["requirements.txt"], [], reader(files))
    assert (["foo", "last"], ["baz==2", "bar==1"]) == (texts(read), [line.text for line in read.constraints])


def test_a_file_included_twice_counts_once() -> None:
    """Two ways to one file are no cycle."""
    assert ["foo"] == texts(parsed("-r a.txt\n-r b.txt\n", a="-r c.txt\n", b="-r c.txt\n", c="foo\n"))


def test_an_include_in_a_constraints_file_is_a_requirement() -> None:
    """As in pip: -r asks for requirements, wherever it stands."""
    read = parsed("-c c.txt\n", c="-r d.txt\nfoo<2\n", d="foo\n")
    assert (["foo"], ["foo<2"]) == (texts(read), [line.text for line in read.constraints])


def test_constraints_need_no_hashes() -> None:
    """Hash checking is about what is asked for."""
    assert ["foo==1.0"] == texts(parsed(f"-c c.txt\nfoo==1.0 --hash=sha256:{DIGEST}\n", c="bar==2.0\n"))


@pytest.mark.parametrize(
    "option",
    [
        *("--prefer-binary", "--only-binary :all:", "--only-binary=foo", "--no-binary :none:", "--only-final :none:"),
        *("--prefer", "--only-b :all:", "--no-b=:none:"),
    ],
)
def test_options_that_hold_anyway(option: str) -> None:
    """Options that come true once everything has a wheel are taken, by any beginning that pip takes them by."""
    assert Requirements(requirements=()) == parsed(option)


@pytest.mark.parametrize("option", ["--pre", "--all-releases :all:", "--all-releases=:all:", "--all :all:"])
def test_pre_releases_are_asked_for(option: str) -> None:
    """In any file; pip 26 makes the others of --pre."""
    assert Requirements(requirements=(), pre_releases=True) == parsed("-r a.txt", a=f"{option}\n")


@pytest.mark.parametrize("text", [b"", b"\n\r\n\r", b"# nothing\n", b"\xef\xbb\xbf"])
def test_an_empty_file_asks_for_nothing(text: bytes) -> None:
    """Nothing is wrong with nothing."""
    assert Requirements(requirements=()) == parsed(text)


@pytest.mark.parametrize("codec", ["utf-8-sig", "utf-16", "utf-32"])
def test_byte_order_marks(codec: str) -> None:
    """What Windows' editors and shells write is read."""
    assert ["foo==1.0", "bar==2.0"] == texts(parsed("foo==1.0\r\nbar==2.0  # ü\r\n".encode(codec)))


def test_ten_thousand_lines() -> None:
    """Long files cost little: less than a second of this process' time, doubled for a loaded machine."""
    text = "".join(f"project-{number}==1.{number} ; python_version < '3.12'\n" for number in range(10_000))
    started = time.process_time()
    assert 10_000 == len(parsed(text).requirements)
    assert 2 > time.process_time() - started


@pytest.mark.parametrize("piece", ["a", " -", "--pre ", "\r", "(", "'", "="])
@pytest.mark.parametrize("start", ["", "foo --hash="])
def test_a_line_of_a_megabyte(start: str, piece: str) -> None:
    """No repetition makes any step take more than linear time."""
    text = start + piece * (1_000_000 // len(piece))
    started = time.process_time()
    try:
        parsed(text)
    except RequirementsError as error:
        assert 1_000 > len(str(error.problems[0]))
    assert 4 > time.process_time() - started


PIECES = st.sampled_from(
    [
        *(
            "foo",
            "Bar",
            "1.0",
            "==",
            "=",
            ">=",
            "~=",
            "<",
            ",",
            ";",
            " ",
            "\n",
            "\t",
            "[",
            "]",
            "(",
            ")",
            "@",
            "*",
            "\\\n",
        ),
        *(
            "#",
            "'",
            '"',
            "$",
            "${X}",
            "-r ",
            "-c ",
            "-e ",
            "--hash=",
            "--pre",
            "sha256:",
            DIGEST,
            "md5:",
            "-",
            "\\",
            ".",
        ),
        *(
            "python_version",
            "os_name",
            " and ",
            " or ",
            " in ",
            "git+https://u:p@h/x",
            "file:",
            "a.txt",
            "/",
            "\x00",
            "\u202e",
        ),
        *("\ufeff", "é", "--index-url", "--no-binary ", ":all:", "\r", "extra", "!", "^", "|"),
    ]
)
NOISE = st.one_of(st.binary(max_size=200), st.lists(PIECES, max_size=40).map(lambda pieces: "".join(pieces).encode()))


@settings(max_examples=200, deadline=2_000)
@given(first=NOISE, second=NOISE)
def test_anything_is_parsed_or_refused(first: bytes, second: bytes) -> None:
    """Whatever stands in the files: requirements or problems with a printable line each, never another exception."""
    files = {"requirements.txt": first, "a.txt": second}
    try:
        read = parse(["requirements.txt"], [], reader(files))
    except RequirementsError as error:
        assert all(line.isprintable() and " → " in line for line in error.details)
    else:
        again = "\n".join(texts(read))
        assert texts(read) == texts(parsed(again))


SUGGESTED = re.compile(r"bad-operator: .* → write (foo\S*)$")


@pytest.mark.parametrize(
    "version", ["1", "1.0", "0.3.1", "0.0.3", "0", "1.*", "1!2.0", "1.0+local", "v2", "1.0rc1", "1.x"]
)
@pytest.mark.parametrize("operator", ["=", "=>", "=<", "<>", "!", "~", "~>", "!==", "==!", "^", "<==", "=>="])
def test_a_version_that_a_hint_says_to_write_is_read(operator: str, version: str) -> None:
    """And is the one that was written: none is invented."""
    with pytest.raises(RequirementsError) as failure:
        parsed(f"foo{operator}{version}")
    (problem,) = failure.value.problems
    assert "bad-operator" == problem.code
    if match := SUGGESTED.search(str(problem)):
        (line,) = parsed(match[1]).requirements
        assert version.rstrip(".*").lstrip("v") in line.text


@pytest.mark.parametrize("option", ["-r", "-c"])
@pytest.mark.parametrize("before", ["", "foo", "git+", "x/../"])
def test_no_password_is_shown(option: str, before: str) -> None:
    """Not of a URL that is taken for a path either, which loses a slash by that."""
    with pytest.raises(RequirementsError) as failure:
        parsed(f"{option} {before}https://me:hunter2@h/x")
    error = failure.value
    said = "".join((error.what, error.hint, *error.details))
    assert (False, True) == ("hunter2" in said, "***@h/x" in said), said


VALUES = st.sampled_from(
    [
        *("python_version", "python_full_version", "implementation_version", "platform_release", "sys_platform"),
        *("platform_version", "os.name", "python_implementation", "extra", "extras", "dependency_groups"),
        *("'3'", "'3.8'", "'3.*'", "'linux'", "''", "'5.10-generic'", "'3.8, 3.9'"),
    ]
)
OPERATORS = st.sampled_from(["<", "<=", "==", "!=", ">=", ">", "~=", "===", "in", "not in"])
COMPARISONS = st.tuples(VALUES, OPERATORS, VALUES).map(" ".join)
MARKERS = st.recursive(
    COMPARISONS,
    lambda inner: st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(lambda parts: f"({' '.join(parts)})"),
    max_leaves=4,
)


@settings(max_examples=500, deadline=2_000)
@given(MARKERS, st.sampled_from(["3.8", "3.11", "3.14"]))
def test_a_marker_has_an_answer_or_is_refused(marker: str, python: str) -> None:
    """What is not refused as bad can be told true or false on every target, so that nothing fails there."""
    try:
        read = parsed(f"foo; {marker}")
    except RequirementsError as error:
        assert ["bad-marker"] == [problem.code for problem in error.problems]
    else:
        assert {True, False} >= {applies(line.text, Target(python=python)) for line in read.requirements}
