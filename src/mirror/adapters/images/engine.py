"""What the image modules ask of the engine: build an image, find one by its labels, look into one."""

from __future__ import annotations

import io
import json
import re
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, cast

import docker
from docker.errors import APIError, ContainerError, ImageNotFound
from docker.utils.socket import frames_iter

from mirror.adapters.host import explained
from mirror.adapters.images import model
from mirror.adapters.images.model import ImagePair
from mirror.core import image_output
from mirror.core.errors import UnusableError
from mirror.core.host_errors import out_of_files
from mirror.core.model import Base, Target
from mirror.core.text import plain, visible

DETAIL_LINES = 20
_NOT_FOUND = re.compile(r"executable file not found|no such file or directory")
"""How engines say that there is no such program in an image."""
_LAYER = re.compile(r"^ ---> ([0-9a-f]{12,64})$", re.MULTILINE)
_PROBE = """
import glob, json, os, platform, re, subprocess, sys
loader = glob.glob("/lib/ld-musl-*.so.1")
said = subprocess.run(loader[:1], stderr=subprocess.PIPE).stderr.decode() if loader else ""
musl = re.search(r"Version (\\d+)\\.(\\d+)", said)
release = open("/etc/alpine-release").read() if os.path.exists("/etc/alpine-release") else ""
alpine = re.match(r"(\\d+)\\.(\\d+)", release)
found = [[int(n) for n in numbers.groups()] if numbers else None for numbers in (musl, alpine)]
print(json.dumps(["%d.%d" % sys.version_info[:2], *found, platform.machine()]))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRequest:
    """One image to be built: its context (a Dockerfile among the files), its name, labels and build arguments.

    `proxy` holds what Docker itself keeps out of the image: predefined build arguments as `https_proxy`. All that the
    build says goes to the file `log`.
    """

    name: str
    labels: Mapping[str, str]
    files: Mapping[str, bytes | Path]
    log: Path
    fresh: bool = False
    """Take nothing out of the engine's cache."""
    arguments: Mapping[str, str] = field(default_factory=dict)
    proxy: Mapping[str, str] = field(default_factory=dict)


def build_image(client: docker.DockerClient, request: BuildRequest) -> str:
    """Build an image; its id. What a build that fails has made so far is removed.

    Raises UnusableError (`image-build-failed`) with the reason of whoever gave one: apk, pip or the engine.
    """
    said: list[str] = []
    with _temporary_file() as context, _written(request.log) as log:
        with explained(Path(tempfile.gettempdir())):
            _write_context(context, request.files)
        context.seek(0)
        try:
            _build(client, request, context, said, log)
        except BaseException:
            _remove_unfinished(client, said)
            raise
    return cast(str, client.images.get(request.name).id)


def _build(
    client: docker.DockerClient, request: BuildRequest, context: IO[bytes], said: list[str], log: IO[bytes]
) -> None:
    try:
        for message in client.api.build(
            fileobj=context,
            custom_context=True,
            tag=request.name,
            labels=dict(request.labels),
            buildargs={**request.arguments, **request.proxy},
            rm=True,
            forcerm=True,
            nocache=request.fresh,
            decode=True,
        ):
            said.append(str(message.get("stream", "")))
            _write(log, said[-1])
            if "error" in message:
                raise _build_failed(request, str(message["error"]), said, log)
    except APIError as error:
        raise _build_failed(request, error.explanation or str(error), said, log) from error


@contextmanager
def _written(path: Path) -> Iterator[IO[bytes]]:
    """A log to write to; where it cannot be written it is thrown away: an image is worth more."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file: IO[bytes] = path.open("wb", buffering=0)
    except OSError:
        file = io.BytesIO()
    with file:
        yield file


def _write(log: IO[bytes], text: str) -> None:
    with suppress(OSError):
        log.write(plain(text).encode(errors="replace"))


def _remove_unfinished(client: docker.DockerClient, said: Sequence[str]) -> None:
    """Remove the last layer that a build made, and with it those below that nothing else stands on."""
    layers = _LAYER.findall("".join(said))
    with suppress(APIError, OSError):
        image = client.images.get(layers[-1]) if layers else None
        if image and not image.attrs.get("RepoTags") and not image.attrs.get("RepoDigests"):
            client.images.remove(layers[-1])


def built_for(client: docker.DockerClient, kind: Base, request: str, base_name: str) -> ImagePair | None:
    """The builder that was made for just this request, with the base it was made of, where both still stand.

    Whatever somebody has built on top of it inherits its labels, and may be anything: ours has a name of ours.
    """
    wanted = [f"{model.REQUEST}={request}", f"{model.KIND}={kind.value}", f"{model.ROLE}=builder"]
    for summary in client.api.images(filters={"label": wanted}):
        found = summary["Labels"]
        base = found[model.BASE]
        is_ours = any(name.startswith(model.BUILDER_NAMES) for name in summary["RepoTags"] or ())
        if is_ours and image_id(client, base):
            target = model.target_of(found)
            return ImagePair(base=base, builder=summary["Id"], kind=kind, base_name=base_name, target=target)
    return None


def image_id(client: docker.DockerClient, name: str) -> str | None:
    """The id of an image that the engine holds; None where it holds none of this name."""
    try:
        return cast(str, client.images.get(name).id)
    except ImageNotFound:
        return None


def last_reason(error: APIError) -> str:
    """The last reason of an engine's chain: `no such host` of `Get "...": dial tcp: lookup ...: no such host`."""
    return str(error.explanation or error).strip().splitlines()[-1].rpartition(": ")[2]


def probe(client: docker.DockerClient, image: str) -> Target:
    """Run an image's Python to see what it is. Raises UnusableError (`base-not-musl`, `base-unusable`)."""
    try:
        python, musl, alpine, machine = json.loads(output_of(client, image, ["python3", "-c", _PROBE]))
    except (APIError, ContainerError) as error:
        said = str(error.explanation or error) if isinstance(error, APIError) else str(error)
        if isinstance(error, APIError) and not _NOT_FOUND.search(said):
            raise UnusableError(
                "engine-refused",
                f"the engine does not run {image}: {visible(said, 400)}",
                hint="look at the engine's own log",
            ) from error
        raise UnusableError(
            "base-unusable",
            f"{image} has no Python that runs",
            hint="the base image must be python:X.Y-alpineX.Y or one made like it",
            details=said.splitlines()[-DETAIL_LINES:],
        ) from error
    if musl is None:
        raise UnusableError(
            "base-not-musl",
            f"{image} has no musl: wheels for Alpine cannot be compiled in it",
            hint="the base image must be python:X.Y-alpineX.Y or one made like it",
        )
    release = (alpine[0], alpine[1]) if alpine else None
    return Target(python=python, musl=(musl[0], musl[1]), architecture=machine, alpine=release)


def output_of(
    client: docker.DockerClient, image: str, command: list[str], environment: Mapping[str, str] | None = None
) -> bytes:
    """Run a command in a container without network or capabilities; what it printed.

    Attached before it starts: the log of a container that has just ended may be cut on a loaded engine.
    Raises ContainerError where its exit status is not 0.
    """
    container = client.containers.create(
        image, command, environment=dict(environment or {}), network_mode="none", cap_drop=["ALL"]
    )
    try:
        attached = container.attach_socket(params={"stdout": 1, "stream": 1})
        # What the SDK hands out is a file over the socket, and closing the file leaves the socket open.
        with closing(getattr(attached, "_sock", attached)), closing(attached):
            container.start()
            frames: Iterator[tuple[int, bytes]] = frames_iter(attached, tty=False)  # type: ignore[no-untyped-call]
            output = b"".join(data for _, data in frames)
        status = container.wait()["StatusCode"]
        if status != 0:
            said = container.logs(stdout=False, tail=DETAIL_LINES).decode(errors="replace")
            raise ContainerError(container, status, command, image, said)
    finally:
        container.remove(force=True)
    return output


def _temporary_file() -> IO[bytes]:
    try:
        return tempfile.TemporaryFile()
    except OSError as error:  # no folder there is takes one: tempfile has tried them all
        raise out_of_files(error) or UnusableError(
            "no-temporary-folder",
            f"there is no folder for temporary files: {error.strerror}",
            hint="make room in /tmp, or name a folder in the environment's TMPDIR",
        ) from error


def _write_context(file: IO[bytes], files: Mapping[str, bytes | Path]) -> None:
    """Write a build context in which nothing but content matters: Docker's cache sees no new times or owners."""
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, content in sorted(files.items()):
            member = tarfile.TarInfo(name)
            member.mode = 0o644
            member.size = content.stat().st_size if isinstance(content, Path) else len(content)
            with content.open("rb") if isinstance(content, Path) else io.BytesIO(content) as source:
                archive.addfile(member, source)


def _build_failed(request: BuildRequest, error: str, said: Sequence[str], log: IO[bytes]) -> UnusableError:
    _write(log, f"{error}\n")
    failure = image_output.explain("".join(said), error)
    return UnusableError(
        "image-build-failed",
        f"{request.name} could not be built: {failure.reason}",
        hint=f"{failure.hint}; all that the build said: {request.log}",
        details=failure.seen,
    )
