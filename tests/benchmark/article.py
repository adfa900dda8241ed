"""Measure the article's case: what Alpine users wait for, and what they wait for with mirror.

Run it with the Python that mirror is installed for, where `mirror up` ran; about half an hour on two cores:

    .venv/bin/python tests/benchmark/article.py

Every figure is of one run, of whole commands, with nothing cached in between: the index of the cold build is a new
and empty one in a temporary folder, and it is removed afterwards. `--skip-naive` leaves the longest measurement out.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

REQUIREMENTS = Path(__file__).parents[1] / "examples" / "article.txt"
CA_BUNDLE = os.environ.get("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt")
PORT = "3941"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One command: seconds of wall clock, and whether it did what it was asked."""

    what: str
    seconds: float
    succeeded: bool
    note: str = ""


def measure(what: str, command: Sequence[str], environment: Mapping[str, str] | None = None) -> Measurement:
    """Run a command to its end, its output into a log beside the others."""
    print(f"... {what}", file=sys.stderr, flush=True)
    started = time.monotonic()
    done = subprocess.run(
        command,
        check=False,
        env={**os.environ, **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    seconds = time.monotonic() - started
    lines = done.stdout.decode(errors="replace").strip().splitlines()
    return Measurement(
        what=what,
        seconds=seconds,
        succeeded=done.returncode == 0,
        note="" if done.returncode == 0 else next((line for line in reversed(lines) if "rror" in line), "")[:100],
    )


def mirror(*arguments: str) -> list[str]:
    """The `mirror` beside this Python."""
    return [str(Path(sys.executable).with_name("mirror")), *arguments]


@contextmanager
def empty_index() -> Iterator[dict[str, str]]:
    """The environment of a mirror whose index, journal and store are new."""
    with tempfile.TemporaryDirectory(prefix="mirror-benchmark-") as folder:
        environment = {"MIRROR_DATA": folder, "MIRROR_PORT": PORT}
        try:
            yield environment
        finally:
            subprocess.run(mirror("down"), check=False, env={**os.environ, **environment})


def in_image(image: str, command: str) -> list[str]:
    """A shell command in a fresh container of `image`, on Docker's default bridge, with this machine's CA bundle."""
    mount = f"type=bind,source={CA_BUNDLE},target=/ca.crt,readonly"
    requirements = f"type=bind,source={REQUIREMENTS},target=/requirements.txt,readonly"
    variables = ["--env", "PIP_CERT=/ca.crt", "--env", "SSL_CERT_FILE=/ca.crt", "--env", "HOME=/tmp"]
    return ["docker", "run", "--rm", "--mount", mount, "--mount", requirements, *variables, image, "sh", "-c", command]


def on_this_machine() -> Measurement:
    """pip with manylinux wheels, into a new virtual environment."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        pip = [f"{folder}/bin/pip", "install", "--no-cache-dir", "--only-binary=:all:", "-r", str(REQUIREMENTS)]
        return measure("manylinux wheels on this (glibc) machine", pip)


def run(*, naive: bool) -> list[Measurement]:
    """All measurements, in the order of the table."""
    rows = []
    with empty_index() as environment:
        up = subprocess.run(
            mirror("up", "--json"), check=True, env={**os.environ, **environment}, stdout=subprocess.PIPE
        )
        facts = json.loads(up.stdout)
        images, url = facts["images"][0], facts["index"]["image_url"]
        host = url.split("/")[2].split(":")[0]
        if naive:
            command = "pip install --no-cache-dir --target /tmp/t -r /requirements.txt"
            rows.append(measure("pip install in the builder image", in_image(images["builder"], command)))
        build = mirror("build", str(REQUIREMENTS), "--quiet")
        rows.append(measure("mirror build, cold", build, environment))
        rows.append(measure("mirror build, again", build, environment))
        install = f"pip install --no-cache-dir --index-url {url} --trusted-host {host} -r /requirements.txt"
        rows.append(measure("pip install from the index in the base image", in_image(images["base"], install)))
    rows.append(on_this_machine())
    return rows


def main() -> int:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--skip-naive", action="store_true", help="leave out plain pip in the builder image")
    rows = run(naive=not parser.parse_args().skip_naive)
    print(f"{'':46} {'seconds':>8}")
    for row in rows:
        print(f"{row.what:46} {row.seconds:8.1f}  {'' if row.succeeded else 'FAILS: ' + row.note}".rstrip())
    return 0 if all(row.succeeded for row in rows if not row.what.startswith("pip install in the builder")) else 1


if __name__ == "__main__":
    sys.exit(main())
