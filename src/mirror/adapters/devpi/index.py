"""The devpi index we publish to, over HTTP. Implements ports.Index."""

from __future__ import annotations

import threading
from email.parser import BytesParser
from pathlib import Path
from urllib.parse import quote, urlsplit

from packaging.utils import NormalizedName

from mirror.adapters.devpi import simple_page
from mirror.adapters.devpi.claims import DevpiClaims
from mirror.adapters.devpi.downloads import Downloads, LostBytesError
from mirror.adapters.devpi.holdings import DevpiWheels
from mirror.adapters.devpi.http import Answer, DevpiClient, Login
from mirror.adapters.devpi.locks import DevpiLocks
from mirror.adapters.devpi.patience import AT_LAST, RECOVERY, PassingError, Recovery, Waiter
from mirror.adapters.devpi.upstream import Upstreams
from mirror.adapters.store import Store
from mirror.core.errors import BadInputError, MirrorError, UnusableError
from mirror.core.model import CheckedWheel, IndexFile

_READ_BACK_PAUSES_S = (0.0, 0.2, 1.0, 3.0, 6.0)
"""A cache or a replica in front of devpi may show an old page for some seconds."""


class DevpiIndex:
    """One stage of a devpi-server at `url` (`http://host/user/index`), with upstream behind it.

    Pages are remembered until this instance publishes to their project; threads that ask for the same page at once
    cost one request. Without `login` it can only be read. A devpi-server with `--restrict-modify` lets nobody else
    change an index's settings, not even its owner: `administrator` is who may, where that is not `login`.

    What fails and may pass is waited for, as `recovery` says. After `stop` everything raises UnusableError (`stopped`).
    """

    def __init__(
        self,
        url: str,
        login: Login | None,
        store: Store,
        *,
        administrator: Login | None = None,
        ca_bundle: str | None = None,
        recovery: Recovery = RECOVERY,
    ) -> None:
        self._url, root, self._stage = _take_apart(url)
        waiter, revive = Waiter(recovery.patience, say=recovery.say), recovery.revive
        self._client = DevpiClient(root, login, ca_bundle=ca_bundle, waiter=waiter, revive=revive)
        self._administration = DevpiClient(
            root, administrator or login, ca_bundle=ca_bundle, waiter=waiter, revive=revive
        )
        self._greeting = DevpiClient(root, login, ca_bundle=ca_bundle, waiter=waiter.beside(recovery.at_first))
        self._upstreams = Upstreams(self._client, self._stage)
        self._user = login.user if login else None
        self._publisher = login if administrator is None else None
        self._downloads = Downloads(self._client, store)
        self._pages: dict[NormalizedName, tuple[IndexFile, ...]] = {}
        self._locks: dict[NormalizedName, threading.Lock] = {}
        self._lock = threading.Lock()
        self._whitelisted: set[NormalizedName] = set()

    def __repr__(self) -> str:
        return f"DevpiIndex({self._url!r})"

    @property
    def _may_upload_only(self) -> bool:
        return self._publisher is not None and self._publisher.is_token()

    @property
    def url(self) -> str:
        """The index itself, without a slash at its end."""
        return self._url

    @property
    def simple_url(self) -> str:
        return f"{self._url}/+simple/"

    def claims(self, **options: float) -> DevpiClaims:
        """The claims of one more run that publishes here; `options` as DevpiClaims has them."""
        farewell = self._administration.again(Waiter(AT_LAST))
        return DevpiClaims(self._administration, self._stage.partition("/")[0], farewell=farewell, **options)

    def locks(self) -> DevpiLocks:
        """What builds that publish here have registered as reached."""
        return DevpiLocks(self._administration, self._stage.partition("/")[0], by_plugin=self._may_upload_only)

    def wheels(self) -> DevpiWheels:
        """What is published here."""
        return DevpiWheels(self._client, self._url)

    def ensure_index(self) -> None:
        """See that there is a stage that we may publish to. Changes nothing.

        Raises UnusableError: `index-unreachable`, `index-not-devpi`, `index-login`, `index-missing`, `index-mirror`,
        `index-volatile`, `index-forbidden`; each hint has the devpi command that mends it.
        """
        self._greeting.check_is_devpi()
        if self._user is not None:
            self._greeting.login()
        answer = self._greeting.get(f"{self._url}?no_projects=")
        if answer.status == 404:
            raise UnusableError(
                "index-missing",
                f"there is no index {self._stage} at {self._client.root}",
                hint=f"create it: `devpi login USER` and `devpi index -c {self._stage} bases=root/pypi volatile=False`",
            )
        self._check_stage(answer)

    def files(self, name: NormalizedName) -> tuple[IndexFile, ...]:
        with self._lock:
            lock = self._locks.setdefault(name, threading.Lock())
        with lock:
            page = self._pages.get(name)
            if page is None:
                page = self._pages[name] = self._read_page(name)
            return page

    def forget(self, name: NormalizedName) -> None:
        """Ask the index anew for this project's page next time."""
        self._pages.pop(name, None)

    def fetch(self, file: IndexFile) -> Path:
        return self._downloads.find(file)

    def upstream_of(self, file: IndexFile) -> str | None:
        return self._upstreams.of(file.url)

    def publish(self, wheel: CheckedWheel) -> IndexFile:
        if wheel.upstream is not None:
            self._whitelist(wheel.name)
        return self._client.patiently(lambda: self._publish_once(wheel))

    def stop(self) -> None:
        """End every request and every wait now, and begin no other: the run is being given up."""
        for client in (self._client, self._administration, self._greeting):
            client.stop()

    def _publish_once(self, wheel: CheckedWheel) -> IndexFile:
        """Raises PassingError where it is certain that the wheel has not arrived, or is there no longer."""
        try:
            return self._upload_and_read_back(wheel)
        except LostBytesError as error:
            self._unlist(error)
            raise PassingError(error) from error

    def _upload_and_read_back(self, wheel: CheckedWheel) -> IndexFile:
        """As `_publish_once`. Raises LostBytesError where the index lists exactly these bytes, and lost them."""
        try:
            self._upload(wheel)
        except PassingError:
            # It may or may not have arrived: the page says which.
            listed = self._read_back(wheel, (0.0,))
            if listed is None:
                raise
            return listed
        listed = self._read_back(wheel, _READ_BACK_PAUSES_S)
        if listed is None:
            raise UnusableError(
                "publish-lost",
                f"the index accepted {wheel.filename} but does not show it on {self.simple_url}{wheel.name}/",
                hint="look into the index's log; a cache in front of it may serve old pages",
            )
        return listed

    def _read_page(self, name: NormalizedName) -> tuple[IndexFile, ...]:
        files = self._read_stage(name)
        if all(self._is_in_stage(file) for file in files):
            # None, or ours alone: either upstream has none, or devpi could not ask it and does not say so.
            self._upstreams.check(name)
            files = self._read_stage(name)
        return files

    def _read_stage(self, name: NormalizedName) -> tuple[IndexFile, ...]:
        url = f"{self.simple_url}{quote(name)}/"
        answer = self._client.get(url, accept=simple_page.ACCEPT)
        if answer.status == 404:
            return ()
        if answer.status != 200:
            raise UnusableError(
                "index-failed",
                f"the index answers HTTP {answer.status} for {url}",
                hint="look into the index's log; its upstream may be out of reach",
            )
        return simple_page.parse(answer.content, url)

    def _whitelist(self, name: NormalizedName) -> None:
        """Let upstream's files of the project go on to show once the stage holds one of its own.

        Comes before the upload: a resolver that looks in between must not see the project shrink to our wheel.
        Adding a name twice is adding it once, so this is repeated without a look. Who has a token for uploading may not
        change the index's settings, but may ask our plugin to do this.
        """
        if name in self._whitelisted:
            return
        administration, change = self._administration, [f"mirror_whitelist+={name}"]
        if self._may_upload_only:
            allow = f"{administration.root}/+mirror/allow/{self._stage}/{name}"
            answer = administration.patiently(lambda: administration.send("POST", allow, json={}))
        else:
            answer = administration.patiently(lambda: administration.send("PATCH", self._url, json=change))
        if answer.status != 200:
            raise self._refused("may not change mirror_whitelist", answer)
        self._whitelisted.add(name)

    def _upload(self, wheel: CheckedWheel) -> None:
        """Raises MirrorError (`conflict`), UnusableError, PassingError where the end is not known."""
        answer = self._client.send(
            "POST", f"{self._url}/", data=_form(wheel), files={"content": (wheel.filename, wheel.content)}
        )
        if answer.status == 409:
            raise _conflict(wheel, "")
        if answer.status != 200:
            raise self._refused(f"may not upload {wheel.filename}", answer)

    def _unlist(self, lost: LostBytesError) -> None:
        """Let the index forget a file of ours whose bytes it has lost: while it lists them, it takes no others.

        That harms nobody, even if they are only late: the same ones are published next. `force`, since the index is
        not volatile. Raises `lost` where we may not.
        """
        answer = self._client.send("DELETE", f"{lost.file.url}?force=")
        if answer.status not in (200, 404, 410):
            raise lost

    def _read_back(self, wheel: CheckedWheel, pauses_s: tuple[float, ...]) -> IndexFile | None:
        """The file as the index lists and serves it; None where the stage does not list it."""
        for pause_s in pauses_s:
            self._client.waiter.pause(pause_s)
            self.forget(wheel.name)
            files = self._read_stage(wheel.name)
            listed = next((f for f in files if f.filename == wheel.filename and self._is_in_stage(f)), None)
            if listed is not None:
                if listed.sha256 != wheel.sha256:
                    raise _conflict(wheel, listed.sha256)
                self._downloads.download(listed)
                return listed
        return None

    def _is_in_stage(self, file: IndexFile) -> bool:
        """Upstream may have a file of the same name as ours: it is listed under the mirror's own path."""
        return file.url.startswith(f"{self._url}/")

    def _check_stage(self, answer: Answer) -> None:
        config = answer.result()
        if answer.status != 200 or config is None:
            raise self._refused("may not read the index's settings", answer)
        if config.get("type") == "mirror":
            raise UnusableError(
                "index-mirror",
                f"{self._stage} is a mirror: nothing can be published to it",
                hint=f"create an index on top: `devpi index -c USER/alpine bases={self._stage} volatile=False`",
            )
        if config.get("volatile"):
            raise UnusableError(
                "index-volatile",
                f"{self._stage} is volatile: published files could change there",
                hint=f"`devpi index {self._stage} volatile=False`",
            )
        uploaders = [str(u).lower() for u in config.get("acl_upload") or ()]
        if self._user and not {self._user.lower(), ":anonymous:", ":authenticated:"} & set(uploaders):
            raise UnusableError(
                "index-forbidden",
                f"user {self._user!r} may not upload to {self._stage}",
                hint=f"`devpi index {self._stage} acl_upload+={self._user}` (groups are not looked at)",
            )

    def _refused(self, what: str, answer: Answer) -> UnusableError:
        return UnusableError(
            "index-forbidden",
            f"on {self._stage}, user {self._user or '(none)'} {what}: HTTP {answer.status}",
            hint=f"publishing needs the index's owner and acl_upload: `devpi index {self._stage}` shows both",
            details=answer.said,
        )


def _take_apart(url: str) -> tuple[str, str, str]:
    """(index, server, "user/index") of an index URL, with or without `+simple` at its end."""
    bare = url.rstrip("/").removesuffix("/+simple")
    parts = urlsplit(bare)
    segments = [s for s in parts.path.split("/") if s]
    if parts.scheme not in ("http", "https") or not parts.hostname or len(segments) < 2:
        raise BadInputError(
            "bad-index-url", "the index URL is none of devpi's", hint="it looks like https://devpi.example/USER/INDEX"
        )
    if parts.username or parts.password or parts.query or parts.fragment:
        raise BadInputError(
            "bad-index-url",
            "the index URL holds a user, a password, a query or a fragment",
            hint="give user and password by their own settings: a URL ends up in logs",
        )
    stage = "/".join(segments[-2:])
    return bare, bare.removesuffix(f"/{stage}"), stage


def _form(wheel: CheckedWheel) -> list[tuple[str, str]]:
    """The fields of the upload form: what the gate has checked, and what its METADATA says of dependencies."""
    metadata = BytesParser().parsebytes(wheel.core_metadata, headersonly=True)
    fields = [
        (":action", "file_upload"),
        ("protocol_version", "1"),
        ("filetype", "bdist_wheel"),
        ("name", str(metadata.get("Name", wheel.name))),
        # devpi looks for it in the file name, letter by letter.
        ("version", wheel.filename.split("-")[1]),
        ("metadata_version", str(metadata.get("Metadata-Version", "2.1"))),
        ("summary", str(metadata.get("Summary", ""))),
        ("sha256_digest", wheel.sha256),
    ]
    fields += [("requires_dist", str(value)) for value in metadata.get_all("Requires-Dist", [])]
    if wheel.requires_python:
        fields.append(("requires_python", wheel.requires_python))
    return fields


def _conflict(wheel: CheckedWheel, sha256: str) -> MirrorError:
    stands = f" (sha256 {sha256})" if sha256 else ""
    return MirrorError(
        "conflict",
        f"other bytes{stands} stand under {wheel.filename} on the index, and a published file never changes",
        hint="if it must be replaced, remove that file from the index, or publish to a fresh index",
    )
