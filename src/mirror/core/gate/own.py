"""What the re-pack writes itself: what the wheel was made of, and its number among the wheels of a release."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from email.parser import BytesHeaderParser

from mirror.core.gate.paths import folded
from mirror.core.gate.record import Digest
from mirror.core.gate.values import Expected, finding
from mirror.core.made_of import MADE_OF
from mirror.core.model import Finding


def judge_made_of(digests: Mapping[str, Digest], dist_info: str, expected: Expected) -> Iterator[Finding]:
    """Judge a wheel that brings such a record: a build may say nothing of it but the truth.

    The truth is what a wheel says that the gate has passed before, and that is judged anew.
    """
    own = f"{dist_info}/{MADE_OF}"
    truth = expected.made_of.to_bytes() if expected.made_of else None
    for name, digest in digests.items():
        is_true = name == own and truth is not None and digest.sha256 == hashlib.sha256(truth).digest()
        if f"{folded(name)}/".startswith(f"{folded(own)}/") and not is_true:
            yield finding("made-of-forged", "says what the wheel was made of, which is for us to say", name)


def own_files(dist_info: str, wheel_file: bytes, expected: Expected) -> dict[str, bytes]:
    """The files that stand in the place of what the wheel brought, by their paths."""
    files = {}
    if expected.made_of:
        files[f"{dist_info}/{MADE_OF}"] = expected.made_of.to_bytes()
    if expected.build:
        files[f"{dist_info}/WHEEL"] = _numbered(wheel_file, expected.build)
    return files


def numbered_filename(filename: str, build: int) -> str:
    """The file name with this build number (binary distribution format) in place of its own; 0 leaves it as it is."""
    if not build:
        return filename
    name, version, *_, python, abi, platform = filename.split("-")
    return "-".join((name, version, str(build), python, abi, platform))


def _numbered(wheel_file: bytes, build: int) -> bytes:
    """WHEEL, its fields as they were read when it was judged, with this build number."""
    fields = BytesHeaderParser().parsebytes(wheel_file).raw_items()
    lines = [f"{key}: {' '.join(str(value).split())}" for key, value in fields if key.lower() != "build"]
    return "\n".join((*lines, f"Build: {build}", "")).encode("utf-8", "surrogateescape")
