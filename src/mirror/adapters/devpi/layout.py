"""The users and indexes of the embedded devpi-server.

`root/pypi` mirrors upstream; `mirror/alpine` stands on it and holds what we built. It is not volatile, only its owner
may upload, and its whitelist has exactly the names we published: with a `*`, a stranger's upstream project of the same
name as a private one would show its files beside it.
"""

from __future__ import annotations

from typing import Any

from mirror.adapters.devpi.http import Answer, DevpiClient
from mirror.adapters.devpi.patience import PassingError
from mirror.core.errors import UnusableError

OWNER = "mirror"
STAGE = "mirror/alpine"
_STAGE_SETTINGS = {
    "type": "stage",
    "bases": ["root/pypi"],
    "volatile": False,
    "acl_upload": [OWNER],
    "acl_toxresult_upload": [OWNER],
    "mirror_whitelist": [],
    "title": "musllinux wheels compiled by mirror",
}


def lay_out(root: DevpiClient, *, owner_password: str, upstream: str | None) -> None:
    """Make what is missing of the layout; change nothing that is there but upstream's settings.

    `root` is logged in as root. `upstream` replaces devpi's own address of PyPI.
    """
    _tend_mirror(root, upstream)
    if root.get(f"{root.root}/{OWNER}").status == 404:
        _send(root, "PUT", OWNER, {"password": owner_password})
    if root.get(f"{root.root}/{STAGE}?no_projects=").status == 404:
        _send(root, "PUT", STAGE, _STAGE_SETTINGS)


def _tend_mirror(root: DevpiClient, upstream: str | None) -> None:
    """Keep devpi from fetching the names of everything upstream has, 900,000 of them, at somebody's first request.

    `no_projects` in the question itself is for the same reason.
    """
    answer = root.get(f"{root.root}/root/pypi?no_projects=")
    settings = answer.result()
    if settings is None:
        raise UnusableError(
            "index-layout",
            f"the embedded index does not show its mirror root/pypi: HTTP {answer.status}",
            hint="look into its log, devpi.log in its data folder; to begin anew, move that folder away",
        )
    wanted: dict[str, Any] = {"mirror_no_project_list": True, "volatile": False}
    if upstream:
        wanted["mirror_url"] = upstream
    changes = [f"{key}={value}" for key, value in wanted.items() if settings.get(key) != value]
    if changes:
        _send(root, "PATCH", "root/pypi", changes)


def _send(root: DevpiClient, method: str, path: str, body: Any) -> Answer:
    url = f"{root.root}/{path}"
    try:
        answer = root.send(method, url, json=body)
    except PassingError as failure:
        raise failure.error from None
    if answer.status not in (200, 201):
        raise UnusableError(
            "index-layout",
            f"the embedded index refused {method} {path}: HTTP {answer.status}",
            hint="look into its log, devpi.log in its data folder",
        )
    return answer
