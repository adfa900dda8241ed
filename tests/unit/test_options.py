"""What the command line reads of a folder."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from mirror.cli import options
from mirror.core.requirements import RequirementsError


def codes(file: Path) -> list[str]:
    with pytest.raises(RequirementsError) as caught:
        options.read_requirements({"files": (str(file),), "constraints": ()})
    return [problem.code for problem in caught.value.problems]


@pytest.mark.parametrize("kind", ["what never ends", "what never begins"])
def test_what_is_included_is_a_file(kind: str, tmp_path: Path) -> None:
    """A stranger's requirements may lead to a device, or to a pipe: neither fills the memory, nor waits for ever."""
    file, target = tmp_path / "requirements.txt", tmp_path / "more.txt"
    file.write_text("six\n-r more.txt\n")
    if kind == "what never ends":
        target.symlink_to("/dev/zero")
    else:
        os.mkfifo(target)
    assert ["file-unreadable"] == codes(file)


def test_what_a_user_names_may_be_a_pipe(tmp_path: Path) -> None:
    """As a shell makes one of `<(pip freeze)`; a device without end is read as far as a file may be long."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(b"six\n",))
    writer.start()
    found = options.read_requirements({"files": (str(pipe),), "constraints": ()})
    writer.join()
    assert ["six"] == [line.text for line in found.requirements]
    assert ["file-too-large"] == codes(Path("/dev/zero"))


def test_a_folder_is_told_as_one(tmp_path: Path) -> None:
    """Included or not."""
    file = tmp_path / "requirements.txt"
    file.write_text("six\n-r more\n")
    (tmp_path / "more").mkdir()
    assert ["file-is-folder"] == codes(file)
