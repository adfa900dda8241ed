"""What compose.yaml is built from on this machine: the images it stands on, and what the settings of a site add."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import docker

from mirror.adapters.host import explained, refuse_links
from mirror.adapters.images.alpine import site_files
from mirror.adapters.images.bootstrap import HOST_CA_BUNDLE, Bootstrap
from mirror.adapters.images.choice import ensure_images
from mirror.adapters.images.model import ImageSettings
from mirror.adapters.images.nginx import NginxBase
from mirror.core.errors import BadInputError
from mirror.core.model import Base

COMPOSE_FILE = "compose.yaml"
_OURS = "# Written by `mirror up --team`; lines of your own stay."


def prepare(
    folder: Path,
    client: docker.DockerClient,
    settings: ImageSettings,
    say: Callable[[str], None],
    ask: Callable[[str], bool],
) -> Mapping[str, str]:
    """Make what is missing of these images; write .env and .site beside compose.yaml; the variables of .env.

    Raises BadInputError (`compose-missing`), UnusableError.
    """
    if not (folder / COMPOSE_FILE).is_file():
        raise BadInputError(
            "compose-missing",
            f"there is no {COMPOSE_FILE} in {folder}",
            hint="run it in a clone of mirror's repository",
        )
    pair = ensure_images(client, settings, say, ask)
    site = site_files(settings)
    if pair.kind is Base.BOOTSTRAP:
        bootstrap = Bootstrap(client=client, settings=settings, say=say, ask=ask)
        proxy, compiler = NginxBase(bootstrap=bootstrap, base=pair.base).make(), pair.builder
        # The base image trusts what this host trusts. The builder is found again by these very bytes.
        site.setdefault("site/ca-bundle.pem", HOST_CA_BUNDLE.read_bytes())
    else:
        prefix = f"{settings.registry.rstrip('/')}/" if settings.registry else ""
        proxy, compiler = f"{prefix}alpine:{settings.alpine}", pair.base_name
    variables = {
        "TEAM_BASE_IMAGE": pair.base_name,
        "TEAM_COMPILER_IMAGE": compiler,
        "TEAM_PROXY_BASE_IMAGE": proxy,
        "TEAM_REGISTRY": settings.registry,
    }
    with explained(folder):
        _write_site(folder / ".site", site)
        _write_variables(folder / ".env", variables)
    return variables


def _write_site(folder: Path, files: Mapping[str, bytes]) -> None:
    refuse_links(folder)
    shutil.rmtree(folder, ignore_errors=True)
    for name, content in files.items():
        path = folder / name.removeprefix("site/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _write_variables(file: Path, variables: Mapping[str, str]) -> None:
    refuse_links(file)
    there = file.read_text().splitlines() if file.is_file() else []
    kept = [line for line in there if line != _OURS and line.partition("=")[0].strip() not in variables]
    file.write_text("\n".join([*kept, _OURS, *(f"{name}={value}" for name, value in variables.items())]) + "\n")
