"""Judge a wheel: bytes in, findings out; what is published is made here, and only where there are none."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain

from packaging.metadata import RawMetadata
from packaging.tags import Tag

from mirror.core.gate import nspkg
from mirror.core.gate.alpine import WATCHED_SYMBOLS
from mirror.core.gate.archive import read_members
from mirror.core.gate.beside import judge_beside
from mirror.core.gate.contents import (
    import_names,
    judge_places,
    judge_scripts,
    judge_suffixes,
    judge_top_level,
)
from mirror.core.gate.elf import MAGIC, Elf, ElfError, read_elf
from mirror.core.gate.entry_points import read_scripts
from mirror.core.gate.identity import WheelName, find_dist_info, judge_metadata, judge_wheel_file, read_filename
from mirror.core.gate.installed import Installed, layout_of, place
from mirror.core.gate.libraries import judge_libraries
from mirror.core.gate.own import judge_made_of, numbered_filename, own_files
from mirror.core.gate.paths import folders_of, judge_names
from mirror.core.gate.record import SIGNATURES, Digest, algorithms_of, judge_record
from mirror.core.gate.repack import repack
from mirror.core.gate.unpack import pieces
from mirror.core.gate.values import (
    ALLOWABLE,
    Bounds,
    Expected,
    Judgement,
    Layout,
    Member,
    RefusedError,
    finding,
    sort_findings,
)
from mirror.core.model import CheckedWheel, Finding, Target
from mirror.core.target import tags, usable

_DEFAULT_BOUNDS = Bounds()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """What one pass over all members brings: hashes, the small texts of dist-info, and the ELF files."""

    digests: Mapping[str, Digest]
    texts: Mapping[str, bytes]
    elves: Mapping[str, Elf]
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Opened:
    """A wheel that could be read to its end."""

    name: WheelName
    members: tuple[Member, ...]
    dist_info: str
    read: _Read
    metadata: RawMetadata
    placed: tuple[Installed, ...]
    scripts: Mapping[str, str]

    @property
    def folders(self) -> frozenset[str]:
        """Every folder that a file lies in."""
        return frozenset(folder for member in self.members for folder in folders_of(member.name))


def check(filename: str, content: bytes, expected: Expected, bounds: Bounds = _DEFAULT_BOUNDS) -> Judgement:
    """Read a wheel whole and judge it. Never raises for what stands in it.

    `content` is what a sandbox claims to be the wheel; `filename` is the name it gave it. Where the archive itself
    cannot be trusted, that one finding is all there is.
    """
    try:
        opened, findings = _open(filename, content, expected, bounds)
    except RefusedError as refused:
        return Judgement(wheel=None, findings=(refused.finding,), allowed=())
    layout = _layout(opened, expected)
    judged = chain(findings, _judge(opened, expected), judge_beside(layout, expected.beside))
    stopping, allowed = sort_findings(judged, expected.oddities)
    wheel = None if stopping else _checked(opened, content, expected)
    return Judgement(wheel=wheel, findings=tuple(stopping), allowed=tuple(allowed), layout=layout if wheel else None)


def _layout(opened: _Opened, expected: Expected) -> Layout:
    own = f"{opened.dist_info}/"  # nobody else's: its name was judged
    placed = [file for file in opened.placed if not file.member.startswith(own)]
    hashes = {name: digest.sha256 for name, digest in opened.read.digests.items()}
    return layout_of(expected.name, placed, hashes, opened.scripts, compiled=True)


def _open(filename: str, content: bytes, expected: Expected, bounds: Bounds) -> tuple[_Opened, tuple[Finding, ...]]:
    name, findings = read_filename(filename, expected)
    members = read_members(content, bounds)
    found_names = tuple(judge_names(members))
    bad_name = next((found for found in found_names if found.code not in ALLOWABLE), None)
    if bad_name is not None:
        raise RefusedError(bad_name.code, bad_name.message, bad_name.member)
    dist_info = find_dist_info(members, expected)
    files = tuple(member for member in members if not member.is_directory)
    read = _read(content, files, dist_info, bounds)
    metadata, more = judge_metadata(read.texts["METADATA"], f"{dist_info}/METADATA", expected)
    scripts, bad_scripts = read_scripts(read.texts.get("entry_points.txt", b""), f"{dist_info}/entry_points.txt")
    placed, misplaced = place((member.name for member in files), dist_info)
    opened = _Opened(
        name=name,
        members=files,
        dist_info=dist_info,
        read=read,
        metadata=metadata,
        placed=placed,
        scripts=scripts,
    )
    return opened, (*findings, *found_names, *read.findings, *more, *bad_scripts, *misplaced)


def _read(content: bytes, files: tuple[Member, ...], dist_info: str, bounds: Bounds) -> _Read:
    """Inflate every member once. Only ELF files and the texts of dist-info are held whole, one after the other."""
    wanted = {f"{dist_info}/{name}": name for name in ("METADATA", "WHEEL", "RECORD", "entry_points.txt")}
    missing = sorted(wanted.keys() - {member.name for member in files} - {f"{dist_info}/entry_points.txt"})
    if missing:
        raise RefusedError("dist-info-file", "expected the file, got none", missing[0])
    for member in files:
        longest = bounds.record if wanted.get(member.name) == "RECORD" else bounds.text
        if member.name in wanted and member.size > longest:
            raise RefusedError("oversized-text", f"{member.size} bytes, expected at most {longest}", member.name)
    record = next(member for member in files if wanted.get(member.name) == "RECORD")
    algorithms = algorithms_of(b"".join(pieces(content, record)))
    digests: dict[str, Digest] = {}
    texts: dict[str, bytes] = {}
    elves: dict[str, Elf] = {}
    findings: list[Finding] = []
    for member in files:
        keep = member.name in wanted or _says_namespaces(member)
        digests[member.name], whole = _digest(content, member, algorithms, keep=keep)
        if member.name in wanted:
            texts[wanted[member.name]] = whole
        elif keep:
            texts[member.name] = whole
        elif whole.startswith(MAGIC):
            try:
                elves[member.name] = read_elf(whole, WATCHED_SYMBOLS)
            except ElfError as error:
                findings.append(finding("elf-malformed", str(error), member.name))
    return _Read(digests=digests, texts=texts, elves=elves, findings=tuple(findings))


def _says_namespaces(member: Member) -> bool:
    return nspkg.is_one(member.name.rpartition("/")[2]) and member.size <= nspkg.LONGEST


def _digest(content: bytes, member: Member, algorithms: Iterable[str], *, keep: bool) -> tuple[Digest, bytes]:
    """Hash a member; give its bytes too where they are to be kept, or are an ELF file's."""
    sha256 = hashlib.sha256()
    stronger = {algorithm: hashlib.new(algorithm) for algorithm in algorithms}
    head = b""
    kept: list[bytes] = []
    for piece in pieces(content, member):
        for digest in (sha256, *stronger.values()):
            digest.update(piece)
        if len(head) < len(MAGIC):
            head += piece[: len(MAGIC)]
        if keep or MAGIC.startswith(head[: len(MAGIC)]):
            kept.append(piece)
    made = {algorithm: digest.digest() for algorithm, digest in stronger.items()}
    return Digest(sha256=sha256.digest(), size=member.size, stronger=made), b"".join(kept)


def _judge(opened: _Opened, expected: Expected) -> Iterator[Finding]:
    read, dist_info = opened.read, opened.dist_info
    yield from judge_wheel_file(read.texts["WHEEL"], f"{dist_info}/WHEEL", opened.name)
    yield from judge_record(read.texts["RECORD"], dist_info, read.digests, opened.folders)
    yield from judge_made_of(read.digests, dist_info, expected)
    yield from _judge_tags(opened, expected)
    namespaces = nspkg.harmless(opened.placed, read.texts)
    yield from judge_places((file for file in opened.placed if file.member not in namespaces), dist_info, expected)
    yield from judge_top_level(opened.placed, expected)
    yield from judge_scripts(opened.scripts, f"{dist_info}/entry_points.txt", expected)
    yield from judge_libraries(read.elves, opened.placed, expected.target)
    yield from judge_suffixes(read.elves, expected.target.python)


def _judge_tags(opened: _Opened, expected: Expected) -> Iterator[Finding]:
    name, elves = opened.name, opened.read.elves
    if any(tag.platform.startswith("linux_") for tag in name.tags):
        yield finding("tag-unrepaired", "expected a musllinux tag, got a plain linux one: it was not repaired")
    elif not usable(name.filename, expected.target):
        yield finding("tag-unusable", f"expected a wheel for {expected.target}, got {name.filename}")
    elif others := sorted(str(tag) for tag in name.tags if not _is_of(tag, expected.target)):
        # Whoever it is for would be given a wheel that nobody has judged for them.
        yield finding("tag-foreign", f"expected tags of {expected.target} alone, got {', '.join(others)} as well")
    if name.is_pure and elves:
        yield finding("elf-in-pure-wheel", "expected no compiled code in a wheel for any platform", min(elves))
    if expected.native_sources and not elves:
        yield finding("no-extension", "the sdist has sources to compile, and the wheel has nothing compiled")


def _is_of(tag: Tag, target: Target) -> bool:
    """Whether a tag is one of the target's; `py2` beside `py3` says the same of a wheel without an ABI."""
    same = Tag("py3", tag.abi, tag.platform) if tag.interpreter.startswith("py") and tag.abi == "none" else tag
    return same in tags(target)


def _checked(opened: _Opened, content: bytes, expected: Expected) -> CheckedWheel:
    unsigned = {f"{opened.dist_info}/{signature}" for signature in SIGNATURES}
    digests = {name: digest for name, digest in opened.read.digests.items() if name not in unsigned}
    own = own_files(opened.dist_info, opened.read.texts["WHEEL"], expected)
    packed = repack(content, opened.members, opened.dist_info, digests, own)
    return CheckedWheel(
        filename=numbered_filename(opened.name.filename, expected.build),
        name=expected.name,
        version=expected.version,
        content=packed,
        sha256=hashlib.sha256(packed).hexdigest(),
        requires_python=opened.metadata.get("requires_python"),
        core_metadata=opened.read.texts["METADATA"],
        import_names=import_names(opened.placed),
        upstream=expected.made_of.upstream if expected.made_of else None,
    )
