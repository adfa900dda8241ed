"""How long a failure that may pass is waited for; every wait ends at once when the run is given up."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from mirror.core.errors import MirrorError, UnusableError

_WORTH_TELLING_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Pauses double from the first to the longest, each up to a half shorter or longer by chance."""

    first_pause_s: float = 0.2
    longest_pause_s: float = 15.0
    total_s: float = 120.0
    """From the first failure to the last try; one more try there always is."""
    answer_s: float = 120.0
    """Who sends nothing for so long is taken for gone."""


PATIENT = Patience()
AT_FIRST = Patience(total_s=4.0, answer_s=30.0)
"""For who has never answered: a mistyped address should be told soon."""
SHORTLY = Patience(total_s=15.0, answer_s=30.0)
"""For what a build can do without: long enough for an index that is started again."""
AT_LAST = Patience(total_s=2.0, answer_s=3.0)
"""For what is tidied up while somebody waits for us to end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """What is done about failures that may pass.

    `revive` is called when nobody listens at the index any more, and may start it again, or raise UnusableError; `say`
    hears once in each time of trouble that something is waited for. `at_first` is for the very first answer.
    """

    patience: Patience = PATIENT
    at_first: Patience = AT_FIRST
    revive: Callable[[], object] | None = None
    say: Callable[[str], None] = lambda _: None


RECOVERY = Recovery()


class PassingError(Exception):
    """Something failed that may come right by itself.

    `error` is what to raise when patience is over, `retry_after_s` how long the other side asked us to wait.
    """

    def __init__(self, error: MirrorError, retry_after_s: float | None = None) -> None:
        super().__init__(error.what)
        self.error = error
        self.retry_after_s = retry_after_s


class Waiter:
    """Waits on behalf of one run. May be used from several threads.

    `say` hears once in each time of trouble that something is waited for. Threads share what patience there is: where
    one has waited in vain, the next does not begin anew, until something has come right again.
    """

    def __init__(
        self,
        patience: Patience = PATIENT,
        *,
        say: Callable[[str], None] = lambda _: None,
        given_up: threading.Event | None = None,
    ) -> None:
        self.patience = patience
        self._say = say
        self._given_up = given_up or threading.Event()
        self._lock = threading.Lock()
        self._failing_since: float | None = None
        self._failed_last = 0.0
        self._told = False

    def beside(self, patience: Patience) -> Waiter:
        """Another one of the same run, for something that fails by itself."""
        return Waiter(patience, say=self._say, given_up=self._given_up)

    @property
    def is_stopped(self) -> bool:
        """Whether the run is being given up."""
        return self._given_up.is_set()

    def stop(self) -> None:
        """End every wait of the run, and begin no other."""
        self._given_up.set()

    def refuse_if_stopped(self) -> None:
        """Raise UnusableError (`stopped`) where the run is being given up."""
        if self.is_stopped:
            raise UnusableError("stopped", "the run is being given up", hint="start it again")

    def pause(self, seconds: float) -> None:
        """Wait. Raises UnusableError (`stopped`)."""
        self._given_up.wait(seconds)
        self.refuse_if_stopped()

    def tries(self) -> Tries:
        """The tries of one thing, from now on."""
        return Tries(self)

    def succeeded(self) -> None:
        """Something came right."""
        with self._lock:
            self._failing_since, self._told = None, False

    def failing_since(self) -> float:
        """Something failed: when trouble began, which is now where there was none, or long ago."""
        now = time.monotonic()
        with self._lock:
            if self._failing_since is None or now - self._failed_last > self.patience.total_s:
                self._failing_since, self._told = now, False
            self._failed_last = now
            return self._failing_since

    def tell(self, what: str, pause_s: float) -> None:
        """Say that something is waited for, if nobody has and it is worth a line."""
        with self._lock:
            told, self._told = self._told, self._told or pause_s >= _WORTH_TELLING_S
        if self._told and not told:
            self._say(f"{what}; trying again for up to {self.patience.total_s:.0f} s")


class Tries:
    """Counts the tries of one thing. The clock is monotonic."""

    def __init__(self, waiter: Waiter) -> None:
        self._waiter = waiter
        self._failures = 0
        self._began: float | None = None

    def wait(self, failure: PassingError) -> None:
        """Pause before the next try, never shorter than the other side asked.

        Raises `failure.error` at once where patience would be over by then, UnusableError (`stopped`).
        """
        self._waiter.refuse_if_stopped()
        patience, now = self._waiter.patience, time.monotonic()
        self._began = self._began or now
        asked_s = failure.retry_after_s or 0.0
        pause_s = asked_s + self._next_pause_s()
        ends = min(self._began, self._waiter.failing_since()) + patience.total_s
        may_try_once_more = self._failures == 1 and asked_s <= patience.total_s
        if now + pause_s > ends and not may_try_once_more:
            raise failure.error from failure
        self._waiter.tell(failure.error.what, pause_s)
        self._waiter.pause(pause_s)

    def _next_pause_s(self) -> float:
        patience = self._waiter.patience
        doubled_s = patience.first_pause_s * 2.0 ** min(self._failures, 30)
        self._failures += 1
        return min(patience.longest_pause_s, doubled_s) * random.uniform(0.5, 1.5)  # noqa: S311 - jitter
