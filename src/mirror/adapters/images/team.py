"""What compose.yaml is built from on this machine: the images it stands on, and what the settings of a site add."""

from __future__ import annotations

import shutil
import tomllib
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
KEYS_IN_IMAGE = "/opt/server/apk-keys"
"""Where builders/index/Dockerfile puts them."""
_VOLUMES = ("/team/", "/token/", "/usr/", "/etc/", "/opt/")
"""What the containers have: volumes that they share, and their image."""
_OURS = "# Written by `mirror up --team`; lines of your own stay."


def prepare(
    folder: Path,
    client: docker.DockerClient,
    settings: ImageSettings,
    say: Callable[[str], None],
    ask: Callable[[str], bool],
) -> Mapping[str, str]:
    """Make what is missing of these images; write .env and .site beside compose.yaml; the variables of .env.

    Raises BadInputError (`compose-missing`, `team-settings`), UnusableError.
    """
    if not (folder / COMPOSE_FILE).is_file():
        raise BadInputError(
            "compose-missing",
            f"there is no {COMPOSE_FILE} in {folder}",
            hint="run it in a clone of mirror's repository",
        )
    _refuse_paths(folder)
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
    images = {"TEAM_BASE_IMAGE": pair.base_name, "TEAM_COMPILER_IMAGE": compiler, "TEAM_PROXY_BASE_IMAGE": proxy}
    variables = images | site_variables(settings)
    with explained(folder):
        _write_site(folder / ".site", site)
        _write_variables(folder / ".env", variables)
    return variables


def site_variables(settings: ImageSettings) -> dict[str, str]:
    """What compose.yaml hands to the builder, and of the proxy to the index too, as variables of .env; "" for nothing.

    The CA bundle is not among them: the image itself trusts it. Repositories are of one release of Alpine, so that goes
    with them.
    """
    return {
        "TEAM_REGISTRY": settings.registry,
        "TEAM_ALPINE": settings.alpine if settings.apk_repositories else "",
        "TEAM_APK_REPOSITORIES": " ".join(settings.apk_repositories),
        "TEAM_APK_KEYS": KEYS_IN_IMAGE if settings.apk_keys else "",
        "TEAM_HTTP_PROXY": settings.proxy.get("http_proxy", ""),
        "TEAM_HTTPS_PROXY": settings.proxy.get("https_proxy", ""),
        "TEAM_NO_PROXY": settings.proxy.get("no_proxy", ""),
    }


def _refuse_paths(folder: Path) -> None:
    """Raise BadInputError where the server's own settings name files that its containers do not have.

    They would start again and again for it.
    """
    file = folder / (_variables(folder / ".env").get("TEAM_SETTINGS") or "config/team.toml")
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError):  # the containers tell of it with line and column
        return
    for key in ("apk-keys", "ca-bundle"):
        path = str(table.get(key, ""))
        if path and not path.startswith(_VOLUMES):
            raise BadInputError(
                "team-settings",
                f"{key} in {file} names {path}, which is in none of the server's containers",
                hint=f"remove it there, and set {key} where `mirror up --team` runs: it hands the files on",
            )


def _variables(file: Path) -> Mapping[str, str]:
    lines = file.read_text().splitlines() if file.is_file() else []
    return {name.strip(): value.strip() for name, is_one, value in (line.partition("=") for line in lines) if is_one}


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
