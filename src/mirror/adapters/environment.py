"""What a program that outlives us gets of our environment.

Whoever started it may have cloud keys and passwords there, and those would be in it for days.
"""

from __future__ import annotations

from collections.abc import Mapping

_NAMES = frozenset(
    {
        "PATH",
        "HOME",
        "TMPDIR",
        "TZ",
        "LANG",
        "LANGUAGE",
        # Where this Python finds what it imports, if it was started so.
        "LD_LIBRARY_PATH",
        "PYTHONHOME",
        "PYTHONPATH",
        "PYTHONUSERBASE",
        # The way outside, and whom to trust there.
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "REQUESTS_CA_BUNDLE",
        *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
        *("http_proxy", "https_proxy", "all_proxy", "no_proxy"),
    }
)


def passed_on(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that such a program needs, and no others."""
    return {name: value for name, value in environment.items() if name in _NAMES or name.startswith("LC_")}
