"""An index whose uploads can be held at a moment: what lasts a thousandth of a second can be hit."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from enum import Enum
from pathlib import Path

from mirror.adapters.devpi.listening import free_port
from mirror.adapters.devpi.server import EmbeddedServer

_LONGEST_S = 60.0
_PROGRAM = Path(__file__).with_name("holding_devpi.py")


class Moment(Enum):
    """Of an upload, in their order."""

    WRITTEN = "written"
    """The bytes lie beside their place (`NAME-DIGEST-tmp`), and nothing is committed."""
    COMMITTED = "committed"
    """The upload is committed, and the bytes still lie beside their place."""
    RENAMED = "renamed"
    """The bytes are in their place, and nobody has been told."""


class HeldServer(EmbeddedServer):
    """Our own index, whose uploads can be held; without `mends`, what a killed one has left stays as it is."""

    def __init__(self, folder: Path, upstream: str, *, mends: bool = True) -> None:
        super().__init__(folder / "devpi", free_port(), upstream=upstream)
        self.packages = folder / "devpi" / "server" / "+files" / "mirror" / "alpine"
        self.said: list[str] = []
        self._moments = folder
        self._mends = mends

    def start(self) -> str:
        """Start it, or find it; the URL of its index."""
        return self.ensure_running(self.said.append).url

    def hold(self, moment: Moment) -> None:
        """Let the next upload be held at this moment."""
        (self._moments / f"hold-{moment.value}").touch()

    def wait_until_held(self, moment: Moment) -> None:
        """Until an upload is."""
        deadline = time.monotonic() + _LONGEST_S
        while not self._held(moment).exists():
            assert time.monotonic() < deadline, f"no upload comes to be {moment.value}"
            time.sleep(0.002)

    def let_go(self, moment: Moment) -> None:
        """Let the upload that is held go on."""
        self._held(moment).unlink()

    def kill(self) -> None:
        """`kill -9`, whatever it is doing."""
        state = self._files.read_state()
        assert state is not None
        os.kill(state.pid, signal.SIGKILL)
        for moment in Moment:
            self._held(moment).unlink(missing_ok=True)

    def aside(self) -> list[Path]:
        """Uploads that lie beside their places."""
        return sorted(self.packages.rglob("*-tmp"))

    def _held(self, moment: Moment) -> Path:
        return self._moments / f"held-{moment.value}"

    def _finish_uploads(self, say: Callable[[str], None]) -> tuple[str, ...]:
        return super()._finish_uploads(say) if self._mends else ()

    def _command(self, port: int) -> list[str]:
        command = super()._command(port)
        module = command.index("-m")
        return [*command[:module], str(_PROGRAM), str(self._moments), *command[module + 2 :]]
