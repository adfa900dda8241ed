"""An index that is killed while a wheel is published: it may list the wheel, and have its bytes beside their place."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from fakes.held_devpi import HeldServer, Moment
from fakes.index_kills import KillAt, Kills
from fakes.upstream import Upstream
from fakes.wheels import checked_wheel
from mirror.adapters.devpi.http import DevpiClient, Login
from mirror.adapters.devpi.index import DevpiIndex
from mirror.adapters.devpi.patience import Patience, Recovery
from mirror.adapters.devpi.server import EmbeddedServer, ServerInfo
from mirror.adapters.devpi.tokens import Tokens
from mirror.adapters.store import Store
from mirror.core.errors import MirrorError
from mirror.core.model import IndexFile

TAGS = "cp311-cp311-musllinux_1_2_x86_64"
PATIENT = Patience(first_pause_s=0.01, longest_pause_s=0.2, total_s=60.0, answer_s=30.0)
SHORT = replace(PATIENT, total_s=0.3)
DEMO = canonicalize_name("demo")
WHEEL = checked_wheel(f"demo-1.0-{TAGS}.whl")


@pytest.fixture(scope="session")
def initialised(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of a server that was started once: a first start costs seconds."""
    folder = tmp_path_factory.mktemp("initialised")
    server = HeldServer(folder, "http://127.0.0.1:9/simple/")
    server.start()
    server.stop()
    (folder / "devpi" / "state.json").unlink()
    return folder


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    upstream = Upstream()
    upstream.start()
    yield upstream
    upstream.stop()


@pytest.fixture
def server(tmp_path: Path, initialised: Path, upstream: Upstream) -> Iterator[HeldServer]:
    """Our own index."""
    shutil.copytree(initialised / "devpi", tmp_path / "devpi")
    server = HeldServer(tmp_path, upstream.url)
    yield server
    server.stop()


@pytest.fixture
def unmended(server: HeldServer, tmp_path: Path, upstream: Upstream) -> Iterator[HeldServer]:
    """devpi alone, over the same folder: the control."""
    unmended = HeldServer(tmp_path, upstream.url, mends=False)
    yield unmended
    unmended.stop()


def quiet(_: str) -> None:
    """Hear nothing."""


def opened(server: EmbeddedServer, store: Path, patience: Patience = PATIENT, *, revives: bool = True) -> DevpiIndex:
    """A client that remembers nothing yet, and starts the server again where that is gone."""
    info = server.ensure_running(quiet)
    recovery = Recovery(patience=patience, revive=(lambda: server.ensure_running(quiet)) if revives else None)
    return DevpiIndex(info.url, info.login, Store(store), administrator=info.administrator, recovery=recovery)


def root_of(info: ServerInfo) -> DevpiClient:
    return DevpiClient(f"http://127.0.0.1:{info.port}", info.administrator)


def commit_something_else(server: EmbeddedServer) -> None:
    """As other builds do all the time: a claim."""
    root = root_of(server.ensure_running(quiet))
    claim = {"type": "stage", "bases": [], "volatile": True}
    assert 200 == root.send("PUT", f"{root.root}/mirror/claim-of-others-1", json=claim).status


def publish_to_a_victim(
    server: HeldServer, index: DevpiIndex, moment: Moment, *, overtaken: bool = False
) -> Future[IndexFile]:
    """Publish WHEEL to a server that is killed at this moment of the upload; what came of it."""
    server.hold(moment)
    with ThreadPoolExecutor(1) as pool:
        published = pool.submit(index.publish, WHEEL)
        server.wait_until_held(moment)
        if overtaken:
            commit_something_else(server)
        server.kill()
    return published


def leave_aside(server: HeldServer, store: Path, *, overtaken: bool = True) -> Path:
    """A dead server that lists WHEEL, whose bytes lie beside their place: there. Who published it is dead, too."""
    victim = opened(server, store, SHORT, revives=False)
    published = publish_to_a_victim(server, victim, Moment.COMMITTED, overtaken=overtaken)
    assert "index-unreachable" == error_of(published.result).code
    (aside,) = server.aside()
    return aside


def served(server: EmbeddedServer, store: Path) -> list[bytes]:
    """What somebody gets who knows nothing yet."""
    reader = opened(server, store)
    return [reader.fetch(file).read_bytes() for file in reader.files(DEMO)]


def listed(server: EmbeddedServer, store: Path) -> list[str]:
    return [file.sha256 for file in opened(server, store).files(DEMO)]


def error_of(act: Callable[[], object]) -> MirrorError:
    with pytest.raises(MirrorError) as caught:
        act()
    return caught.value


def test_a_wheel_is_published_whenever_the_index_is_killed(server: HeldServer, tmp_path: Path) -> None:
    """Two wheels for each moment; tests/benchmark/index_kills.py does it two hundred times."""
    kills = Kills(server, tmp_path, seed=4)
    publications = [kills.publish(at) for at in [*KillAt] * 2]
    assert [] == [one for one in publications if one.error or one.was_without_bytes]
    assert [1] * len(publications) == kills.copies([one.wheel for one in publications])
    assert [] == server.aside()


def test_the_publisher_helps_itself_where_nobody_mends(unmended: HeldServer, tmp_path: Path) -> None:
    """A devpi of one's own is made to forget the file, and gets it again. The control: it did not have the bytes."""
    kills = Kills(unmended, tmp_path, seed=4, patience=replace(PATIENT, total_s=20.0))
    published = kills.publish(KillAt.OVERTAKEN)
    assert (True, "") == (published.was_without_bytes, published.error)
    assert [1] == kills.copies([published.wheel])


def test_without_mending_it_stays_listed_and_is_not_there(
    server: HeldServer, unmended: HeldServer, tmp_path: Path
) -> None:
    """The control: devpi starts again and again, and the file does not come. Then it is mended, and does."""
    leave_aside(unmended, tmp_path / "store")
    for _ in range(2):
        reader = opened(unmended, tmp_path / "reader", SHORT)
        (file,) = reader.files(DEMO)
        error = error_of(lambda: reader.fetch(file))  # noqa: B023 - called at once
        assert ("download-failed", "HTTP 404") == (error.code, error.details[0])
        assert f"the index lists {WHEEL.filename} and has lost its bytes" == error.what
        assert f"curl -X DELETE -u USER '{file.url}?force='" in error.hint
        unmended.kill()
    assert [WHEEL.content] == served(server, tmp_path / "reader")


def test_what_the_last_transaction_left_devpi_finishes_itself(unmended: HeldServer, tmp_path: Path) -> None:
    """The other half of the control: only what another transaction has overtaken is lost."""
    leave_aside(unmended, tmp_path / "store", overtaken=False)
    assert [WHEEL.content] == served(unmended, tmp_path / "reader")


def test_who_may_only_upload_says_what_to_do(unmended: HeldServer, tmp_path: Path) -> None:
    """A token cannot remove. The control of the test above: to upload the same bytes again is not enough."""
    leave_aside(unmended, tmp_path / "store")
    info = unmended.ensure_running(quiet)
    token = Tokens(root_of(info)).create("ci", publish_to="mirror/alpine", expires_s=None)
    index = DevpiIndex(info.url, Login("ci", lambda: token), Store(tmp_path / "ci"), recovery=Recovery(patience=SHORT))
    error = error_of(lambda: index.publish(WHEEL))
    assert ("download-failed", True) == (error.code, "`mirror down`, `mirror up`" in error.hint)
    assert [WHEEL.sha256] == listed(unmended, tmp_path / "reader")


def test_what_is_only_late_is_waited_for(server: HeldServer, tmp_path: Path) -> None:
    """Between the commit and the renaming of a server that lives: somebody else who fetches it then gets it."""
    index = opened(server, tmp_path / "store")
    server.hold(Moment.COMMITTED)
    with ThreadPoolExecutor(2) as pool:
        published = pool.submit(index.publish, WHEEL)
        server.wait_until_held(Moment.COMMITTED)
        reader = opened(server, tmp_path / "reader")
        (file,) = reader.files(DEMO)
        assert 404 == root_of(server.ensure_running(quiet)).get(file.url, accept="*/*").status
        fetched = pool.submit(reader.fetch, file)
        time.sleep(0.5)
        assert not fetched.done()
        server.let_go(Moment.COMMITTED)
        assert WHEEL.content == fetched.result().read_bytes()
        assert file == published.result()


def test_what_upstream_no_longer_has_is_not_waited_for(server: HeldServer, tmp_path: Path, upstream: Upstream) -> None:
    """devpi knows that file too; asking again would bring nothing."""
    upstream.add("gone", "gone-1.0.tar.gz", b"an sdist")
    reader = opened(server, tmp_path / "reader")
    (file,) = reader.files(canonicalize_name("gone"))
    upstream.withdraw("gone", "gone-1.0.tar.gz")
    error = error_of(lambda: reader.fetch(file))
    assert "gone-1.0.tar.gz could not be downloaded from " in error.what
    assert 1 == upstream.asked.count("/files/gone/gone-1.0.tar.gz")


def test_lost_bytes_are_no_longer_listed(server: HeldServer, unmended: HeldServer, tmp_path: Path) -> None:
    """What is nowhere on the disk, as after a power failure, is dropped at the start, and can be published again."""
    leave_aside(server, tmp_path / "store").unlink()
    assert [WHEEL.sha256] == listed(unmended, tmp_path / "reader")
    unmended.kill()
    server.start()
    assert [] == listed(server, tmp_path / "reader")
    assert f"the index had lost the bytes of {WHEEL.filename}, and lists it no longer" == server.said[-1]
    assert WHEEL.sha256 == opened(server, tmp_path / "store").publish(WHEEL).sha256
    assert [WHEEL.content] == served(server, tmp_path / "reader")


def test_half_a_file_is_no_longer_listed(server: HeldServer, unmended: HeldServer, tmp_path: Path) -> None:
    """What a power failure cut is what was written last; the control: devpi serves it for ever."""
    opened(server, tmp_path / "store").publish(WHEEL)
    server.kill()
    place = next(server.packages.rglob(WHEEL.filename))
    place.write_bytes(WHEEL.content[:100])
    reader = opened(unmended, tmp_path / "reader", SHORT)
    assert "hash-mismatch" == error_of(lambda: reader.fetch(reader.files(DEMO)[0])).code
    unmended.kill()
    assert [] == listed(server, tmp_path / "reader")
    assert WHEEL.sha256 == opened(server, tmp_path / "store").publish(WHEEL).sha256
    assert [WHEEL.content] == served(server, tmp_path / "reader")


@pytest.mark.parametrize("content", [None, b"", b"half"])
def test_bytes_lost_in_the_last_transaction_do_not_keep_it_from_starting(
    server: HeldServer, unmended: HeldServer, tmp_path: Path, content: bytes | None
) -> None:
    """devpi by itself does not start without the file, for ever; and takes whatever lies there for it."""
    aside = leave_aside(server, tmp_path / "store", overtaken=False)
    aside.unlink()
    if content is None:
        assert "index-start" == error_of(unmended.start).code
    else:
        aside.write_bytes(content)
    assert [] == listed(server, tmp_path / "reader")
    assert WHEEL.sha256 == opened(server, tmp_path / "store").publish(WHEEL).sha256
    assert ([WHEEL.content], []) == (served(server, tmp_path / "reader"), server.aside())


def test_a_folder_that_is_not_there_costs_no_listing(server: HeldServer, tmp_path: Path) -> None:
    """So many files are missing where a disk is not mounted: when it is, all are there."""
    index = opened(server, tmp_path / "store")
    wheels = [checked_wheel(f"many{n}-1.0-{TAGS}.whl") for n in range(21)]
    published = [index.publish(wheel) for wheel in wheels]
    commit_something_else(server)  # or devpi would not start at all
    server.stop()
    server.packages.rename(tmp_path / "elsewhere")
    server.start()
    told = "21 files of the index's are not on its disk: has a folder been moved, or not been mounted?"
    assert told in server.said
    server.stop()
    (tmp_path / "elsewhere").rename(server.packages)
    reader = opened(server, tmp_path / "reader")
    assert [wheel.content for wheel in wheels] == [reader.fetch(file).read_bytes() for file in published]


def test_what_nobody_was_told_of_is_removed(server: HeldServer, tmp_path: Path) -> None:
    """Half an upload that was never committed stays on no disk; nor does what bears a listed file's name by chance."""
    index = opened(server, tmp_path / "store")
    published = publish_to_a_victim(server, index, Moment.WRITTEN).result()
    server.stop()
    place = next(server.packages.rglob(WHEEL.filename))
    place.with_name(f"{place.name}-{hashlib.sha256(b'other').hexdigest()}-tmp").write_bytes(b"other")
    server.start()
    assert ([WHEEL.content], []) == (served(server, tmp_path / "reader"), server.aside())
    assert WHEEL.sha256 == published.sha256
