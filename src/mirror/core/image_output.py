"""What building an image said: apk's, pip's or the engine's reason why it failed, and the setting to look at."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from mirror.core.text import plain, redacted, visible

LONGEST = 400
_MOST_LINES = 20
_MOST_NAMES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFailure:
    """`reason` is one line, `hint` names what to look at, `seen` are further lines that tell of a cause."""

    reason: str
    hint: str
    seen: tuple[str, ...] = ()


_REACH = "look at apk-repositories in the settings, and at proxy: both decide where apk asks, and by which way"
_BUNDLE = "ca-bundle in the settings names the certificates of a company's own authority"
_PIP = "pip fetches the builder's own tools: look at proxy and ca-bundle in the settings"
_NAMES = (
    "a recipe's system-packages are names of this release of Alpine; where all of them are missing, apk-repositories "
    "lacks main or community"
)
_ROOM = "make room on the engine's disk: `mirror prune --images` removes images of ours that nothing uses"
_OTHERWISE = "see what the build said last, and the engine's own log"
_CAUSES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), hint)
    for pattern, hint in (
        # The first cause counts: for each repository that apk could not read, it misses every package of it.
        (
            r"(?:WARNING|ERROR): .*\bBAD signature\b.*",
            "the key of that name in the folder of apk-keys is another one: take the package mirror's own",
        ),
        (
            r"(?:WARNING|ERROR): .*\bUNTRUSTED signature\b.*",
            "put the package mirror's public key (*.pub) into a folder, and name it with apk-keys",
        ),
        (r".*(?:no space left on device|disk quota exceeded).*", _ROOM),
        (r"(?:WARNING|ERROR): .*connection broken by .*(?:SSLError|CERTIFICATE|X509).*", f"{_BUNDLE}; {_PIP}"),
        (r"WARNING: .*connection broken by .*", _PIP),
        # apk calls a connection without trust "Permission denied", after OpenSSL's own words.
        (r"[0-9A-F]+:error:[0-9A-F]+:.*", f"{_BUNDLE}; apk-repositories names the addresses"),
        (
            r"(?:WARNING|ERROR): .*: Permission denied.*",
            f"{_BUNDLE}; a package mirror that wants a login refuses so, too",
        ),
        (
            r"WARNING: .*: No such file or directory.*",
            "apk-repositories names what is not there: the address ends before the architecture, as in /v3.22/main",
        ),
        (r"WARNING: .*(?:fetching|opening|ignoring) .*", _REACH),
        (r"ERROR: .*https?://.*", _REACH),
        (r".*do not match the hashes.*", "what stands before PyPI changes files: have it serve them as they are"),
        (
            r"ERROR: \S+: (?:package mentioned in index not found|BAD archive|.*integrity error).*",
            "the package mirror's index does not fit its files: it may be between two states; try again later",
        ),
        (r"ERROR: (?:Could not|No matching|Cannot|Failed|Exception|Ignored).+", _PIP),
        (r"ERROR: (?!unable to select packages).+", _OTHERWISE),
    )
)
_UNKNOWN = re.compile(r"^\s*(\S+) \(no such package\)", re.MULTILINE)
_SELECT = re.compile(r"ERROR: unable to select packages:?")
_STEP = re.compile(r"Step \d+/\d+ : | ---> |Removing intermediate container |fetch https?://|\(\d+/\d+\) ")
_RETRY = re.compile(r"Retrying \(Retry\([^)]*\)\) after ")
_OBJECT = re.compile(r"<[^<>]* object at 0x[0-9a-f]+>: ")
_STATUS = re.compile(r"returned a non-zero code|did not complete successfully|exit status \d+$")


def explain(said: str, error: str) -> ImageFailure:
    """Read why an image could not be built from all it `said`; `error` is what the engine said in the end.

    Where nobody complains in words that are known, the engine's own are the reason, or the last line where the engine
    only tells of an exit status.
    """
    lines = _lines(said)
    return _cause(lines) or _unknown_packages(lines) or _conflict(lines) or _engines(error, lines)


def _lines(said: str) -> list[str]:
    """The lines worth showing, each once: no colours, credentials, addresses in memory, nor the engine's own steps."""
    short = (_OBJECT.sub("", _RETRY.sub("", redacted(line))) for line in plain(said).splitlines())
    kept = (visible(line.rstrip(), LONGEST) for line in short if line.strip() and not _STEP.match(line))
    return list(dict.fromkeys(kept))


def _cause(lines: Sequence[str]) -> ImageFailure | None:
    told = {
        line.strip(): (rank, hint)
        for rank, (pattern, hint) in reversed(tuple(enumerate(_CAUSES)))
        for line in lines
        if pattern.fullmatch(line.strip())
    }
    if not told:
        return None
    reason = min(told, key=lambda line: told[line][0])
    seen = [line.strip() for line in lines if line.strip() in told and line.strip() != reason]
    return ImageFailure(reason=reason, hint=told[reason][1], seen=tuple(seen[:_MOST_LINES]))


def _unknown_packages(lines: Sequence[str]) -> ImageFailure | None:
    names = list(dict.fromkeys(_UNKNOWN.findall("\n".join(lines))))
    if not names:
        return None
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ImageFailure(reason=f"{', '.join(names[:_MOST_NAMES])}{more} (no such package)", hint=_NAMES)


def _conflict(lines: Sequence[str]) -> ImageFailure | None:
    """What apk finds between packages that are all there: it stands in the lines that follow."""
    for number, line in enumerate(lines):
        if _SELECT.fullmatch(line):
            first, *more = [line.strip() for line in lines[number + 1 :][:_MOST_LINES]] or [""]
            return ImageFailure(reason=f"{line} {first}", hint=_NAMES, seen=tuple(more))
    return None


def _engines(error: str, lines: Sequence[str]) -> ImageFailure:
    told = visible(" ".join(plain(redacted(error)).split()), LONGEST)
    if _STATUS.search(told) and lines:
        return ImageFailure(reason=lines[-1].strip(), hint=_OTHERWISE, seen=tuple(lines[:-1][-_MOST_LINES:]))
    return _cause([told]) or ImageFailure(reason=told, hint=_OTHERWISE, seen=tuple(lines[-_MOST_LINES:]))
