"""How a team's index serves, beside a static nginx with the same files, in the same run.

    .venv/bin/python tests/benchmark/team_load.py [--seconds 10] [--tuned]

It starts compose.yaml and the other nginx (the same program, TLS too), gives both thirty wheels, and asks with wrk
(apt-get install wrk) over loopback: 64 connections that each go through pages and files as an installer does, 16 that
ask for one page, 16 that ask for numpy's. Nothing leaves this machine but devpi's questions to upstream.

All ask as pip does, which takes packed pages: ours are, the static ones are not. The static nginx is as it comes, with
its log in a file; with --tuned it writes none and keeps files open.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import docker
import requests
import urllib3

sys.path.insert(0, str(Path(__file__).parents[1]))

from fakes.stack import Stack, opened_stack, tar_of
from fakes.wheels import checked_wheel

PROJECTS, WHEEL_BYTES, PAGE_FILES = 30, 2_000_000, 40
JSON = "application/vnd.pypi.simple.v1+json"
PIP = (
    'pip/26.0 {"cpu":"x86_64","distro":{"name":"Alpine Linux","version":"3.22"},"implementation":{"name":"CPython",'
    '"version":"3.11.2"},"python":"3.11.2","system":{"name":"Linux"}}'
)
STATIC = """
worker_processes auto;
pid /tmp/nginx.pid;
events { worker_connections 4096; }
http {
    access_log %s;
    sendfile on;
    keepalive_requests 10000;
    fastcgi_temp_path /tmp/fastcgi;
    uwsgi_temp_path /tmp/uwsgi;
    scgi_temp_path /tmp/scgi;
    %s
    server {
        listen 8443 ssl http2;
        ssl_certificate /tls/certificate.pem;
        ssl_certificate_key /tls/key.pem;
        root /static;
        location / { try_files $uri $uri/index.json =404; default_type application/octet-stream; }
    }
}
"""
SCRIPT = """
local paths = {%s}
local count = 0
wrk.headers["Accept"] = "%s"
wrk.headers["User-Agent"] = '%s'
wrk.headers["Accept-Encoding"] = "gzip, deflate"
request = function()
    count = count + 1
    return wrk.format("GET", paths[(count %% #paths) + 1])
end
"""


@dataclass(frozen=True, kw_only=True)
class Rate:
    """What wrk has seen."""

    requests_per_s: float
    megabytes_per_s: float
    errors: str


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--seconds", type=int, default=10)
    arguments.add_argument("--tuned", action="store_true")
    given = arguments.parse_args()
    seconds = given.seconds
    if not shutil.which("wrk"):
        raise SystemExit("wrk is missing: apt-get install wrk")
    urllib3.disable_warnings()
    with tempfile.TemporaryDirectory() as folder, opened_stack(Path(folder), "mirrorbenchmark") as stack:
        proxy = f"https://{address_of(stack.container('proxy'))}:8443"
        fill(stack)
        pages = [f"/mirror/prod/+simple/load{number}/" for number in range(PROJECTS)]
        found = {page: get(proxy + page) for page in pages}
        files = [path_of(page, answer.json()["files"][0]["url"]) for page, answer in found.items()]
        walk = [path for pair in zip(pages, files, strict=True) for path in pair]
        many, numpy = "/mirror/prod/+simple/manyfiles/", "/mirror/prod/+simple/numpy/"
        static = {path: get(proxy + path).content for path in [*walk, many, numpy]}
        with static_nginx(stack, static, tuned=given.tuned) as beside:
            print(f"{'':44} {'static':>14} {'ours':>14} {'ratio':>6}")
            for name, paths, connections in (
                (f"64 installers, {PROJECTS} wheels of 2 MB, MB/s", walk, 64),
                (f"a page of {PAGE_FILES} files, 16 connections, 1/s", [many], 16),
                (f"numpy's page ({len(static[numpy]) / 1e6:.1f} MB), 16 connections, 1/s", [numpy], 16),
            ):
                rates = [load(url, paths, connections, seconds) for url in (beside, proxy)]
                values = [rate.megabytes_per_s if "MB/s" in name else rate.requests_per_s for rate in rates]
                shown = f"{values[0]:14,.0f} {values[1]:14,.0f} {values[1] / values[0]:6.2f}"
                print(f"{name:44} {shown} {' '.join(rate.errors for rate in rates)}", flush=True)
            devpi = f"http://{address_of(stack.container('index'))}:3141"
            for name, path in (
                ("devpi alone, the page of 40 files, 1/s", many),
                ("devpi alone, numpy's page, 1/s", numpy),
            ):
                print(f"{name:44} {'':14} {load(devpi, [path], 16, seconds).requests_per_s:14,.1f}", flush=True)


def fill(stack: Stack) -> None:
    """Thirty wheels on the index of wheels, each of another project, and a project with many files."""
    token = stack.token("loader", "--publish")
    uploads = [(f"load{number}-1.0-py3-none-any.whl", WHEEL_BYTES) for number in range(PROJECTS)]
    uploads += [(f"manyfiles-{number}.0-py3-none-any.whl", 1_000) for number in range(PAGE_FILES)]
    for filename, size in uploads:
        name, version, *_ = filename.split("-")
        form = {":action": "file_upload", "name": name, "version": version}
        content = checked_wheel(filename, payload=random_bytes(size)).content
        answer = stack.request(
            "POST", "/mirror/internal/", data=form, files={"content": (filename, content)}, auth=("loader", token)
        )
        answer.raise_for_status()


def random_bytes(size: int) -> bytes:
    """What does not compress."""
    return os.urandom(size)


def get(url: str) -> requests.Response:
    """As an installer asks."""
    answer = requests.get(url, headers={"Accept": JSON, "User-Agent": PIP}, verify=False, timeout=300)  # noqa: S501
    answer.raise_for_status()
    return answer


def path_of(page: str, url: str) -> str:
    """The path of a file that a page names."""
    whole = requests.compat.urljoin(f"https://x{page}", url)
    return "/" + whole.partition("#")[0].split("/", 3)[3]


def address_of(container: str) -> str:
    """Where a container is reached, past Docker's own proxy for ports."""
    networks = docker.from_env().api.inspect_container(container)["NetworkSettings"]["Networks"]
    return str(next(iter(networks.values()))["IPAddress"])


@contextmanager
def static_nginx(stack: Stack, files: dict[str, bytes], *, tuned: bool) -> Iterator[str]:
    """The same nginx over nothing but files; its address."""
    conf = STATIC % (("off", "open_file_cache max=10000;") if tuned else ("/tmp/access.log", ""))
    client = docker.from_env()
    tls = {
        f"tls/{name}": stack.execute("proxy", "cat", f"/tls/{name}").encode() for name in ("certificate.pem", "key.pem")
    }
    tree = {f"static{path}index.json" if path.endswith("/") else f"static{path}": body for path, body in files.items()}
    container = client.containers.create("mirror/proxy", ["-c", "/static.conf"], network=stack.network(), user="root")
    try:
        container.put_archive("/", tar_of({"static.conf": conf.encode(), **tls, **tree}))
        container.start()
        yield f"https://{address_of(str(container.id))}:8443"
    finally:
        container.remove(force=True)


def load(url: str, paths: list[str], connections: int, seconds: int) -> Rate:
    """Ask for `paths`, one after the other, over so many connections for so long."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(SCRIPT % (", ".join(f'"{path}"' for path in paths), JSON, PIP))
        script.flush()
        command = ["wrk", "-t2", f"-c{connections}", "--timeout", "30s", "-s", script.name]
        subprocess.run([*command, "-d2s", url], check=True, capture_output=True)
        done = subprocess.run([*command, f"-d{seconds}s", url], check=True, capture_output=True, text=True).stdout
    size = re.search(r"Transfer/sec:\s+([\d.]+)(KB|MB|GB)", done)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", done)
    assert size and rate, done
    errors = " ".join(line.strip() for line in done.splitlines() if "Non-2xx" in line or "Socket errors" in line)
    factor = {"KB": 1024 / 1e6, "MB": 1024**2 / 1e6, "GB": 1024**3 / 1e6}[size[2]]
    return Rate(requests_per_s=float(rate[1]), megabytes_per_s=float(size[1]) * factor, errors=errors)


if __name__ == "__main__":
    main()
