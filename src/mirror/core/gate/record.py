"""Read RECORD, compare it with the members, and write it anew (recording installed projects; PEP 376, 427)."""

from __future__ import annotations

import csv
import io
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from mirror.core.gate.values import RefusedError, finding
from mirror.core.model import Finding

SIGNATURES = ("RECORD.jws", "RECORD.p7s")
"""May stand beside RECORD, unlisted. They sign the old RECORD, so the re-pack leaves them out."""


STRONGER = ("sha384", "sha512")
"""What a line may have in the place of sha256 (binary distribution format: "sha256 or better")."""
_MOST_ROWS = 200_000
_HEXADECIMAL = re.compile(r"[0-9A-Fa-f]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Digest:
    """What a file's RECORD line says of it: raw digests. `stronger` has those of STRONGER that RECORD uses."""

    sha256: bytes
    size: int
    stronger: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def hash_field(self) -> str:
        return _hash_field("sha256", self.sha256)

    def of(self, algorithm: str) -> bytes | None:
        """The digest of that algorithm; None where none was made."""
        return self.sha256 if algorithm == "sha256" else self.stronger.get(algorithm)


def algorithms_of(content: bytes) -> tuple[str, ...]:
    """Those of STRONGER that a RECORD speaks of, and that its files have to be hashed with."""
    return tuple(algorithm for algorithm in STRONGER if f"{algorithm}=".encode() in content)


def judge_record(
    content: bytes, dist_info: str, digests: Mapping[str, Digest], folders: Iterable[str] = ()
) -> Iterator[Finding]:
    """Judge RECORD against what the members are.

    `digests` has every file in the archive, `folders` its directories: a line for one of these is allowed.
    """
    own = f"{dist_info}/RECORD"
    unlisted = {own, *(f"{dist_info}/{name}" for name in SIGNATURES)}
    seen: set[str] = set()
    directories = {f"{folder.removesuffix('/')}/" for folder in folders}
    try:
        rows = tuple(_rows(content, own, most=2 * (len(digests) + len(directories)) + 100))
    except RefusedError as refused:
        yield refused.finding
        return
    for path, hash_field, size_field in rows:
        if path in seen:
            yield finding("record-duplicate", "expected one line, got another", path)
        seen.add(path)
        if path in directories and not hash_field and not size_field:
            continue
        if path not in digests:
            yield finding("record-extra", "RECORD lists a file that is not in the wheel", path)
        elif path in unlisted:
            if hash_field or size_field:
                yield finding("record-self", "expected neither hash nor size", path)
        else:
            yield from _judge_row(path, hash_field, size_field, digests[path])
    if own not in seen:
        yield finding("record-self", "RECORD does not list itself", own)
    for path in sorted(digests.keys() - seen - unlisted):
        yield finding("record-missing", "RECORD does not list it", path)


def _rows(content: bytes, member: str, most: int) -> Iterator[tuple[str, str, str]]:
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        raise RefusedError("record-encoding", "expected UTF-8", member) from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for row in reader:
            if not row:
                continue
            most -= 1
            if most < 0:
                raise RefusedError("record-too-long", "more than two lines for each file", member)
            if len(row) != 3:
                raise RefusedError("record-row", f"line {reader.line_num}: expected 3 fields, got {len(row)}", member)
            yield row[0], row[1], row[2]
    except csv.Error as error:
        raise RefusedError("record-row", f"line {reader.line_num}: {error}", member) from None


def read_hashes(content: bytes) -> dict[str, bytes]:
    """The SHA-256 of each file that a RECORD gives one for, as far as it can be read. Nothing is compared."""
    found: dict[str, bytes] = {}
    try:
        for path, hash_field, _ in _rows(content, "RECORD", most=_MOST_ROWS):
            algorithm, _, text = hash_field.partition("=")
            digest = _decoded(text, 32) if algorithm == "sha256" else None
            if digest is not None:
                found[path] = digest
    except RefusedError:
        pass
    return found


def _judge_row(path: str, hash_field: str, size_field: str, digest: Digest) -> Iterator[Finding]:
    algorithm, _, text = hash_field.partition("=")
    made = digest.of(algorithm)
    if made is None:
        listed = ", ".join(("sha256", *STRONGER))
        yield finding("record-algorithm", f"expected one of {listed}, got {hash_field or 'none'}", path)
    elif _decoded(text, len(made)) != made:
        yield finding("record-hash", f"expected {_hash_field(algorithm, made)}, got {hash_field}", path)
    if size_field not in {"", str(digest.size)}:  # a line may leave the size out
        yield finding("record-size", f"expected {digest.size}, got {size_field}", path)


def _hash_field(algorithm: str, digest: bytes) -> str:
    return f"{algorithm}={urlsafe_b64encode(digest).rstrip(b'=').decode('ascii')}"


def _decoded(text: str, length: int) -> bytes | None:
    """The digest that a line has; None where it is none. Older uv_build and flit wrote it in hexadecimal."""
    if len(text) == 2 * length and _HEXADECIMAL.fullmatch(text):
        return bytes.fromhex(text)
    bare = text.rstrip("=")
    try:
        found = urlsafe_b64decode(bare + "=" * (-len(bare) % 4))
    except ValueError:  # binascii.Error, or characters beyond ASCII
        return None
    return found if urlsafe_b64encode(found).rstrip(b"=") == bare.encode() else None


def write_record(dist_info: str, ordered: Mapping[str, Digest]) -> bytes:
    """Write RECORD for these files, in their order, itself last."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    for path, digest in ordered.items():
        writer.writerow((path, digest.hash_field, digest.size))
    writer.writerow((f"{dist_info}/RECORD", "", ""))
    return text.getvalue().encode("utf-8")
