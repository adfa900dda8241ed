"""The embedded devpi-server: started when it is needed, in the background, and found again by the next run."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from mirror.adapters.devpi import layout as devpi_layout
from mirror.adapters.devpi import listening, mending, processes
from mirror.adapters.devpi.files import DevpiFiles, State
from mirror.adapters.devpi.holdings import UpstreamCache
from mirror.adapters.devpi.http import DevpiClient, Login
from mirror.adapters.devpi.layout import COUNTS, HOSTS, JOURNAL, ON_DEMAND, QUEUE, READING, ROUTES
from mirror.adapters.devpi.listening import EVERYWHERE, LOOPBACK
from mirror.adapters.devpi.patience import AT_FIRST, Waiter
from mirror.adapters.environment import passed_on
from mirror.adapters.host import explained
from mirror.core.errors import UnusableError
from mirror.core.misses import OnDemand
from mirror.core.upstreams import FurtherUpstream, routes_json

_START_S = 60.0
_STOP_S = 10.0
_FLAGS = (
    "--restrict-modify=root",  # else anybody may create users
    "--enable-core-metadata",
    "--max-request-body-size=4294967296",
    # These derive a key from an already random secret; devpi's defaults cost 8 seconds and 590 MB for nothing.
    "--argon2-memory-cost=8",
    "--argon2-time-cost=1",
    "--argon2-parallelism=1",
)
WALLS = 1
"""One more for each change of what our plugins refuse: an index that an older mirror has started is started again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerInfo:
    """A running server. `url` is our index as seen from this machine."""

    port: int
    addresses: tuple[str, ...]
    pid: int
    user: str
    password_file: Path
    root_password_file: Path

    @property
    def url(self) -> str:
        return self.url_at(LOOPBACK)

    def url_at(self, address: str) -> str:
        """Our index as seen by somebody who reaches this machine at `address`."""
        return f"http://{address}:{self.port}/{devpi_layout.STAGE}"

    @property
    def page_url(self) -> str:
        """The index's own page, for people."""
        return devpi_layout.page_url(f"{self.url}/+simple/")

    @property
    def login(self) -> Login:
        """Who publishes."""
        return Login(self.user, self.password_file.read_text)

    @property
    def administrator(self) -> Login:
        """Who may change the index's settings: with `--restrict-modify=root`, root alone."""
        return Login("root", self.root_password_file.read_text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Team:
    """What a team's server has besides: indexes of its own, and where other services find what they need."""

    packages: Path | None = None
    """Folder for the files of packages."""
    queue: Path | None = None
    """Folder of the queue of builds."""
    on_demand: OnDemand = field(default_factory=OnDemand)
    reading: str = "open"
    """Or "token": nothing is for whoever has not logged in."""
    builder_token: Path | None = None
    """File for the token that the builder publishes with."""
    counts: str = ""
    """Where its proxy tells of what it has served, as ADDRESS:PORT; "" where there is no proxy."""


class EmbeddedServer:
    """One devpi-server over the folder `data`, listening on loopback and on `addresses`, at `port` where it is free.

    `upstream` replaces devpi's address of PyPI, and `further` ones have projects of their own; `ca_bundle` is what is
    trusted there; `proxy` holds variables (`https_proxy`). `journal` is the folder of the journal that the index's page
    shows. It answers to `hostnames`, to this machine's own, to where it listens, and to no other name. The same folder
    may be used by several processes at once: one of them starts the server, the others find it.
    """

    def __init__(  # noqa: PLR0913 - each a setting of its own
        self,
        data: Path,
        port: int = 3141,
        addresses: tuple[str, ...] = (),
        *,
        ca_bundle: str | None = None,
        upstream: str | None = None,
        further: tuple[FurtherUpstream, ...] = (),
        proxy: Mapping[str, str] | None = None,
        team: Team | None = None,
        journal: Path | None = None,
        hostnames: tuple[str, ...] = (),
    ) -> None:
        self._files = DevpiFiles(data.absolute(), team.packages if team else None)
        self._port = port
        self._addresses = _listen_addresses(addresses)
        self._ca_bundle = ca_bundle
        self._upstream = upstream
        self._further = further
        self._proxy = dict(proxy or {})
        self._team = team
        self._journal = str(journal.absolute()) if journal else None
        self._hostnames = hostnames

    def ensure_running(self, say: Callable[[str], None]) -> ServerInfo:
        """Find the server or start it; `say` hears what is done. It goes on running after this process.

        Raises UnusableError: `index-start`, `index-init`, `index-database`, `index-layout`, `index-address`,
        `bad-ca-bundle`, or as `host.explained` does.
        """
        state = self._files.read_state()
        if state is None or not self._serves(state):
            self._files.ready()
            with self._files.locked():
                state = self._start_once(say)
        return self._info(state)

    def status(self) -> ServerInfo | None:
        """The running server; None where none runs."""
        state = self._files.read_state()
        return self._info(state) if state and _is_alive(state) and listening.is_healthy(state.port) else None

    def cache(self) -> UpstreamCache:
        """Upstream's files that the server keeps. A mirror that we did not make is none of our business."""
        mirrors = ("root/pypi", *(f"root/{one.name}" for one in self._further))
        return UpstreamCache(self._files.server / "+files", mirrors)

    def stop(self) -> bool:
        """Stop the server; whether there was one."""
        if not self._files.folder.is_dir():
            return False
        with self._files.locked():
            state = self._files.read_state()
            if state is None or not _is_alive(state):
                return False
            processes.stop(state.pid, state.known_as, grace_s=_STOP_S)
            return True

    def run_foreground(self, say: Callable[[str], None]) -> int:
        """Run the server until SIGINT or SIGTERM; its exit status. Raises as ensure_running does.

        Raises UnusableError (`index-running`) where it runs in the background already.
        """
        with _interruptible():
            self._files.ready()
            with self._files.locked():
                running = self._files.read_state()
                if running is not None and _is_alive(running):
                    raise UnusableError(
                        "index-running",
                        f"the index already runs in the background, at {self._info(running).url}",
                        hint="`mirror down` stops it",
                    )
                state = self._start(say, running)
            try:
                say(f"the index is at {self._info(state).url}/+simple/ (log: {self._files.log})")
                _, status = os.waitpid(state.pid, 0)
                return os.waitstatus_to_exitcode(status)
            except KeyboardInterrupt:
                processes.stop(state.pid, state.known_as, grace_s=_STOP_S)
                return 0

    def _start_once(self, say: Callable[[str], None]) -> State:
        state = self._files.read_state()
        if state is not None and _is_alive(state):
            if self._serves(state):
                return state
            say("restarting the index: it does not answer, or its settings have changed")
            processes.stop(state.pid, state.known_as, grace_s=_STOP_S)
        return self._start(say, state)

    def _start(self, say: Callable[[str], None], last: State | None) -> State:
        environment = self._environment()
        self._files.prepare(environment)
        lost = self._finish_uploads(say)
        self._files.write_routes(routes_json(self._further))
        if self._team:
            self._files.write_on_demand(self._team.on_demand.to_json())
        port = self._choose_port(last)
        if port != self._port:
            say(f"port {self._port} is taken by somebody else: the index uses {port}")
        say(f"starting the index on port {port}")
        with explained(self._files.log):
            held = processes.hold(self._command(port), environment=environment, log=self._files.log)
        try:
            state = State(
                pid=held.pid,
                known_as=held.known_as,
                port=port,
                wanted_port=self._port,
                addresses=self._addresses,
                outside=self._outside,
            )
            self._files.write_state(state)  # before it runs: the next one of us must find it, if we are killed now
            held.let_go()
            upstream = self._upstream or self._files.default_upstream(environment)  # while it starts
            self._wait_until_healthy(state)
            self._lay_out(port, upstream)
            mending.drop(self._root(port), lost, say)
        except BaseException:
            held.give_up()
            raise
        return state

    def _finish_uploads(self, say: Callable[[str], None]) -> tuple[str, ...]:
        """What is listed and has lost its bytes. The folder must be locked, and no server run over it."""
        with explained(self._files.server):
            return mending.finish_uploads(self._files.server, devpi_layout.OWNER, say)

    def _command(self, port: int) -> list[str]:
        files = self._files
        # -P: the folder we happen to stand in must not lend it modules.
        command = [sys.executable, "-P", "-m", "devpi_server", "-c", str(files.configuration)]
        command += ["--serverdir", str(files.server), "--secretfile", str(files.secret), *_FLAGS]
        return [*command, *(f"--listen={address}:{port}" for address in self._addresses)]

    def _environment(self) -> dict[str, str]:
        """What it needs of ours. devpi asks REQUESTS_CA_BUNDLE for what to trust, not SSL_CERT_FILE."""
        environment = passed_on(os.environ)
        if self._ca_bundle:
            listening.check_bundle(self._ca_bundle)
        bundle = self._ca_bundle or environment.get("REQUESTS_CA_BUNDLE") or environment.get("SSL_CERT_FILE")
        if bundle:
            environment["REQUESTS_CA_BUNDLE"] = bundle
        for name, value in self._proxy.items():
            environment[name] = environment[name.upper()] = value
        environment["PYTHONUNBUFFERED"] = "1"
        environment["TMPDIR"] = str(self._files.temporary)
        environment[ROUTES] = str(self._files.routes)
        if self._journal:
            environment[JOURNAL] = self._journal
        environment[HOSTS] = " ".join(self._known_as)
        if self._team and self._team.queue:
            environment[QUEUE] = str(self._team.queue)
            environment[READING] = self._team.reading
            environment[ON_DEMAND] = str(self._files.on_demand)
            environment[COUNTS] = self._team.counts
        return environment

    @property
    def _known_as(self) -> tuple[str, ...]:
        """The names that it may be asked by: this machine's too, where other machines reach it, also by mDNS."""
        here = socket.gethostname()
        return (*self._hostnames, *([here, f"{here.partition('.')[0]}.local"] if EVERYWHERE in self._addresses else []))

    @property
    def _outside(self) -> str:
        """Tells one way to upstream, and one journal, from another; a digest: a proxy's address may hold a password."""
        settings: list[object] = [self._upstream, self._ca_bundle, sorted(self._proxy.items())]
        settings += [routes_json(self._further), WALLS, self._journal, *self._hostnames]
        return hashlib.sha256(json.dumps(settings).encode()).hexdigest()

    def _choose_port(self, last: State | None) -> int:
        """The last one, which clients may have noted, then the wanted one, then any that is free."""
        remembered = last.port if last and last.wanted_port == self._port else self._port
        for port in (remembered, self._port):
            if listening.is_free(port, self._addresses):
                return port
        port = listening.free_port()
        if not listening.is_free(port, self._addresses):
            raise UnusableError("index-start", f"port {port} is not free on {self._addresses}", hint="try again")
        return port

    def _wait_until_healthy(self, state: State) -> None:
        deadline = time.monotonic() + _START_S
        while not (_is_alive(state) and listening.is_healthy(state.port)):
            if not _is_alive(state) or time.monotonic() > deadline:
                raise UnusableError(
                    "index-start",
                    f"devpi-server does not start (log: {self._files.log})",
                    hint="the end of its log stands below; `mirror up` tries again",
                    details=self._files.last_log_lines(),
                )
            time.sleep(0.05)

    def _root(self, port: int) -> DevpiClient:
        login = Login("root", self._files.root_password.read_text)
        return DevpiClient(f"http://{LOOPBACK}:{port}", login, waiter=Waiter(AT_FIRST))

    def _lay_out(self, port: int, upstream: str) -> None:
        root = self._root(port)
        devpi_layout.lay_out(
            root,
            owner_password=self._files.owner_password.read_text(),
            upstream=upstream,
            further=self._further,
            team=self._team is not None,
        )
        if self._team and self._team.builder_token:
            devpi_layout.tend_builder(root, self._team.builder_token)

    def _serves(self, state: State) -> bool:
        """Whether it runs, answers, and does so where it is wanted.

        More addresses than wanted are good, but for all of them at once: who no longer wants that means it.
        """
        is_as_wanted = (self._port, self._outside) == (state.wanted_port, state.outside)
        listens = set(self._addresses) <= set(state.addresses)
        return is_as_wanted and listens and _is_alive(state) and listening.is_healthy(state.port)

    def _info(self, state: State) -> ServerInfo:
        return ServerInfo(
            port=state.port,
            addresses=state.addresses,
            pid=state.pid,
            user=devpi_layout.OWNER,
            password_file=self._files.owner_password,
            root_password_file=self._files.root_password,
        )


def _listen_addresses(addresses: tuple[str, ...]) -> tuple[str, ...]:
    if EVERYWHERE in addresses:
        return (EVERYWHERE,)
    return tuple(dict.fromkeys((LOOPBACK, *addresses)))


def _is_alive(state: State) -> bool:
    return bool(state.known_as) and processes.is_running(state.pid, state.known_as)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Turn SIGTERM into KeyboardInterrupt, and have SIGINT do so even where we were started ignoring it."""

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
