"""Settings: which source wins, what defaults depend on, and what is said about settings that are wrong."""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from mirror import resources
from mirror.core import recipes
from mirror.core.errors import BadInputError, ExitStatus
from mirror.core.model import Base
from mirror.core.tables import TableProblem
from mirror.core.upstreams import FurtherUpstream
from mirror.ports import Limits
from mirror.settings import Machine, Settings, SettingsError, load
from mirror.settings_keys import KEYS, LIMITS, PROXY, read_values

GIB = 2**30


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
    """The current folder."""
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


def decide(
    machine: Machine,
    project: Path,
    *,
    environment: Mapping[str, str] | None = None,
    flags: Mapping[str, object] | None = None,
) -> Settings:
    """The settings of one call."""
    return load(environment=environment or {}, folder=project, flags=flags or {}, machine=machine)


def users_file(machine: Machine, text: str) -> Path:
    """The user's own file, with this in it; its folder."""
    machine.config.mkdir(exist_ok=True)
    (machine.config / "mirror.toml").write_text(text, encoding="utf-8")
    return machine.config


def problems(machine: Machine, project: Path, text: str = "", **sources: Mapping[str, Any]) -> list[str]:
    """What is said about the user's file, an environment and flags."""
    folder = users_file(machine, text)
    with pytest.raises(SettingsError) as caught:
        decide(machine, project, environment=sources.get("environment"), flags=sources.get("flags"))
    assert (ExitStatus.BAD_INPUT, "settings") == (caught.value.status, caught.value.code)
    assert "mend what is listed, then run again" == caught.value.hint
    return [detail.removeprefix(f"{folder}/") for detail in caught.value.details]


def test_defaults(machine: Machine, project: Path, tmp_path: Path) -> None:
    """Without any setting: what ships, and what the machine says."""
    settings = decide(machine, project)
    assert (
        Settings(
            python=("3.11",),
            alpine="3.22",
            jobs=2,
            port=3141,
            listen="local",
            data=tmp_path / "data",
            cache=tmp_path / "cache",
            proxy={},
            memory_bytes=6 * GIB,
            scratch_bytes=3 * GIB,
            processes=1024,
            open_files=4096,
            wall_clock_s=7200,
            silence_s=1800,
            log_bytes=16 * 2**20,
            output_bytes=GIB,
            recipe_sources=settings.recipe_sources,
            recipes=settings.recipes,
        )
        == settings
    )
    assert (
        Limits(
            memory_bytes=6 * GIB,
            scratch_bytes=3 * GIB,
            processes=1024,
            open_files=4096,
            wall_clock_s=7200,
            silence_s=1800,
            log_bytes=16 * 2**20,
            output_bytes=GIB,
        )
        == settings.limits()
    )


def test_defaults_of_a_large_machine_are_bounded(machine: Machine, project: Path) -> None:
    """A hundred processors do not mean a hundred builds at once."""
    settings = decide(replace(machine, processors=100, memory_bytes=1024 * GIB), project)
    assert (4, 16 * GIB) == (settings.jobs, settings.memory_bytes)


def test_each_source_wins_over_those_before_it(machine: Machine, project: Path) -> None:
    """What ships < the user's file < the project's < the environment < flags."""
    users_file(machine, 'jobs = 5\nport = 5\nalpine = "3.5"\nuser = "five"\n')
    (project / "mirror.toml").write_text('jobs = 6\nalpine = "3.6"\n')
    environment = {"MIRROR_JOBS": "7", "MIRROR_PORT": "7", "MIRROR_LIMITS_SILENCE": "7s", "MIRROR_PYTHON": "3.12 3.13"}
    settings = decide(machine, project, environment=environment, flags={"jobs": 8, "base": Base.BOOTSTRAP})
    assert (8, 7, "3.6", "five", 7, ("3.12", "3.13"), Base.BOOTSTRAP, "local") == (
        settings.jobs,
        settings.port,
        settings.alpine,
        settings.user,
        settings.silence_s,
        settings.python,
        settings.base,
        settings.listen,
    )


def test_every_setting_is_read(machine: Machine, project: Path) -> None:
    """Each key of the file arrives; relative paths belong to the file's folder."""
    folder = users_file(
        machine,
        """
        python = "3.12"
        base = "alpine"
        index-url = "https://devpi.example.org/team/alpine/+simple/"
        user = "team"
        password-file = "secret"
        listen = "all"
        upstream = "http://localhost:8080/simple/"
        data = "kept"
        cache = "/var/cache/mirror"
        ca-bundle = "company.pem"
        registry = "registry.example.org:5000/library"
        apk-repositories = ["https://apk.example.org/v3.22/main"]
        apk-keys = "keys"
        refresh-after = "90d"
        runtime = "runsc"
        [[further-upstream]]
        name = "corp"
        url = "https://pypi.corp.example/simple/"
        projects = ["Corp_*", "secretlib"]
        credentials-file = "secret"
        [proxy]
        https = "http://proxy.example.org:3128"
        no-proxy = "localhost"
        [limits]
        memory = "1.5 GiB"
        scratch = "2GB"
        processes = 100
        open-files = 100
        wall-clock = "1d 2h 3min 4s"
        log = "1kB"
        output = "10B"
        """,
    )
    (folder / "company.pem").touch()
    (folder / "secret").touch()
    (folder / "keys").mkdir()
    settings = decide(machine, project, environment={"http_proxy": "http://other", "HTTPS_PROXY": "http://other"})
    assert (
        Settings(
            python=("3.12",),
            alpine="3.22",
            base=Base.ALPINE,
            jobs=2,
            index_url="https://devpi.example.org/team/alpine",
            user="team",
            password_file=folder / "secret",
            port=3141,
            listen="all",
            upstream="http://localhost:8080/simple/",
            further_upstreams=(
                FurtherUpstream(
                    name="corp",
                    url="https://pypi.corp.example/simple/",
                    projects=("corp-*", "secretlib"),
                    credentials_file=str(folder / "secret"),
                ),
            ),
            data=folder / "kept",
            cache=Path("/var/cache/mirror"),
            ca_bundle=folder / "company.pem",
            registry="registry.example.org:5000/library",
            apk_repositories=("https://apk.example.org/v3.22/main",),
            apk_keys=folder / "keys",
            refresh_after_s=90 * 86_400,
            runtime="runsc",
            proxy={
                "http_proxy": "http://other",
                "https_proxy": "http://proxy.example.org:3128",
                "no_proxy": "localhost",
            },
            memory_bytes=GIB * 3 // 2,
            scratch_bytes=2 * 10**9,
            processes=100,
            open_files=100,
            wall_clock_s=93784,
            silence_s=1800,
            log_bytes=1000,
            output_bytes=10,
            recipe_sources=settings.recipe_sources,
            recipes=settings.recipes,
        )
        == settings
    )


def test_the_environments_certificates_and_proxies(machine: Machine, project: Path, tmp_path: Path) -> None:
    """What other tools read is a default; a proxy with a password in it stays out."""
    bundle = tmp_path / "bundle.pem"
    bundle.touch()
    environment = {
        "SSL_CERT_FILE": str(tmp_path / "missing.pem"),
        "REQUESTS_CA_BUNDLE": str(bundle),
        "http_proxy": "http://me:secret@proxy.example.org",
        "HTTPS_PROXY": "http://proxy.example.org",
    }
    settings = decide(machine, project, environment=environment)
    assert (bundle, {"https_proxy": "http://proxy.example.org"}) == (settings.ca_bundle, settings.proxy)


def test_the_projects_recipes_win(machine: Machine, project: Path) -> None:
    """Sections of the user's file come after those that ship, and the project's last."""
    users_file(machine, '[[recipe]]\nproject = "a"\nreason = "user"\n')
    (project / "mirror.toml").write_text('[[recipe]]\nproject = "a"\nreason = "project"\n')
    settings = decide(machine, project)
    assert ["user", "project"] == [section.recipe.reasons[0] for section in settings.recipes.sections[-2:]]
    assert ["recipes.toml", "config/mirror.toml", str(machine.config / "mirror.toml"), "mirror.toml"] == [
        name for name, _ in settings.recipe_sources
    ]


def test_all_problems_come_in_one_pass(machine: Machine, project: Path) -> None:
    """Each with its place, what it is and what to do."""
    text = """
        pyton = ["3.11"]
        python = [3.12]
        alpine = 3.22
        password = "secret"
        jobs = -1
        port = true
        index-url = "https://me:secret@example.org/team/alpine"
        upstream = "ftp://example.org"
        registry = "https://registry.example.org"
        apk-repositories = ["https://me:secret@example.org"]
        base = "debian"
        listen = ""
        ca-bundle = "nope.pem"
        proxy = "http://proxy"
        [limits]
        memory = 8
        scratch = "8"
        silence = "30"
        wall-clock = "90m"
        log = "-3MiB"
        output = "0B"
        timeout = "3h"
        [[recipe]]
        project = "pandas"
        [[further-upstream]]
        name = "Corp"
        url = "https://me:secret@example.org/simple/"
        projects = ["*", "corp-*", "a/b"]
        credentials-file = "nope"
        password = "secret"
        [[further-upstream]]
        name = "two"
        [[further-upstream]]
        name = "two"
        url = "https://example.org/simple/"
        projects = "corp-*"
    """
    environment = {"MIRROR_JOBS": "many", "MIRROR_PYTHN": "3.11", "MIRROR_LIMITS_LOG": "3"}
    assert [
        "mirror.toml:python wrong-type: expected a list of texts, found a list with something else in it"
        ' → write python = ["3.11"]',
        'mirror.toml:alpine wrong-type: expected text, found a number → write alpine = "3.22"',
        "mirror.toml:base bad-value: 'debian' is not one of the choices → write alpine or bootstrap",
        "mirror.toml:jobs bad-value: -1 is out of range → choose from 1 to 256",
        "mirror.toml:index-url bad-value: credentials stand in the URL (https://***@example.org/team/alpine)"
        " → remove them: use user, and MIRROR_PASSWORD",
        "mirror.toml:port wrong-type: expected a whole number, found true or false → write port = 1",
        'mirror.toml:listen bad-value: the text is empty → remove the key, or write listen = "local"',
        "mirror.toml:upstream bad-value: 'ftp://example.org' is not a URL → write http:// or https:// and a host",
        "mirror.toml:further-upstream[1].name bad-value: 'Corp' is no name for an upstream"
        " → write letters, digits and dashes, say corp",
        "mirror.toml:further-upstream[1].url bad-value: credentials stand in the URL (https://***@example.org/simple/)"
        " → remove them, and name a file that has USER:PASSWORD with credentials-file",
        "mirror.toml:further-upstream[1].projects bad-value: *: it stands for every project"
        " → name what is yours; `upstream` takes the place of PyPI",
        "mirror.toml:further-upstream[1].projects bad-value: a/b: it is no project name"
        " → write a name, or one with a star: corp-*",
        "mirror.toml:further-upstream[1].credentials-file file-missing: there is no nope"
        " → check the path, or remove the key",
        "mirror.toml:further-upstream[1].password unknown-key: there is no such key"
        " → write USER:PASSWORD to a file of your own, and name it with credentials-file",
        "mirror.toml:further-upstream[2].url missing-key: the key is missing"
        ' → write url = "https://pypi.corp.example/simple/"',
        'mirror.toml:further-upstream[2].projects missing-key: the key is missing → write projects = ["corp-*"]',
        "mirror.toml:further-upstream[3].projects wrong-type: expected a list of texts, found text"
        ' → write projects = ["corp-*"]',
        "mirror.toml:ca-bundle file-missing: there is no nope.pem → check the path, or remove the key",
        "mirror.toml:registry bad-value: 'https://registry.example.org' is not a registry → write a host without https://",
        "mirror.toml:apk-repositories bad-value: credentials stand in the URL (https://***@example.org)"
        " → remove them: use user, and MIRROR_PASSWORD",
        'mirror.toml:limits.memory wrong-type: expected text, found a whole number → write memory = "8GiB"',
        'mirror.toml:limits.scratch bad-value: 8 has no unit → write "8MiB" or GiB',
        "mirror.toml:limits.wall-clock bad-value: '90m' is not a duration"
        ' → write numbers and units (d, h, min, s): "1h30min"',
        'mirror.toml:limits.silence bad-value: 30 has no unit → write "30min" or s or h',
        "mirror.toml:limits.log bad-value: '-3MiB' is not a size → write a number and a unit, such as \"8GiB\"",
        'mirror.toml:limits.output bad-value: nothing is too little → write a number and a unit, such as "8GiB"',
        "mirror.toml:limits.timeout unknown-key: there is no such key"
        " → known are log, memory, open-files, output, processes, scratch, silence, wall-clock",
        "mirror.toml:proxy wrong-type: expected a table, found text → write [proxy] on a line of its own",
        "mirror.toml:pyton unknown-key: there is no such key → did you mean python?",
        "mirror.toml:password unknown-key: there is no such key"
        " → set MIRROR_PASSWORD in the environment, or name a file with password-file",
        "MIRROR_PYTHN unknown-key: there is no such setting → did you mean MIRROR_PYTHON?",
        "MIRROR_JOBS wrong-type: expected a whole number, found text → write jobs = 1",
        'MIRROR_LIMITS_LOG bad-value: 3 has no unit → write "3MiB" or GiB',
        "--alpine bad-value: '3.22.1' is not a release as X.Y → write 3.22",
        "--port bad-value: 99999 is out of range → choose from 1 to 65535",
        'mirror.toml:recipe[1 pandas].reason missing-key: the key is missing → write reason = "why it needs this"',
    ] == problems(machine, project, text, environment=environment, flags={"alpine": "3.22.1", "port": 99999})


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"jobs = ", "mirror.toml bad-toml: "),
        (b"jobs = 1\nuser = '\xff'", "mirror.toml:2 encoding: byte 0xff is not UTF-8 → save it as UTF-8"),
        (b"a = " + b"[" * 5000, "mirror.toml bad-toml: "),
    ],
)
def test_files_that_are_no_toml(machine: Machine, project: Path, content: bytes, expected: str) -> None:
    """A broken file is a problem like any other."""
    (project / "mirror.toml").write_bytes(content)
    with pytest.raises(SettingsError) as caught:
        decide(machine, project)
    assert caught.value.details[0].startswith(expected)


def test_a_folder_instead_of_a_file(machine: Machine, project: Path) -> None:
    """Nor does what cannot be read end in a traceback."""
    (project / "mirror.toml").mkdir()
    with pytest.raises(SettingsError) as caught:
        decide(machine, project)
    expected = "mirror.toml file-unreadable: it cannot be read (Is a directory) → check the file and its permissions"
    assert (expected,) == caught.value.details


def test_the_password_is_the_environments_or_a_files(machine: Machine, project: Path) -> None:
    """It is read when it is needed, and stands in no rendering of the settings."""
    (users_file(machine, 'user = "team"\npassword-file = "secret"\n') / "secret").write_text("from the file\n")
    settings = decide(machine, project, environment={"MIRROR_PASSWORD": "from the environment"})
    assert "from the environment" == settings.read_password()
    assert "from the environment" not in repr(settings)
    assert "from the file" == decide(machine, project).read_password()


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('user = "team"', "there is no password for team"),
        ('user = "team"\npassword-file = "missing"', "cannot be read"),
        ('user = "team"\npassword-file = "empty"', "is empty"),
    ],
)
def test_no_password(machine: Machine, project: Path, text: str, what: str) -> None:
    """A missing password is said with what to do."""
    (users_file(machine, text) / "empty").touch()
    with pytest.raises(BadInputError, match=what) as caught:
        decide(machine, project).read_password()
    assert "set MIRROR_PASSWORD in the environment, or name a file with password-file" == caught.value.hint


VALUES = st.recursive(
    st.one_of(
        st.text(max_size=10),
        st.integers(),
        st.floats(),
        st.booleans(),
        st.dates(),
        st.sampled_from(["1" * 5_000, "\x00", "~nobody-of-that-name/x", "http://[", "3." + "1" * 5_000 + "h"]),
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
RECIPE_KEYS = ["project", "versions", "reason", "environment", "build-constraints", "import-names", "timeout"]
TABLES = st.dictionaries(
    st.sampled_from([*KEYS, "limits", "proxy", "recipe", "other"]),
    VALUES
    | st.dictionaries(st.sampled_from([*LIMITS, *PROXY]), VALUES, max_size=5)
    | st.lists(st.dictionaries(st.sampled_from(RECIPE_KEYS), VALUES, max_size=5), max_size=2),
    max_size=6,
)


@hypothesis.settings(max_examples=150, deadline=2_000)
@hypothesis.given(values=TABLES)
def test_any_value_is_read_or_refused(values: Mapping[str, object]) -> None:
    """Whatever stands in a file: values or problems with a printable line each, never another exception."""
    found: list[TableProblem] = []
    read_values("mirror.toml", values, Path("project"), found)
    found += recipes.read([("mirror.toml", values)])[1]
    assert [] == [str(problem) for problem in found if not str(problem).isprintable()]


def test_the_shipped_file_shows_every_setting() -> None:
    """Each key stands in config/mirror.toml, active or as a comment."""
    text = (resources.config() / "mirror.toml").read_text(encoding="utf-8")
    shown = set(re.findall(r"^(?:# )?(?:\[\[?)?([a-z-]+)(?: = |\])", text, re.MULTILINE))
    assert set() == {*KEYS, *LIMITS, *PROXY} - shown


def test_without_a_home_the_folders_must_be_named(machine: Machine, project: Path, tmp_path: Path) -> None:
    """Else a folder called ~ would be made wherever we happen to stand."""
    homeless = replace(machine, data=Path("~/.local/share/mirror"), cache=Path("~/.cache/mirror"))
    hint = "set HOME, or this one"
    assert [
        f"data no-home: there is no home folder for it → {hint}",
        f"cache no-home: there is no home folder for it → {hint}",
    ] == problems(homeless, project)
    named = decide(homeless, project, environment={"MIRROR_DATA": str(tmp_path), "MIRROR_CACHE": "c"})
    assert (tmp_path, project / "c") == (named.data, named.cache)


def test_this_machine() -> None:
    """What the platform says is plausible."""
    machine = Machine.this()
    assert machine.processors >= 1
    assert machine.memory_bytes > 2**26
    assert "mirror" == machine.data.name
