"""The users and indexes of the embedded devpi-server.

`root/pypi` mirrors upstream; `mirror/alpine` stands on it and holds what we built. It is not volatile, only its owner
may upload, and its whitelist has exactly the names we published: with a `*`, a stranger's upstream project of the same
name as a private one would show its files beside it. Each further upstream is a mirror `root/NAME` before `root/pypi`;
which of them is asked for a project is our plugin's to see to.

A team has two indexes more: `mirror/internal` for its own packages, which stands on nothing, and `mirror/prod`, which
everybody installs from: internal, alpine and upstream, in this order. Alpine stands on internal too, so that sdists of
the team's own are compiled like any others. A name that internal has is not shown from upstream unless it is on
alpine's whitelist, and what is internal never comes to stand there.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mirror.adapters.devpi.files import write_private
from mirror.adapters.devpi.http import Answer, DevpiClient
from mirror.adapters.devpi.patience import PassingError
from mirror.adapters.host import explained
from mirror.core.errors import UnusableError
from mirror.core.upstreams import FurtherUpstream

OWNER = "mirror"
_PYPI = "root/pypi"
BUILDER = "builder"
"""The user who publishes what a team's builder compiles; with one person, OWNER does."""
STAGE = "mirror/alpine"
INTERNAL = "mirror/internal"
PROD = "mirror/prod"
ROUTES = "MIRROR_ROUTES"
"""The variable that names the file of the further upstreams to our plugin."""
JOURNAL = "MIRROR_JOURNAL"
"""The variable that names the folder of the journal to the plugin that serves the page."""
QUEUE = "MIRROR_QUEUE"
"""The variable that names the folder of the team's queue of builds to it."""
ON_DEMAND = "MIRROR_ON_DEMAND"
"""The variable that names the file which says who may have something built by asking the index for it."""
READING = "MIRROR_READING"
"""The variable that says who may read: "open" or "token"."""
HOSTS = "MIRROR_HOSTS"
"""The variable that lists the names by which our plugin lets the index be asked, with spaces between."""
COUNTS = "MIRROR_COUNTS"
"""The variable that says where, as ADDRESS:PORT, a team's proxy tells of what it has served."""
PAGE = "+mirror"
"""Where that page is, from the server's root."""
_STAGE_SETTINGS: Mapping[str, Any] = {
    "type": "stage",
    "bases": [_PYPI],
    "volatile": False,
    "acl_upload": [OWNER],
    "acl_toxresult_upload": [OWNER],
    "mirror_whitelist": [],
    "title": "musllinux wheels compiled by mirror",
}

_INTERNAL_SETTINGS: Mapping[str, Any] = {
    **_STAGE_SETTINGS,
    "bases": [],
    "title": "packages of our own",
}
_PROD_SETTINGS: Mapping[str, Any] = {
    **_STAGE_SETTINGS,
    "acl_upload": [],
    "acl_toxresult_upload": [],
    # What alpine's whitelist has shows from upstream too: with devpi's default, only what every base has.
    "mirror_whitelist_inheritance": "union",
    "title": "what to install from: packages of our own, compiled wheels, upstream",
}
_MIRROR_SETTINGS = {
    "mirror_no_project_list": True,
    # Our plugin answers for what another upstream has, and knows no serials.
    "mirror_ignore_serial_header": True,
    "volatile": False,
}


def page_url(simple_url: str) -> str:
    """The page for people of the server that has our index at `simple_url`."""
    return simple_url.removesuffix(f"{STAGE}/+simple/") + f"{PAGE}/"


def lay_out(
    root: DevpiClient,
    *,
    owner_password: str,
    upstream: str,
    further: Sequence[FurtherUpstream] = (),
    team: bool = False,
) -> None:
    """Make what is missing of one person's layout or of a `team`'s. Of what is there, only upstreams are changed.

    `root` is logged in as root. `upstream` is where everything comes from that has no other upstream.
    """
    _tend_mirror(root, upstream)
    if root.get(f"{root.root}/{OWNER}").status == 404:
        _send(root, "PUT", OWNER, {"password": owner_password})
    for one in further:
        _tend_further(root, one)
    ours = [f"root/{one.name}" for one in further]
    if team and root.get(f"{root.root}/{INTERNAL}?no_projects=").status == 404:
        _send(root, "PUT", INTERNAL, _INTERNAL_SETTINGS)
    _tend_stage(root, [INTERNAL, *ours] if team else ours)
    if team:
        _tend_prod(root, [INTERNAL, STAGE, *ours, _PYPI])


def _tend_stage(root: DevpiClient, ours: list[str]) -> None:
    there = root.get(f"{root.root}/{STAGE}?no_projects=")
    if there.status == 404:
        _send(root, "PUT", STAGE, {**_STAGE_SETTINGS, "bases": [*ours, *_STAGE_SETTINGS["bases"]]})
        return
    found = [str(base) for base in (there.result() or {}).get("bases") or ()]
    bases = [*ours, *(base for base in found if base not in ours and not _was_ours(root, base))]
    if found != bases:
        _send(root, "PATCH", STAGE, [f"bases={','.join(bases)}"])


def tend_builder(root: DevpiClient, token_file: Path) -> None:
    """See that the user who publishes for a team has a token in that file, good for uploading to the index alone.

    Where it was revoked, another one is made; the user has no password that anybody knows.
    """
    if root.get(f"{root.root}/{BUILDER}").status == 404:
        _send(root, "PUT", BUILDER, {"password": secrets.token_hex(32)})
    config = root.get(f"{root.root}/{STAGE}?no_projects=").result() or {}
    if BUILDER not in (config.get("acl_upload") or ()):
        _send(root, "PATCH", STAGE, [f"acl_upload+={BUILDER}"])
    known = root.get(f"{root.root}/{BUILDER}/+tokens").result() or {}
    if token_file.is_file() and known.get("tokens"):
        return
    # No other index lets this user upload; reading goes to upstream's mirrors too.
    wanted = {"allowed": ["pkg_read", "upload"], "expires": "never"}
    token = (_send(root, "POST", f"{BUILDER}/+token-create", wanted).result() or {}).get("token")
    with explained(token_file):
        write_private(token_file, str(token))


def _tend_prod(root: DevpiClient, bases: list[str]) -> None:
    there = root.get(f"{root.root}/{PROD}?no_projects=")
    if there.status == 404:
        _send(root, "PUT", PROD, {**_PROD_SETTINGS, "bases": bases})
    elif (there.result() or {}).get("bases") != bases:
        _send(root, "PATCH", PROD, [f"bases={','.join(bases)}"])


def _was_ours(root: DevpiClient, base: str) -> bool:
    """Whether a base is the mirror of a further upstream that the settings do not have any more."""
    settings = root.get(f"{root.root}/{base}?no_projects=").result() or {}
    return settings.get("title") == further_title(base.rpartition("/")[2])


def further_title(name: str) -> str:
    """The title of the mirror of a further upstream, by which it is known for one."""
    return f"further upstream {name}"


def _tend_further(root: DevpiClient, upstream: FurtherUpstream) -> None:
    path = f"root/{upstream.name}"
    wanted = {"mirror_url": upstream.url, **_MIRROR_SETTINGS}
    there = root.get(f"{root.root}/{path}?no_projects=")
    if there.status == 404:
        _send(root, "PUT", path, {"type": "mirror", "title": further_title(upstream.name), **wanted})
    else:
        _bring_to(root, path, there.result() or {}, wanted)


def _tend_mirror(root: DevpiClient, upstream: str) -> None:
    """Keep devpi from fetching the names of everything upstream has, 900,000 of them, at somebody's first request.

    `no_projects` in the question itself is for the same reason.
    """
    answer = root.get(f"{root.root}/{_PYPI}?no_projects=")
    settings = answer.result()
    wanted = {"mirror_url": upstream, **_MIRROR_SETTINGS}
    if answer.status == 404:  # we were killed while it was made anew
        _send(root, "PUT", _PYPI, {"type": "mirror", "title": "PyPI", **wanted})
    elif settings is None:
        raise UnusableError(
            "index-layout",
            f"the embedded index does not show its mirror {_PYPI}: HTTP {answer.status}",
            hint="look into its log, devpi.log in its data folder; to begin anew, move that folder away",
        )
    else:
        _bring_to(root, _PYPI, settings, wanted)


def _bring_to(root: DevpiClient, path: str, settings: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Have a mirror as it is wanted.

    One of another address is made anew. devpi would go on to show what it saw at the address before: where the new one
    has no such project or cannot be reached, and where it answers 304 to the old one's ETag.
    """
    if settings.get("mirror_url") != wanted["mirror_url"]:
        _send(root, "PATCH", path, ["volatile=True"])  # no other can be deleted
        _send(root, "DELETE", path, None)
        _send(root, "PUT", path, {**settings, **wanted})
    elif changes := _changes(settings, wanted):
        _send(root, "PATCH", path, changes)


def _changes(settings: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    return [f"{key}={value}" for key, value in wanted.items() if settings.get(key) != value]


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
