"""The data folder of the embedded devpi-server: its secrets, its state, its database.

    server/          devpi's own
    secret           what devpi signs tokens with
    root-password    of devpi's root
    mirror-password  of the user who publishes
    state.json       what runs, and where
    on-demand.json   who may have what built by asking for it
    routes.json      which projects come from which further upstream
    devpi.log
    tmp/             its TMPDIR

Packages lie in server/+files, which may be a link to a folder that something else serves from.

The folder is 0700 and every secret 0600: each is made at the first start, and reaches a process by a file only.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from mirror.adapters.host import explained, ready_folder, refuse_links, sync_tree
from mirror.core.errors import UnusableError

_INIT = "from devpi_server.init import init; raise SystemExit(init())"
_UPSTREAM = "from devpi_server.main import _pypi_ixconfig_default; print(_pypi_ixconfig_default['mirror_url'])"
_LARGEST_LOG = 10_000_000
_WRITTEN = (
    "secret",
    "root-password",
    "mirror-password",
    "state.json",
    "routes.json",
    "on-demand.json",
    "devpi-server.yml",
    "devpi-init.yml",
)
"""What `write_private` writes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What was started last. `known_as` is the process's identity; `wanted_port` what the settings said.

    `outside` stands for the settings of the way to upstream: others need a restart.
    """

    pid: int
    known_as: str
    port: int
    wanted_port: int = 0
    addresses: tuple[str, ...] = ()
    outside: str = ""


@dataclass(frozen=True, slots=True)
class DevpiFiles:
    """Paths in the data folder, and what is done to them while no server runs."""

    folder: Path
    packages: Path | None = None
    """Where packages are to lie, if not in `folder`."""

    @property
    def server(self) -> Path:
        return self.folder / "server"

    @property
    def secret(self) -> Path:
        return self.folder / "secret"

    @property
    def root_password(self) -> Path:
        return self.folder / "root-password"

    @property
    def owner_password(self) -> Path:
        return self.folder / "mirror-password"

    @property
    def configuration(self) -> Path:
        return self.folder / "devpi-server.yml"

    @property
    def temporary(self) -> Path:
        """Where uploads lie until they are whole. /tmp is often small, and then nothing large could be published."""
        return self.folder / "tmp"

    @property
    def routes(self) -> Path:
        """Which projects come from which further upstream: for our plugin."""
        return self.folder / "routes.json"

    @property
    def on_demand(self) -> Path:
        """Who may have something built by asking for it: for our plugin."""
        return self.folder / "on-demand.json"

    @property
    def log(self) -> Path:
        return self.folder / "devpi.log"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder: of several processes that start or stop the server, one does it at a time.

        That needs no writing where the lock is there: a server on a full or read-only disk can be stopped.
        """
        with explained(self.folder):
            refuse_links(self.folder)
            lock = os.open(self.folder / "lock", os.O_RDONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def ready(self) -> None:
        """Make the folder where there is none. Raises UnusableError where it cannot be written."""
        ready_folder(self.folder)
        with explained(self.folder):
            self.folder.chmod(0o700)

    def read_state(self) -> State | None:
        """What was started last, by whatever version of us; None where nothing was, or nobody can tell."""
        try:
            found = json.loads((self.folder / "state.json").read_bytes())
            known = {field.name: found[field.name] for field in fields(State) if field.name in found}
            return State(**known | {"addresses": tuple(known.get("addresses", ()))})
        except (FileNotFoundError, NotADirectoryError, ValueError, TypeError):
            return None

    def write_state(self, state: State) -> None:
        """Remember what was started."""
        with explained(self.folder):
            write_private(self.folder / "state.json", json.dumps(asdict(state), indent=2) + "\n")

    def write_routes(self, text: str) -> None:
        """Say what our plugin reads when the server starts."""
        with explained(self.folder):
            write_private(self.routes, text)

    def write_on_demand(self, text: str) -> None:
        """Likewise."""
        with explained(self.folder):
            write_private(self.on_demand, text)

    def prepare(self, environment: Mapping[str, str]) -> None:
        """Make what a first start needs; mend what a killed server left. The folder must be locked.

        Raises UnusableError: `index-init`, `index-database`, or as `host.explained` does.
        """
        with explained(self.folder):
            self._sweep()
            self._empty_temporary()
            for path in (self.secret, self.root_password, self.owner_password):
                if not path.is_file():
                    write_private(path, secrets.token_hex(32))
            # An empty configuration: devpi would otherwise take one from the machine's or the user's folders.
            write_private(self.configuration, "devpi-server:\n")
            if not self.server.is_dir():
                self._initialise(environment)
            self._link_packages()
            refuse_links(self.server, ("+files",) if self.packages else ())
            _roll_back_hot_journal(self.server / ".sqlite")
            if self.log.is_file() and self.log.stat().st_size > _LARGEST_LOG:
                self.log.replace(self.log.with_suffix(".log.1"))
            self.log.touch(mode=0o600)

    def _link_packages(self) -> None:
        """Let devpi write to `packages`. Raises UnusableError (`index-files`) where there are some elsewhere."""
        place = self.server / "+files"
        if self.packages is None or (place.is_symlink() and place.readlink() == self.packages):
            return
        if place.is_symlink():
            place.unlink()
        elif place.is_dir():
            try:
                place.rmdir()
            except OSError as error:
                raise UnusableError(
                    "index-files",
                    f"the index keeps its packages in {place}, and is told to keep them in {self.packages}",
                    hint=f"move what is in there: `mv {place}/* {self.packages}/`",
                ) from error
        place.symlink_to(self.packages)

    def _empty_temporary(self) -> None:
        shutil.rmtree(self.temporary, ignore_errors=True)
        self.temporary.mkdir(mode=0o700)

    def _sweep(self) -> None:
        """Remove what killed processes of ours left half-written: none is at work now.

        devpi's own `-tmp` files stay: some of them are uploads that it lists (`mending.py`).
        """
        for path in (path for name in _WRITTEN for path in self.folder.glob(f".{name}-*")):
            path.unlink(missing_ok=True)

    def last_log_lines(self) -> tuple[str, ...]:
        """The end of the server's log."""
        if not self.log.is_file():
            return ()
        with self.log.open("rb") as log:
            log.seek(max(0, self.log.stat().st_size - 4000))
            return tuple(log.read().decode(errors="replace").splitlines()[-10:])

    def default_upstream(self, environment: Mapping[str, str]) -> str:
        """devpi's own address of PyPI. In a process of its own: importing devpi costs a second and 50 MB.

        Raises UnusableError (`index-init`).
        """
        command = [sys.executable, "-P", "-W", "ignore", "-c", _UPSTREAM]
        done = subprocess.run(
            command, env=dict(environment), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        if done.returncode or not done.stdout.strip():
            raise UnusableError(
                "index-init",
                "devpi does not say where it mirrors PyPI from",
                hint="name it in the setting `upstream`",
                details=done.stderr.splitlines()[-10:],
            )
        return done.stdout.strip()

    def _initialise(self, environment: Mapping[str, str]) -> None:
        """Run devpi-init. Root's password reaches it in a file: its argument list is for every user to see.

        It works in a folder of its own, renamed when done, so that a killed start leaves nothing half-made. Left with
        its own default, `root/pypi` is a mirror of PyPI.
        """
        shutil.rmtree(self.folder / "server.new", ignore_errors=True)
        configuration = self.folder / "devpi-init.yml"
        write_private(configuration, f"devpi-server:\n  root-passwd: {self.root_password.read_text()}\n")
        command = [sys.executable, "-P", "-c", _INIT, "-c", str(configuration), "--serverdir"]
        try:
            done = subprocess.run(
                [*command, str(self.folder / "server.new")],
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )
        finally:
            configuration.unlink()
        if done.returncode:
            raise UnusableError(
                "index-init",
                f"devpi-init failed in {self.folder}",
                hint="is the disk full, or the folder not writable?",
                details=tuple((done.stdout + done.stderr).splitlines()[-10:]),
            )
        # devpi leaves that to chance: after a crash in the next seconds its version file was seen empty, and it then
        # refuses to start for ever.
        sync_tree(self.folder / "server.new")
        (self.folder / "server.new").rename(self.server)


def _roll_back_hot_journal(database: Path) -> None:
    """Let SQLite undo what a killed server had half written: devpi opens it read-only first, and could not.

    Seen after 5 of 50 `kill -9` under load.
    """
    try:
        with closing(sqlite3.connect(f"file:{database}?mode=rw", uri=True, timeout=10)) as connection:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error as error:
        raise UnusableError(
            "index-database",
            f"the index's database {database} cannot be opened: {error}",
            hint="is another server running on it? Otherwise put back a backup, or move the folder away to begin anew",
        ) from error


def write_private(path: Path, text: str) -> None:
    """Write whole or not at all, readable by the owner only from the first moment (mkstemp makes it 0600)."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(temporary).unlink()
        raise
