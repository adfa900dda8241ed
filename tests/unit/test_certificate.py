"""A certificate for trying: made once, for the names that were asked for, with a key that nobody else reads."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

import pytest

from mirror.adapters.certificate import AUTHORITY, CERTIFICATE, KEY, ensure_certificate
from mirror.core.errors import UnusableError


def test_it_is_made_once_and_trusted_by_its_authority(tmp_path: Path) -> None:
    """Whoever trusts the authority trusts it under these names."""
    assert ensure_certificate(tmp_path, ["localhost", "wheels.example.org", "127.0.0.1"])
    before = (tmp_path / CERTIFICATE).read_bytes()
    assert not ensure_certificate(tmp_path, ["other.example.org"])
    assert before == (tmp_path / CERTIFICATE).read_bytes()
    assert [0o600, 0o644] == [(tmp_path / name).stat().st_mode & 0o777 for name in (KEY, CERTIFICATE)]
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(tmp_path / CERTIFICATE, tmp_path / KEY)
    verify = ["openssl", "verify", "-CAfile", str(tmp_path / AUTHORITY)]
    for name, expected in (("wheels.example.org", 0), ("evil.example.org", 2)):
        done = subprocess.run(
            [*verify, "-verify_hostname", name, str(tmp_path / CERTIFICATE)], capture_output=True, check=False
        )
        assert expected == done.returncode, done.stderr


@pytest.mark.parametrize("alone", [CERTIFICATE, KEY])
def test_half_a_pair_is_not_completed(alone: str, tmp_path: Path) -> None:
    """Somebody's own certificate must not be replaced because its key is missing."""
    (tmp_path / alone).write_text("mine")
    with pytest.raises(UnusableError) as failure:
        ensure_certificate(tmp_path, ["localhost"])
    assert ("certificate-half", "mine") == (failure.value.code, (tmp_path / alone).read_text())
