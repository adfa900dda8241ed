"""What may be changed by whom, beside what devpi asks for: a view deriver, where the asker and the index are known.

devpi reads the body of an upload before it asks who sends it, and lets whoever may read an index have its files sent to
any address ("push"). Here the asker's permission comes first.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from packaging.utils import canonicalize_name

from mirror.adapters.devpi.layout import INTERNAL, PROD, STAGE
from mirror.core.door import FORM, LARGEST_JSON, LARGEST_OF_STRANGERS, READS, Refusal, too_large
from mirror.server.refusals import refused

_INDEX_ROUTES = ("/{user}/{index}", "/{user}/{index}/")
_USER_ROUTES = ("/{user}", "/{user}/")
_FILES_ROUTE = "/{user}/{index}/+f/{relpath:.*}"
"""Results of tests are sent there."""
_BAD_FORM = Refusal(status=400, code="bad-request", what="this form has no :action", hint="send it as twine does")
_BAD_JSON = Refusal(
    status=400, code="bad-request", what="this is no JSON object", hint="send it as devpi's client does"
)


def guard(view: Callable[[Any, Any], Any], info: Any) -> Callable[[Any, Any], Any]:
    """A view deriver: every view that changes something is asked for past these rules."""
    if info.exception_only:
        return view

    def guarded(context: Any, request: Any) -> Any:
        refusal = None if request.method in READS else _refusal(context, request)
        return view(context, request) if refusal is None else refused(refusal)

    return guarded


def _refusal(context: Any, request: Any) -> Refusal | None:
    route = request.matched_route.name
    is_index = route in _INDEX_ROUTES and request.method in ("POST", "PUSH")
    if is_index and request.content_type == FORM:
        return _refuse_upload(context, request)
    size_bytes = request.content_length or 0
    largest = LARGEST_JSON if size_bytes <= LARGEST_OF_STRANGERS or _is_somebody(request) else LARGEST_OF_STRANGERS
    if size_bytes > largest:
        return too_large(largest)
    if is_index:
        return _refuse_push(context, request)
    if route == _FILES_ROUTE and request.method == "POST":
        return _refuse_result(context, request)
    if route in _USER_ROUTES and request.method == "PATCH":
        return None if _object(request) is not None else _BAD_JSON
    is_bad_login = route == "/+login" and not _has_texts(_object(request), "user", "password")
    return _BAD_JSON if is_bad_login else None


def _refuse_upload(context: Any, request: Any) -> Refusal | None:
    if not request.has_permission("upload"):
        return _forbidden(request, f"upload to {context.username}/{context.index}")
    try:
        form = request.POST
    except (ValueError, DeprecationWarning):  # no boundary; another charset
        return _BAD_FORM
    if ":action" not in form:
        return _BAD_FORM
    return _refuse_name(request, context.username, context.index, form.get("name"))


def _refuse_push(context: Any, request: Any) -> Refusal | None:
    """devpi sends the files of an index elsewhere for whoever may read it: here for whoever may upload there.

    To another index of the same server it is for whoever may upload to that one, who could send the files themselves.
    """
    value = _object(request)
    if value is None:
        return _BAD_JSON
    source = f"{context.username}/{context.index}"
    if value.get("targetindex") is None:
        if request.authenticated_userid != "root" and not request.has_permission("upload"):
            return _forbidden(request, f"send files of {source} anywhere")
        return None if _has_texts(value, "name", "version", "posturl", "username", "password") else _BAD_JSON
    if not _has_texts(value, "name", "version", "targetindex") or value["targetindex"].count("/") != 1:
        return _BAD_JSON
    user, index = value["targetindex"].split("/")
    target = request.registry["xom"].model.getstage(user, index)
    if target is None or not request.has_permission("upload", target):
        return _forbidden(request, f"upload to {user}/{index}")
    return _refuse_name(request, user, index, value["name"])


def _refuse_result(context: Any, request: Any) -> Refusal | None:
    """Results of tests of a mirror's files devpi takes from everybody, and fails of that."""
    if request.has_permission("upload"):
        return None
    return _forbidden(request, f"add to the files of {context.username}/{context.index}")


def _object(request: Any) -> dict[str, Any] | None:
    """The body as a JSON object whose texts can be written; None where it is none. devpi would fail of it.

    It is read as devpi reads it: by the charset that the request names.
    """
    try:
        value = request.json_body
        json.dumps(value, ensure_ascii=False).encode()  # half a surrogate pair cannot
    except (ValueError, LookupError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _has_texts(value: dict[str, Any] | None, *keys: str) -> bool:
    return value is not None and all(isinstance(value.get(key), str) for key in keys)


def _refuse_name(request: Any, user: str, index: str, project: object) -> Refusal | None:
    """A project of the team's own under a name that is public already: its upstream would show beside it.

    This stands inside of devpi's transaction, as `builds.allow` does: of two who want one name for the two ends at the
    same time, the second sees the first.
    """
    name = canonicalize_name(str(project or ""))
    if f"{user}/{index}" != INTERNAL or not name or not is_public(request.registry["xom"], name):
        return None
    return Refusal(
        status=409,
        code="name-taken",
        what=f"{name} is a public project that this index has compiled",
        hint=f"give yours another name, or remove it from {STAGE} and from every mirror_whitelist first",
    )


def is_public(xom: Any, project: str) -> bool:
    """Whether upstream's files of a project show beside a private one: on whichever index stands its name.

    `mirror/prod` unites the whitelists of all its bases.
    """
    stages = [stage for stage in map(xom.model.getstage, (STAGE, INTERNAL, PROD)) if stage is not None]
    listed = {str(name) for stage in stages for name in stage.get().get("mirror_whitelist") or ()}
    return project in listed or "*" in listed


def _forbidden(request: Any, what: str) -> Refusal:
    if not _is_somebody(request):
        return Refusal(status=401, code="refused", what=f"nobody may {what} without a login", hint="log in first")
    return Refusal(status=403, code="refused", what=f"you may not {what}", hint="ask whoever gives you your token")


def _is_somebody(request: Any) -> bool:
    return request.authenticated_userid is not None
