"""The wire to a devpi-server: sessions, retries, login. Knows nothing of wheels."""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests
from requests.auth import AuthBase

from mirror.adapters.devpi.connections import Connections
from mirror.adapters.devpi.patience import PassingError, Waiter
from mirror.core.errors import UnusableError
from mirror.core.host_errors import out_of_files
from mirror.core.text import visible

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
PASSING = frozenset({429, 500, 502, 503, 504})
"""Answers that may be others soon. devpi says 500 when its disk is full."""
_CONNECT_S = 10.0
_LARGEST_ANSWER = 64 * 1024 * 1024
_LONGEST_SAYING = 500
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Login:
    """Who we are on the index. `password`, or a token of devpi-tokens, is asked for when needed and kept nowhere."""

    user: str
    password: Callable[[], str] = field(repr=False)

    def is_token(self) -> bool:
        """Whether it is one of devpi-tokens', which is no password to log in with."""
        return self.password().startswith("devpi-")


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer that was read into memory."""

    status: int
    content: bytes
    at: float = 0.0
    """When it was given, by the server's own clock (POSIX seconds); 0 where the server does not say."""

    def json(self) -> Any:
        """The body as JSON; None where it is none."""
        try:
            return json.loads(self.content)
        except (ValueError, RecursionError):
            return None

    def result(self) -> dict[str, Any] | None:
        """devpi's `result` object; None where the body has none."""
        body = self.json()
        result = body.get("result") if isinstance(body, dict) else None
        return result if isinstance(result, dict) else None

    @property
    def said(self) -> tuple[str, ...]:
        """What the server says of a failure, as one line to show; () where it says nothing."""
        body = self.json()
        text = str(body.get("message") or "") if isinstance(body, dict) else self.content.decode(errors="replace")
        line = visible(" ".join(text.split()), _LONGEST_SAYING)
        return (line,) if line else ()


class _NoAuth(AuthBase):
    """Keeps requests from looking into ~/.netrc: no stranger's credentials reach the index."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        return request


class _TokenAuth(AuthBase):
    def __init__(self, user: str, token: str) -> None:
        self._header = base64.b64encode(f"{user}:{token}".encode()).decode()

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["X-Devpi-Auth"] = self._header
        return request


class DevpiClient:
    """Asks one devpi-server. May be used from several threads.

    What may pass (`PASSING`, a lost connection, a body that was cut) is waited for, with growing pauses, as long as
    `waiter` has patience; every other answer is final. `revive` is called when nobody listens there: it may start the
    server again. Redirects are not followed: the login must not travel to another host.
    Errors: UnusableError `index-unreachable`, `index-failed`, `index-login`, `too-many-open-files`, `stopped`.
    """

    def __init__(
        self,
        root: str,
        login: Login | None,
        *,
        ca_bundle: str | None = None,
        waiter: Waiter | None = None,
        revive: Callable[[], object] | None = None,
    ) -> None:
        self.root = root.rstrip("/")
        self.waiter = waiter or Waiter()
        self._login = login
        self._ca_bundle = ca_bundle
        self._revive = revive
        self._reviving = threading.Lock()
        self._local = threading.local()
        self._connections = Connections(self.waiter)
        self._token: _TokenAuth | None = None
        self._token_lock = threading.Lock()

    def get(self, url: str, *, accept: str = "application/json", waiter: Waiter | None = None) -> Answer:
        """Read a page whole, patiently. Logs in only where the server wants that for reading."""
        return self.patiently(lambda: self.get_once(url, accept=accept), waiter)

    def get_once(self, url: str, *, accept: str = "application/json") -> Answer:
        """Read a page whole. Raises PassingError."""
        with self.opened(url, accept=accept) as response:
            return read_answer(response, url)

    @contextmanager
    def opened(self, url: str, *, accept: str = "*/*") -> Iterator[requests.Response]:
        """Open an answer whose body is read piece by piece.

        Raises PassingError, for the body too, and UnusableError (`too-many-open-files`).
        """
        with self._may_pass(url):
            response = self._get(url, accept)
            if response.status_code in (401, 403) and self._login is not None:
                response.close()
                self._token = None
                self._authentication()
                response = self._get(url, accept)
            with response:
                if response.status_code in PASSING:
                    raise self._passing(url, read_answer(response, url), response.headers)
                yield response

    def size_once(self, url: str) -> int | None:
        """The size of a file, which is not read; None where it is gone. Raises PassingError, UnusableError."""
        headers = {"Accept": "*/*", "Accept-Encoding": "identity"}  # for JSON, devpi tells of the file instead
        with self._may_pass(url):
            response = self._request("HEAD", url, auth=self._authentication(), headers=headers)
        length = response.headers.get("Content-Length", "")
        if response.status_code in (404, 410):
            return None
        if response.status_code == 200 and length.isdecimal():
            return int(length)
        failure = self._passing(url, read_answer(response, url), response.headers)
        raise failure if response.status_code in PASSING else failure.error

    def send(self, method: str, url: str, **arguments: Any) -> Answer:
        """Do what changes something, once, logged in; again only after a token that has run out.

        Raises PassingError: it may have been done all the same, and only the caller knows how to find out.
        """
        answer = self._send(method, url, self._authentication(), arguments)
        if answer.status == 401 and self._login is not None:
            self._token = None
            answer = self._send(method, url, self._authentication(), arguments)
        return answer

    def patiently(self, act: Callable[[], T], waiter: Waiter | None = None) -> T:
        """Call `act` until it raises no PassingError; the last one's error where patience is over."""
        waiter = waiter or self.waiter
        tries = waiter.tries()
        while True:
            waiter.refuse_if_stopped()
            try:
                result = act()
            except PassingError as failure:
                tries.wait(self._revived(failure))
            else:
                waiter.succeeded()
                return result

    def stop(self) -> None:
        """End every request and every wait now, and begin no other."""
        self.waiter.stop()
        self._connections.cut()

    def again(self, waiter: Waiter) -> DevpiClient:
        """The same server and login once more, with a patience of its own; `stop` does not reach it."""
        return DevpiClient(self.root, self._login, ca_bundle=self._ca_bundle, waiter=waiter)

    def check_is_devpi(self) -> None:
        """Raise UnusableError (`index-unreachable`, `index-not-devpi`) where no devpi-server answers."""
        answer = self.get(f"{self.root}/+api")
        body = answer.json()
        if answer.status != 200 or not isinstance(body, dict) or body.get("type") != "apiconfig":
            raise UnusableError(
                "index-not-devpi",
                f"what answers at {self.root} is no devpi-server (HTTP {answer.status} for /+api)",
                hint="the index URL looks like https://devpi.example/USER/INDEX; another kind of index cannot be used",
            )

    def login(self) -> None:
        """Prove user and password. Raises UnusableError (`index-login`)."""
        self._authentication()

    def _send(self, method: str, url: str, auth: AuthBase, arguments: Mapping[str, Any]) -> Answer:
        headers = {"Accept": "application/json"}
        with self._may_pass(url):
            response = self._request(method, url, auth=auth, headers=headers, **arguments)
            answer = Answer(response.status_code, response.content, read_date(response.headers))
        if answer.status in PASSING:
            raise self._passing(url, answer, response.headers)
        return answer

    def _get(self, url: str, accept: str) -> requests.Response:
        auth = self._token or _NoAuth()
        # An sdist is compressed already; a server that says so would have it unpacked on the way.
        headers = {"Accept": accept} | ({"Accept-Encoding": "identity"} if accept == "*/*" else {})
        return self._request("GET", url, auth=auth, headers=headers, stream=True)

    @contextmanager
    def _may_pass(self, url: str) -> Iterator[None]:
        try:
            yield
        except requests.RequestException as error:
            if too_many := out_of_files(error):
                raise too_many from error  # ours, and no pause mends it
            raise PassingError(
                UnusableError(
                    "index-unreachable",
                    f"the index does not answer at {url}",
                    hint="`mirror up` starts the embedded index; "
                    "for your own devpi check its address, proxy and CA bundle",
                    details=(f"{type(error).__name__}: {error}",),
                )
            ) from error

    def _passing(self, url: str, answer: Answer, headers: Mapping[str, str]) -> PassingError:
        return PassingError(
            UnusableError(
                "index-failed",
                f"the index answers HTTP {answer.status} for {url}",
                hint="look into the index's log: its disk may be full, or its upstream out of reach",
                details=answer.said,
            ),
            read_retry_after(headers),
        )

    def _revived(self, failure: PassingError) -> PassingError:
        """The failure, or why the server could not be started again where nobody listens any more."""
        if self._revive is None or self.waiter.is_stopped or not _is_refused(failure.__cause__):
            return failure
        if self._reviving.acquire(blocking=False):  # else another thread is at it
            try:
                self._revive()
            except UnusableError as error:
                return PassingError(error)
            finally:
                self._reviving.release()
        return failure

    def _request(self, method: str, url: str, **arguments: Any) -> requests.Response:
        self.waiter.refuse_if_stopped()
        return self._session().request(
            method,
            url,
            timeout=(_CONNECT_S, self.waiter.patience.answer_s),
            allow_redirects=False,
            # Here and not on the session, where REQUESTS_CA_BUNDLE would win over the setting.
            verify=self._ca_bundle or True,
            **arguments,
        )

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = requests.Session()
            for scheme in ("http://", "https://"):
                session.mount(scheme, self._connections.adapter())
            # A proxy has no business between us and our own loopback.
            session.trust_env = urlsplit(self.root).hostname not in _LOOPBACK
            self._local.session = session
        return session

    def _authentication(self) -> AuthBase:
        if self._login is None:
            return _NoAuth()
        login = self._login
        with self._token_lock:
            if self._token is None:
                self._token = self.patiently(lambda: self._ask_for_token(login))
            return self._token

    def _ask_for_token(self, login: Login) -> _TokenAuth:
        """Raises PassingError, UnusableError (`index-login`)."""
        if login.is_token():
            return self._proven(login)
        body = {"user": login.user, "password": login.password()}
        answer = self._send("POST", f"{self.root}/+login", _NoAuth(), {"json": body})
        token = (answer.result() or {}).get("password")
        if answer.status != 200 or not isinstance(token, str):
            raise UnusableError(
                "index-login",
                f"{self.root} does not accept the password of user {login.user!r} (HTTP {answer.status})",
                hint="check the index's user and password in the settings",
            )
        return _TokenAuth(login.user, token)

    def _proven(self, login: Login) -> _TokenAuth:
        """A token of devpi-tokens stands in the place of the one that devpi gives for a password."""
        authentication = _TokenAuth(login.user, login.password())
        answer = self._send("GET", f"{self.root}/+api", authentication, {})
        status = (answer.result() or {}).get("authstatus")
        if answer.status != 200 or not isinstance(status, list) or status[:1] != ["ok"]:
            raise UnusableError(
                "index-login",
                f"{self.root} does not accept the token of user {login.user!r} (HTTP {answer.status})",
                hint="it may have been revoked or have expired: make another one",
                details=answer.said,
            )
        return authentication


def _is_refused(error: BaseException | None) -> bool:
    """Whether nobody listens at the address: what somebody does who died, and not who is slow."""
    while error is not None:
        if isinstance(error, ConnectionRefusedError):
            return True
        error = error.__cause__ or error.__context__
    return False


def read_retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds that an answer asks us to wait (RFC 9110, 10.2.3); None where it asks for nothing.

    A date is compared with the answer's own, so that it does not matter whose clock is wrong.
    """
    value = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"[0-9]{1,9}", value):
        return float(value)
    try:
        then, now = (parsedate_to_datetime(text) for text in (value, headers.get("Date", "")))
        return max(0.0, (then - now).total_seconds())
    except (ValueError, TypeError):  # no dates; one with a time zone and one without
        return None


def read_date(headers: Mapping[str, str]) -> float:
    """The answer's `Date` (RFC 9110, 6.6.1) in POSIX seconds; 0 where there is none."""
    try:
        return parsedate_to_datetime(headers.get("Date", "")).timestamp()
    except (ValueError, TypeError):
        return 0.0


def read_answer(response: requests.Response, url: str) -> Answer:
    """Read the body whole. Raises requests.RequestException, UnusableError (`index-bad-page`)."""
    content = bytearray()
    for chunk in response.iter_content(1 << 16):
        content += chunk
        if len(content) > _LARGEST_ANSWER:
            raise UnusableError("index-bad-page", f"{url} is larger than any page", hint="check the index's address")
    return Answer(response.status_code, bytes(content), read_date(response.headers))
