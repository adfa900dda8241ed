"""compose.yaml with Compose v2, as Debian 13 has it; test_team.py is on Debian 12's docker-compose."""

from __future__ import annotations

from pathlib import Path

import pytest

from fakes.stack import fetch_compose_v2, opened_stack

pytestmark = pytest.mark.docker


def test_compose_v2_takes_the_same_file(tmp_path: Path) -> None:
    """It starts, answers through TLS, and goes on after a stop with what it had."""
    (tmp_path / "tree").mkdir()
    with opened_stack(tmp_path / "tree", "mirrortest2", fetch_compose_v2(tmp_path)) as stack:
        token = stack.token("alice")
        stack.run("stop")
        stack.up()
        answer = stack.get("/+api", auth=("alice", token))
        assert ["ok", "alice"] == answer.json()["result"]["authstatus"][:2]
        assert 200 == stack.get("/+mirror/").status_code
