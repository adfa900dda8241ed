"""Judge whose wheel it is: the file name, the dist-info folder, METADATA and WHEEL must all say what the job says."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesHeaderParser
from math import prod

from packaging.metadata import RawMetadata, parse_email
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.tags import Tag, parse_tag
from packaging.utils import BuildTag, InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import Version

from mirror.core.gate.values import Expected, Member, RefusedError, finding
from mirror.core.model import Finding
from mirror.core.target import has_answer
from mirror.core.text import visible

_FILENAME = re.compile(r"[A-Za-z0-9_.!+-]{1,250}\.whl", re.ASCII)
_MOST_LINES, _MOST_FIELDS = 20_000, 200
"""In METADATA, where packaging looks at all lines again for each field."""
_MOST_TAGS = 1000
_IDENTITY = frozenset({"metadata-version", "name", "version", "requires-python"})
_SINGLE = _IDENTITY | {
    "author",
    "author-email",
    "description-content-type",
    "download-url",
    "home-page",
    "keywords",
    "license",
    "license-expression",
    "maintainer",
    "maintainer-email",
    "summary",
}
"""Fields of which there may be one (core metadata specifications). Installers do not mind unknown fields, nor labels of
project URLs that are there twice, as Poetry writes them."""
_METADATA_VERSION = re.compile(r"(1\.[0-9]|2\.[0-9])", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelName:
    """What a wheel's file name says (binary distribution format): `tags` expanded, `build` () where there is none."""

    filename: str
    tags: frozenset[Tag]
    build: BuildTag

    @property
    def is_pure(self) -> bool:
        return all(tag.platform == "any" for tag in self.tags)


def read_filename(filename: str, expected: Expected) -> tuple[WheelName, tuple[Finding, ...]]:
    """Read the file name, and compare it with the job.

    Raises RefusedError (`filename`) where it is no wheel's.
    """
    if not _FILENAME.fullmatch(filename):
        raise RefusedError("filename", f"expected a wheel's file name, got {filename}")
    try:
        name, version, build, tags = parse_wheel_filename(filename)
    except InvalidWheelFilename as error:
        raise RefusedError("filename", str(error)) from None
    findings = []
    if name != expected.name:
        findings.append(finding("filename-name", f"expected {expected.name}, got {name}", filename))
    if version != expected.version:
        findings.append(finding("filename-version", f"expected {expected.version}, got {version}", filename))
    return WheelName(filename=filename, tags=tags, build=build), tuple(findings)


def find_dist_info(members: Iterable[Member], expected: Expected) -> str:
    """Find the one `NAME-VERSION.dist-info` folder at the top of the archive.

    Raises RefusedError where there is none, or more than one, or where it is another project's.
    """
    tops = {member.name.split("/", 1)[0] for member in members if "/" in member.name}
    found = sorted(top for top in tops if top.lower().endswith(".dist-info"))
    if len(found) != 1:
        raise RefusedError("dist-info-count", f"expected one dist-info folder, got {', '.join(found) or 'none'}")
    name, dash, version = found[0][: -len(".dist-info")].partition("-")
    if not dash or not found[0].endswith(".dist-info"):
        raise RefusedError("dist-info-name", "expected NAME-VERSION.dist-info", found[0])
    if canonicalize_name(name) != expected.name:
        raise RefusedError("dist-info-name", f"expected {expected.name}, got {canonicalize_name(name)}", found[0])
    if not _is_version(version, expected.version):
        raise RefusedError("dist-info-version", f"expected {expected.version}, got {version}", found[0])
    return found[0]


def _is_version(text: str, expected: Version) -> bool:
    try:
        return Version(text.replace("_", "-")) == expected
    except ValueError:  # InvalidVersion; or a number of more digits than Python reads
        return False


def judge_metadata(content: bytes, member: str, expected: Expected) -> tuple[RawMetadata, tuple[Finding, ...]]:
    """Judge METADATA as far as an installer or resolver reads it (core metadata specifications)."""
    _judge_length(content, member)
    if not _is_text(content):
        raise RefusedError("metadata-encoding", "expected UTF-8, got other bytes", member)
    raw, unparsed = parse_email(content)
    return raw, tuple(_metadata_findings(raw, unparsed, member, expected))


def _judge_length(content: bytes, member: str) -> None:
    head = re.split(rb"\r?\n\r?\n", content, maxsplit=1)[0]
    fields = [line.partition(b":")[0].lower() for line in head.splitlines() if not line.startswith((b" ", b"\t"))]
    if len(fields) > _MOST_LINES or len(set(fields)) > _MOST_FIELDS:
        raise RefusedError("metadata-too-long", f"{len(fields)} lines of {len(set(fields))} fields", member)


def _is_text(content: bytes) -> bool:
    """Whether all of it is UTF-8: pip refuses what is not, also in what it does not read, and in the body."""
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _metadata_findings(
    raw: RawMetadata, unparsed: dict[str, list[str]], member: str, expected: Expected
) -> Iterator[Finding]:
    for field in sorted(unparsed.keys() & _SINGLE):
        code = "metadata-field" if field in _IDENTITY else "metadata-repeated"
        yield finding(code, f"{field} is there more than once: each reader takes another one", member)
    said = raw.get("metadata_version", "")
    if "metadata-version" not in unparsed and not _METADATA_VERSION.fullmatch(said):
        yield finding("metadata-version-field", f"expected Metadata-Version 1.x or 2.x, got {said or 'none'}", member)
    name = raw.get("name", "")
    if "name" not in unparsed and canonicalize_name(name) != expected.name:
        yield finding("metadata-name", f"expected {expected.name}, got {name or 'none'}", member)
    version = raw.get("version", "")
    if "version" not in unparsed and not _is_version(version, expected.version):
        yield finding("metadata-version", f"expected {expected.version}, got {version or 'none'}", member)
    yield from _judge_requires_python(raw.get("requires_python", ""), member, expected)
    for requirement in raw.get("requires_dist", []):
        try:
            wanted = Requirement(requirement)
            wanted.specifier.contains("1")  # reads its versions
        except (ValueError, RecursionError):  # InvalidRequirement among them
            yield finding("metadata-requires-dist", f"expected a dependency specifier, got {requirement}", member)
        else:
            if wanted.marker and not has_answer(wanted.marker):  # pip ends with a traceback where it evaluates it
                yield finding("metadata-requires-dist", f"expected a marker with an answer, got {requirement}", member)
            if wanted.url:  # whoever installs it would leave the index for it (PEP 440)
                yield finding(
                    "metadata-direct-reference", f"expected a project of the index, got {requirement}", member
                )


def _judge_requires_python(text: str, member: str, expected: Expected) -> Iterator[Finding]:
    python = expected.target.python
    try:
        wanted = SpecifierSet(text)
        # Micro versions are the base image's business: `>=3.11.2` is fine on a 3.11 that is new enough.
        fits = wanted.contains(python) or wanted.contains(f"{python}.99")
    except ValueError:  # InvalidSpecifier; or a number of more digits than Python reads
        yield finding("metadata-requires-python", f"expected a version specifier, got {text}", member)
        return
    if not fits:
        yield finding("requires-python", f"expected a wheel for Python {python}, got one for {text}", member)


def judge_wheel_file(content: bytes, member: str, name: WheelName) -> Iterator[Finding]:
    """Judge WHEEL: version 1.x, and the same tags and build number as the file name (binary distribution format)."""
    if not _is_text(content):
        yield finding("wheel-encoding", "expected UTF-8, got other bytes", member)
        return
    message = BytesHeaderParser().parsebytes(content)
    version = _one(message, "Wheel-Version")
    if not re.fullmatch(r"1\.[0-9]{1,3}", version, re.ASCII):
        yield finding("wheel-version", f"expected Wheel-Version 1.x, got {version or 'none or several'}", member)
    purelib = _one(message, "Root-Is-Purelib")
    if purelib.lower() not in {"true", "false"}:
        yield finding("wheel-purelib", f"expected Root-Is-Purelib true or false, got {purelib or 'none'}", member)
    tags = _tags(str(tag) for tag in message.get_all("Tag", ()))
    if tags != name.tags:
        more, fewer = _listed(tags - name.tags), _listed(name.tags - tags)
        yield finding("wheel-tags", f"expected the file name's tags; more: {more}; missing: {fewer}", member)
    build = _one(message, "Build")
    expected = "".join(map(str, name.build))
    if build != expected:
        yield finding("wheel-build", f"expected build {expected or 'none'}, got {build or 'none'}", member)


def _one(message: Message, field: str) -> str:
    values = message.get_all(field, ())
    return str(values[0]).strip() if len(values) == 1 else ""


def _tags(texts: Iterable[str]) -> frozenset[Tag]:
    """Expand tags. What is none, or stands for more than anybody would write, becomes a tag that equals no other."""
    tags: set[Tag] = set()
    for text in texts:
        tags |= _expanded(text.strip())
        if len(tags) > _MOST_TAGS:
            break
    return frozenset(tags)


def _expanded(text: str) -> frozenset[Tag]:
    none = frozenset({Tag("invalid", "invalid", visible(text))})
    if prod(part.count(".") + 1 for part in text.split("-")) > _MOST_TAGS:
        return none
    try:
        return parse_tag(text)
    except ValueError:
        return none


def _listed(tags: frozenset[Tag]) -> str:
    return ", ".join(sorted(map(str, tags))) or "none"
