"""The plugin of devpi-server that serves the page, below `/+mirror/`."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

from pluggy import HookimplMarker
from pyramid.tweens import INGRESS  # type: ignore[import-untyped]

from mirror.adapters.devpi.files import DevpiFiles
from mirror.adapters.devpi.layout import COUNTS, HOSTS, JOURNAL, ON_DEMAND, PAGE, PROD, QUEUE
from mirror.adapters.devpi.listening import LOOPBACK, gateways
from mirror.adapters.queue import Queue
from mirror.core.door import Hosts
from mirror.core.misses import read_on_demand
from mirror.server.builds import Builds
from mirror.server.door import Door
from mirror.server.live import Slots
from mirror.server.misses import Misses
from mirror.server.own_log import keep_small
from mirror.server.reading import devpiserver_stage_get_principals_for_pkg_read, needs_token
from mirror.server.served import Downloads, NginxCounts
from mirror.server.site import Site
from mirror.server.views import Views

__all__ = ["devpiserver_pyramid_configure", "devpiserver_stage_get_principals_for_pkg_read"]
hookimpl = HookimplMarker("devpiserver")
log = logging.getLogger(__name__)
_LOGGING = "devpi_server.views.tween_request_logging"
_TRANSACTION = "devpi_server.views.tween_keyfs_transaction"


@hookimpl
def devpiserver_pyramid_configure(config: Any, pyramid_config: Any) -> None:
    """Add the routes and what counts downloads."""
    folder = os.environ.get(JOURNAL)
    server = Path(str(config.server_path))
    if HOSTS in os.environ:  # it is ours
        keep_small(DevpiFiles(server.parent).log)
    site = Site(
        folder=Path(folder) if folder else None,
        server=server,
        downloads=Downloads(server / "mirror-served.sqlite"),
        slots=Slots(config.args.threads),
        listen=tuple(config.args.listen or ()),
    )
    pyramid_config.registry["mirror_downloads"] = site.downloads
    pyramid_config.registry["mirror_door"] = _door(config)
    pyramid_config.add_view_deriver(
        "mirror.server.changes.guard", name="mirror_guard", under=INGRESS, over="secured_view"
    )
    queue = Queue(Path(os.environ[QUEUE])) if os.environ.get(QUEUE) else None
    Builds(queue).add_to(pyramid_config)
    if queue is not None and os.environ.get(ON_DEMAND):
        policy = read_on_demand(Path(os.environ[ON_DEMAND]).read_text())
        pyramid_config.registry["mirror_misses"] = Misses(queue, policy, gateways=gateways())
    _add_tweens(pyramid_config)
    site.queue = queue
    site.misses = pyramid_config.registry.get("mirror_misses")
    if queue is not None:
        site.index = PROD
        _hear_of_downloads(site.downloads, server / "+files")
    for pattern, view in Views(site).routes():
        name = f"/{PAGE}{pattern}"
        pyramid_config.add_route(name, name, request_method="GET")
        pyramid_config.add_view(view, route_name=name)


def _add_tweens(pyramid_config: Any) -> None:
    """From the outside in. Each is inside of the one that makes sure that an address can be read."""
    outside = ["mirror.server.undecodable.refuse", "mirror.server.door.keep", "mirror.server.served.count_downloads"]
    if "mirror_misses" in pyramid_config.registry:
        outside.append("mirror.server.misses.notice")
    for tween, under in zip(outside, [INGRESS, *outside], strict=False):
        pyramid_config.add_tween(tween, under=under, over=_LOGGING)
    pyramid_config.add_tween("mirror.server.libcs.hide", under=_TRANSACTION)
    if needs_token():
        pyramid_config.add_tween("mirror.server.reading.refuse_strangers", under=_TRANSACTION)


def _door(config: Any) -> Door:
    """Of a server that `mirror` has started: any other one knows by itself what it is called."""
    if HOSTS not in os.environ:
        return Door()
    return Door(
        hosts=Hosts.of(os.environ[HOSTS].split(), config.args.listen or ()),
        has_proxy=bool(os.environ.get(COUNTS)),
        gateways=gateways() | {LOOPBACK},
    )


def _hear_of_downloads(downloads: Downloads, files: Path) -> None:
    """Where there is a proxy that tells of them."""
    host, _, port = os.environ.get(COUNTS, "").rpartition(":")
    if not host:
        return
    try:
        NginxCounts(downloads, files, (host, int(port)))
    except OSError as error:
        log.warning("nobody counts what the proxy serves: %s:%s cannot be listened on (%s)", host, port, error)
