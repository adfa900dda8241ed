"""compose.yaml started for real: a team's index behind TLS, what builds for it, and what keeps strangers out."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import os
import re
import shlex
import signal
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import docker
import pytest
import requests

from fakes.sdists import IN_TREE, sdist
from fakes.small_graph import graph
from fakes.stack import Stack, opened_stack, tar_of
from fakes.wheels import checked_wheel
from mirror.adapters.images.bootstrap import BASE_NAME

pytestmark = pytest.mark.docker
PROD = "/mirror/prod/+simple/"
MUSL_PIP = (
    'pip/26.0 {"cpu":"x86_64","distro":{"id":"alpine","name":"Alpine Linux","version":"3.22"},'
    '"implementation":{"name":"CPython","version":"3.11.2"},"python":"3.11.2","system":{"name":"Linux"}}'
)
BROKEN = """
import os, shutil
def prepare_metadata_for_build_wheel(folder, *_):
    os.mkdir(folder + "/brokenbytests-1.0.dist-info")
    shutil.copy("PKG-INFO", folder + "/brokenbytests-1.0.dist-info/METADATA")
    return "brokenbytests-1.0.dist-info"
def build_wheel(*_):
    raise SystemExit("no luck")
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One stack for all tests here: each takes projects of its own."""
    with opened_stack(tmp_path_factory.mktemp("team"), "mirrortest", TEAM_HOSTNAMES="localhost proxy") as stack:
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


def page_now(stack: Stack, project: str, index: str = "prod") -> requests.Response:
    """The page of a project past the cache of pages, which keeps none for whoever shows a login, be it none."""
    headers = {"Accept": "application/vnd.pypi.simple.v1+json", **basic("nobody", "nothing")}
    return stack.get(f"/mirror/{index}/+simple/{project}/", headers=headers)


def files(stack: Stack, project: str, index: str = "prod") -> list[str]:
    """The file names that a project has there now."""
    answer = page_now(stack, project, index)
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


def kill(stack: Stack, service: str) -> None:
    """`kill -9` of a service's first process, which Docker takes for a crash."""
    client = docker.from_env()
    try:
        pid = client.api.inspect_container(stack.container(service))["State"]["Pid"]
    finally:
        client.close()
    if pid:
        os.kill(pid, signal.SIGKILL)


def is_running(stack: Stack, service: str) -> bool:
    """Whether it runs, healthy where it says so."""
    client = docker.from_env()
    try:
        state = client.api.inspect_container(stack.container(service))["State"]
    finally:
        client.close()
    return bool(state["Running"]) and state.get("Health", {}).get("Status", "healthy") == "healthy"


def upload(
    stack: Stack, index: str, name: str, version: str, headers: dict[str, str], content: bytes = b""
) -> requests.Response:
    """Upload an sdist as twine does."""
    content = content or sdist(name, version, {"setup.py": "from setuptools import setup\nsetup()\n"})
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
    assert f"--index-url {stack.url}{PROD}" in out
    status, out, _ = build(stack, folder, alice, "markupsafe==2.0.1\n")
    assert (0, True) == (status, out.startswith("Nothing to build: the only wheel is there")), out

    install = f"pip install --no-cache-dir -q --only-binary :all: --index-url https://proxy:8443{PROD}"
    trusting = f"{install} --cert /tmp/authority.pem markupsafe==2.0.1"
    assert (0, "") == in_a_client(stack, f"{trusting} && python -c 'import markupsafe._speedups'")
    # Who does not trust the authority gets nothing.
    assert 1 == in_a_client(stack, f"{install} --retries 0 markupsafe==2.0.1")[0]


def test_bad_requests_have_the_usual_exit_statuses(stack: Stack, folder: Path, alice: str) -> None:
    """2 before anything is sent, 1 where something cannot be built, 3 without a good token; JSON stays JSON."""
    status, _, err = build(stack, folder, alice, "numpy===\n")
    assert (2, True) == (status, "requirements.txt:1" in err), err
    status, _, err = build(stack, folder, alice, "there-is-no-such-project-at-all==1\n")
    assert (2, True) == (status, "requirements.txt:1:1 no-such-project" in err), err
    publisher = basic("grace", stack.token("grace", "--publish"))
    broken = sdist("brokenbytests", "1.0", {"pyproject.toml": IN_TREE, "backend.py": BROKEN})
    assert 200 == upload(stack, "internal", "brokenbytests", "1.0", publisher, broken).status_code
    status, out, err = build(stack, folder, alice, "brokenbytests\n")
    assert (1, True) == (status, "brokenbytests 1.0 failed" in out), out + err
    status, _, err = build(stack, folder, "devpi-nonsense", "six\n")
    assert (3, True) == (status, "index-login" in err), err
    status, out, _ = build(stack, folder, alice, "six==1.16.0\n", "--json")
    target = json.loads(out)["targets"][0]
    assert (0, True) == (status, target["succeeded"])
    wheel = target["outcomes"][0]["wheel"]["url"]
    assert wheel.startswith(f"{stack.url}/"), wheel  # where whoever asked finds it, not where the builder does
    assert 200 == stack.get(wheel.removeprefix(stack.url).partition("#")[0]).status_code


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
    assert 415 == stack.request("POST", "/+mirror/builds", data=json.dumps(body), headers=form).status_code


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


def test_a_miss_is_built(stack: Stack, alice: str) -> None:
    """A musl client of somebody's asks for what has no wheel: the next one finds it. Others cause nothing."""
    page = f"{PROD}zope-interface/"
    before = files(stack, "zope-interface")
    assert not [name for name in before if "musllinux" in name and "cp311" in name]
    glibc = MUSL_PIP.replace('"distro":{', '"distro":{"libc":{"lib":"glibc","version":"2.36"},')
    for other in ("Mozilla/5.0", glibc):
        assert 200 == stack.get(page, headers={"User-Agent": other, **basic("alice", alice)}).status_code
    assert 200 == stack.get(page, headers={"User-Agent": MUSL_PIP}).status_code
    time.sleep(2)
    assert [] == attempts(stack, "zope-interface")
    assert 200 == stack.get(page, headers={"User-Agent": MUSL_PIP, **basic("alice", alice)}).status_code
    wait_until(
        lambda: bool([n for n in files(stack, "zope-interface") if "cp311-cp311-musllinux" in n]), "no wheel came"
    )


def test_where_a_request_comes_from_is_the_proxys_to_say(stack: Stack) -> None:
    """Who says to come from a trusted network is where they are; who comes by Docker's own proxy could be anywhere."""
    client = docker.from_env()
    try:
        subnet = client.api.inspect_network(stack.network())["IPAM"]["Config"][0]["Subnet"]
    finally:
        client.close()
    settings = stack.folder / "config" / "team.toml"
    before = settings.read_text()
    settings.write_text(re.sub(r"networks = .*", f'networks = ["{subnet}"]', before))
    assert before != settings.read_text()
    page = f"{PROD}psycopg2/"
    try:
        stack.run("restart", "index")
        stack.wait_until_healthy()
        inside = subnet.replace(".0/16", ".77").replace(".0/24", ".77").replace(".0/20", ".77")
        spoofed = {"X-Real-IP": inside, "X-Forwarded-For": inside, "Forwarded": f"for={inside}"}
        for headers in ({}, spoofed):
            assert 200 == stack.get(page, headers={"User-Agent": MUSL_PIP, **headers}).status_code
            time.sleep(6)  # else the page comes from the cache
        assert [] == attempts(stack, "psycopg2")
        ask = (
            "import ssl, urllib.request; urllib.request.urlopen(urllib.request.Request("
            f"'https://proxy:8443{page}', headers={{'User-Agent': {MUSL_PIP!r}}}),"
            " context=ssl.create_default_context(cafile='/tmp/authority.pem'))"
        )
        assert (0, "") == in_a_client(stack, f"python -c {shlex.quote(ask)}")
        wait_until(lambda: bool(attempts(stack, "psycopg2")), "who is in a trusted network is not heard")
    finally:
        settings.write_text(before)
        stack.run("restart", "index")
        stack.wait_until_healthy()


def test_strangers_change_nothing_and_send_nothing_large(stack: Stack) -> None:
    """nginx asks for a login before a body comes, and the index for one that is good; nothing is kept of either."""
    large = b"x" * 10_000_000
    files = {"content": ("a-1.0.tar.gz", large)}
    push = {"name": "six", "version": "1.16.0", "posturl": "http://127.0.0.1:9/", "username": "", "password": ""}
    wrong = basic("alice", "wrong")
    for headers in ({}, wrong):
        upload = stack.request(
            "POST", "/mirror/internal/", headers=headers, data={":action": "file_upload"}, files=files
        )
        assert 401 == upload.status_code
        assert 401 == stack.request("POST", "/mirror/alpine", headers=headers, json=push).status_code
    sent = {"Content-Type": "application/json"}
    paths = ("/+login", "/+mirror/builds", "/mirror", "/root/pypi/+simple/six/refresh")
    answers = [stack.request("POST", path, data=large, headers={**wrong, **sent}).status_code for path in paths]
    assert [413] * len(paths) == answers
    named = {"Host": "evil.example", **basic("nobody", "nothing")}
    assert [421, 421] == [stack.get(path, headers=named).status_code for path in ("/+api", f"{PROD}six/")]


def test_the_builders_token_uploads_and_does_nothing_else(stack: Stack, alice: str) -> None:
    """It cannot remove, change or make anything; root can, so it is the token that stops it."""
    token = stack.execute("index", "cat", "/token/builder")
    builder = {**basic("builder", token), "Accept": "application/json"}
    wheel = checked_wheel("zzz_of_tests-1.0-py3-none-any.whl")
    form = {":action": "file_upload", "name": "zzz-of-tests", "version": "1.0"}
    put = {"data": form, "files": {"content": ("zzz_of_tests-1.0-py3-none-any.whl", wheel.content)}}
    nobody = {"Accept": "application/json"}
    answers = [
        stack.request("POST", "/mirror/alpine/", headers=headers, **put).status_code
        for headers in (nobody, {**nobody, **basic("alice", alice)}, builder)
    ]
    assert [True, True, True] == [answers[0] in (401, 403), answers[1] in (401, 403), answers[2] == 200], answers
    attacks = [
        ("DELETE", "/mirror/alpine/zzz-of-tests/1.0", None),
        ("DELETE", "/mirror/alpine/zzz-of-tests", None),
        ("DELETE", "/mirror/alpine", None),
        ("PATCH", "/mirror/alpine", ["volatile=True"]),
        ("PATCH", "/mirror/alpine", ["mirror_whitelist+=six"]),
        ("PUT", "/builder/own", {"type": "stage"}),
        ("PUT", "/mallory", {"password": "x"}),
        ("PATCH", "/builder", {"password": "x"}),
        ("POST", "/builder/+token-create", {}),
        ("POST", "/mirror/internal/", None),
        ("DELETE", "/mirror/alpine/zzz-of-tests/1.0?force", None),
    ]
    refused = [stack.request(method, path, json=body, headers=builder).status_code for method, path, body in attacks]
    assert not [status for status in refused if status < 400], refused
    assert ["zzz_of_tests-1.0-py3-none-any.whl"] == files(stack, "zzz-of-tests", "alpine")
    removed = stack.request("DELETE", "/mirror/alpine/zzz-of-tests/1.0?force", headers=root(stack))
    assert (200, False) == (removed.status_code, "zzz_of_tests-1.0-py3-none-any.whl" in files(stack, "zzz-of-tests")), (
        removed.text
    )


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

    # What opens that is the whitelist of compiled wheels: the builder cannot have it there, whatever it is told.
    builder = basic("builder", stack.execute("index", "cat", "/token/builder"))
    allow = "/+mirror/allow/mirror/alpine/"
    names = ("SampleProject", "six")
    answers = [stack.request("POST", f"{allow}{name}", json={}, headers=builder).json() for name in names]
    assert [False, True] == [answer["allowed"] for answer in answers]
    assert 401 == stack.request("POST", f"{allow}attrs", json={}).status_code
    assert ["sampleproject-0.0.1.tar.gz"] == files(stack, "sampleproject")

    # And a name that is on it already cannot become the team's.
    assert 409 == upload(stack, "internal", "Six", "9.9", publisher).status_code
    assert "six-9.9.tar.gz" not in files(stack, "six")

    # Nor by devpi's way of moving a release from one index to another.
    assert 200 == upload(stack, "internal", "pushed", "1.0", publisher).status_code
    push = {"name": "six", "version": "1.0", "targetindex": "mirror/internal"}
    assert 409 == stack.request("POST", "/mirror/alpine/", json=push, headers=publisher).status_code
    assert 415 == stack.request("POST", "/mirror/alpine/", data=json.dumps(push), headers=publisher).status_code

    # The control off: root may do what the rule forbids, and then a stranger's files show beside the team's.
    admin = root(stack)
    change = ["mirror_whitelist+=sampleproject"]
    assert 200 == stack.request("PATCH", "/mirror/alpine", json=change, headers=admin).status_code
    assert len(files(stack, "sampleproject")) > 3
    stack.request("PATCH", "/mirror/alpine", json=["mirror_whitelist-=sampleproject"], headers=admin)
    assert ["sampleproject-0.0.1.tar.gz"] == files(stack, "sampleproject")


def test_sdists_of_ones_own_are_compiled_like_any_others(stack: Stack, folder: Path, alice: str) -> None:
    """Their build requirements too; the wheels are on the index of wheels, and nothing of them is on its whitelist."""
    publisher = basic("heidi", stack.token("heidi", "--publish"))
    for name, content in graph("own").items():
        assert 200 == upload(stack, "internal", name, "1.0", publisher, content).status_code
    status, out, err = build(stack, folder, alice, "houseown\nwindowown\n")
    assert (0, True) == (status, "imported 2 in a clean room" in out), out + err
    assert [True, True] == [any(n.endswith(".whl") for n in files(stack, f"{one}own")) for one in ("clay", "glass")]
    whitelist = stack.get("/mirror/alpine", headers={"Accept": "application/json"}).json()["result"]["mirror_whitelist"]
    assert [] == [name for name in whitelist if name.endswith("own")]


def test_pages_are_packed_for_whoever_can_unpack(stack: Stack) -> None:
    """And for nobody else; both are the same page."""
    page = f"{PROD}numpy/"
    accepts = {"Accept": "application/vnd.pypi.simple.v1+json", "User-Agent": MUSL_PIP}
    packed = stack.get(page, headers={**accepts, "Accept-Encoding": "gzip, deflate"})
    plain = stack.get(page, headers={**accepts, "Accept-Encoding": "identity"})
    assert ("gzip", None) == (packed.headers.get("Content-Encoding"), plain.headers.get("Content-Encoding"))
    assert "Accept-Encoding" in packed.headers["Vary"]
    assert packed.json()["files"] == plain.json()["files"]


def connected(stack: Stack) -> http.client.HTTPSConnection:
    """A connection to the proxy that sends an address as it stands."""
    context = ssl.create_default_context(cafile=str(stack.ca))
    return http.client.HTTPSConnection("localhost", stack.port, context=context, timeout=60)


def made(stack: Stack, page: str) -> int:
    """How often devpi was asked for a page."""
    return stack.execute("index", "cat", "/data/devpi/devpi.log").count(f"GET {page}\n")


def test_a_page_is_made_once_for_all_who_ask(stack: Stack) -> None:
    """One that is new, and one that is asked for all the time: at most twice in five seconds, whoever asks for it."""
    publisher = basic("kim", stack.token("kim", "--publish"))
    assert 200 == upload(stack, "internal", "shared-by-many", "1.0", publisher).status_code
    page = f"{PROD}shared-by-many/"
    before = made(stack, page)
    with ThreadPoolExecutor(16) as pool:
        assert {200} == {answer.status_code for answer in pool.map(lambda _: stack.get(page), range(16))}
    assert 1 == made(stack, page) - before
    began = time.monotonic()
    with ThreadPoolExecutor(16) as pool:
        while (took_s := time.monotonic() - began) < 7:
            assert {200} == {answer.status_code for answer in pool.map(lambda _: stack.get(page), range(32))}
    assert 2 <= made(stack, page) - before <= 2 + took_s / 2, took_s
    before = made(stack, page)
    with ThreadPoolExecutor(16) as pool:  # no query of a stranger's has a page made again
        assert {200} == {answer.status_code for answer in pool.map(lambda n: stack.get(f"{page}?{n}"), range(64))}
    assert made(stack, page) - before <= 3


@pytest.mark.parametrize(
    "odd",
    ["/{page}", "{base}//{name}/", "{base}/x/../{name}/", "{base}/{name}/x/%2e%2e/", "{base}/./{name}/", "{page}?x"],
)
def test_no_odd_address_takes_the_place_of_a_page(odd: str, stack: Stack) -> None:
    """What nginx takes for a page, devpi may take for something else: it is asked for what it is kept as."""
    name = f"odd-{hashlib.sha256(odd.encode()).hexdigest()[:8]}"
    assert 200 == upload(stack, "internal", name, "1.0", basic("lee", stack.token("lee", "--publish"))).status_code
    page, base = f"{PROD}{name}/", PROD.rstrip("/")
    address = odd.format(page=page, base=base, name=name)
    with closing(connected(stack)) as connection:
        for _ in range(3):  # as it is: other clients would send it as nginx takes it
            connection.request("GET", address, headers={"Host": f"localhost:{stack.port}"})
            answer = connection.getresponse()
            assert (200, True) == (answer.status, f"{name}-1.0" in answer.read().decode()), address
    assert 1 == made(stack, page)


def test_pages_outlive_an_index_that_is_started_again(stack: Stack) -> None:
    """Whoever installs meanwhile has the page as it was."""
    page = f"{PROD}markupsafe/"
    assert 200 == stack.get(page).status_code
    stack.run("stop", "index")
    try:
        time.sleep(5)
        assert 200 == stack.get(page).status_code
        assert 502 == stack.get(f"{PROD}nobody-has-asked-for-it/").status_code
    finally:
        stack.up()


def test_who_wants_many_pages_waits(stack: Stack) -> None:
    """Pages that have to be made come at a bounded rate, and none is refused: an installer may want many."""

    def ask(pages: list[str]) -> set[int]:
        """Over one connection, which costs least."""
        found = set()
        with closing(connected(stack)) as connection:
            for page in pages:
                connection.request("GET", page)
                answer = connection.getresponse()
                answer.read()
                found.add(answer.status)
        return found

    time.sleep(3)  # what other tests have asked for is forgotten
    for count, waits in ((150, False), (800, True)):
        pages = [f"/mirror/internal/+simple/none-{count}-{number}/" for number in range(count)]
        with ThreadPoolExecutor(16) as pool:
            assert [{404}] * 16 == list(pool.map(ask, [pages[first::16] for first in range(16)]))
        assert waits == ("delaying request" in stack.run("logs", "proxy").stdout)


def test_a_page_is_never_older_than_five_seconds(stack: Stack) -> None:
    """A page that was asked for just before an upload shows it soon after."""
    publisher = basic("erin", stack.token("erin", "--publish"))
    assert 200 == upload(stack, "internal", "fresh", "1.0", publisher).status_code
    page = f"{PROD}fresh/"
    assert "fresh-1.0" in stack.get(page).text
    assert 200 == upload(stack, "internal", "fresh", "1.1", publisher).status_code
    began = time.monotonic()
    wait_until(lambda: "fresh-1.1" in stack.get(page).text, "the page stays old", 30)
    assert time.monotonic() - began < 10  # five, and what a busy machine takes


def test_large_files_come_through(stack: Stack) -> None:
    """As they come: the proxy has no room of its own to keep them in."""
    publisher = basic("judy", stack.token("judy", "--publish"))
    content = sdist("large", "1.0", {"data.bin": "x"}) + bytes(200_000_000)  # gzip ignores what follows
    answer = upload(stack, "internal", "large", "1.0", publisher, content)
    assert 200 == answer.status_code, answer.text
    (file,) = page_now(stack, "large").json()["files"]
    assert hashlib.sha256(content).hexdigest() == file["hashes"]["sha256"]
    used = stack.execute("proxy", "df", "-k", "/tmp").splitlines()[-1].split()[2]
    assert int(used) < 50_000


def test_nobody_tries_passwords_quickly(stack: Stack) -> None:
    """After some tries a second there is 429 for a while; other requests go on as ever."""
    wrong = {"user": "root", "password": "guess"}
    answers = [stack.request("POST", "/+login", json=wrong).status_code for _ in range(60)]
    assert {401, 429} == set(answers)
    assert [200] * 60 == [stack.get("/+api").status_code for _ in range(60)]
    time.sleep(2)
    assert 401 == stack.request("POST", "/+login", json=wrong).status_code


def test_services_have_what_they_need_and_no_more(stack: Stack) -> None:
    """No port but the proxy's, no root file system to write to, no capability; the socket is the builder's alone."""
    client = docker.from_env()
    try:
        seen = {name: client.api.inspect_container(stack.container(name)) for name in ("index", "proxy", "builder")}
    finally:
        client.close()
    assert {"index": "server", "proxy": "proxy", "builder": "server"} == {
        name: found["Config"]["Labels"]["org.mirror.role"] for name, found in seen.items()
    }
    for name, found in seen.items():
        host = found["HostConfig"]
        assert (True, ["ALL"], False) == (host["ReadonlyRootfs"], host["CapDrop"], host["Privileged"]), name
        assert (name == "proxy") == bool(host["PortBindings"]), name
        published = {one["HostIp"] for ports in (host["PortBindings"] or {}).values() for one in ports}
        assert ({str(IPv4Address(0))} if name == "proxy" else set()) == published, name
        assert ("json-file", "10m") == (host["LogConfig"]["Type"], host["LogConfig"]["Config"]["max-size"]), name
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


def test_killed_services_come_back_and_lose_nothing(stack: Stack, tmp_path: Path, alice: str) -> None:
    """`kill -9` of each service while builds run: each build ends well, everything is there, nothing is there twice."""
    publisher = basic("ivan", stack.token("ivan", "--publish"))
    rounds = ("x", "y", "z")
    for suffix in rounds:
        for name, content in graph(f"killed{suffix}").items():
            assert 200 == upload(stack, "internal", name, "1.0", publisher, content).status_code
    ended: dict[str, tuple[int, str, str]] = {}

    def ask(suffix: str) -> None:
        (tmp_path / suffix).mkdir()
        requirements = f"housekilled{suffix}\nwindowkilled{suffix}\n"
        ended[suffix] = build(stack, tmp_path / suffix, alice, requirements)

    threads = [threading.Thread(target=ask, args=(suffix,)) for suffix in rounds]
    for thread in threads:
        thread.start()
    for service in ("builder", "index", "proxy", "builder", "index"):
        time.sleep(4)
        kill(stack, service)
        wait_until(lambda name=service: is_running(stack, name), f"{service} does not come back")  # type: ignore[misc]
    for thread in threads:
        thread.join()
    stack.wait_until_healthy()
    assert [0, 0, 0] == [status for status, _, _ in ended.values()], ended
    for suffix in rounds:
        for name in graph(f"killed{suffix}"):
            wheels = [one for one in files(stack, name, "alpine") if one.endswith(".whl")]
            assert 1 == len(wheels), (name, wheels)


def test_who_may_not_read_reads_nothing(stack: Stack, alice: str) -> None:
    """Where reading needs a token: pages, files, settings and the page for people; pip has them with it."""
    settings = stack.folder / ".env"
    before = settings.read_text()
    open_to_all = stack.get(f"{PROD}markupsafe/")
    assert 200 == open_to_all.status_code
    href = "/mirror/alpine/+f/" + open_to_all.text.split("alpine/+f/")[1].split('"')[0].split("#")[0]
    paths = (f"{PROD}markupsafe/", href, "/mirror/alpine", "/+mirror/", "/+mirror/api/status", "/", "/+status")
    assert [200] * len(paths) == [stack.get(path).status_code for path in paths]
    settings.write_text(before + "TEAM_READING=token\n")
    try:
        stack.up()
        assert [401] * len(paths) == [stack.get(path).status_code for path in paths]
        with_token = {**basic("alice", alice), "Accept": "*/*"}
        assert [200] * len(paths) == [stack.get(path, headers=with_token).status_code for path in paths]
        assert 401 == stack.get(f"{PROD}markupsafe/").status_code  # what alice has read is in nobody's cache
        install = "pip install --no-cache-dir -q --only-binary :all: --cert /tmp/authority.pem --no-input"
        for login, expected in ((f"alice:{alice}@", 0), ("", 1)):
            status, output = in_a_client(
                stack, f"{install} --index-url https://{login}proxy:8443{PROD} markupsafe==2.0.1"
            )
            assert expected == status, output
    finally:
        settings.write_text(before)
        stack.up()
    assert 200 == stack.get(f"{PROD}markupsafe/").status_code


def test_what_requirements_reach_is_registered(stack: Stack, folder: Path, alice: str) -> None:
    """By the builder, through our plugin alone; it shows on the page, and prune knows of it and disturbs nothing."""
    (folder / "special.txt").write_text("markupsafe==2.0.1\n")
    with stack.mirror(folder, "build", "special.txt", token=alice) as process:
        assert 0 == process.wait(600)
    covered = [one for one in stack.get("/+mirror/api/status").json()["requirements"] if one["files"] == "special.txt"]
    assert [(1, [])] == [(one["wheels"], one["missing"]) for one in covered]
    assert "special.txt" in stack.get("/+mirror/").text
    before = stack.execute("index", "cat", "/data/devpi/state.json")
    told = json.loads(stack.execute("index", "mirror", "prune", "--older-than", "1d", "--dry-run", "--json"))
    assert "special.txt" in json.dumps(told)
    assert before == stack.execute("index", "cat", "/data/devpi/state.json")

    builder = basic("builder", stack.execute("index", "cat", "/token/builder"))
    lock = "/+mirror/locks/mirror/lock-" + "0" * 40
    data = {"custom_data": json.dumps({"version": 1})}
    attempts = [
        stack.request("PUT", lock, json=data).status_code,
        stack.request("PUT", lock, json=data, headers=basic("alice", alice)).status_code,
        stack.request("PUT", lock, json=data, headers=builder).status_code,
        stack.request("PUT", "/+mirror/locks/mirror/own", json=data, headers=builder).status_code,
        stack.request("DELETE", "/+mirror/locks/mirror/alpine", headers=builder).status_code,
        stack.request("DELETE", "/+mirror/locks/alice/lock-" + "0" * 40, headers=builder).status_code,
    ]
    assert [401, 403, 400, 404, 404, 404] == attempts


def test_downloads_and_the_queue_are_counted(stack: Stack, alice: str) -> None:
    """nginx serves the files, and tells the index; what waits shows on the page, as JSON and as figures."""
    downloads = stack.get("/+mirror/api/status").json()["saved"]["downloads"]
    install = f"pip install --no-cache-dir -q --cert /tmp/authority.pem --index-url https://proxy:8443{PROD}"
    assert (0, "") == in_a_client(stack, f"{install} --only-binary :all: markupsafe==2.0.1")
    wait_until(
        lambda: stack.get("/+mirror/api/status").json()["saved"]["downloads"] == downloads + 1, "it is not counted"
    )
    body = {"version": 1, "requirements": [{"name": "waiting.txt", "text": "six\n"}]}
    asked = [stack.request("POST", "/+mirror/builds", json=body, headers=basic("alice", alice)) for _ in range(6)]
    assert [201] * 6 == [answer.status_code for answer in asked]
    queue = stack.get("/+mirror/api/status").json()["queue"]
    assert {("waiting.txt", "request")} == {(one["topic"], one["origin"]) for one in queue}
    page, figures = stack.get("/+mirror/").text, stack.get("/+mirror/metrics").text
    assert ("waiting.txt" in page, "asked for by alice" in page) == (True, True)
    assert 'mirror_queue_builds{state="queued"}' in figures
    assert 'mirror_pages_total{found="miss"}' in figures
    assert f"{stack.url}{PROD}" in stack.get("/+mirror/install").text
    wait_until(lambda: bool(stack.get("/+mirror/api/status").json()["disk"]), "the disk is not measured")
    assert stack.get("/+mirror/api/status").json()["disk"]["parts"]["index"] > 1_000_000  # on a volume of its own
    for answer in asked:
        cancelled = stack.request("DELETE", f"/+mirror/builds/{answer.json()['id']}", headers=basic("alice", alice))
        assert 200 == cancelled.status_code
    wait_until(lambda: not stack.get("/+mirror/api/status").json()["queue"], "the queue stays full")


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
