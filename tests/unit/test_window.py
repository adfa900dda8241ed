"""The window shows what the target may need, hash-checked, and nothing else."""

from __future__ import annotations

import errno
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
from packaging.utils import canonicalize_name

from fakes.house import a_wheel, pin
from fakes.index import FakeIndex
from fakes.sdists import sdist
from fakes.wheels import metadata, wheel_bytes
from mirror.adapters.store import Store
from mirror.core.asked import Untold
from mirror.core.errors import MirrorError
from mirror.core.model import IndexFile, Target
from mirror.ports import Response
from mirror.window import CountedWindow, IndexWindow, NamedLibcs, TargetFiles, window_for
from mirror.window.core_metadata import LARGEST, CoreMetadata, read_from

TARGET = Target(python="3.11")
PURE = "demo-1.0-py3-none-any.whl"


@pytest.fixture
def index(tmp_path: Path) -> FakeIndex:
    return FakeIndex(tmp_path / "files")


@pytest.fixture
def window(index: FakeIndex, tmp_path: Path) -> IndexWindow:
    return window_for(index, TARGET, Store(tmp_path / "notes"))


def body(response: Response) -> bytes:
    return b"".join(response.body)


def page(window: IndexWindow, name: str) -> dict[str, object]:
    response = window.get(f"/simple/{name}/")
    assert 200 == response.status
    parsed: dict[str, object] = json.loads(body(response))
    return parsed


def narrowed(index: FakeIndex, filenames: list[str]) -> list[str]:
    for filename in filenames:
        index.add_upstream("demo", filename, filename.encode())
    return [file.filename for file in TargetFiles(index, TARGET).files(canonicalize_name("demo"))]


def test_page_is_a_simple_page_of_its_own(index: FakeIndex, window: IndexWindow) -> None:
    """A page has each file's own path in the window, hash, Python requirement, yanking, and metadata for wheels."""
    sdist = index.add_upstream("demo", "demo-1.0.tar.gz", b"sdist", yanked="broken")
    wheel = index.add_upstream("demo", PURE, wheel_bytes(PURE), requires_python=">=3.8")
    expected = {
        "meta": {"api-version": "1.0"},
        "name": "demo",
        "files": [
            {
                "filename": PURE,
                "url": f"/files/{wheel.sha256}/{PURE}",
                "hashes": {"sha256": wheel.sha256},
                "yanked": False,
                "requires-python": ">=3.8",
                "core-metadata": True,
            },
            {
                "filename": "demo-1.0.tar.gz",
                "url": f"/files/{sdist.sha256}/demo-1.0.tar.gz",
                "hashes": {"sha256": sdist.sha256},
                "yanked": "broken",
            },
        ],
    }
    assert expected == page(window, "demo")


def test_serves_listed_files_and_their_metadata(index: FakeIndex, window: IndexWindow) -> None:
    """What a page lists can be downloaded, and a wheel's metadata alone too."""
    content = wheel_bytes(PURE, requires=("six",))
    wheel = index.add_upstream("demo", PURE, content)
    page(window, "demo")
    file = window.get(f"/files/{wheel.sha256}/{PURE}")
    assert (200, len(content), content) == (file.status, file.length, body(file))
    core = window.get(f"/files/{wheel.sha256}/{PURE}.metadata")
    assert (200, metadata("demo", "1.0", ("six",))) == (core.status, body(core))


@pytest.mark.parametrize("filename", ["demo-1.0+local.1-py3-none-any.whl", "demo-1!2.0-py3-none-any.whl"])
@pytest.mark.parametrize("spelling", [str, quote])
def test_a_name_may_be_percent_encoded(
    index: FakeIndex, window: IndexWindow, filename: str, spelling: Callable[[str], str]
) -> None:
    """uv writes `+` and `!` in an address as they are, pip percent-encodes them."""
    content = wheel_bytes(filename)
    wheel = index.add_upstream("demo", filename, content)
    page(window, "demo")
    file = window.get(f"/files/{wheel.sha256}/{spelling(filename)}")
    assert (200, content) == (file.status, body(file))
    version = filename.split("-")[1]
    core = window.get(f"/files/{wheel.sha256}/{spelling(filename)}.metadata")
    assert (200, metadata("demo", version)) == (core.status, body(core))


@pytest.mark.parametrize(
    "name", ["{}%00", "%2e%2e%2f{}", "x%2f..%2f{}", "{}%2f", "{}%3fx", quote(quote(PURE.replace("1.0", "1.0+1")))]
)
def test_a_name_is_decoded_once_and_looked_up_whole(index: FakeIndex, window: IndexWindow, name: str) -> None:
    """What decodes to anything but a listed name is not found."""
    wheels = [index.add_upstream("demo", one, wheel_bytes(one)) for one in (PURE, PURE.replace("1.0", "1.0+1"))]
    page(window, "demo")
    assert [404, 404] == [window.get(f"/files/{w.sha256}/{name.format(w.filename)}").status for w in wheels]
    assert () == window.failures


def test_metadata_costs_one_download_ever(index: FakeIndex, tmp_path: Path) -> None:
    """A wheel's metadata is kept by its hash: another window over the same store does not download the wheel again."""
    wheel = index.add_upstream("demo", PURE, wheel_bytes(PURE))
    for _ in range(2):
        window = window_for(index, TARGET, Store(tmp_path / "notes"))
        page(window, "demo")
        assert 200 == window.get(f"/files/{wheel.sha256}/{PURE}.metadata").status
    assert 1 == index.calls[f"fetch {PURE}"]


def test_nothing_that_no_page_listed(index: FakeIndex, window: IndexWindow) -> None:
    """A file of the index is out of reach until a page of this window has listed it."""
    wheel = index.add_upstream("demo", PURE, wheel_bytes(PURE))
    assert 404 == window.get(f"/files/{wheel.sha256}/{PURE}").status
    assert 404 == window.get(f"/files/{wheel.sha256}/{PURE}.metadata").status
    assert 0 == index.calls[f"fetch {PURE}"]


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/simple/",
        "/simple/unknown/",
        "/simple/demo/../other/",
        "/simple/%64emo/",
        "/simple/demo/\n",
        "/simple/demo//",
        "//simple/demo/",
        "/simple/-demo/",
        "/simple/" + "a" * 500 + "/",
        "http://elsewhere.test/simple/demo/",
        "/files/../../etc/passwd",
        "/files/" + "0" * 64 + "/../x",
        "/files/" + "0" * 63 + "/x",
        "/+api",
        "/simple/demo/?x=1",
        "/simple/dém\u00f6/",
    ],
)
def test_every_other_path_is_not_found(index: FakeIndex, window: IndexWindow, path: str) -> None:
    """Only the three kinds of paths exist, in one spelling."""
    index.add_upstream("demo", PURE, wheel_bytes(PURE))
    assert 404 == window.get(path).status
    assert () == window.failures


def test_wrong_bytes_never_pass(index: FakeIndex, window: IndexWindow) -> None:
    """A file whose bytes are not what its page promises is a 502, and the reason is kept for whoever asks."""
    wheel = index.add_upstream("demo", PURE, wheel_bytes(PURE))
    index.corrupt(wheel, b"evil")
    page(window, "demo")
    assert 502 == window.get(f"/files/{wheel.sha256}/{PURE}").status
    assert ["hash-mismatch"] == [failure.code for failure in window.failures]


class ExhaustedView:
    """An index whose files cannot be opened any more, for want of file descriptors."""

    def __init__(self, index: FakeIndex) -> None:
        self.files = index.files

    def fetch(self, file: IndexFile) -> Path:
        raise OSError(errno.EMFILE, "Too many open files")


def test_what_the_host_refuses_is_a_502(index: FakeIndex, tmp_path: Path) -> None:
    """And the reason is kept: the client in the sandbox takes it for something else."""
    wheel = index.add_upstream("demo", PURE, wheel_bytes(PURE))
    view = ExhaustedView(index)
    window = IndexWindow(view, CoreMetadata(view, Store(tmp_path / "notes")))
    page(window, "demo")
    assert 502 == window.get(f"/files/{wheel.sha256}/{PURE}").status
    assert ["too-many-open-files"] == [failure.code for failure in window.failures]


def test_an_index_that_is_down_is_a_502(index: FakeIndex, window: IndexWindow) -> None:
    """The window never raises for what happens behind it."""
    index.down = True
    assert 502 == window.get("/simple/demo/").status
    assert ["index-unreachable"] == [failure.code for failure in window.failures]


def test_new_files_show_at_once(index: FakeIndex, window: IndexWindow) -> None:
    """What is published while the window is open is on the next page."""
    index.add_upstream("demo", "demo-1.0.tar.gz", b"sdist")
    page(window, "demo")
    index.add_upstream("demo", PURE, wheel_bytes(PURE))
    files = page(window, "demo")["files"]
    assert isinstance(files, list)
    assert [PURE, "demo-1.0.tar.gz"] == [file["filename"] for file in files]


def test_what_a_release_asks_for_by_what_was_read_of_it(index: FakeIndex, window: IndexWindow) -> None:
    """By a wheel's metadata, else by an sdist's that binds; what nobody has read through the window is not told."""
    old, new = ("Metadata-Version: 2.1\n", "Metadata-Version: 2.2\nRequires-Dist: b\n")
    files = {
        "wheel": index.add_upstream("demo", PURE, a_wheel(PURE)),
        "sdist": index.add_upstream("demo", "demo-2.0.tar.gz", sdist("demo", "2.0", {"PKG-INFO": new})),
        "dynamic": index.add_upstream("demo", "demo-3.0.tar.gz", sdist("demo", "3.0", {"PKG-INFO": old})),
        "unread": index.add_upstream("demo", "demo-4.0.tar.gz", sdist("demo", "4.0", {"PKG-INFO": new})),
    }
    page(window, "demo")
    for name, suffix in (("wheel", ".metadata"), ("sdist", ""), ("dynamic", "")):
        body(window.get(f"/files/{files[name].sha256}/{files[name].filename}{suffix}"))
    versions = {"wheel": PURE.split("-")[1], "sdist": "2.0", "dynamic": "3.0", "unread": "4.0"}
    told = {name: window.dependencies(pin(f"demo {version}")) for name, version in versions.items()}
    assert {"wheel": (), "sdist": ("b",), "dynamic": Untold.BY_ITS_CODE, "unread": Untold.UNREAD} == told
    assert told["sdist"] == CountedWindow(window).dependencies(pin("demo 2.0"))


def test_counts_what_was_taken(index: FakeIndex, window: IndexWindow) -> None:
    """Requests are all counted, bytes as they are taken."""
    wheel = index.add_upstream("demo", PURE, wheel_bytes(PURE))
    counted = CountedWindow(window)
    size = len(body(counted.get("/simple/demo/")))
    size += len(body(counted.get(f"/files/{wheel.sha256}/{PURE}")))
    counted.get(f"/files/{wheel.sha256}/{PURE}")
    assert (3, size) == (counted.requests, counted.bytes_served)


def test_drops_wheels_of_other_platforms_where_one_is_usable(index: FakeIndex) -> None:
    """A release with a usable wheel shows its sdist and its usable wheels only."""
    filenames = [
        "demo-1.0-cp310-cp310-musllinux_1_1_x86_64.whl",
        "demo-1.0-cp311-cp311-macosx_11_0_arm64.whl",
        "demo-1.0-cp311-cp311-manylinux_2_17_x86_64.whl",
        "demo-1.0-cp311-cp311-musllinux_1_1_x86_64.whl",
        "demo-1.0.tar.gz",
    ]
    assert ["demo-1.0-cp311-cp311-musllinux_1_1_x86_64.whl", "demo-1.0.tar.gz"] == narrowed(index, filenames)


def test_keeps_one_foreign_wheel_for_its_metadata(index: FakeIndex) -> None:
    """A release without a usable wheel keeps its lightest one of the target's Python."""
    filenames = [
        "demo-1.0-cp310-cp310-win32.whl",
        "demo-1.0-cp311-cp311-macosx_11_0_arm64.whl",
        "demo-1.0-cp311-cp311-manylinux_2_17_x86_64.whl",
        "demo-1.0-cp311-cp311-win_amd64.whl",
        "demo-1.0.tar.gz",
        "demo-2.0-py3-none-any.whl",
    ]
    expected = ["demo-1.0-cp311-cp311-win_amd64.whl", "demo-1.0.tar.gz", "demo-2.0-py3-none-any.whl"]
    assert expected == narrowed(index, filenames)


def test_hides_wheels_that_leave_their_libc_open(index: FakeIndex) -> None:
    """pip and uv would take a plain linux wheel, some before a musllinux one; not even its metadata is shown."""
    filenames = [
        "demo-1.0-cp311-cp311-linux_x86_64.whl",
        "demo-1.0-cp311-cp311-musllinux_1_2_x86_64.whl",
        "demo-2.0-py3-none-linux_x86_64.whl",
        "demo-3.0-cp311-cp311-linux_aarch64.whl",
        "demo-3.0.tar.gz",
    ]
    assert ["demo-1.0-cp311-cp311-musllinux_1_2_x86_64.whl", "demo-3.0.tar.gz"] == narrowed(index, filenames)


def test_real_pip_is_shown_no_wheel_that_leaves_its_libc_open(index: FakeIndex) -> None:
    """Everything else is on the clean room's page, foreign wheels too."""
    filenames = ["demo-1.0-py3-none-linux_x86_64.whl", "demo-1.0-py3-none-win32.whl", "demo-1.0.tar.gz"]
    for filename in filenames:
        index.add_upstream("demo", filename, filename.encode())
    shown = NamedLibcs(index).files(canonicalize_name("demo"))
    assert filenames[1:] == [file.filename for file in shown]


def test_prefers_a_foreign_wheel_that_allows_the_python(index: FakeIndex) -> None:
    """Metadata of a wheel for another Python is second best."""
    index.add_upstream("demo", "demo-1-cp39-abi3-win32.whl", b"1", requires_python="<3.10")
    index.add_upstream("demo", "demo-1-cp39-abi3-manylinux_2_17_x86_64.whl", b"2", requires_python=">=3.9")
    files = TargetFiles(index, TARGET).files(canonicalize_name("demo"))
    assert ["demo-1-cp39-abi3-manylinux_2_17_x86_64.whl"] == [file.filename for file in files]


def test_drops_what_no_installer_reads(index: FakeIndex) -> None:
    """Eggs, installers and misnamed wheels do not show."""
    filenames = ["demo-1.0-py2.7.egg", "demo-1.0.win32.exe", "demo-1.0.whl", "demo-1.0.zip"]
    assert ["demo-1.0.zip"] == narrowed(index, filenames)


def zipped(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, content in members.items():
            archive.writestr(member, content)
    return stream.getvalue()


def damaged(member: str) -> bytes:
    """A member in LZMA, which pip does not write and zipfile reads, and whose data is none."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr(member, b"Name: demo")
    content = bytearray(stream.getvalue())
    start = 30 + len(member) + 4
    content[start : start + 1] = b"\xff"
    return bytes(content)


@pytest.mark.parametrize(
    "content",
    [
        b"no zip",
        damaged("demo-1.0.dist-info/METADATA"),
        zipped({}),
        zipped({"other-1.0.dist-info/METADATA": b"Name: other"}),
        zipped({"sub/demo-1.0.dist-info/METADATA": b"Name: demo"}),
        zipped({"demo-1.0.dist-info/METADATA": b"", "Demo-1.0.dist-info/METADATA": b""}),
        zipped({"demo-1.0.dist-info/METADATA": b"0" * (LARGEST + 1)}),
    ],
    ids=["no zip", "damaged", "empty", "another project", "not at the top", "two", "too large"],
)
def test_reads_no_metadata_from_a_bad_wheel(tmp_path: Path, content: bytes) -> None:
    """A wheel has one METADATA file, its own, at the top, of a sane size."""
    path = tmp_path / PURE
    path.write_bytes(content)
    with pytest.raises(MirrorError) as caught:
        read_from(path, PURE)
    assert "bad-wheel" == caught.value.code


def test_the_index_itself_is_a_view(index: FakeIndex) -> None:
    """Narrowing changes which files are listed, not the files."""
    file = index.add_upstream("demo", PURE, wheel_bytes(PURE))
    view = TargetFiles(index, TARGET)
    expected: tuple[IndexFile, ...] = (file,)
    assert expected == view.files(canonicalize_name("demo"))
    assert wheel_bytes(PURE) == view.fetch(file).read_bytes()
