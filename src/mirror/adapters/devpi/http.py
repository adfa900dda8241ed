"""The wire to a devpi-server: sessions, retries, login. Knows nothing of wheels."""

from __future__ import annotations

import base64
import json
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase

from mirror.core.errors import UnusableError

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_AGAIN = (502, 503, 504)
_CONNECT_S, _READ_S = 10.0, 120.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.2, 8.0
_LARGEST_ANSWER = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Login:
    """Who we are on the index. `password` is asked for when it is needed and kept nowhere."""

    user: str
    password: Callable[[], str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer that was read into memory."""

    status: int
    content: bytes

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

    GET is repeated, with growing pauses, after 502, 503, 504 and lost connections; nothing else ever is. Redirects are
    not followed: the login must not travel to another host. Errors: UnusableError `index-unreachable`, `index-login`.
    """

    def __init__(self, root: str, login: Login | None, *, ca_bundle: str | None = None, tries: int = 5) -> None:
        self.root = root.rstrip("/")
        self._login = login
        self._ca_bundle = ca_bundle
        self._tries = tries
        self._local = threading.local()
        self._token: _TokenAuth | None = None
        self._token_lock = threading.Lock()

    def get(self, url: str, *, accept: str = "application/json") -> Answer:
        """Read a page whole. Logs in only where the server wants that for reading."""
        try:
            with self.stream(url, accept=accept) as response:
                return Answer(response.status_code, _read(response, url))
        except requests.RequestException as error:
            raise self.unreachable(url, error) from error

    @contextmanager
    def stream(self, url: str, *, accept: str = "*/*") -> Iterator[requests.Response]:
        """Open an answer whose body is read piece by piece; repeated until it begins, not after.

        Reading the body may raise requests.RequestException.
        """
        response = self._get(url, accept)
        if response.status_code in (401, 403) and self._login is not None:
            response.close()
            self._token = None
            self._authentication()
            response = self._get(url, accept)
        with response:
            yield response

    def send(self, method: str, url: str, **arguments: Any) -> Answer:
        """Do what changes something, once, logged in; again only after a token that has run out.

        Raises requests.RequestException where the connection is lost on the way: only the caller knows how to find
        out whether it was done.
        """
        answer = self._send(method, url, self._authentication(), arguments)
        if answer.status == 401 and self._login is not None:
            self._token = None
            answer = self._send(method, url, self._authentication(), arguments)
        return answer

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

    def unreachable(self, url: str, error: Exception) -> UnusableError:
        """What to raise where the connection was lost."""
        return UnusableError(
            "index-unreachable",
            f"the index does not answer at {url}",
            hint="`mirror up` starts the embedded index; for your own devpi check its address, proxy and CA bundle",
            details=(f"{type(error).__name__}: {error}",),
        )

    def _send(self, method: str, url: str, auth: AuthBase, arguments: Mapping[str, Any]) -> Answer:
        headers = {"Accept": "application/json"}
        response = self._request(method, url, auth=auth, headers=headers, **arguments)
        return Answer(response.status_code, response.content)

    def _get(self, url: str, accept: str) -> requests.Response:
        auth = self._token or _NoAuth()
        # An sdist is compressed already; a server that says so would have it unpacked on the way.
        headers = {"Accept": accept} | ({"Accept-Encoding": "identity"} if accept == "*/*" else {})
        for pause_s in self._pauses():
            try:
                response = self._request("GET", url, auth=auth, headers=headers, stream=True)
            except requests.RequestException as error:
                if pause_s is None:
                    raise self.unreachable(url, error) from error
            else:
                if response.status_code not in _AGAIN or pause_s is None:
                    return response
                response.close()
            time.sleep(pause_s)
        raise AssertionError("the last pause is None")

    def _pauses(self) -> Iterator[float | None]:
        for n in range(self._tries - 1):
            yield min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2**n) * random.uniform(0.5, 1.5)  # noqa: S311 - jitter
        yield None

    def _request(self, method: str, url: str, **arguments: Any) -> requests.Response:
        return self._session().request(
            method,
            url,
            timeout=(_CONNECT_S, _READ_S),
            allow_redirects=False,
            # Here and not on the session, where REQUESTS_CA_BUNDLE would win over the setting.
            verify=self._ca_bundle or True,
            **arguments,
        )

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = requests.Session()
            session.mount("http://", HTTPAdapter(pool_maxsize=2))
            # A proxy has no business between us and our own loopback.
            session.trust_env = urlsplit(self.root).hostname not in _LOOPBACK
            self._local.session = session
        return session

    def _authentication(self) -> AuthBase:
        if self._login is None:
            return _NoAuth()
        with self._token_lock:
            if self._token is None:
                self._token = self._ask_for_token(self._login)
            return self._token

    def _ask_for_token(self, login: Login) -> _TokenAuth:
        url = f"{self.root}/+login"
        body = {"user": login.user, "password": login.password()}
        try:
            answer = self._send("POST", url, _NoAuth(), {"json": body})
        except requests.RequestException as error:
            raise self.unreachable(url, error) from None
        token = (answer.result() or {}).get("password")
        if answer.status != 200 or not isinstance(token, str):
            raise UnusableError(
                "index-login",
                f"{self.root} does not accept the password of user {login.user!r} (HTTP {answer.status})",
                hint="check the index's user and password in the settings",
            )
        return _TokenAuth(login.user, token)


def _read(response: requests.Response, url: str) -> bytes:
    content = bytearray()
    for chunk in response.iter_content(1 << 16):
        content += chunk
        if len(content) > _LARGEST_ANSWER:
            raise UnusableError("index-bad-page", f"{url} is larger than any page", hint="check the index's address")
    return bytes(content)
