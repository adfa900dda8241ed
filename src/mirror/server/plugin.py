"""The plugin of devpi-server that serves the page, below `/+mirror/`."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

from pluggy import HookimplMarker
from pyramid.tweens import INGRESS  # type: ignore[import-untyped]

from mirror.adapters.devpi.layout import JOURNAL, ON_DEMAND, PAGE, PROD, QUEUE
from mirror.adapters.queue import Queue
from mirror.core.misses import read_on_demand
from mirror.server.builds import Builds
from mirror.server.live import Slots
from mirror.server.misses import Misses
from mirror.server.reading import devpiserver_stage_get_principals_for_pkg_read, needs_token
from mirror.server.served import NGINX_PORT, Downloads, NginxCounts
from mirror.server.site import Site
from mirror.server.views import Views

__all__ = ["devpiserver_pyramid_configure", "devpiserver_stage_get_principals_for_pkg_read"]
hookimpl = HookimplMarker("devpiserver")
log = logging.getLogger(__name__)
_LOGGING = "devpi_server.views.tween_request_logging"


@hookimpl
def devpiserver_pyramid_configure(config: Any, pyramid_config: Any) -> None:
    """Add the routes and what counts downloads."""
    folder = os.environ.get(JOURNAL)
    server = Path(str(config.server_path))
    site = Site(
        folder=Path(folder) if folder else None,
        server=server,
        downloads=Downloads(server / "mirror-served.sqlite"),
        slots=Slots(config.args.threads),
        listen=tuple(config.args.listen or ()),
    )
    pyramid_config.registry["mirror_downloads"] = site.downloads
    outside = {"under": INGRESS, "over": ("mirror.server.served.count_downloads", _LOGGING)}
    pyramid_config.add_tween("mirror.server.undecodable.refuse", **outside)
    pyramid_config.add_tween("mirror.server.served.count_downloads")
    inside = {"under": "devpi_server.views.tween_keyfs_transaction"}
    pyramid_config.add_tween("mirror.server.builds.keep_names_apart", **inside)
    if needs_token():
        pyramid_config.add_tween("mirror.server.reading.refuse_strangers", **inside)
    queue = Queue(Path(os.environ[QUEUE])) if os.environ.get(QUEUE) else None
    Builds(queue).add_to(pyramid_config)
    if queue is not None and os.environ.get(ON_DEMAND):
        policy = read_on_demand(Path(os.environ[ON_DEMAND]).read_text())
        pyramid_config.registry["mirror_misses"] = Misses(queue, policy)
        pyramid_config.add_tween("mirror.server.misses.notice")
    site.queue = queue
    site.misses = pyramid_config.registry.get("mirror_misses")
    if queue is not None:
        site.index = PROD
        try:
            NginxCounts(site.downloads)
        except OSError:
            log.warning("nobody counts what the proxy serves: port %s is taken", NGINX_PORT)
    for pattern, view in Views(site).routes():
        name = f"/{PAGE}{pattern}"
        pyramid_config.add_route(name, name, request_method="GET")
        pyramid_config.add_view(view, route_name=name)
