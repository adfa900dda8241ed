"""A project's own file: what it may say by itself, and who can say that it may say more."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from mirror import resources
from mirror.core import recipes
from mirror.settings import Machine, Settings, SettingsError, ask_for_trust, load
from mirror.settings_keys import KEYS, LIMITS, PROXY, RECIPE, SECTIONS, InProject, Key
from mirror.settings_project import Trust
from mirror.settings_values import as_text

GIB = 2**30
VALUES: Mapping[str, str] = {
    "python": '"3.12"',
    "alpine": '"3.21"',
    "base": '"bootstrap"',
    "jobs": "3",
    "index-url": '"http://127.0.0.1:9/a/b"',
    "server": '"http://127.0.0.1:9"',
    "user": '"me"',
    "password-file": '"secret"',
    "port": "3142",
    "listen": '"all"',
    "reading": '"token"',
    "hostnames": '["wheels.example.org"]',
    "upstream": '"http://127.0.0.1:9/simple/"',
    "further-upstream": (
        '[{ name = "corp", url = "http://127.0.0.1:9/", projects = ["a"], credentials-file = "secret" }]'
    ),
    "on-demand": '{ networks = ["0.0.0.0/0"] }',
    "data": '"kept"',
    "cache": '"cache"',
    "ca-bundle": '"secret"',
    "registry": '"registry.example.org"',
    "apk-repositories": '["http://127.0.0.1:9/main"]',
    "apk-keys": '"."',
    "refresh-after": '"9d"',
    "runtime": '"runc"',
    "accept-missing-limits": '["seccomp"]',
}
"""Of every key, something that it may have where its user writes it."""
PROXIES: Mapping[str, str] = {
    "http": '"http://127.0.0.1:9"',
    "https": '"http://127.0.0.1:9"',
    "no-proxy": '"localhost"',
}
HIGHER: Mapping[str, str] = {
    "memory": '"7GiB"',
    "scratch": '"4GiB"',
    "processes": "1025",
    "open-files": "4097",
    "wall-clock": '"7201s"',
    "silence": '"1801s"',
    "log": '"17MiB"',
    "output": '"1025MiB"',
}
LOWER: Mapping[str, str] = {
    "memory": '"6GiB"',
    "scratch": '"1GiB"',
    "processes": "1024",
    "open-files": "64",
    "wall-clock": '"2h"',
    "silence": '"1s"',
    "log": '"16MiB"',
    "output": '"1B"',
}
RECIPES: Mapping[str, str] = {
    "project": '"a"',
    "versions": '">=1"',
    "reason": '"a test"',
    "system-packages": '["libffi-dev"]',
    "environment": '{ A = "b" }',
    "config-settings": '{ a = "b" }',
    "build-constraints": '["setuptools<80"]',
    "import-names": '["a.b"]',
    "timeout": '"2h1s"',
    "oddities": '["no-extension"]',
}


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Two processors, 8 GiB, and an empty home."""
    return Machine(
        processors=2,
        memory_bytes=8 * GIB,
        config=tmp_path / "config",
        data=tmp_path / "data",
        cache=tmp_path / "cache",
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The folder of a project, with a file in it."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "secret").touch()
    return folder


def decide(machine: Machine, project: Path, text: str, trust: Trust | None = None, **environment: str) -> Settings:
    """The settings of one call in a folder whose file holds this."""
    (project / "mirror.toml").write_text(text)
    return load(environment=environment, folder=project, flags={}, machine=machine, trust=trust or Trust())


def refused(machine: Machine, project: Path, text: str, trust: Trust | None = None, **environment: str) -> Any:
    """What is said about it."""
    with pytest.raises(SettingsError) as caught:
        decide(machine, project, text, trust, **environment)
    return caught.value


def trusting(text: str) -> Trust:
    """Whoever has trusted a file with this content, in every folder."""
    return Trust(remembered=lambda _: hashlib.sha256(text.encode()).hexdigest())


def lines() -> list[Any]:
    """Every key alone: what it is called in an error, a file that says it, whether that is refused."""
    found = [(name, f"{name} = {VALUES[name]}", key.in_project is InProject.REFUSED) for name, key in KEYS.items()]
    found += [(f"limits.{name}", f"[limits]\n{name} = {HIGHER[name]}", True) for name in LIMITS]
    found += [(f"limits.{name}", f"[limits]\n{name} = {LOWER[name]}", False) for name in LIMITS]
    found += [(f"proxy.{name}", f"[proxy]\n{name} = {PROXIES[name]}", True) for name in PROXY]
    for name, said in RECIPE.items():
        keys = {"project": '"a"', "reason": '"a"', name: RECIPES[name]}
        text = "[[recipe]]\n" + "".join(f"{key} = {value}\n" for key, value in keys.items())
        found.append((f"recipe[1 a].{name}", text, said is not InProject.TAKEN))
    return [pytest.param(*one, id=one[1].replace("\n", " ")) for one in found]


@pytest.mark.parametrize(("key", "text", "is_refused"), lines())
def test_each_key_alone(machine: Machine, project: Path, key: str, text: str, is_refused: bool) -> None:
    """What it may not say is an error with its name; trusted, the same file is taken."""
    if is_refused:
        error = refused(machine, project, text)
        assert [(f"mirror.toml:{key}", "untrusted-key")] == [(one.where, one.code) for one in error.problems]
        assert f"write it to your own {machine.config / 'mirror.toml'}" in error.details[0]
    else:
        assert decide(machine, project, text)
    assert decide(machine, project, text, Trust(given=True))
    assert decide(machine, project, text, trusting(text))


def test_what_a_project_may_say_is_this() -> None:
    """Every other key is refused; so is a new one, until somebody has thought of what it can do."""
    assert {"python", "alpine", "base", "jobs"} == {
        name for name, key in KEYS.items() if key.in_project is InProject.TAKEN
    }
    assert {"oddities"} == {name for name, said in RECIPE.items() if said is InProject.REFUSED}
    assert {InProject.REFUSED} == {key.in_project for key in PROXY.values()}
    assert {InProject.LOWER} == {key.in_project for key in LIMITS.values()}
    assert ({"limits", "proxy"}, set(RECIPE)) == (set(SECTIONS), set(recipes.keys()))
    assert InProject.REFUSED is Key("new", as_text("x")).in_project


def test_the_shipped_file_marks_them() -> None:
    """What a project may say is marked so where every key is explained, and nothing else is."""
    text = (resources.config() / "mirror.toml").read_text(encoding="utf-8")
    marked = [part for part in text.split("\n\n") if part.startswith("# [project")]
    found = {key for part in marked for key in re.findall(r"^(?:# )?([a-z-]+) = ", part, re.MULTILINE)}
    recipe = {"project", "reason", "system-packages"}
    assert {"python", "alpine", "base", "jobs", *LIMITS, *recipe} == found


def test_how_it_is_told(machine: Machine, project: Path) -> None:
    """Each key with where it may stand, and at the end how to go on."""
    text = 'server = "http://127.0.0.1:9"\npyton = 1\n[limits]\nmemory = "64GiB"\n'
    own = machine.config / "mirror.toml"
    error = refused(machine, project, text)
    assert (
        "mirror.toml:server untrusted-key: a project's file may not say this by itself"
        f" → set MIRROR_SERVER, or write it to your own {own}",
        "mirror.toml:limits.memory untrusted-key: a project's file may lower a limit, and not raise it"
        f" → set MIRROR_LIMITS_MEMORY, or write it to your own {own}",
        "mirror.toml:pyton unknown-key: there is no such key → did you mean python?",
    ) == error.details
    assert (
        "mend what is listed, then run again;"
        " or read this folder's mirror.toml, and say that you trust it: `mirror trust`" == error.hint
    )


def test_nothing_that_is_refused_is_looked_at(machine: Machine, project: Path) -> None:
    """Not even whether a file is there."""
    error = refused(machine, project, 'ca-bundle = "/no/such/file"\nserver = 7\n')
    assert ["untrusted-key", "untrusted-key"] == [one.code for one in error.problems]


def test_a_change_asks_again(machine: Machine, project: Path) -> None:
    """Trust is for one content, whatever else changes."""
    before = 'server = "http://127.0.0.1:9"\n'
    error = refused(machine, project, before + "jobs = 1\n", trusting(before))
    assert (
        "this folder's mirror.toml has changed since you trusted it: read it again, then `mirror trust`" in error.hint
    )
    assert decide(machine, project, "jobs = 1\n", trusting(before))


def test_in_ci_only_the_call_itself_counts(machine: Machine, project: Path) -> None:
    """There, what comes in a change decides nothing because the machine remembers an older one."""
    text = 'server = "http://127.0.0.1:9"\n'
    error = refused(machine, project, text, trusting(text), CI="1")
    assert "or trust it with --trust-project" in error.hint
    assert decide(machine, project, text, Trust(given=True), CI="1")


def test_trust_is_asked_for_the_folder_itself(machine: Machine, project: Path, tmp_path: Path) -> None:
    """However one came there."""
    asked: list[Path] = []
    (tmp_path / "link").symlink_to(project)
    trust = Trust(remembered=asked.append)
    for folder in (project, tmp_path / "link", project / ".." / "project"):
        refused(machine, folder, "port = 1", trust)
    assert [project.resolve()] * 3 == asked


def test_limits_are_held_against_all_other_sources(machine: Machine, project: Path) -> None:
    """The user's file may have lowered one; where the environment says it, the project's counts for nothing."""
    machine.config.mkdir()
    (machine.config / "mirror.toml").write_text('[limits]\nlog = "1MiB"\nwall-clock = "1h"\n')
    text = '[limits]\nlog = "2MiB"\n[[recipe]]\nproject = "a"\nreason = "b"\ntimeout = "61min"\n'
    error = refused(machine, project, text)
    assert ["mirror.toml:limits.log", "mirror.toml:recipe[1 a].timeout"] == [one.where for one in error.problems]
    settings = decide(machine, project, text, MIRROR_LIMITS_LOG="3MiB", MIRROR_LIMITS_WALL_CLOCK="61min")
    assert (3 * 2**20, 3660) == (settings.log_bytes, settings.wall_clock_s)


def test_what_is_shown_before_it_is_trusted(machine: Machine, project: Path) -> None:
    """Each value that needs trust, and the hash of the very file that was read."""
    text = 'port = 7\njobs = 1\n[[recipe]]\nproject = "a"\nreason = "b"\noddities = ["no-extension"]\n'
    (project / "mirror.toml").write_text(text)
    file, untrusted = ask_for_trust(environment={}, folder=project, machine=machine)
    assert hashlib.sha256(text.encode()).hexdigest() == file.sha256
    assert [("port", 7), ("recipe[1 a].oddities", ["no-extension"])] == [(one.key, one.value) for one in untrusted]


@pytest.mark.parametrize("kind", ["a device", "a pipe", "a terminal"])
def test_a_file_that_never_ends(machine: Machine, project: Path, kind: str) -> None:
    """A clone may hold a link to anything: it is told, and nothing waits for it."""
    place = project / "mirror.toml"
    if kind == "a pipe":
        os.mkfifo(place)
    else:
        place.symlink_to("/dev/zero" if kind == "a device" else "/dev/tty")
    with pytest.raises(SettingsError) as caught:
        load(environment={}, folder=project, flags={}, machine=machine)
    assert ("file-unreadable",) == tuple(one.code for one in caught.value.problems)


def test_the_users_own_folder_is_no_project(machine: Machine) -> None:
    """Whoever stands there has one file, and it is theirs."""
    machine.config.mkdir()
    assert 7 == decide(machine, machine.config, "port = 7\n").port
    settings = load(environment={}, folder=resources.config(), flags={}, machine=machine)
    assert 7 == settings.port


def test_without_a_home_there_is_no_file_of_the_users(project: Path) -> None:
    """Its path would be relative, and so lie in the project."""
    own = project / "~" / "mirror"
    own.mkdir(parents=True)
    (own / "mirror.toml").write_text("port = 7\n")
    nowhere = Path("~/mirror")
    machine = Machine(processors=1, memory_bytes=8 * GIB, config=nowhere, data=nowhere, cache=nowhere)
    before = Path.cwd()
    os.chdir(project)
    try:
        settings = load(
            environment={"MIRROR_DATA": "/x", "MIRROR_CACHE": "/x"}, folder=project, flags={}, machine=machine
        )
    finally:
        os.chdir(before)
    assert 3141 == settings.port
