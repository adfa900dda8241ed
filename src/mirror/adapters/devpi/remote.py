"""Builds on a team's server, over HTTP: asked for, followed to their end, cancelled."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from mirror.adapters.devpi.http import Answer, DevpiClient
from mirror.adapters.devpi.layout import PAGE
from mirror.core.build_request import BuildRequest
from mirror.core.errors import BadInputError, MirrorError, UnusableError
from mirror.core.text import BIDI, CONTROL, visible

_PAUSES_S = (0.2, 0.5, 1.0)
"""Between two questions after which nothing was said: the longer the silence, the longer."""
_FILE = re.compile(r"/[^/]+/[^/]+/\+[ef]/")
"""Where devpi has the files of an index."""
_HIDDEN = re.compile(f"[{CONTROL}{BIDI}]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """How a build goes: what it has said since the last look, as (stream, text), and its exit status at its end."""

    state: str
    ahead: int
    status: int | None
    said: tuple[tuple[str, str], ...]


class RemoteBuild:
    """One build on the server that `client` asks. Every method raises UnusableError where it does not answer."""

    def __init__(self, client: DevpiClient, build: str) -> None:
        self._client = client
        self._url = f"{client.root}/{PAGE}/builds/{build}"
        self._offset = 0

    @classmethod
    def ask_for(cls, client: DevpiClient, request: BuildRequest) -> RemoteBuild:
        """Queue a build. Raises BadInputError as the server says, MirrorError (`queue-full`), UnusableError."""
        url = f"{client.root}/{PAGE}/builds"
        answer = client.patiently(lambda: client.send("POST", url, json=request.to_json()))
        body = answer.json()
        build = body.get("id") if isinstance(body, dict) else None
        if answer.status != 201 or not isinstance(build, str) or not re.fullmatch(r"[0-9a-f]{32}", build):
            raise _refused(client.root, answer)
        return cls(client, build)

    def look(self) -> Piece:
        """What is new."""
        answer = self._client.get(f"{self._url}?from={self._offset}")
        body = answer.json()
        if answer.status != 200 or not isinstance(body, dict):
            raise _refused(self._client.root, answer)
        try:
            said = tuple((str(stream), _HIDDEN.sub("", str(text))) for stream, text in body["output"])
            status = body["status"]
            piece = Piece(
                state=str(body["state"]),
                ahead=int(body["ahead"]),
                status=None if status is None else int(status),
                said=said,
            )
            self._offset = int(body["next"])
        except (KeyError, TypeError, ValueError) as error:
            raise _refused(self._client.root, answer) from error
        return piece

    def follow(self, write: Callable[[str, str], None], waits: Callable[[int], None]) -> int:
        """Give what it says to `write` until its end; its exit status. `waits` hears how many go before it."""
        silent = 0
        last_ahead = None
        while True:
            piece = self.look()
            for stream, text in piece.said:
                write(stream, text)
            if piece.status is not None and not piece.said:
                return piece.status
            if piece.state == "queued" and piece.ahead != last_ahead:
                waits(piece.ahead)
                last_ahead = piece.ahead
            silent = 0 if piece.said else silent + 1
            self._client.waiter.pause(_PAUSES_S[min(silent, len(_PAUSES_S) - 1)] if silent else 0.0)

    def cancel(self) -> None:
        """Nobody wants it any more."""
        self._client.patiently(lambda: self._client.send("DELETE", self._url))


def with_server(text: str, server: str) -> str:
    """A JSON document of a build, with every file of the index at the address that `server` has for us.

    Anything that is no such document is given back as it is.
    """

    def moved(value: dict[str, Any]) -> dict[str, Any]:
        url = value.get("url")
        path = urlsplit(url).path if isinstance(url, str) else ""
        return {**value, "url": f"{server}{path}"} if _FILE.match(path) else value

    try:
        return json.dumps(json.loads(text, object_hook=moved), indent=2) + "\n"
    except (ValueError, RecursionError):
        return text


def _refused(server: str, answer: Answer) -> MirrorError:
    """Why a server did not do as it was asked, in its own words where it has some."""
    body = answer.json()
    error: Any = body.get("error") if isinstance(body, dict) else None
    if isinstance(body, dict) and isinstance(error, dict):
        code, what = visible(str(error.get("code"))), visible(str(error.get("what")), 500)
        hint = visible(str(body.get("hint") or "ask whoever runs it"), 500)
        found = body.get("details")
        details = [visible(str(line), 500) for line in found] if isinstance(found, list) else []
        kind = BadInputError if answer.status == 400 else MirrorError if answer.status == 429 else UnusableError
        return kind(code, f"{server} refuses: {what}", hint=hint, details=details)
    return UnusableError(
        "no-server",
        f"{server} does not build for others (HTTP {answer.status})",
        hint="a team's server is what compose.yaml starts; give its address as in https://wheels.example.org",
        details=answer.said,
    )
