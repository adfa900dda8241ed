"""Tokens of devpi-tokens on our index: each belongs to a user of its own, whose password nobody knows."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from mirror.adapters.devpi.http import Answer, DevpiClient
from mirror.adapters.devpi.layout import BUILDER, OWNER
from mirror.core.errors import BadInputError, MirrorError, UnusableError

_NAME = re.compile(r"[a-z][a-z0-9-]{0,40}")
_RESERVED = frozenset({"root", OWNER, BUILDER})


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenInfo:
    """What is known of a token. `expires` is a date (ISO 8601), "" for never."""

    user: str
    id: str
    allowed: tuple[str, ...]
    expires: str


class Tokens:
    """The tokens of a devpi-server that `root` is logged in to as root. Every method raises UnusableError."""

    def __init__(self, root: DevpiClient) -> None:
        self._root = root

    def create(self, user: str, *, publish_to: str | None, expires_s: int | None) -> str:
        """A new token for `user`, who is made where there is none. It may read, and publish to one index if told so.

        It can do nothing else: remove nothing, change no setting, make no other token. Where it may publish to the
        index of compiled wheels, our plugin lets it do what publishing there takes: have upstream's files of a name go
        on to show, and register and forget locks of its own. Raises BadInputError (`bad-user`).
        """
        if not _NAME.fullmatch(user) or user in _RESERVED:
            raise BadInputError(
                "bad-user", f"{user!r} is no name for a user here", hint="write letters, digits and dashes, say ci"
            )
        if self._root.get(self._url(user)).status == 404:
            self._send("PUT", user, {"password": secrets.token_hex(32)})
        allowed = ["pkg_read"]
        if publish_to:
            self._send("PATCH", publish_to, [f"acl_upload+={user}"])
            allowed.append("upload")
        expires = "never" if expires_s is None else int(time.time()) + expires_s
        answer = self._send("POST", f"{user}/+token-create", {"allowed": allowed, "expires": expires})
        token = (answer.result() or {}).get("token")
        if not isinstance(token, str):
            raise UnusableError("no-token", "the index made no token", hint="does it have the plugin devpi-tokens?")
        return token

    def list(self) -> tuple[TokenInfo, ...]:
        """Every token, by user."""
        users = self._root.get(f"{self._root.root}/").result() or {}
        return tuple(info for user in sorted(users) for info in self._of(user))

    def revoke(self, user: str) -> int:
        """Let none of the user's tokens be good any more; how many there were. Raises MirrorError (`no-such-token`)."""
        found = self._of(user)
        if not found:
            raise MirrorError("no-such-token", f"{user!r} has no token", hint="`mirror token list` shows who has")
        for info in found:
            self._send("DELETE", f"{user}/+tokens/{info.id}", None)
        return len(found)

    def _of(self, user: str) -> tuple[TokenInfo, ...]:
        answer = self._root.patiently(lambda: self._root.send("GET", self._url(f"{user}/+tokens")))
        tokens = (answer.result() or {}).get("tokens")
        if answer.status != 200 or not isinstance(tokens, dict):
            return ()
        return tuple(_info(user, identifier, info) for identifier, info in sorted(tokens.items()))

    def _send(self, method: str, path: str, body: Any) -> Answer:
        answer = self._root.patiently(lambda: self._root.send(method, self._url(path), json=body))
        if answer.status not in (200, 201):
            raise UnusableError(
                "token-refused",
                f"the index refuses {method} {path}: HTTP {answer.status}",
                hint="look into its log",
                details=answer.said,
            )
        return answer

    def _url(self, path: str) -> str:
        return f"{self._root.root}/{path}"


def _info(user: str, identifier: str, info: Mapping[str, Any]) -> TokenInfo:
    """From devpi-tokens' restrictions, `["allowed=pkg_read,upload", "expires=1798761600"]`."""
    found = dict(str(one).split("=", 1) for one in info.get("restrictions", ()) if "=" in str(one))
    expires = found.get("expires", "never")
    date = datetime.fromtimestamp(int(expires), UTC).date().isoformat() if expires.isdecimal() else ""
    allowed = tuple(one for one in found.get("allowed", "").split(",") if one)
    return TokenInfo(user=user, id=identifier, allowed=allowed, expires=date)
