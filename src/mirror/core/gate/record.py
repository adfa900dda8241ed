"""Read RECORD, compare it with the members, and write it anew (recording installed projects; PEP 376, 427)."""

from __future__ import annotations

import csv
import io
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mirror.core.gate.values import RefusedError, finding
from mirror.core.model import Finding

SIGNATURES = ("RECORD.jws", "RECORD.p7s")
"""May stand beside RECORD, unlisted. They sign the old RECORD, so the re-pack leaves them out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Digest:
    """What a file's RECORD line says of it: `sha256` is the raw digest."""

    sha256: bytes
    size: int

    @property
    def hash_field(self) -> str:
        return "sha256=" + urlsafe_b64encode(self.sha256).rstrip(b"=").decode("ascii")


def judge_record(content: bytes, dist_info: str, digests: Mapping[str, Digest]) -> Iterator[Finding]:
    """Judge RECORD against what the members are; `digests` has every file in the archive."""
    own = f"{dist_info}/RECORD"
    unlisted = {own, *(f"{dist_info}/{name}" for name in SIGNATURES)}
    seen: set[str] = set()
    try:
        rows = tuple(_rows(content, own, most=2 * len(digests) + 100))
    except RefusedError as refused:
        yield refused.finding
        return
    for path, hash_field, size_field in rows:
        if path in seen:
            yield finding("record-duplicate", "expected one line, got another", path)
        seen.add(path)
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


def _judge_row(path: str, hash_field: str, size_field: str, digest: Digest) -> Iterator[Finding]:
    if not hash_field.startswith("sha256="):
        yield finding("record-algorithm", f"expected a sha256, got {hash_field or 'none'}", path)
    elif hash_field.rstrip("=") != digest.hash_field:
        yield finding("record-hash", f"expected {digest.hash_field}, got {hash_field}", path)
    if size_field != str(digest.size):
        yield finding("record-size", f"expected {digest.size}, got {size_field or 'none'}", path)


def write_record(dist_info: str, ordered: Mapping[str, Digest]) -> bytes:
    """Write RECORD for these files, in their order, itself last."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    for path, digest in ordered.items():
        writer.writerow((path, digest.hash_field, digest.size))
    writer.writerow((f"{dist_info}/RECORD", "", ""))
    return text.getvalue().encode("utf-8")
