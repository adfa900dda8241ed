"""Puts the real parts together: what `mirror up` makes stand, and the pipeline that runs on it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import docker

from mirror.adapters import host
from mirror.adapters.devpi.http import Login
from mirror.adapters.devpi.index import DevpiIndex
from mirror.adapters.devpi.patience import AT_FIRST, RECOVERY, Patience, Recovery
from mirror.adapters.devpi.server import EmbeddedServer, ServerInfo, Team
from mirror.adapters.engine import connect, gateway_address, reach
from mirror.adapters.file_claims import FileClaims
from mirror.adapters.images.age import ages_of
from mirror.adapters.images.choice import ensure_images
from mirror.adapters.images.model import ImagePair, ImageSettings
from mirror.adapters.images.packages import PackagedBuilders
from mirror.adapters.journal.lenient import LenientJournal
from mirror.adapters.journal.sqlite import SqliteJournal
from mirror.adapters.sandbox.docker import DockerSandbox
from mirror.adapters.store import Store
from mirror.adapters.uv import UvResolver
from mirror.builds import WindDown
from mirror.console import Console
from mirror.core.emit import IndexAddress
from mirror.core.hashes import Hashes
from mirror.core.misses import OnDemand
from mirror.core.retention import Origin, Place
from mirror.pipeline import Pipeline
from mirror.ports import Claims, Holdings
from mirror.provenance import Provenance
from mirror.pruning import Pruner
from mirror.remembered import RememberedResolver
from mirror.settings import Settings
from mirror.tasks import Workshop
from mirror.window import CoreMetadata, CountedWindow, IndexWindow, NamedLibcs, View, window_for

Ask = Callable[[str], bool]
MakeImages = Callable[[docker.DockerClient, ImageSettings, Callable[[str], None], Ask], ImagePair]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What every run of this call stands on."""

    settings: Settings
    console: Console
    client: docker.DockerClient
    sandbox: DockerSandbox
    index: DevpiIndex
    address: IndexAddress
    journal: SqliteJournal
    images: tuple[ImagePair, ...]
    """One for each Python that was asked for."""

    def pipeline(
        self,
        images: ImagePair,
        *,
        retry: bool = False,
        wind_down: WindDown | None = None,
        origin: Origin | None = None,
        denied: OnDemand | None = None,
    ) -> Pipeline:
        """The pipeline for the target of these images."""
        store = Store(self.settings.data / "store")
        journal = LenientJournal(self.journal, self.console.note, lambda: host.refuse_if_full(self.settings.data))
        workshop = Workshop(
            base_image=images.base,
            builder_image=images.builder,
            limits=self.settings.limits(),
            processes=os.cpu_count() or 1,
        )

        provenance = Provenance(self.index, store, images.target)

        def resolver(view: View) -> UvResolver:
            def window(hashes: Hashes) -> IndexWindow:
                return window_for(view, images.target, store, lambda narrowed: provenance.view(narrowed, hashes))

            return UvResolver(self.sandbox, workshop, images.target, window, journal)

        return Pipeline(
            sandbox=self.sandbox,
            index=self.index,
            resolver=RememberedResolver(resolver, self.index, store, images.builder),
            builders=PackagedBuilders(
                client=self.client,
                pair=images,
                settings=image_settings(self.settings, images.target.python),
                say=self.console.step,
            ),
            journal=journal,
            claims=self._claims(),
            locks=self.index.locks(),
            origin=origin or Origin(),
            further=self.settings.further_upstreams,
            denied=denied or OnDemand(),
            reporter=self.console,
            provenance=provenance,
            verify_window=lambda view: CountedWindow(IndexWindow(NamedLibcs(view), CoreMetadata(view, store))),
            workshop=workshop,
            recipes=self.settings.recipes,
            target=images.target,
            jobs=self.settings.jobs,
            retry=retry,
            wind_down=wind_down or WindDown(),
        )

    def _claims(self) -> Claims:
        """Agreed on over the index; where a token does not allow that, between the runs of this machine."""
        login = _login(self.settings)
        if self.settings.index_url and login is not None and login.is_token():
            return FileClaims(self.settings.data / "claims")
        return self.index.claims()


def make_ground(
    settings: Settings,
    console: Console,
    ask: Ask,
    at_first: Patience = AT_FIRST,
    make_images: MakeImages = ensure_images,
) -> Ground:
    """Make whatever this machine still lacks: engine, images, index. Raises UnusableError.

    `at_first` is how long an index that is not our own may take for its first answer.
    """
    host.ensure_open_files(settings.jobs)
    host.ready_folder(settings.data)
    host.refuse_if_full(settings.data)
    client = connect(console.step, ask)
    sandbox = DockerSandbox(client, runtime=settings.runtime, accept_missing_limits=settings.accept_missing_limits)
    images = tuple(
        make_images(client, image_settings(settings, python), console.step, ask) for python in settings.python
    )
    for pair in images:
        if note := ages_of(client, pair).note(settings.refresh_after_s):
            console.note(note)
    index, address = open_index(settings, console, client, at_first)
    journal = SqliteJournal(settings.data)
    sandbox.sweep()
    host.sweep_parts(settings.data / "store")
    host.sweep_parts(settings.data / "kept")
    return Ground(
        settings=settings,
        console=console,
        client=client,
        sandbox=sandbox,
        index=index,
        address=address,
        journal=journal,
        images=images,
    )


def image_settings(settings: Settings, python: str) -> ImageSettings:
    """What decides about the images of one Python."""
    return ImageSettings(
        base=settings.base,
        python=python,
        alpine=settings.alpine,
        registry=settings.registry,
        ca_bundle=settings.ca_bundle,
        proxy=settings.proxy,
        apk_repositories=settings.apk_repositories,
        apk_keys=settings.apk_keys,
        cache=settings.cache,
    )


def embedded_server(
    settings: Settings, client: docker.DockerClient | None, *, team: Team | None = None, journal: Path | None = None
) -> EmbeddedServer:
    """The index of our own, on loopback and where containers reach it; `journal` is another one than our own."""
    gateway = gateway_address(client) if client else None
    addresses = ("0.0.0.0",) if settings.listen == "all" else (gateway,) if gateway else ()  # noqa: S104 - when told
    return EmbeddedServer(
        settings.data / "devpi",
        settings.port,
        addresses,
        ca_bundle=str(settings.ca_bundle) if settings.ca_bundle else None,
        upstream=settings.upstream,
        further=settings.further_upstreams,
        proxy=settings.proxy,
        team=team,
        journal=journal or settings.data,
        hostnames=settings.hostnames,
    )


def open_index(
    settings: Settings, console: Console, client: docker.DockerClient | None, at_first: Patience = AT_FIRST
) -> tuple[DevpiIndex, IndexAddress]:
    """The user's devpi where one is named, else our own, started if it does not run."""
    store = Store(settings.data / "store")
    ca_bundle = str(settings.ca_bundle) if settings.ca_bundle else None
    if settings.index_url:
        login = _login(settings)
        recovery = Recovery(at_first=at_first, say=console.step)
        index = DevpiIndex(settings.index_url, login, store, ca_bundle=ca_bundle, recovery=recovery)
        index.ensure_index()
        address = IndexAddress(host_url=index.simple_url, image_url=index.simple_url)
    else:
        embedded = embedded_server(settings, client)
        server = embedded.ensure_running(console.step)
        recovery = Recovery(revive=lambda: embedded.ensure_running(console.step), say=console.step)
        index = _index_of(settings, server, recovery)
        address = _address(server, gateway_address(client) if client else None)
    return index, address


def _index_of(settings: Settings, server: ServerInfo, recovery: Recovery = RECOVERY) -> DevpiIndex:
    store = Store(settings.data / "store")
    return DevpiIndex(server.url, server.login, store, administrator=server.administrator, recovery=recovery)


def _login(settings: Settings) -> Login | None:
    return Login(settings.user, settings.read_password) if settings.user else None


def open_pruner(settings: Settings, console: Console) -> Pruner:
    """What prunes the index; of a devpi of the user's own, the cache lies on another machine's disk."""
    client = reach()
    embedded = None if settings.index_url else embedded_server(settings, client)
    # One that runs is taken as it is: a team's has settings that are not ours to know.
    running = embedded.status() if embedded else None
    index = _index_of(settings, running) if running else open_index(settings, console, client)[0]
    holdings: dict[Place, Holdings] = {Place.OURS: index.wheels()}
    if embedded:
        holdings[Place.CACHE] = embedded.cache()
    locks = index.locks()
    return Pruner(locks=locks, holdings=holdings, now_s=locks.now_s())


def _address(server: ServerInfo, gateway: str | None) -> IndexAddress:
    host_url = f"{server.url}/+simple/"
    reachable = gateway and (gateway in server.addresses or "0.0.0.0" in server.addresses)  # noqa: S104
    image_host = gateway if gateway and reachable else "host.docker.internal"
    return IndexAddress(host_url=host_url, image_url=f"{server.url_at(image_host)}/+simple/")
