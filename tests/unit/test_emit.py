"""The lines to paste: exact text, and what pip and uv must be told."""

from __future__ import annotations

import shlex
from dataclasses import replace

import pytest
from packaging.utils import NormalizedName
from packaging.version import Version

from fakes.outcomes import TARGET, a_blocked, a_built, a_failed, a_key, a_reused
from mirror.core.emit import (
    IndexAddress,
    Install,
    dockerfile,
    hashed_requirements,
    lines_to_paste,
    pip,
    pip_conf,
    poetry,
    trusted_host,
    uv,
)
from mirror.core.errors import MirrorError
from mirror.core.model import Lock, LockedPackage

EMBEDDED = IndexAddress(
    host_url="http://127.0.0.1:3141/mirror/alpine/+simple/", image_url="http://172.17.0.1:3141/mirror/alpine/+simple/"
)
TEAM = IndexAddress(host_url="https://wheels.example/team/+simple/", image_url="https://wheels.example/team/+simple/")
INSTALL = Install(address=EMBEDDED, base_image="python:3.11-alpine3.22")
TEAM_INSTALL = Install(
    address=TEAM,
    base_image="python:3.11-alpine3.22",
    requirements=("requirements.txt", "deploy/web.txt"),
    constraints=("constraints.txt",),
    included=("deploy/base.txt",),
    pre_releases=True,
)


def test_pip() -> None:
    """A container needs the bridge's address and must be told to trust it; this machine needs neither."""
    assert """\
# in a container or an image build:
pip install --only-binary :all: \\
    --index-url http://172.17.0.1:3141/mirror/alpine/+simple/ --trusted-host 172.17.0.1 \\
    -r requirements.txt
# on this machine:
pip install --only-binary :all: \\
    --index-url http://127.0.0.1:3141/mirror/alpine/+simple/ \\
    -r requirements.txt
""" == pip(INSTALL)


def test_poetry() -> None:
    """The address that a container reaches, which is good on this machine, too; and no sdist is ever taken."""
    assert """\
# in pyproject.toml:
[[tool.poetry.source]]
name = "mirror"
url = "http://172.17.0.1:3141/mirror/alpine/+simple/"
priority = "primary"

# once, beside it:
poetry config --local installer.only-binary :all:
""" == poetry(INSTALL)


def test_pip_with_a_team_server() -> None:
    """One address for all is one command, with every file in its order."""
    assert """\
pip install --only-binary :all: \\
    --index-url https://wheels.example/team/+simple/ \\
    --pre -r requirements.txt -r deploy/web.txt -c constraints.txt
""" == pip(TEAM_INSTALL)


def test_a_short_command_is_one_line() -> None:
    """A command that fits on a line is not broken."""
    address = IndexAddress(host_url="https://w.example/+simple/", image_url="https://w.example/+simple/")
    assert "pip install --only-binary :all: --index-url https://w.example/+simple/ -r requirements.txt\n" == pip(
        Install(address=address, base_image="alpine")
    )


def test_uv() -> None:
    """In a container uv fills the system's Python; http needs no word more."""
    assert """\
# in a container or an image build:
uv pip install --system --only-binary :all: \\
    --default-index http://172.17.0.1:3141/mirror/alpine/+simple/ \\
    -r requirements.txt
# on this machine:
uv pip install --only-binary :all: \\
    --default-index http://127.0.0.1:3141/mirror/alpine/+simple/ \\
    -r requirements.txt
""" == uv(INSTALL)


def test_a_file_name_with_a_space_is_quoted() -> None:
    """File names reach pip as one word each."""
    words = shlex.split(pip(Install(address=TEAM, base_image="alpine", requirements=("my reqs.txt", "$HOME.txt"))))
    assert ["-r", "my reqs.txt", "-r", "$HOME.txt"] == words[-4:]


def test_pip_conf() -> None:
    """A pip.conf names one index and no other."""
    assert """\
[global]
index-url = http://172.17.0.1:3141/mirror/alpine/+simple/
trusted-host = 172.17.0.1
only-binary = :all:
""" == pip_conf(INSTALL)


def test_dockerfile() -> None:
    """The image build needs the bridge's address as a build argument, and no compiler."""
    assert """\
FROM python:3.11-alpine3.22
ARG INDEX_URL=http://172.17.0.1:3141/mirror/alpine/+simple/
ARG INDEX_HOST=172.17.0.1
COPY requirements.txt ./
RUN pip install --no-cache-dir --only-binary :all: --index-url "$INDEX_URL" --trusted-host "$INDEX_HOST" \\
    -r requirements.txt
""" == dockerfile(INSTALL)


def test_dockerfile_with_a_team_server() -> None:
    """https needs no trusted host; files that other files include are copied, too, and keep their folders."""
    assert """\
FROM python:3.11-alpine3.22
ARG INDEX_URL=https://wheels.example/team/+simple/
COPY requirements.txt ./
COPY deploy/web.txt deploy/
COPY constraints.txt ./
COPY deploy/base.txt deploy/
RUN pip install --no-cache-dir --only-binary :all: --index-url "$INDEX_URL" \\
    --pre -r requirements.txt -r deploy/web.txt -c constraints.txt
""" == dockerfile(TEAM_INSTALL)


def test_dockerfile_with_files_outside_the_build_context() -> None:
    """A file that COPY cannot reach is expected at the top; one that is named twice is copied once."""
    install = Install(
        address=TEAM,
        base_image="alpine",
        requirements=("/home/u/a.txt", "../b.txt", "./my reqs.txt"),
        constraints=("../b.txt",),
    )
    assert """\
FROM alpine
ARG INDEX_URL=https://wheels.example/team/+simple/
COPY a.txt ./
COPY b.txt ./
COPY ["my reqs.txt", "./"]
RUN pip install --no-cache-dir --only-binary :all: --index-url "$INDEX_URL" \\
    -r a.txt -r b.txt -r 'my reqs.txt' -c b.txt
""" == dockerfile(install)


def test_dockerfile_quotes_an_odd_address() -> None:
    """A character that means something in a Dockerfile is taken as it is."""
    address = IndexAddress(host_url="", image_url='https://w.example/a$b/"c"/+simple/')
    line = dockerfile(Install(address=address, base_image="alpine")).splitlines()[1]
    assert r'ARG INDEX_URL="https://w.example/a\$b/\"c\"/+simple/"' == line


def test_lines_to_paste() -> None:
    """After a build the three ways are shown as they are used in a container."""
    assert f"""\
# pip
pip install --only-binary :all: \\
    --index-url http://172.17.0.1:3141/mirror/alpine/+simple/ --trusted-host 172.17.0.1 \\
    -r requirements.txt

# uv
uv pip install --system --only-binary :all: \\
    --default-index http://172.17.0.1:3141/mirror/alpine/+simple/ \\
    -r requirements.txt

# Dockerfile
{dockerfile(INSTALL)}""" == lines_to_paste(INSTALL)


def test_an_authority_of_ones_own() -> None:
    """Each tool is told of it in its own way, and an image build brings it; an http index has no use for it."""
    address = IndexAddress(host_url="https://localhost/x/+simple/", image_url="https://localhost/x/+simple/")
    install = Install(address=address, base_image="alpine", ca_bundle="tls/my authority.pem")
    assert """\
FROM alpine
# An image build reaches this machine by another name: give it as --build-arg INDEX_URL=...
ARG INDEX_URL=https://localhost/x/+simple/
COPY requirements.txt ./
COPY ["tls/my authority.pem", "tls/"]
RUN pip install --no-cache-dir --only-binary :all: --index-url "$INDEX_URL" --cert 'tls/my authority.pem' \\
    -r requirements.txt
""" == dockerfile(install)
    assert "--index-url https://localhost/x/+simple/ --cert 'tls/my authority.pem'" in pip(install)
    assert uv(install).startswith("SSL_CERT_FILE='tls/my authority.pem' uv pip install --system ")
    assert "cert = tls/my authority.pem\n" in pip_conf(install)
    assert "poetry config certificates.mirror.cert 'tls/my authority.pem'\n" in poetry(install)
    plain = replace(install, address=EMBEDDED)
    assert "authority" not in "".join(form(plain) for form in (pip, uv, pip_conf, poetry, dockerfile))


def test_no_password_is_emitted() -> None:
    """User and password of an address stand in nothing that is pasted."""
    url = "http://jo:s3cret@wheels.example:3141/+simple/"
    install = Install(address=IndexAddress(host_url=url, image_url=url), base_image="alpine")
    emitted = "".join(form(install) for form in (pip, uv, pip_conf, dockerfile, lines_to_paste))
    assert (0, 0, 7) == (
        emitted.count("s3cret"),
        emitted.count("jo:"),
        emitted.count("http://wheels.example:3141/+simple/"),
    )


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://172.17.0.1:3141/+simple/", "172.17.0.1"),
        ("http://devpi:3141/+simple/", "devpi"),
        ("http://[fd00::1]:3141/+simple/", "fd00::1"),
        ("http://localhost:3141/+simple/", None),
        ("http://127.0.0.1:3141/+simple/", None),
        ("http://127.1.2.3/+simple/", None),
        ("http://[::1]:3141/+simple/", None),
        ("https://devpi/+simple/", None),
    ],
)
def test_trusted_host(url: str, expected: str | None) -> None:
    """Only http to another machine needs pip's trust."""
    assert expected == trusted_host(url)


def a_locked(name: str, version: str) -> LockedPackage:
    """A package of a lock; its files do not matter here."""
    return LockedPackage(name=NormalizedName(name), version=Version(version), sdist=None, wheels=())


def test_hashed_requirements() -> None:
    """Each package of the lock is pinned to its one wheel; what only a build needed is left out."""
    lock = Lock(target=TARGET, packages=(a_locked("django", "4.1.13"), a_locked("numpy", "1.23.5")))
    outcomes = (
        a_built("numpy", "1.23.5", 211, 14_200_000),
        a_built("numpy", "1.23.2", 239, 14_200_000),
        a_reused("django", "4.1.13"),
    )
    assert f"""\
# for cp311-musllinux_1_2_x86_64
django==4.1.13 \\
    --hash=sha256:{"ab" * 32}
numpy==1.23.5 \\
    --hash=sha256:{"ab" * 32}
""" == hashed_requirements(lock, outcomes)


def test_hashed_requirements_with_a_package_missing() -> None:
    """A package without a wheel is an error that names it, not a file that lacks it."""
    packages = (a_locked("django", "4.1.13"), a_locked("lxml", "5.3.0"), a_locked("pandas", "1.5.3"))
    outcomes = (
        a_reused("django", "4.1.13"),
        a_failed("lxml", "5.3.0"),
        a_blocked("pandas", "1.5.3", a_key("lxml", "5.3.0")),
    )
    with pytest.raises(MirrorError) as caught:
        hashed_requirements(Lock(target=TARGET, packages=packages), outcomes)
    error = caught.value
    assert (
        "wheel-missing",
        "There is no wheel for 2 of 3 packages, so they cannot be pinned.",
        ("lxml 5.3.0", "pandas 1.5.3"),
    ) == (error.code, error.what, error.details)
