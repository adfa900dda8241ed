"""Locks in memory, and files that can be removed; tests/contract holds the locks to those on a real index."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from mirror.core.errors import UnusableError
from mirror.core.retention import Held, RegisteredLock


@dataclass
class FakeLocks:
    """Implements Locks. `down` makes it refuse everything; `now_s` dates what is registered."""

    down: bool = False
    foreign: frozenset[str] = frozenset()
    """Keys of what somebody else has registered: nobody forgets that."""
    now_s: float = 1_000_000.0
    history: list[RegisteredLock] = field(default_factory=list)
    """Everything that was ever registered."""
    _there: dict[str, RegisteredLock] = field(default_factory=dict)

    def register(self, lock: RegisteredLock) -> None:
        self._refuse()
        self.history.append(lock)
        self._there[lock.key] = replace(lock, registered_s=self.now_s)

    def all(self) -> tuple[RegisteredLock, ...]:
        self._refuse()
        return tuple(self._there[key] for key in sorted(self._there))

    def forget(self, key: str) -> None:
        self._refuse()
        if key in self.foreign:
            raise UnusableError("index-forbidden", "somebody else has registered it", hint="ask them")
        self._there.pop(key, None)

    def _refuse(self) -> None:
        if self.down:
            raise UnusableError("index-unreachable", "the index does not answer", hint="start it")


@dataclass
class FakeHoldings:
    """Implements Holdings. `refused` are the file names that cannot be removed; `on_remove` is called before each."""

    files: list[Held]
    refused: Sequence[str] = ()
    on_remove: Callable[[Held], None] = lambda _: None

    def held(self) -> tuple[Held, ...]:
        return tuple(self.files)

    def remove(self, file: Held) -> bool:
        self.on_remove(file)
        if file.filename in self.refused:
            raise UnusableError("index-forbidden", f"{file.filename} may not be removed", hint="ask its owner")
        if file not in self.files:
            return False
        self.files.remove(file)
        return True
