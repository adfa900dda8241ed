"""Who compiles what, agreed between all runs that publish to one index, on one machine or on several.

devpi has no locks, but it creates an index once: of several who ask for the same name one gets 200, the others 409. So
a claim is an empty index `USER/claim-KEY-N` beside the one that is published to. Its `custom_data` says whose it is,
and a count that goes up while its owner lives. Whoever waits and sees that count stand still for EXPIRES_S, by its own
clock, takes the claim over as `claim-KEY-N+1`; an owner on the same machine is known to be dead at once. A claim that
nobody waits for is swept when it has not been renewed for SWEPT_AFTER_S, by the index's clock, which all share.
"""

from __future__ import annotations

import json
import random
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from mirror.adapters.devpi.http import DevpiClient
from mirror.adapters.devpi.patience import PassingError
from mirror.adapters.owner import is_dead, this_process
from mirror.core.errors import MirrorError, UnusableError

BEATS_EVERY_S = 15.0
EXPIRES_S = 60.0
"""Several beats: an owner that misses one is not dead."""
SWEPT_AFTER_S = 600.0
"""Far longer: nobody is kept waiting by it, and the index's clock may be set."""
LOOKS_EVERY_S = 1.0
_NAME = re.compile(r"claim-([0-9a-f]{40})-(\d{1,9})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A claim as the index shows it."""

    number: int
    owner: str
    beat: int
    renewed: float
    """By the index's clock (POSIX seconds); 0 where that was not known."""


class DevpiClaims:
    """Implements ports.Claims for one run. May be used from several threads.

    `client` may create and delete indexes of `user`. Claims are let go of through `farewell`, which asks the same
    server: it must outlast the client when the run is given up, and not keep the user waiting.
    """

    def __init__(
        self, client: DevpiClient, user: str, *, farewell: DevpiClient | None = None, expires_s: float = EXPIRES_S
    ) -> None:
        self._client = client
        self._farewell = farewell or client
        self._user = user
        self._expires_s = expires_s
        self._stopped = threading.Event()
        self._now_there = 0.0
        """What the index's clock said last."""

    def sweep(self) -> None:
        """As ports.Claims.sweep."""
        with suppress(MirrorError):
            for key, claim in self._read_all():
                is_old = claim.renewed > 0 and self._now_there - claim.renewed > SWEPT_AFTER_S
                if is_old or _is_of_the_dead(claim):
                    self._delete(key, claim.number)

    @contextmanager
    def hold(self, key: str, on_wait: Callable[[], None]) -> Iterator[None]:
        """As ports.Claims.hold."""
        owner = f"{this_process()}:{uuid.uuid4().hex[:8]}"
        number = self._take(key, owner, on_wait)
        over = threading.Event()
        beating = threading.Thread(target=self._beat, args=(key, number, owner, over), name="claim-beat", daemon=True)
        beating.start()
        try:
            yield
        finally:
            over.set()
            beating.join()
            self._delete(key, number)

    def stop(self) -> None:
        """As ports.Claims.stop."""
        self._stopped.set()

    def _take(self, key: str, owner: str, on_wait: Callable[[], None]) -> int:
        """Wait until the claim is ours; its number."""
        watch = _Watch(self._expires_s)
        has_told = False
        while True:
            if self._stopped.is_set():
                raise UnusableError("stopped", "the run is being given up", hint="start it again")
            there = self._read(key)
            if not watch.living(there):
                number = max((claim.number for claim in there), default=0) + 1
                self._create(key, number, owner)
                # Read back: a reply may have been lost, and somebody else may have done the same at the same time.
                now = self._read(key)
                others = [claim for claim in now if claim.owner != owner]
                if len(others) < len(now) and not watch.living(others):
                    for claim in others:
                        self._delete(key, claim.number)
                    return number
                if len(others) < len(now):
                    self._delete(key, number)
            elif not has_told:
                on_wait()
                has_told = True
            self._stopped.wait(LOOKS_EVERY_S * random.uniform(0.5, 1.5))  # noqa: S311 - so that two do not keep step

    def _read(self, key: str) -> list[Claim]:
        return [claim for claimed, claim in self._read_all() if claimed == key]

    def _read_all(self) -> list[tuple[str, Claim]]:
        answer = self._client.get(f"{self._client.root}/{self._user}")
        self._now_there = answer.at
        indexes = (answer.result() or {}).get("indexes")
        if answer.status != 200 or not isinstance(indexes, dict):
            raise self._refused("may not read the claims", answer.status)
        found = ((_NAME.fullmatch(name), config) for name, config in indexes.items())
        return [(match[1], _claim(int(match[2]), config)) for match, config in found if match]

    def _create(self, key: str, number: int, owner: str) -> None:
        settings = {
            "type": "stage",
            "bases": [],
            "volatile": True,
            "acl_upload": [],
            "custom_data": _data(owner, 0, self._now_there),
        }
        status = self._client.patiently(lambda: self._send("PUT", key, number, settings))
        if status not in (200, 201, 409):
            raise self._refused("may not create an index", status)

    def _beat(self, key: str, number: int, owner: str, over: threading.Event) -> None:
        beat = 0
        while not over.wait(BEATS_EVERY_S):
            beat += 1
            # What goes wrong here goes wrong at the next beat or at publishing too: there it is told.
            with suppress(MirrorError, PassingError):
                self._send("PATCH", key, number, [f"custom_data={_data(owner, beat, self._now_there)}"])

    def _delete(self, key: str, number: int) -> None:
        """Let go of a claim; one that stays for want of an index expires."""
        with suppress(MirrorError):
            self._farewell.patiently(lambda: self._send("DELETE", key, number, None, self._farewell))

    def _send(self, method: str, key: str, number: int, body: object, client: DevpiClient | None = None) -> int:
        """Raises PassingError."""
        url = f"{self._client.root}/{self._user}/claim-{key}-{number}"
        answer = (client or self._client).send(method, url, json=body)
        self._now_there = answer.at
        return answer.status

    def _refused(self, what: str, status: int) -> UnusableError:
        return UnusableError(
            "index-forbidden",
            f"on {self._user}, this run {what}, which keeps two runs from compiling the same: HTTP {status}",
            hint="publishing needs a user who may create indexes beside the one that is published to",
        )


class _Watch:
    """Tells claims of the living from those of the dead, by how long their count has stood still for us."""

    def __init__(self, expires_s: float) -> None:
        self._expires_s = expires_s
        self._seen: dict[tuple[int, str, int], float] = {}

    def living(self, claims: list[Claim]) -> list[Claim]:
        """Those whose owner may still be alive."""
        now = time.monotonic()
        alive = []
        for claim in claims:
            first_seen = self._seen.setdefault((claim.number, claim.owner, claim.beat), now)
            if not _is_of_the_dead(claim) and now - first_seen < self._expires_s:
                alive.append(claim)
        return alive


def _is_of_the_dead(claim: Claim) -> bool:
    return is_dead(claim.owner.rpartition(":")[0])


def _data(owner: str, beat: int, renewed: float) -> str:
    return json.dumps({"beat": beat, "owner": owner, "renewed": renewed})


def _claim(number: int, config: Mapping[str, object]) -> Claim:
    try:
        data = json.loads(str(config.get("custom_data")))
        return Claim(number=number, owner=str(data["owner"]), beat=int(data["beat"]), renewed=float(data["renewed"]))
    except (ValueError, TypeError, KeyError):
        return Claim(number=number, owner="", beat=0, renewed=0.0)  # nobody's of ours: it expires
