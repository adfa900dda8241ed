"""What an image build in this checkout can copy."""

from __future__ import annotations

from pathlib import Path

from docker.utils.build import exclude_paths

ROOT = Path(__file__).parents[2]
EXAMPLES = {f"tests/examples/{file.name}" for file in (ROOT / "tests" / "examples").iterdir()}


def test_the_examples_can_be_copied_and_no_other_test_is_sent() -> None:
    """The Dockerfile that `mirror emit` prints for the README's example builds in the clone itself."""
    patterns = (ROOT / ".dockerignore").read_text().splitlines()
    sent = exclude_paths(str(ROOT), patterns)
    assert EXAMPLES == {path for path in sent if path.startswith("tests/") and (ROOT / path).is_file()}
    assert {"src/mirror/cli/build.py", "compose.yaml"} & sent == {"src/mirror/cli/build.py"}
