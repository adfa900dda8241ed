"""What odd requests cost a team's index: memory, log, time, and what else fails of them.

    .venv/bin/python tests/benchmark/pressure.py

It starts an index of its own on loopback, with nothing on it but one small wheel, and sends it a bounded number of
requests: anonymous bodies of 28 MiB, addresses of 15 kB, what no file, clock or text has, and one datagram. One minute.
Another tree is measured by this program with PYTHONPATH=OTHER/src before it. The proxy of compose.yaml, which refuses
most of this before it reaches the index, is not there.
"""

from __future__ import annotations

import argparse
import json
import secrets
import socket
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests

from mirror.adapters.devpi.http import DevpiClient
from mirror.adapters.devpi.listening import free_port
from mirror.adapters.devpi.server import EmbeddedServer, ServerInfo, Team
from mirror.adapters.devpi.tokens import Tokens
from mirror.adapters.queue import Queue

BODY = 28 * 2**20
ODD_ADDRESSES = 1_000
MIB = 2**20
WHEEL = "demo-1.0-py3-none-any.whl"
PIP = {"User-Agent": 'pip/26.0 {"cpu":"x86_64"}'}
EARLIER_PORT = 5140
"""Where an index of before listened, whether there was a proxy or not."""


@dataclass(frozen=True, kw_only=True)
class Index:
    """A running index, its log and its process."""

    info: ServerInfo
    folder: Path
    counts: tuple[str, int]

    @property
    def root(self) -> str:
        return self.info.url.removesuffix("/mirror/alpine")

    def log_bytes(self) -> int:
        """Of all its logs."""
        return sum(file.stat().st_size for file in (self.folder / "devpi").glob("devpi.log*"))

    def memory(self, *, anew: bool = False) -> int:
        """Bytes that its process has had in memory at most, since `anew` was asked for (proc_pid_status(5))."""
        process = Path("/proc") / str(self.info.pid)
        if anew:
            (process / "clear_refs").write_text("5")
        line = next(one for one in (process / "status").read_text().splitlines() if one.startswith("VmHWM"))
        return int(line.split()[1]) * 1024

    def send(self, method: str, path: str, **options: Any) -> int:
        """Ask for something; the status, 0 where the connection was cut."""
        try:
            return requests.request(method, self.root + path, timeout=120, **options).status_code
        except requests.RequestException:
            return 0


def measured(what: str, index: Index, act: Callable[[], Iterable[int]]) -> None:
    """Do it, and print what it has cost."""
    index.memory(anew=True)
    log = index.log_bytes()
    began = time.monotonic()
    statuses = Counter(act())
    seconds = time.monotonic() - began
    told = ", ".join(f"{count} x {status}" for status, count in sorted(statuses.items()))
    memory, written = index.memory() / MIB, (index.log_bytes() - log) / 1000
    print(f"{what:42} {memory:8.0f} MiB {written:9.0f} kB {seconds:7.1f} s   {told}", flush=True)


def bodies(index: Index, at_once: int) -> list[int]:
    """Anonymous bodies in every form that there is, so many at once."""
    text = b"x" * BODY
    fields_of_a_form = (b"a=" + b"x" * 17 + b"&") * (BODY // 20)
    kinds: list[dict[str, Any]] = [
        {"data": fields_of_a_form, "headers": {"Content-Type": "application/x-www-form-urlencoded"}},
        {"data": b'{"a": "' + text + b'"}', "headers": {"Content-Type": "application/json"}},
        {"files": {"a": (None, text)}},
        {"data": text, "headers": {"Content-Type": "text/plain"}},
    ]
    with ThreadPoolExecutor(at_once) as pool:
        return list(pool.map(lambda kind: index.send("POST", "/mirror/alpine", **kind), kinds))


def odd_addresses(index: Index, count: int) -> list[int]:
    """Addresses of 15 kB that nothing is at."""
    connection = HTTPConnection("127.0.0.1", index.info.port, timeout=60)
    statuses = []
    for number in range(count):
        connection.request("GET", f"/mirror/alpine/{number}{'<' * 15_000}", headers={"Accept": "application/json"})
        answer = connection.getresponse()
        answer.read()
        statuses.append(answer.status)
    connection.close()
    return statuses


def no_numbers(index: Index, alice: tuple[str, str], builder: tuple[str, str]) -> list[int]:
    """What no file, no clock and no text has."""
    request = {"version": 1, "requirements": [{"name": "requirements.txt", "text": "six\n"}]}
    asked = requests.post(f"{index.root}/+mirror/builds", json=request, auth=alice, timeout=60)
    build = f"/+mirror/builds/{asked.json()['id']}"
    Queue(index.folder / "queue").say(asked.json()["id"], "stdout", "something\n")
    lock = {"version": 1, "project": "", "path": "", "host": "", "asked": "", "files": [], "target": "", "wheels": []}
    later = json.dumps({**lock, "registered": 1e300})
    paths = (f"{build}?from=-1", f"{build}?from=3", f"{build}?from={10**15 - 1}", "/mirror/prod/+simple/%ff/", "/%ff")
    statuses = [index.send("GET", path, headers=PIP) for path in paths]
    put = f"/+mirror/locks/mirror/lock-{secrets.token_hex(20)}"
    statuses.append(index.send("PUT", put, json={"custom_data": later}, auth=builder))
    return [*statuses, index.send("GET", "/+mirror/"), index.send("GET", "/+mirror/api/status")]


def datagram(index: Index, wheel: str) -> list[int]:
    """One to where downloads are told, and downloads after it."""
    said = {"method": "GET", "status": "200", "size": str(10**30), "path": wheel, "agent": "pip/26.0"}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(json.dumps(said).encode(), index.counts)
    statuses = []
    for _ in range(3):
        time.sleep(2.5)  # counts are written every two seconds
        statuses.append(index.send("GET", wheel, headers=PIP))
    return statuses


def main() -> None:
    """Start it, send it all, print a line for each kind."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        counts = ("127.0.0.1", free_port())
        team = Team(queue=folder / "queue", builder_token=folder / "builder")
        if "counts" in {field.name for field in fields(Team)}:
            team = Team(queue=team.queue, builder_token=team.builder_token, counts=f"{counts[0]}:{counts[1]}")
        else:
            counts = ("127.0.0.1", EARLIER_PORT)
        nowhere = "http://127.0.0.1:9/simple/"
        server = EmbeddedServer(folder / "devpi", free_port(), upstream=nowhere, team=team, journal=folder)
        info = server.ensure_running(lambda _: None)
        try:
            press(Index(info=info, folder=folder, counts=counts))
        finally:
            server.stop()


def uploaded(index: Index) -> str:
    """The path of a wheel that is on the index from now on."""
    form = {":action": "file_upload", "name": "demo", "version": "1.0"}
    owner = (index.info.user, index.info.password_file.read_text())
    files = {"content": (WHEEL, b"x" * 1_000)}
    answer = requests.post(f"{index.info.url}/", data=form, files=files, auth=owner, timeout=60)
    answer.raise_for_status()
    headers = {"Accept": "application/vnd.pypi.simple.v1+json"}
    (file,) = requests.get(f"{index.info.url}/+simple/demo/", headers=headers, timeout=60).json()["files"]
    return urlsplit(urljoin(f"{index.info.url}/+simple/demo/", str(file["url"]))).path


def press(index: Index) -> None:
    """Send it all."""
    wheel = uploaded(index)
    token = Tokens(DevpiClient(index.root, index.info.administrator)).create("alice", publish_to=None, expires_s=None)
    alice, builder = ("alice", token), ("builder", (index.folder / "builder").read_text())
    print(f"{'':42} {'memory':>12} {'log':>12} {'time':>9}   answers")
    measured("4 anonymous bodies of 28 MiB", index, lambda: bodies(index, 1))
    measured("the same, all at once", index, lambda: bodies(index, 4))
    measured("100 addresses of 15 kB", index, lambda: odd_addresses(index, 100))
    measured(f"{ODD_ADDRESSES} addresses of 15 kB", index, lambda: odd_addresses(index, ODD_ADDRESSES))
    measured("8 odd offsets, addresses and times", index, lambda: no_numbers(index, alice, builder))
    measured("3 downloads after one datagram", index, lambda: datagram(index, wheel))
    print(f"{'all of the logs':42} {'':12} {index.log_bytes() / 1000:9.0f} kB")


if __name__ == "__main__":
    main()
