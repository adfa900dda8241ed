"""What `mirror up --team` hands on to the server."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mirror.adapters.images.model import ImageSettings
from mirror.adapters.images.team import KEYS_IN_IMAGE, prepare, site_variables
from mirror.core.errors import BadInputError
from mirror.core.model import Base

PLAIN = ImageSettings(base=Base.ALPINE, python="3.11", alpine="3.20", registry="", ca_bundle=None, cache=Path("cache"))
ROOT = Path(__file__).parents[2]
TAKEN = {
    "MIRROR_REGISTRY": "TEAM_REGISTRY",
    "MIRROR_ALPINE": "TEAM_ALPINE",
    "MIRROR_APK_REPOSITORIES": "TEAM_APK_REPOSITORIES",
    "MIRROR_APK_KEYS": "TEAM_APK_KEYS",
    "MIRROR_PROXY_HTTP": "TEAM_HTTP_PROXY",
    "MIRROR_PROXY_HTTPS": "TEAM_HTTPS_PROXY",
    "MIRROR_PROXY_NO_PROXY": "TEAM_NO_PROXY",
}


def test_what_is_set_is_handed_on() -> None:
    """Repositories come with their release."""
    whole = replace(
        PLAIN,
        registry="r.test",
        apk_repositories=("http://apk.test/v3.20/main", "http://apk.test/v3.20/community"),
        apk_keys=Path("keys"),
        proxy={"http_proxy": "http://proxy.test:1", "https_proxy": "http://proxy.test:2", "no_proxy": ".test"},
    )
    assert {
        "TEAM_REGISTRY": "r.test",
        "TEAM_ALPINE": "3.20",
        "TEAM_APK_REPOSITORIES": "http://apk.test/v3.20/main http://apk.test/v3.20/community",
        "TEAM_APK_KEYS": KEYS_IN_IMAGE,
        "TEAM_HTTP_PROXY": "http://proxy.test:1",
        "TEAM_HTTPS_PROXY": "http://proxy.test:2",
        "TEAM_NO_PROXY": ".test",
    } == site_variables(whole)


def test_what_is_not_set_leaves_the_servers_own_settings_alone() -> None:
    """Each is empty, and an empty variable is none."""
    assert dict.fromkeys(TAKEN.values(), "") == site_variables(PLAIN)


def test_compose_takes_what_is_handed_on() -> None:
    """Each variable reaches a setting there, and the keys are where it says."""
    found = re.findall(r"(MIRROR_\w+): \$\{(TEAM_\w+):-\}", (ROOT / "compose.yaml").read_text())
    assert TAKEN == dict(found)
    assert f"cp -r /tmp/site/keys {KEYS_IN_IMAGE}" in (ROOT / "builders" / "index" / "Dockerfile").read_text()


@pytest.mark.parametrize("file", ["config/team.toml", "mine.toml"])
def test_paths_that_no_container_has_are_refused(file: str, tmp_path: Path) -> None:
    """The containers would start again for ever: it is told before anything is made."""
    (tmp_path / "compose.yaml").touch()
    (tmp_path / "config").mkdir()
    (tmp_path / file).write_text('apk-keys = "/home/me/keys"\n')
    (tmp_path / ".env").write_text(f"TEAM_SETTINGS={file}\n" if file == "mine.toml" else "")
    nothing: Any = None
    with pytest.raises(BadInputError) as caught:
        prepare(tmp_path, nothing, PLAIN, lambda _: None, lambda _: False)
    expected = f"apk-keys in {tmp_path / file} names /home/me/keys, which is in none of the server's containers"
    assert ("team-settings", expected) == (caught.value.code, caught.value.what)
