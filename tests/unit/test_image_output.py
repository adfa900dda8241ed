"""The reason of an image that could not be built, read from what apk, pip and the engine say."""

from __future__ import annotations

import pytest

from mirror.core.image_output import ImageFailure, explain

STATUS = "The command '/bin/sh -c sh /tmp/mirror/install-packages.sh' returned a non-zero code: 1"
STEPS = (
    "Step 5/10 : COPY site /tmp/mirror/site\n ---> a38dbce8ea9a\nStep 6/10 : RUN sh x\n ---> Running in db786d9404c6\n"
)
END = "Removing intermediate container db786d9404c6\n"
RED, BLACK = "\x1b[91m", "\x1b[0m"
RETRY = "WARNING: Retrying (Retry(total={}, connect=None, read=None, redirect=None)) after connection broken by "
NO_ROUTE = (
    "'NewConnectionError('<pip._vendor.urllib3.connection.HTTPSConnection object at 0x7f{}: Failed to establish a new "
    "connection: [Errno -2] Name does not resolve')': /simple/uv/\n"
)
MISSING = "".join(f"  {name}-dev (no such package):\n    required by: world[{name}-dev]\n" for name in "abcdefg")


def reason_of(said: str, error: str = STATUS) -> str:
    """The reason alone."""
    return explain(said, error).reason


def test_apks_cause_comes_before_its_consequences() -> None:
    """A repository that is down makes every package of it missing: that follows, and the cause is told."""
    said = (
        f"{STEPS}fetch http://a.test/main/x86_64/APKINDEX.tar.gz\n"
        f"{RED}WARNING: {BLACK}{RED}fetching http://a.test/main: could not connect to server "
        f"(check repositories file){BLACK}"
        f"{RED}\n{BLACK}{RED}WARNING: fetching http://b.test/main: DNS lookup error\n{BLACK}"
        f"{RED}ERROR: unable to select packages:\n{MISSING}{BLACK}{END}"
    )
    assert ImageFailure(
        reason="WARNING: fetching http://a.test/main: could not connect to server (check repositories file)",
        hint="look at apk-repositories in the settings, and at proxy: both decide where apk asks, and by which way",
        seen=("WARNING: fetching http://b.test/main: DNS lookup error",),
    ) == explain(said, STATUS)


def test_a_wrong_key_comes_before_what_is_down() -> None:
    """Whoever changes a signature is worse than a server that does not answer, wherever it stands."""
    said = (
        "WARNING: fetching http://a.test/main: temporary error\nWARNING: fetching http://b.test/main: BAD signature\n"
    )
    assert "WARNING: fetching http://b.test/main: BAD signature" == reason_of(said)


def test_missing_packages_are_named() -> None:
    """Five of them, and how many more."""
    failure = explain(f"ERROR: unable to select packages:\n{MISSING}", STATUS)
    assert "a-dev, b-dev, c-dev, d-dev, e-dev and 2 more (no such package)" == failure.reason
    assert failure.hint.startswith("a recipe's system-packages are names of this release of Alpine")


def test_what_does_not_go_together_is_told() -> None:
    """apk's error of packages that are there stands in the lines that follow."""
    said = "ERROR: unable to select packages:\n  lzo-dev-2.10-r5:\n    breaks: world[lzo-dev>3]\n"
    assert ("ERROR: unable to select packages: lzo-dev-2.10-r5:", ("breaks: world[lzo-dev>3]",)) == (
        explain(said, STATUS).reason,
        explain(said, STATUS).seen,
    )


def test_pips_reason_is_told_once() -> None:
    """Five tries with five addresses in memory are one reason; what follows from it comes after."""
    said = "".join(RETRY.format(n) + NO_ROUTE.format(f"{n:04}>") for n in range(5))
    said += "ERROR: Could not find a version that satisfies the requirement uv==0.9.1 (from versions: none)\n"
    failure = explain(said, STATUS)
    expected = (
        "WARNING: connection broken by 'NewConnectionError('Failed to establish a new connection: [Errno -2] Name does "
        "not resolve')': /simple/uv/"
    )
    assert expected == failure.reason
    assert (
        "ERROR: Could not find a version that satisfies the requirement uv==0.9.1 (from versions: none)",
    ) == failure.seen


@pytest.mark.parametrize(
    ("said", "setting"),
    [
        (RETRY.format(4) + "'ProxyError('Cannot connect to proxy.')': /simple/uv/", "proxy"),
        (
            RETRY.format(4) + "'SSLError(SSLCertVerificationError(1, 'certificate verify failed'))': /simple/uv/",
            "ca-bundle",
        ),
        ("28FB0F11957F0000:error:0A000086:SSL routines::certificate verify failed:ssl/x.c:1:\n", "ca-bundle"),
        ("WARNING: fetching https://a.test/main: Permission denied", "ca-bundle"),
        ("ERROR: http://a.test/main: UNTRUSTED signature", "apk-keys"),
        ("ERROR: there-1.0-r0: package mentioned in index not found (try 'apk update')", "try again later"),
        ("ERROR: there-1.0-r0: No space left on device", "the engine's disk"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE. If you", "changes files"),
    ],
)
def test_the_setting_to_look_at(said: str, setting: str) -> None:
    """The hint names it."""
    assert setting in explain(said, STATUS).hint


@pytest.mark.parametrize(
    "error",
    [
        "manifest for python:3.11-alpine9 not found: manifest unknown: manifest unknown",
        "pull access denied for x, repository does not exist or may require 'docker login'",
        "write /var/lib/docker/tmp/x: no space left on device",
    ],
)
def test_the_engines_own_reason_is_told(error: str) -> None:
    """What the engine says is the reason where it says more than an exit status."""
    assert error == reason_of(STEPS, error)


def test_without_a_known_reason_the_last_line_is_told() -> None:
    """An exit status says nothing."""
    assert "addgroup: gid '10001' in use" == reason_of(f"{STEPS}addgroup: gid '10001' in use\n{END}")
    assert STATUS == reason_of(STEPS)


def test_what_is_shown_is_safe() -> None:
    """No password, no control character, no endless line."""
    said = "WARNING: fetching http://u:secret@a.test/main: odd\x07 error " + "x" * 1000
    reason = reason_of(said)
    assert reason.startswith("WARNING: fetching http://***@a.test/main: odd\\x07 error xxx")
    assert 400 >= len(reason) - 3
