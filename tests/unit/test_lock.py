"""Locks: what is read out of one, and which files of a release count on a target."""

from __future__ import annotations

from hashlib import sha256

import pytest
from packaging.utils import canonicalize_name
from packaging.version import Version

from mirror.core.errors import ExitStatus, MirrorError
from mirror.core.lock import lock_package, read_pins
from mirror.core.model import IndexFile, LockedPackage, Target

TARGET = Target(python="3.11")
NUMPY = (canonicalize_name("numpy"), Version("1.23.5"))


def file(filename: str, requires_python: str | None = None) -> IndexFile:
    digest = sha256(filename.encode()).hexdigest()
    return IndexFile(filename=filename, url=f"http://i/{filename}", sha256=digest, requires_python=requires_python)


SDIST = file("numpy-1.23.5.tar.gz")
MUSL = file("numpy-1.23.5-cp311-cp311-musllinux_1_1_x86_64.whl")
GLIBC = file("numpy-1.23.5-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl")
OTHER_PYTHON = file("numpy-1.23.5-cp310-cp310-musllinux_1_1_x86_64.whl")
OTHER_VERSION = file("numpy-1.24.0.tar.gz")


def many_packages(number: int) -> str:
    return "".join(f"[[packages]]\nname = 'p-{n}'\nversion = '1'\n" for n in range(number))


def test_a_lock_at_its_limit() -> None:
    """The limit itself is allowed."""
    assert 3000 == len(read_pins(many_packages(3000)))


def test_a_lock_is_read_for_names_and_versions_alone() -> None:
    """Files, markers and everything else in it came out of a sandbox, and are not looked at."""
    text = """
        lock-version = "1.0"
        created-by = "uv"
        [[packages]]
        name = "Pandas"
        version = "1.5.3"
        sdist = { url = "http://evil.test/pandas.tar.gz", hashes = { sha256 = "00" } }
        [[packages]]
        name = "numpy"
        version = "1.23.5"
    """
    assert (NUMPY, (canonicalize_name("pandas"), Version("1.5.3"))) == read_pins(text)


@pytest.mark.parametrize(
    "text",
    [
        "not toml [",
        'packages = "x"',
        "packages = [1]",
        "[[packages]]\nname = 'numpy'",
        "[[packages]]\nname = 'numpy'\nversion = 1",
        "[[packages]]\nname = 'numpy'\nversion = 'one'",
        "[[packages]]\nname = '../numpy'\nversion = '1'",
        "packages = 3",
        pytest.param("a = " + "[" * 5000, id="nested"),
        pytest.param(many_packages(3001), id="too many packages"),
        pytest.param(many_packages(2) + "[[packages]]\nname = 'P_0'\nversion = '2'\n", id="two versions of one"),
        pytest.param("a = " + "1" * 5000, id="digits"),
        pytest.param(".".join("a" * 200_000) + " = 1", id="a key that takes minutes"),
        pytest.param(f"[[packages]]\nname = 'numpy'\nversion = '{'1' * 5000}'", id="a version of digits"),
    ],
)
def test_a_bad_lock_is_an_error_with_a_code(text: str) -> None:
    """Whatever a sandbox writes, the answer is never a traceback."""
    with pytest.raises(MirrorError) as caught:
        read_pins(text)
    assert "bad-lock" == caught.value.code


def test_a_release_counts_by_what_the_target_can_use() -> None:
    """Other versions, other Pythons and other C libraries do not."""
    files = (SDIST, MUSL, GLIBC, OTHER_PYTHON, OTHER_VERSION)
    assert LockedPackage(name=NUMPY[0], version=NUMPY[1], sdist=SDIST, wheels=(MUSL,)) == lock_package(
        NUMPY, files, TARGET
    )


def test_a_file_that_requires_another_python_does_not_count() -> None:
    """Requires-Python is of the file (PEP 503), and a patch release is no reason to refuse all of 3.11."""
    old = file("numpy-1.23.5-py3-none-any.whl", ">=3.12")
    new = file("numpy-1.23.5.tar.gz", ">=3.11.2")
    assert (new, ()) == (
        lock_package(NUMPY, (old, new), TARGET).sdist,
        lock_package(NUMPY, (old, new), TARGET).wheels,
    )


def test_a_release_without_a_usable_file_is_an_error_that_says_what_there_is() -> None:
    """Only foreign wheels and no sdist."""
    with pytest.raises(MirrorError) as caught:
        lock_package(NUMPY, (GLIBC,), TARGET)
    assert ("no-usable-file", (f"the index has {GLIBC.filename}",)) == (caught.value.code, caught.value.details)


def test_a_wheel_that_names_no_libc_is_no_answer() -> None:
    """Beside an sdist it is left out; alone it is an error that says what to upload."""
    linux = file("numpy-1.23.5-cp311-cp311-linux_x86_64.whl")
    package = lock_package(NUMPY, (linux, SDIST), TARGET)
    assert (SDIST, ()) == (package.sdist, package.wheels)
    with pytest.raises(MirrorError) as caught:
        lock_package(NUMPY, (linux,), TARGET)
    hint = "a plain linux wheel says nothing of its libc: upload the sdist too, or a musllinux wheel (auditwheel)"
    assert ("no-usable-file", hint) == (caught.value.code, caught.value.hint)


def test_hashes_narrow_what_counts() -> None:
    """A wheel that the user's hashes leave out is not reused: the sdist they name is compiled."""
    package = lock_package(NUMPY, (SDIST, MUSL), TARGET, hashes=[f"sha256:{SDIST.sha256}"])
    assert (SDIST, ()) == (package.sdist, package.wheels)


def test_a_hash_that_no_file_has_stops_before_anything_is_built() -> None:
    """Expected and got stand side by side."""
    with pytest.raises(MirrorError) as caught:
        lock_package(NUMPY, (SDIST,), TARGET, hashes=["sha256:" + "00" * 32])
    assert "hash-mismatch" == caught.value.code
    assert (
        "expected sha256:" + "00" * 32,
        f"got      sha256:{SDIST.sha256} from {SDIST.url}",
    ) == caught.value.details
    assert ExitStatus.BAD_INPUT == caught.value.status


def test_a_tar_gz_is_preferred_to_a_zip() -> None:
    """PEP 625 asks for .tar.gz."""
    assert SDIST == lock_package(NUMPY, (file("numpy-1.23.5.zip"), SDIST), TARGET).sdist


@pytest.mark.parametrize("filename", ["pandas-1.5.3.tar.gz", "pandas-1.5.3-py3-none-any.whl"])
def test_a_file_of_another_project_is_none_of_its_own(filename: str) -> None:
    """Whatever a page lists: two packages of a lock never share a file."""
    both = (canonicalize_name("oldest-pandas"), Version("1.5.3"))
    with pytest.raises(MirrorError) as caught:
        lock_package(both, [file(filename)], TARGET)
    assert ("no-usable-file", ()) == (caught.value.code, caught.value.details)
    own = file("oldest_pandas-1.5.3.tar.gz")
    assert LockedPackage(name=both[0], version=both[1], sdist=own, wheels=()) == lock_package(
        both, [file(filename), own, file("oldest-pandas-1.5.2.tar.gz")], TARGET
    )
