"""compose.yaml started for real: a team's index behind TLS, what builds for it, and what keeps strangers out."""

from __future__ import annotations

import base64
import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
import requests

from fakes.sdists import sdist
from fakes.stack import Stack, opened_stack, tar_of
from fakes.wheels import checked_wheel
from mirror.adapters.images.bootstrap import BASE_NAME

pytestmark = pytest.mark.docker
PROD = "/mirror/prod/+simple/"
MUSL_PIP = (
    'pip/26.0 {"cpu":"x86_64","distro":{"id":"alpine","name":"Alpine Linux","version":"3.22"},'
    '"implementation":{"name":"CPython","version":"3.11.2"},"python":"3.11.2","system":{"name":"Linux"}}'
)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One stack for all tests here: each takes projects of its own."""
    with opened_stack(tmp_path_factory.mktemp("team"), "mirrortest") as stack:
        yield stack


@pytest.fixture(scope="module")
def alice(stack: Stack) -> str:
    """A token of somebody who may read and have something built."""
    return stack.token("alice")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where alice stands."""
    return tmp_path


def basic(user: str, secret: str) -> dict[str, str]:
    """HTTP's own way to log in."""
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{secret}".encode()).decode()}


def root(stack: Stack) -> dict[str, str]:
    """What root says to log in, as only the index's container knows it."""
    password = stack.execute("index", "cat", "/data/devpi/root-password")
    answer = stack.request("POST", "/+login", json={"user": "root", "password": password})
    token = answer.json()["result"]["password"]
    return {"X-Devpi-Auth": base64.b64encode(f"root:{token}".encode()).decode(), "Accept": "application/json"}


def files(stack: Stack, project: str, index: str = "prod", **options: Any) -> list[str]:
    """The file names that a project has there, asked past the cache of pages."""
    answer = stack.get(
        f"/mirror/{index}/+simple/{project}/?{time.monotonic_ns()}",
        headers={"Accept": "application/vnd.pypi.simple.v1+json", **options.get("headers", {})},
    )
    return [file["filename"] for file in answer.json()["files"]] if answer.status_code == 200 else []


def wait_until(true: Callable[[], bool], what: str, timeout_s: float = 180.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.5)


def in_a_client(stack: Stack, script: str) -> tuple[int, str]:
    """Run a script in a musl container on the stack's network, which trusts the stack's authority; status, output."""
    client = docker.from_env()
    container = client.containers.create(
        BASE_NAME, ["sh", "-c", script], network=stack.network(), environment={"PIP_ROOT_USER_ACTION": "ignore"}
    )
    try:
        container.put_archive("/tmp", tar_of({"authority.pem": stack.ca.read_bytes()}))
        container.start()
        status = container.wait(timeout=300)["StatusCode"]
        return status, container.logs().decode()
    finally:
        container.remove(force=True)
        client.close()


def upload(stack: Stack, index: str, name: str, version: str, headers: dict[str, str]) -> requests.Response:
    """Upload an sdist as twine does."""
    content = sdist(name, version, {"setup.py": "from setuptools import setup\nsetup()\n"})
    form = {":action": "file_upload", "name": name, "version": version, "metadata_version": "2.1"}
    return stack.request(
        "POST",
        f"/mirror/{index}/",
        data=form,
        files={"content": (f"{name}-{version}.tar.gz", content)},
        headers={"Accept": "application/json", **headers},
    )


def build(stack: Stack, folder: Path, token: str, requirements: str, *options: str) -> tuple[int, str, str]:
    """`mirror build --server` of somebody without an engine: exit status, stdout, stderr."""
    (folder / "requirements.txt").write_text(requirements)
    with stack.mirror(folder, "build", "requirements.txt", *options, token=token) as process:
        out, err = process.communicate(timeout=600)
    return process.returncode, out, err


def attempts(stack: Stack, project: str) -> list[dict[str, Any]]:
    """How often something was compiled, as the page's API tells it."""
    answer = stack.get(f"/+mirror/api/projects/{project}")
    found: list[dict[str, Any]] = answer.json()["attempts"] if answer.status_code == 200 else []
    return found


def test_somebody_without_an_engine_builds_and_a_client_installs(stack: Stack, folder: Path, alice: str) -> None:
    """The same command, output and exit status; then pip in a musl container, with TLS and nothing to compile with."""
    status, out, err = build(stack, folder, alice, "markupsafe==2.0.1\n")
    assert (0, True, True) == (status, "markupsafe  2.0.1    built" in out, "markupsafe 2.0.1: compile" in err), err
    assert f"--index-url {stack.url}{PROD} -r requirements.txt" in out
    status, out, _ = build(stack, folder, alice, "markupsafe==2.0.1\n")
    assert (0, True) == (status, out.startswith("Nothing to build: all 1 wheels are there")), out

    host = stack.url.replace("localhost", "proxy").replace(str(stack.port), "8443")
    options = f"--cert /tmp/authority.pem --only-binary :all: --index-url {host}{PROD}"
    install = f"pip install --no-cache-dir -q {options} markupsafe==2.0.1"
    status, output = in_a_client(stack, f"{install} && python -c 'import markupsafe._speedups; print(7)'")
    assert (1, True) == (status, "certificate" in output), output  # it is for `localhost`, and pip looks
    address = f"{{ cat /etc/hosts; }} && {install.replace('--cert /tmp/authority.pem', '--trusted-host proxy:8443')}"
    status, output = in_a_client(stack, f"{address} && python -c 'import markupsafe._speedups; print(7)'")
    assert (0, "7") == (status, output.strip().splitlines()[-1]), output


def test_bad_requests_have_the_usual_exit_statuses(stack: Stack, folder: Path, alice: str) -> None:
    """2 before anything is sent, 1 where something cannot be built, 3 without a good token; JSON stays JSON."""
    status, _, err = build(stack, folder, alice, "numpy===\n")
    assert (2, True) == (status, "requirements.txt:1" in err), err
    status, _, err = build(stack, folder, alice, "there-is-no-such-project-at-all==1\n")
    assert (1, True) == (status, "there-is-no-such-project-at-all" in err), err
    status, _, err = build(stack, folder, "devpi-nonsense", "six\n")
    assert (3, True) == (status, "index-login" in err), err
    status, out, _ = build(stack, folder, alice, "six==1.16.0\n", "--json")
    assert (0, True) == (status, json.loads(out)["targets"][0]["succeeded"])


def test_no_request_reads_a_file_of_the_server(stack: Stack, folder: Path, alice: str) -> None:
    """Whoever writes a request by hand gets no further than whoever uses mirror."""
    for text in ("-r /token/builder\n", "-c /etc/passwd\n", "--index-url https://evil.example/\nsix\n", "./x\n"):
        body = {"version": 1, "requirements": [{"name": "requirements.txt", "text": text}]}
        answer = stack.request("POST", "/+mirror/builds", json=body, headers=basic("alice", alice))
        assert 400 == answer.status_code, answer.text
        assert "devpi-" not in answer.text and "root:" not in answer.text
    body = {"version": 1, "requirements": [{"name": "../../etc/x", "text": "six\n"}]}
    assert 400 == stack.request("POST", "/+mirror/builds", json=body, headers=basic("alice", alice)).status_code
    assert 401 == stack.request("POST", "/+mirror/builds", json=body).status_code
    form = {**basic("alice", alice), "Content-Type": "text/plain"}
    assert 400 == stack.request("POST", "/+mirror/builds", data=json.dumps(body), headers=form).status_code


def test_two_users_cause_one_build(stack: Stack, tmp_path: Path, alice: str) -> None:
    """Both are told that it is there, at the same time; it was compiled once."""
    ended: list[tuple[int, str, str]] = []
    tokens = {"alice": alice, "bob": stack.token("bob")}

    def ask(user: str) -> None:
        (tmp_path / user).mkdir()
        (tmp_path / user / "requirements.txt").write_text("msgpack==1.0.4\n")
        with stack.mirror(tmp_path / user, "build", "requirements.txt", token=tokens[user], user=user) as process:
            out, err = process.communicate(timeout=600)
        ended.append((process.returncode, out, err))

    threads = [threading.Thread(target=ask, args=(user,)) for user in tokens]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [0, 0] == [status for status, _, _ in ended], ended
    assert 1 == len([one for one in attempts(stack, "msgpack") if one["version"] == "1.0.4"])


def test_a_miss_is_built(stack: Stack) -> None:
    """A musl client asks for what has no wheel: the next one finds it. glibc clients and browsers cause nothing."""
    page = f"{PROD}zope-interface/"
    before = files(stack, "zope-interface")
    assert not [name for name in before if "musllinux" in name and "cp311" in name]
    for other in ("Mozilla/5.0", MUSL_PIP.replace('"distro":{', '"distro":{"libc":{"lib":"glibc","version":"2.36"},')):
        assert 200 == stack.get(page, headers={"User-Agent": other}).status_code
    time.sleep(1)
    assert [] == attempts(stack, "zope-interface")
    assert 200 == stack.get(page, headers={"User-Agent": MUSL_PIP}).status_code
    wait_until(
        lambda: bool([n for n in files(stack, "zope-interface") if "cp311-cp311-musllinux" in n]), "no wheel came"
    )


def test_the_builders_token_uploads_and_does_nothing_else(stack: Stack, alice: str) -> None:
    """It cannot remove, change or make anything; root can, so it is the token that stops it."""
    token = stack.execute("index", "cat", "/token/builder")
    builder = {**basic("builder", token), "Accept": "application/json"}
    wheel = checked_wheel("mine-1.0-py3-none-any.whl")
    form = {":action": "file_upload", "name": "mine", "version": "1.0"}
    put = {"data": form, "files": {"content": ("mine-1.0-py3-none-any.whl", wheel.content)}}
    nobody = {"Accept": "application/json"}
    answers = [
        stack.request("POST", "/mirror/alpine/", headers=headers, **put).status_code
        for headers in (nobody, {**nobody, **basic("alice", alice)}, builder)
    ]
    assert [True, True, True] == [answers[0] in (401, 403), answers[1] in (401, 403), answers[2] == 200], answers
    attacks = [
        ("DELETE", "/mirror/alpine/mine/1.0", None),
        ("DELETE", "/mirror/alpine/mine", None),
        ("DELETE", "/mirror/alpine", None),
        ("PATCH", "/mirror/alpine", ["volatile=True"]),
        ("PATCH", "/mirror/alpine", ["mirror_whitelist+=six"]),
        ("PUT", "/builder/own", {"type": "stage"}),
        ("PUT", "/mallory", {"password": "x"}),
        ("PATCH", "/builder", {"password": "x"}),
        ("POST", "/builder/+token-create", {}),
        ("POST", "/mirror/internal/", None),
        ("DELETE", "/mirror/alpine/mine/1.0?force", None),
    ]
    refused = [stack.request(method, path, json=body, headers=builder).status_code for method, path, body in attacks]
    assert not [status for status in refused if status < 400], refused
    assert ["mine-1.0-py3-none-any.whl"] == files(stack, "mine", "alpine")
    removed = stack.request("DELETE", "/mirror/alpine/mine/1.0?force", headers=root(stack))
    assert (200, []) == (removed.status_code, files(stack, "mine", "alpine")), removed.text


def test_a_revoked_token_is_good_for_nothing(stack: Stack) -> None:
    """From the next request on."""
    token = stack.token("carol", "--publish")
    assert 200 == upload(stack, "internal", "carols", "1.0", basic("carol", token)).status_code
    assert "carol" in stack.execute("index", "mirror", "token", "list")
    stack.execute("index", "mirror", "token", "revoke", "carol")
    assert 403 == upload(stack, "internal", "carols", "1.1", basic("carol", token)).status_code
    assert ["carols-1.0.tar.gz"] == files(stack, "carols")


def test_private_names_never_fall_through(stack: Stack) -> None:
    """A name of the team's own shows the team's files alone, whoever has it upstream; without our rule it would not."""
    publisher = basic("dave", stack.token("dave", "--publish"))
    assert len(files(stack, "sampleproject")) > 3  # it is upstream's, and everybody's
    assert 200 == upload(stack, "internal", "sampleproject", "0.0.1", publisher).status_code
    assert ["sampleproject-0.0.1.tar.gz"] == files(stack, "sampleproject")

    # What opens that is the whitelist of compiled wheels: the builder is refused, whatever it is told.
    builder = basic("builder", stack.execute("index", "cat", "/token/builder"))
    allow = "/+mirror/allow/mirror/alpine/"
    assert 403 == stack.request("POST", f"{allow}Sample.Project".replace(".", ""), headers=builder).status_code
    assert 200 == stack.request("POST", f"{allow}six", headers=builder).status_code
    assert 401 == stack.request("POST", f"{allow}attrs").status_code
    assert ["sampleproject-0.0.1.tar.gz"] == files(stack, "sampleproject")

    # And a name that is on it already cannot become the team's.
    assert 409 == upload(stack, "internal", "Six", "9.9", publisher).status_code
    assert "six-9.9.tar.gz" not in files(stack, "six")

    # The control off: root may do what the rule forbids, and then a stranger's files show beside the team's.
    admin = root(stack)
    change = ["mirror_whitelist+=sampleproject"]
    assert 200 == stack.request("PATCH", "/mirror/alpine", json=change, headers=admin).status_code
    assert len(files(stack, "sampleproject")) > 3
    stack.request("PATCH", "/mirror/alpine", json=["mirror_whitelist-=sampleproject"], headers=admin)
    assert ["sampleproject-0.0.1.tar.gz"] == files(stack, "sampleproject")


def test_a_page_is_never_older_than_five_seconds(stack: Stack) -> None:
    """A page that was asked for just before an upload shows it soon after; and pages do come from the cache."""
    publisher = basic("erin", stack.token("erin", "--publish"))
    assert 200 == upload(stack, "internal", "fresh", "1.0", publisher).status_code
    page = f"{PROD}fresh/"
    assert "fresh-1.0" in stack.get(page).text
    assert 200 == upload(stack, "internal", "fresh", "1.1", publisher).status_code
    began = time.monotonic()
    assert "fresh-1.1" not in stack.get(page).text  # from the cache; if this fails, there is none
    wait_until(lambda: "fresh-1.1" in stack.get(page).text, "the page stays old", 30)
    assert time.monotonic() - began < 15  # five, and what a busy machine takes


def test_services_have_what_they_need_and_no_more(stack: Stack) -> None:
    """No port but the proxy's, no root file system to write to, no capability; the socket is the builder's alone."""
    client = docker.from_env()
    try:
        seen = {name: client.api.inspect_container(stack.container(name)) for name in ("index", "proxy", "builder")}
    finally:
        client.close()
    for name, found in seen.items():
        host = found["HostConfig"]
        assert (True, ["ALL"], False) == (host["ReadonlyRootfs"], host["CapDrop"], host["Privileged"]), name
        assert (name == "proxy") == bool(host["PortBindings"]), name
        sources = [mount["Destination"] for mount in found["Mounts"]]
        assert (name == "builder") == ("/var/run/docker.sock" in sources), name
        ids = stack.execute(name, "cat", "/proc/1/status")
        assert "Uid:\t10001\t10001\t10001\t10001" in ids, name
        assert "CapEff:\t0000000000000000" in ids, name
    secrets = [
        stack.execute("index", "cat", f"/data/devpi/{name}") for name in ("root-password", "mirror-password", "secret")
    ]
    secrets += [
        stack.execute("index", "cat", "/token/builder"),
        *stack.execute("proxy", "cat", "/tls/key.pem").split("\n"),
    ]
    told = json.dumps(seen) + stack.run("logs").stdout + stack.execute("index", "cat", "/data/devpi/devpi.log")
    assert [] == [secret for secret in secrets if len(secret) > 30 and secret in told]


def test_a_backup_is_an_index_again(stack: Stack, alice: str) -> None:
    """Two commands; files, users, tokens and history are there, on volumes that were empty."""
    archive = stack.folder / "index.tar"
    with archive.open("wb") as file:
        command = [*stack.compose, "-p", stack.project, "exec", "-T", "index", "mirror", "backup"]
        subprocess.run(command, cwd=stack.folder, stdout=file, check=True, timeout=300)
    other = Stack(compose=stack.compose, folder=stack.folder, port=stack.port, project="mirrorrestored")
    before = {name: sorted(files(stack, name, "alpine")) for name in ("markupsafe", "msgpack")}
    stack.run("stop")
    try:
        command = [*other.compose, "-p", other.project, "run", "--rm", "-T", "--no-deps", "index", "restore"]
        for expected in (0, 2):  # and never over another one
            with archive.open("rb") as file:
                done = subprocess.run(command, cwd=stack.folder, stdin=file, capture_output=True, check=False)
            assert expected == done.returncode, done.stderr.decode()
        other.up()
        assert before == {name: sorted(files(other, name, "alpine")) for name in before}
        assert any(before.values())
        assert 200 == other.get("/+api", headers=basic("alice", alice)).status_code
        assert "ok" == other.get("/+api", headers=basic("alice", alice)).json()["result"]["authstatus"][0]
        assert attempts(other, "markupsafe")
    finally:
        other.run("down", "--volumes", check=False)
        stack.up()
