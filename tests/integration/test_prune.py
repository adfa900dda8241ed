"""Pruning a real devpi-server: what a lock reaches stays, what goes is gone, upstream's come again when asked."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from packaging.utils import canonicalize_name

from fakes.command import Mirror, free_port
from fakes.devpi import Devpi
from fakes.house import requirements
from fakes.outcomes import TARGET
from fakes.small_graph import NEEDS, a_site
from fakes.upstream import Upstream
from fakes.wheels import checked_wheel, wheel_bytes
from mirror.adapters.devpi.holdings import DevpiWheels, UpstreamCache
from mirror.adapters.devpi.http import DevpiClient
from mirror.adapters.devpi.server import EmbeddedServer
from mirror.core.errors import UnusableError
from mirror.core.retention import DAY_S, Held, Origin, Place, Policy, Reached, RegisteredLock, make_lock
from mirror.ports import Holdings
from mirror.pruning import Pruned, Pruner

OLD = Policy(older_than_s=90 * DAY_S)
IN_A_YEAR_S = 365 * DAY_S
PLATFORM = "cp311-cp311-musllinux_1_2_x86_64"
LOOK = ("prune", "--max-size", "1B", "--dry-run")
DEMO = canonicalize_name("demo")
PURE = "pure-1.0-py3-none-any.whl"
OTHER = "other-1.0-py3-none-any.whl"


@dataclass
class World:
    """A devpi-server over an upstream, and the folder of the command line that it belongs to."""

    folder: Path
    server: EmbeddedServer
    devpi: Devpi
    stores: Iterator[Path] = field(init=False)

    def __post_init__(self) -> None:
        self.stores = (self.folder / f"store{number}" for number in range(1000))

    @property
    def upstream(self) -> Upstream:
        return self.devpi.upstream

    def publish(self, *filenames: str) -> None:
        """Publish wheels of ours."""
        for filename in filenames:
            self.devpi.open(next(self.stores)).publish(checked_wheel(filename))

    def listed(self, name: str = "demo") -> list[str]:
        """What the index shows of a project now."""
        files = self.devpi.open(next(self.stores)).files(canonicalize_name(name))
        return sorted(file.filename for file in files)

    def pruner(self, ours: Holdings | None = None, *, later_s: float = IN_A_YEAR_S) -> Pruner:
        """A pruner a year from now."""
        locks = self.devpi.locks()
        holdings = {Place.OURS: ours or self.ours(), Place.CACHE: self.server.cache()}
        return Pruner(locks=locks, holdings=holdings, now_s=locks.now_s() + later_s)

    def ours(self) -> DevpiWheels:
        return self.devpi.open(next(self.stores)).wheels()

    def cached(self) -> list[str]:
        """Upstream's files that devpi keeps."""
        return sorted(file.filename for file in self.server.cache().held())

    def install(self, name: str) -> subprocess.CompletedProcess[str]:
        """`pip install`, by the hash that upstream's file has."""
        file = {"pure": PURE, "other": OTHER}[name]
        asked = self.folder / "hashed.txt"
        asked.write_text(f"{name}==1.0 --hash=sha256:{hashlib.sha256(wheel_bytes(file)).hexdigest()}\n")
        place = next(self.stores)
        options = ["--no-cache-dir", "--no-deps", "--require-hashes", "--target", str(place), "-r", str(asked)]
        url = f"{self.devpi.info.url}/+simple/"
        return subprocess.run(
            [sys.executable, "-m", "pip", "install", *options, "--index-url", url],
            check=False,
            capture_output=True,
            text=True,
            env={**os.environ, "PIP_CONFIG_FILE": os.devnull},
        )


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    upstream, port = Upstream(), free_port()
    upstream.start()
    server = EmbeddedServer(tmp_path / "data" / "devpi", port, upstream=upstream.url)
    try:
        yield World(tmp_path, server, Devpi(server.ensure_running(lambda _: None), upstream))
    finally:
        server.stop()
        upstream.stop()


def lock(*filenames: str, asks: str = "demo") -> RegisteredLock:
    """What a build registers that reaches these."""
    reached = [Reached(filename=filename, sha256="0" * 64) for filename in filenames]
    return make_lock(requirements(asks), TARGET, Origin(host="here", folder="/app"), reached)


def removed(pruned: Pruned) -> list[str]:
    return [verdict.file.filename for verdict in pruned.removed]


def prune(pruner: Pruner, policy: Policy = OLD) -> Pruned:
    return pruner.carry_out(pruner.survey(policy))


def demo(version: str) -> str:
    return f"demo-{version}-{PLATFORM}.whl"


@pytest.mark.parametrize(("old", "new"), [("1.0", "2.0"), ("1.0+local.1", "1!2.0"), ("1!1.0", "1!1.0+local")])
def test_what_no_lock_reaches_goes(world: World, old: str, new: str) -> None:
    """From the page and from the disk; what is reached is there as it was; a second prune finds nothing."""
    world.publish(demo(old), demo(new))
    world.devpi.locks().register(lock(demo(new)))
    pruned = prune(world.pruner())
    assert ([demo(old)], len(wheel_bytes(demo(old)))) == (removed(pruned), pruned.removed[0].file.size_bytes)
    assert [demo(new)] == world.listed()
    index = world.devpi.open(next(world.stores))
    assert wheel_bytes(demo(new)) == index.fetch(index.files(DEMO)[0]).read_bytes()
    assert [] == list((world.folder / "data").rglob(demo(old)))
    assert [] == removed(prune(world.pruner()))


def test_without_its_lock_it_goes(world: World) -> None:
    """What protects is the lock: the test above can fail."""
    world.publish(demo("2.0"))
    world.devpi.locks().register(lock(demo("2.0")))
    assert [] == removed(prune(world.pruner()))
    pruner = world.pruner()
    forgotten = pruner.to_forget(["requirements.txt"], None)
    assert [demo("2.0")] == removed(pruner.carry_out(pruner.survey(OLD, forgotten), forgotten))
    assert ([], ()) == (world.listed(), world.devpi.locks().all())


def test_upstreams_files_show_when_our_last_one_has_gone(world: World) -> None:
    """And the wheel can be published again."""
    world.upstream.add("demo", "demo-0.9-py3-none-any.whl", wheel_bytes("demo-0.9-py3-none-any.whl"))
    world.publish(demo("1.0"))
    assert [demo("1.0")] == removed(prune(world.pruner()))
    assert ["demo-0.9-py3-none-any.whl"] == world.listed()
    world.publish(demo("1.0"))
    assert ["demo-0.9-py3-none-any.whl", demo("1.0")] == world.listed()


def test_what_is_a_day_old_stays(world: World) -> None:
    """It was published by the index's own clock, and its build may register it soon."""
    world.publish(demo("1.0"))
    assert [] == removed(prune(world.pruner(later_s=DAY_S - 600), Policy(max_size_bytes=1)))
    assert [demo("1.0")] == removed(prune(world.pruner(later_s=DAY_S + 600), Policy(max_size_bytes=1)))


class Meanwhile(DevpiWheels):
    """Ours, while a build registers a lock after the first file has gone."""

    devpi: Devpi
    reaches: tuple[str, ...]

    def remove(self, file: Held) -> bool:
        done = super().remove(file)
        self.devpi.locks().register(lock(*self.reaches))
        return done


@pytest.mark.parametrize(("reaches", "stays"), [((demo("2.0"),), [demo("2.0")]), ((), [])], ids=["lock", "none"])
def test_what_a_build_registers_meanwhile_stays(world: World, reaches: tuple[str, ...], stays: list[str]) -> None:
    """The locks are read again before each file; without that lock it would have gone."""
    world.publish(demo("1.0"), demo("2.0"), demo("3.0"))
    ours = Meanwhile(
        DevpiClient(f"http://127.0.0.1:{world.devpi.info.port}", world.devpi.info.login), world.devpi.info.url
    )
    ours.devpi, ours.reaches = world.devpi, reaches
    pruned = prune(world.pruner(ours))
    assert (stays, stays) == ([verdict.file.filename for verdict in pruned.spared], world.listed())


def test_who_may_not_upload_may_not_remove(world: World) -> None:
    """It is told, and nothing is gone."""
    world.publish(demo("1.0"))
    nobody = DevpiWheels(DevpiClient(f"http://127.0.0.1:{world.devpi.info.port}", None), world.devpi.info.url)
    pruned = prune(world.pruner(nobody))
    assert ((), ["index-forbidden"]) == (pruned.removed, [error.code for _, error in pruned.failed])
    assert [demo("1.0")] == world.listed()


def test_what_somebody_else_put_there_stays(world: World) -> None:
    """A project of theirs that is on no whitelist, and an sdist beside our wheel: nobody could make them again."""
    world.publish(demo("1.0"))
    client = DevpiClient(f"http://127.0.0.1:{world.devpi.info.port}", world.devpi.info.login)
    for name, filename in (("private", "private-1.0-py3-none-any.whl"), ("demo", "demo-1.0.tar.gz")):
        form = {":action": "file_upload", "name": name, "version": "1.0"}
        uploaded = client.send("POST", f"{world.devpi.info.url}/", data=form, files={"content": (filename, b"1234")})
        assert 200 == uploaded.status
    assert [demo("1.0")] == removed(prune(world.pruner()))
    assert (["demo-1.0.tar.gz"], ["private-1.0-py3-none-any.whl"]) == (world.listed(), world.listed("private"))


def test_nothing_goes_while_a_lock_cannot_be_read(world: World) -> None:
    """It may reach anything."""
    world.publish(demo("1.0"))
    world.devpi.leave_lock("f" * 40, '{"version": 2}')
    with pytest.raises(UnusableError, match="cannot be read"):
        prune(world.pruner())
    assert [demo("1.0")] == world.listed()


def test_upstreams_files_are_downloaded_again(world: World) -> None:
    """pip installs from the trimmed cache by hash; what a lock reaches stays, though upstream lost it."""
    for name, filename in (("pure", PURE), ("other", OTHER)):
        world.upstream.add(name, filename, wheel_bytes(filename))
        installed = world.install(name)
        assert 0 == installed.returncode, installed.stderr
    assert [OTHER, PURE] == world.cached()
    world.devpi.locks().register(lock(OTHER))
    assert [PURE] == removed(prune(world.pruner()))
    assert [OTHER] == world.cached()
    del world.upstream.asked[:]
    again = world.install("pure")
    assert (0, [OTHER, PURE]) == (again.returncode, world.cached()), again.stderr
    assert [f"/files/pure/{PURE}"] == [path for path in world.upstream.asked if path.startswith("/files/")]


def test_other_bytes_are_refused_when_it_is_downloaded_again(world: World) -> None:
    """devpi goes on to know the hash of what it no longer has."""
    world.upstream.add("pure", PURE, wheel_bytes(PURE))
    assert 0 == world.install("pure").returncode
    assert [PURE] == removed(prune(world.pruner()))
    world.upstream.add("pure", PURE, wheel_bytes(PURE, payload=b"# forged"))
    assert (False, []) == (world.install("pure").returncode == 0, world.cached())


def test_a_mirror_of_somebody_elses_and_a_half_written_file_are_left_alone(tmp_path: Path) -> None:
    """Only what lies where devpi keeps a mirror's files whole."""
    whole = tmp_path / "root/pypi/+f/0a1/0123456789abc" / PURE
    others = [
        tmp_path / "root/dev/+f/0a1/0123456789abc" / PURE,
        tmp_path / "mirror/alpine/+f/0a1/0123456789abc" / PURE,
        tmp_path / "root/pypi/+f/0a1/0123456789abc" / f"{PURE}-0a1b-tmp",
        tmp_path / "root/pypi/+f/0a1/elsewhere" / PURE,
    ]
    for path in (whole, *others):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"1234")
    (found,) = UpstreamCache(tmp_path, ("root/pypi", "root/none")).held()
    assert (str(whole), 4, PURE) == (found.address, found.size_bytes, found.filename)
    cache = UpstreamCache(tmp_path, ("root/pypi",))
    assert (True, False) == (cache.remove(found), cache.remove(found))
    assert all(path.is_file() for path in others)


@pytest.mark.docker
def test_a_build_registers_what_it_reaches(tmp_path: Path) -> None:
    """Each wheel that it published, the build requirements too; after a second build and seen from another folder too.

    What a later build of the same file reaches no more is no more held by it.
    """
    with a_site(tmp_path) as site:
        requirements = site.offer()
        site.mirror.json("build", requirements)
        site.mirror.json("build", requirements)
        kept = site.beside(tmp_path / "elsewhere").mirror.json(*LOOK)["kept"]
        assert dict.fromkeys(NEEDS, "reached") == why(kept)
        requirements.write_text("window==1.0\n")
        site.mirror.json("build", requirements)
        found = site.mirror.json(*LOOK)
        reached = {"window": "reached", "glass": "reached"}
        assert dict.fromkeys(NEEDS, "young") | reached == why(found["kept"])
        assert [[str(requirements)]] == [lock["files"] for lock in found["locks"]]


def why(kept: dict[str, Any]) -> dict[str, str]:
    """Project to why its wheel of ours stays."""
    return {file["filename"].partition("-")[0]: file["why"] for file in kept["ours"]}


@pytest.fixture
def mirror(world: World) -> Mirror:
    """The command line over this server."""
    environment = {"MIRROR_UPSTREAM": world.upstream.url, "DOCKER_HOST": "tcp://127.0.0.1:9"}
    return Mirror(world.folder, world.devpi.info.port, environment)


def test_of_a_devpi_of_ones_own_the_wheels_alone_are_looked_at(world: World, mirror: Mirror) -> None:
    """What its devpi keeps of upstream's lies on another machine's disk."""
    world.upstream.add("pure", PURE, wheel_bytes(PURE))
    assert 0 == world.install("pure").returncode
    world.publish(demo("1.0"))
    login = {"MIRROR_USER": "mirror", "MIRROR_PASSWORD": world.devpi.info.password_file.read_text()}
    there = replace(mirror, environment={**mirror.environment, **login, "MIRROR_INDEX_URL": world.devpi.info.url})
    assert {demo("1.0")} == {file["filename"] for file in there.json(*LOOK)["kept"]["ours"]}
    assert (1, 2) == (there.json(*LOOK)["kept"]["files"], mirror.json(*LOOK)["kept"]["files"])


def age(world: World, days: int) -> None:
    """Let every cached file be unused for so long, and a minute: the index tells the time in whole seconds."""
    for file in world.server.cache().held():
        os.utime(file.address, (time.time() - days * DAY_S - 60,) * 2)


def test_the_command_says_what_and_how_much_first(world: World, mirror: Mirror) -> None:
    """A dry run removes nothing; nor does a script that nobody has agreed to."""
    world.upstream.add("pure", PURE, wheel_bytes(PURE))
    assert 0 == world.install("pure").returncode
    age(world, 100)
    world.publish(demo("1.0"), demo("2.0"))
    reaching = lock(demo("2.0"))
    world.devpi.locks().register(reaching)
    dry = mirror("prune", "--older-than", "90d", "--dry-run", "--verbose")
    today = time.strftime("%Y-%m-%d", time.gmtime())
    assert (
        "lock      files             target                      built on  registered  wheels\n"
        f"{reaching.project}  requirements.txt  cp311-musllinux_1_2_x86_64  here      {today}       1\n"
        "\n"
        f"{'to remove':<27}from    size    age  why\n"
        f"{PURE}  cache  {len(wheel_bytes(PURE))} B  100 d  age\n"
        f"to remove of upstream's that devpi keeps: 1 file, {len(wheel_bytes(PURE))} B\n"
        f"to keep: 2 files, {(len(wheel_bytes(demo('1.0'))) * 2) / 1000:.1f} kB"
        " (1 reached by a registered lock, 1 less than a day old)\n"
    ) == dry.stdout
    asked = mirror("prune", "--older-than", "90d")
    assert (2, "error[not-confirmed]: nothing was removed\nhint: --yes agrees to it beforehand\n") == (
        asked.returncode,
        asked.stderr,
    )
    assert [PURE] == world.cached()
    done = mirror("prune", "--older-than", "90d", "--yes")
    size = len(wheel_bytes(PURE))
    assert (0, f"Remove 1 file, {size} B? yes (--yes)\n") == (done.returncode, done.stderr)
    assert done.stdout.endswith(f"removed: 1 file, {size} B\n")
    assert ([], [demo("1.0"), demo("2.0")]) == (world.cached(), world.listed())


def test_the_command_in_json(world: World, mirror: Mirror) -> None:
    """The same, for a script; and a lock that is forgotten is gone."""
    world.upstream.add("pure", PURE, wheel_bytes(PURE))
    assert 0 == world.install("pure").returncode
    age(world, 100)
    world.devpi.locks().register(replace(lock(PURE), files=("old.txt",)))
    before = mirror.json(*LOOK)
    assert ({"reached": 1, "young": 0, "within": 0}, 0, None) == (
        before["kept"]["by_why"],
        before["removed"]["files"],
        before["pruned"],
    )
    unknown = mirror("prune", "--forget", "new.txt", "--json")
    assert (1, "no-such-lock") == (unknown.returncode, json.loads(unknown.stdout)["error"]["code"])
    after = mirror.json("prune", "--max-size", "1B", "--forget", "old.txt", "--yes")
    size = len(wheel_bytes(PURE))
    assert {"removed": {"files": 1, "size_bytes": size}, "spared": [], "failed": []} == after["pruned"]
    assert [["old.txt"]] == [lock["files"] for lock in after["forgotten"]]
    assert ([], ()) == (world.cached(), world.devpi.locks().all())
