"""The project folders that this user trusts: a small file for each, below the user's own data folder.

Not below the setting `data`: that is one of those things that a project could otherwise say.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from mirror.adapters.devpi.files import write_private
from mirror.adapters.host import explained, ready_folder
from mirror.core.errors import BadInputError


class TrustedFolders:
    """What was trusted, in `folder`: by a project's folder, the SHA-256 of its file as it was read then.

    Whoever changes two of them at once loses neither. Every method that writes raises as `host.explained` does.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def sha256(self, project: Path) -> str | None:
        """What was trusted in a project's folder; None where nothing was, or nobody can tell."""
        if not self._folder.is_absolute():  # of a user without a home: it would lie in the project
            return None
        try:
            found = json.loads(self._file(project).read_bytes())
            sha256, said = found["sha256"], found["folder"]
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            return None
        return sha256 if isinstance(sha256, str) and sha256 and said == str(project) else None

    def trust(self, project: Path, sha256: str) -> None:
        """Trust the file with this hash in a project's folder, and no other one there.

        Raises BadInputError (`no-home`).
        """
        if not self._folder.is_absolute():
            raise BadInputError("no-home", "there is no home folder to remember it in", hint="set HOME")
        ready_folder(self._folder)
        with explained(self._folder):
            write_private(self._file(project), json.dumps({"folder": str(project), "sha256": sha256}) + "\n")

    def revoke(self, project: Path) -> bool:
        """Trust nothing in a project's folder any more; whether something was."""
        was = self.sha256(project) is not None
        with explained(self._folder):
            self._file(project).unlink(missing_ok=True)
        return was

    def _file(self, project: Path) -> Path:
        return self._folder / f"{hashlib.sha256(os.fsencode(project)).hexdigest()}.json"
