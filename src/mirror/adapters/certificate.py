"""A certificate for trying a team's server out, where there is none of the team's own."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from mirror.adapters.host import explained
from mirror.core.errors import UnusableError

CERTIFICATE = "certificate.pem"
KEY = "key.pem"
AUTHORITY = "authority.pem"
"""What clients have to trust."""
_VALID = timedelta(days=825)
"""The longest that every client takes."""


def ensure_certificate(folder: Path, hostnames: Sequence[str], now: datetime | None = None) -> bool:
    """Make a certificate for `hostnames` (names and addresses) in `folder` unless there is one; whether it was made.

    The key is 0600, and the authority's own key is thrown away: it can sign nothing else. Raises UnusableError:
    `certificate-half` where a certificate or a key stands alone, `trustme-missing`, or as `host.explained` does.
    """
    parts = [folder / CERTIFICATE, folder / KEY]
    there = [path.exists() for path in parts]
    if all(there):
        return False
    if any(there):
        raise UnusableError(
            "certificate-half",
            f"in {folder} there is only one of {CERTIFICATE} and {KEY}",
            hint="put both there, readable by user 10001, or none",
        )
    try:
        import trustme  # noqa: PLC0415 - of the extra `server`
    except ImportError as error:
        raise UnusableError(
            "trustme-missing", "what makes certificates is not installed", hint="pip install 'mirror[server]'"
        ) from error
    authority = trustme.CA(organization_name="mirror", organization_unit_name="made for trying, by `mirror serve`")
    expires = (now or datetime.now(UTC)) + _VALID
    leaf = authority.issue_cert(*hostnames, not_after=expires)
    with explained(folder):
        _write(folder / AUTHORITY, authority.cert_pem.bytes(), 0o644)
        _write(folder / KEY, leaf.private_key_pem.bytes(), 0o600)
        # Last: with it, the pair is whole.
        _write(folder / CERTIFICATE, b"".join(part.bytes() for part in leaf.cert_chain_pems), 0o644)
    return True


def _write(path: Path, content: bytes, mode: int) -> None:
    temporary = path.with_suffix(".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
