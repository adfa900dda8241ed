"""The bootstrap images: base and builder made on a Debian 12 host from Debian's source packages, without a registry."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import docker

from mirror import resources
from mirror.adapters.host import explained, refuse_if_full
from mirror.adapters.images import debian
from mirror.adapters.images.engine import BuildRequest, build_image, built_for, image_id, probe
from mirror.adapters.images.model import ImagePair, ImageSettings, labels
from mirror.adapters.images.steps import FLOOR_BYTES, Step, Workshop, digest, step_keys
from mirror.core.errors import UnusableError
from mirror.core.model import Base

PYTHON = "3.11"
BASE_NAME = f"mirror/base:bootstrap-{PYTHON}"
HOST_CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
_FETCHED = ("sources.txt", "toolchain.txt")
_DECISIVE = ("*.sh", "steps/*.sh", "compiler/*", "*.Dockerfile", *_FETCHED)
_LIBRARIES = ("zlib", "bzip2", "xz", "libffi", "openssl", "sqlite")


def steps(ca_bundle: Path) -> tuple[Step, ...]:
    """What is compiled and put together, each after what it needs, the long ones early."""
    headers = ("kernel-headers",)
    return (
        Step(name="kernel-headers", reads=("toolchain/linux-libc-dev_*",)),
        Step(name="openssl", needs=headers, reads=("sources/openssl_*",)),
        Step(name="sqlite", reads=("sources/sqlite3_*",)),
        Step(name="libffi", needs=headers, reads=("sources/libffi_*",)),
        Step(name="xz", reads=("sources/xz-utils_*",)),
        Step(name="zlib", reads=("sources/zlib_*",)),
        Step(name="bzip2", reads=("sources/bzip2_*",)),
        Step(name="python", needs=(*headers, *_LIBRARIES), reads=("sources/python3.11_*",)),
        Step(name="libstdcxx", needs=headers, reads=("sources/gcc-12_*",)),
        Step(name="busybox", needs=headers, reads=("sources/busybox_*",)),
        Step(
            name="base",
            needs=("python", "openssl", "busybox"),
            reads=("loader/*",),
            extra=(("CA_BUNDLE", ca_bundle),),
        ),
        Step(name="toolchain", needs=("libstdcxx", *_LIBRARIES), reads=("toolchain/*",), files=("compiler/*",)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Bootstrap:
    """Makes and finds the bootstrap images of some settings."""

    client: docker.DockerClient
    settings: ImageSettings
    say: Callable[[str], None]
    ask: Callable[[str], bool]

    def standing(self) -> ImagePair | None:
        """The images of these settings, if both stand; starts nothing."""
        if self.settings.python != PYTHON or not self._ca_bundle().is_file():
            return None
        pair = built_for(self.client, Base.BOOTSTRAP, self._request(), BASE_NAME)
        if pair and pair.base != image_id(self.client, BASE_NAME):
            self.client.images.get(pair.base).tag(BASE_NAME)
        return pair

    def make(self) -> ImagePair:
        """Make both images, going on from whatever is finished. Raises UnusableError."""
        with self.opened() as workshop:
            pair = None if self.settings.fresh else self.standing()
            if pair is None:
                if self.settings.fresh:
                    workshop.forget("fetch")
                refuse_if_full(workshop.cache, FLOOR_BYTES)
                pair = self._make(workshop)
            return pair

    @contextmanager
    def opened(self) -> Iterator[Workshop]:
        """The workshop, with this host ready to compile in it, and kept from other processes. Raises UnusableError."""
        self.check_possible()
        self._install_host_packages()
        workshop = Workshop(
            scripts=self._scripts(),
            cache=self.settings.cache / "bootstrap",
            environment=_environment(self.settings.proxy),
            say=self.say,
        )
        with workshop.alone():
            yield workshop

    def check_possible(self) -> None:
        """Raise UnusableError where these images cannot be made for these settings on this host."""
        if self.settings.python != PYTHON:
            raise UnusableError(
                "bootstrap-python",
                f"the bootstrap images have Python {PYTHON}, not {self.settings.python}",
                hint=f"ask for Python {PYTHON}, or make a registry with Python's images reachable (registry setting)",
            )
        problem = debian.host_problem()
        if problem:
            raise UnusableError(
                "bootstrap-host",
                f"the bootstrap images cannot be made here: {problem}",
                hint="make a registry with Python's images reachable (registry setting), or run as root on Debian 12",
            )
        if not self._ca_bundle().is_file():
            raise UnusableError(
                "ca-bundle-missing",
                f"there is no CA bundle at {self._ca_bundle()}",
                hint="apt-get install ca-certificates, or name a file in the ca-bundle setting",
            )

    def _make(self, workshop: Workshop) -> ImagePair:
        self.say("bootstrap: making the images from Debian's source packages (about 5 minutes on two cores)")
        plan = steps(self._ca_bundle())
        keys = self.run(workshop, plan, self.fetch(workshop))
        base = self._build_base(workshop.result("base", keys["base"]), keys["base"])
        return self._build_builder(base, workshop.result("toolchain", keys["toolchain"]), keys["toolchain"])

    def run(
        self, workshop: Workshop, plan: Sequence[Step], fetched: Path, known: Mapping[str, str] | None = None
    ) -> dict[str, str]:
        """Run what is not finished of `plan`; the keys of its results and of `known` ones."""
        jobs = os.cpu_count() or 1
        keys = step_keys(plan, self._scripts(), (fetched / "manifest").read_text(), known)
        workshop.run_all(plan, keys, {"FETCHED": str(fetched), "JOBS": str(jobs)}, min(2, jobs))
        return keys

    def fetch(self, workshop: Workshop, script: str = "fetch.sh", lists: Sequence[str] = _FETCHED) -> Path:
        """The folder of what `script` brings, which `lists` and itself decide."""
        sources = debian.private_sources(debian.host_sources())
        if sources is None:
            raise UnusableError(
                "apt-sources",
                f"this host's apt sources offer no main component of {debian.RELEASE}",
                hint=f"add an entry for {debian.RELEASE} main of your Debian mirror to /etc/apt/sources.list.d",
            )
        decisive = [self._scripts() / name for name in ("common.sh", "apt.sh", script, *lists)]
        with explained(workshop.cache):
            workshop.cache.joinpath("sources.list").write_text(sources[0])
            workshop.cache.joinpath("next.list").write_text(sources[1])
        variables = {"APT_SOURCES": str(workshop.cache / "sources.list"), "APT_NEXT": str(workshop.cache / "next.list")}
        key = digest(*(path.read_bytes() for path in decisive))
        return workshop.run(script.removesuffix(".sh"), key, self._scripts() / script, {**variables, "JOBS": "1"})

    def _build_base(self, files: Path, key: str) -> str:
        dockerfile = (self._scripts() / "base.Dockerfile").read_bytes()
        request = BuildRequest(
            name=BASE_NAME,
            labels=labels("base", Base.BOOTSTRAP, digest(key.encode(), dockerfile)),
            files={"Dockerfile": dockerfile, "root.tar": files / "root.tar"},
            log=self.settings.log_of(BASE_NAME),
            fresh=self.settings.fresh,
        )
        self.say(f"bootstrap: building {BASE_NAME}")
        return build_image(self.client, request)

    def _build_builder(self, base: str, files: Path, key: str) -> ImagePair:
        target = probe(self.client, base)
        dockerfile = (self._scripts() / "builder.Dockerfile").read_bytes()
        tools = (resources.builders() / "tools.txt").read_bytes()
        # The request too: two versions of mirror on one engine must not take each other
        # what bears its name: a team's builder could not make another.
        inputs = digest(base.encode(), key.encode(), dockerfile, tools, self._request().encode())
        name = f"mirror/builder:bootstrap-{PYTHON}-{inputs[:12]}"
        request = BuildRequest(
            name=name,
            labels=labels("builder", Base.BOOTSTRAP, inputs, request=self._request(), base=base, target=target),
            files={"Dockerfile": dockerfile, "tools.txt": tools, "toolchain.tar": files / "toolchain.tar"},
            log=self.settings.log_of(name),
            fresh=self.settings.fresh,
            arguments={"BASE": base},
            proxy=self.settings.proxy,
        )
        self.say(f"bootstrap: building {name}")
        builder = build_image(self.client, request)
        return ImagePair(base=base, builder=builder, kind=Base.BOOTSTRAP, base_name=BASE_NAME, target=target)

    def _install_host_packages(self) -> None:
        missing = debian.query_missing(debian.listed((self._scripts() / "host.txt").read_text()))
        if not missing:
            return
        command = ["apt-get", "install", "--yes", "--no-install-recommends", *missing]
        by_hand = f"apt-get update && {' '.join(command)}"
        if not self.settings.assume_yes and not self.ask(
            f"Install on this host, to compile with: {' '.join(missing)}?"
        ):
            raise UnusableError(
                "host-packages-missing",
                f"this host lacks packages that the bootstrap images are compiled with: {', '.join(missing)}",
                hint=f"run: {by_hand}",
            )
        self.say(f"bootstrap: installing {' '.join(missing)}")
        environment = {**_environment(self.settings.proxy), "DEBIAN_FRONTEND": "noninteractive"}
        for part in (["apt-get", "update"], command):
            ended = subprocess.run(part, env=environment, capture_output=True, text=True, check=False)
            if ended.returncode != 0:
                raise UnusableError(
                    "host-packages-failed",
                    f"{' '.join(part[:2])} failed (exit status {ended.returncode})",
                    hint=f"mend what it says, then run: {by_hand}",
                    details=(ended.stdout + ended.stderr).splitlines()[-20:],
                )

    def _request(self) -> str:
        """The digest of everything that decides about the images before anything is fetched."""
        scripts = self._scripts()
        files = sorted(path for glob in _DECISIVE for path in scripts.glob(glob))
        parts = [part for path in files for part in (str(path.relative_to(scripts)).encode(), path.read_bytes())]
        tools = (resources.builders() / "tools.txt").read_bytes()
        return digest(*parts, tools, self._ca_bundle().read_bytes(), PYTHON.encode(), b"x86_64")

    def _ca_bundle(self) -> Path:
        return self.settings.ca_bundle or HOST_CA_BUNDLE

    @staticmethod
    def _scripts() -> Path:
        return resources.builders() / "bootstrap"


def _environment(proxy: Mapping[str, str]) -> dict[str, str]:
    """What scripts and apt see of our environment: nothing that could change what comes out."""
    return {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", **proxy}
