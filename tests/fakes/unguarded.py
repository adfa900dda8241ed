"""Our own index with walls taken down: what the same attack does then."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mirror.adapters.devpi.server import EmbeddedServer


class Unguarded(EmbeddedServer):
    """An index without `walls`: dotted names of tweens, view derivers, and methods that take one argument.

    Each does nothing but give back what it was called for first.
    """

    def __init__(self, data: Path, port: int, *, walls: tuple[str, ...], **settings: Any) -> None:
        super().__init__(data, port, **settings)
        self._walls = walls

    def _command(self, port: int) -> list[str]:
        """devpi-server, started by a few lines that put `first` into the place of each wall."""
        command = super()._command(port)
        place = command.index("-m")
        lines = ["import pkgutil", "first = lambda handler, _: handler"]
        for wall in self._walls:
            module, _, name = wall.rpartition(".")
            lines.append(f"setattr(pkgutil.resolve_name({module!r}), {name!r}, first)")
        lines.append("from devpi_server.main import main; raise SystemExit(main())")
        return [*command[:place], "-c", "\n".join(lines), *command[place + 2 :]]
