"""`mirror token`: who may read our index, publish to it, and have something built."""

from __future__ import annotations

from typing import Any

import click

from mirror.adapters.devpi.http import DevpiClient
from mirror.adapters.devpi.layout import INTERNAL, STAGE
from mirror.adapters.devpi.patience import AT_FIRST, Waiter
from mirror.adapters.devpi.tokens import Tokens
from mirror.cli import options
from mirror.cli.wiring import embedded_server
from mirror.core.errors import BadInputError, ExitStatus, UnusableError
from mirror.core.tables import parse_duration


@click.group(short_help="Make and revoke tokens for our own index.")
def token() -> None:
    """Make and revoke tokens for our own index: a user's name, and a token in the place of a password.

    Where compose.yaml runs: docker compose exec -T index mirror token create NAME
    """


@token.command()
@click.argument("user", metavar="NAME")
@click.option("--publish", is_flag=True, help="It may upload, too: a team's to mirror/internal. It cannot remove.")
@click.option("--expires", metavar="DURATION", default="365d", show_default=True, help="As in 90d; or: never.")
@options.common
def create(**parameters: Any) -> int:
    """Make a token for NAME and print it, once. With it one may read and have something built.

    Use it as the password of NAME: in MIRROR_PASSWORD or a password-file, in pip's URL or ~/.netrc.
    """
    with options.console(parameters) as console:
        expires_s = None if parameters["expires"] == "never" else _duration(parameters["expires"])
        root = _root(parameters)
        publish_to = None
        if parameters["publish"]:
            has_team = root.get(f"{root.root}/{INTERNAL}?no_projects=").status == 200
            publish_to = INTERNAL if has_team else STAGE
        made = Tokens(root).create(parameters["user"], publish_to=publish_to, expires_s=expires_s)
        console.text(made)
        console.note(f"this is shown once; `mirror token revoke {parameters['user']}` ends it")
        return ExitStatus.OK


@token.command("list")
@options.as_json
@options.common
def list_tokens(**parameters: Any) -> int:
    """Show who has a token, what it may do and when it expires. Not the token: nobody has that but its user."""
    with options.console(parameters) as console:
        found = Tokens(_root(parameters)).list()
        if parameters["as_json"]:
            keys = ("user", "id", "allowed", "expires")
            console.json({"version": 1, "tokens": [{key: getattr(one, key) for key in keys} for one in found]})
        else:
            rows = [(one.user, one.id, ", ".join(one.allowed), one.expires or "never") for one in found]
            console.table(("user", "id", "may", "expires"), rows)
        return ExitStatus.OK


@token.command()
@click.argument("user", metavar="NAME")
@options.common
def revoke(**parameters: Any) -> int:
    """Let no token of NAME be good any more, from now on."""
    with options.console(parameters) as console:
        count = Tokens(_root(parameters)).revoke(parameters["user"])
        console.note(f"{count} token{'s' if count > 1 else ''} of {parameters['user']} revoked")
        return ExitStatus.OK


def _duration(text: str) -> int:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise BadInputError("usage", f"--expires: {error.args[0]}", hint=error.args[1]) from error


def _root(parameters: dict[str, Any]) -> DevpiClient:
    """Our own index, as root. Raises UnusableError (`index-down`) where it does not run."""
    server = embedded_server(options.settings(parameters), None).status()
    if server is None:
        raise UnusableError("index-down", "our own index does not run", hint="`mirror up` starts it")
    root = server.url.removesuffix(f"/{STAGE}")
    return DevpiClient(root, server.administrator, waiter=Waiter(AT_FIRST))
