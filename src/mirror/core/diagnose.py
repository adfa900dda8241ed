"""A failed build's log: the line that says why."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mirror.core.text import plain, visible

LONGEST = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """`reason` is the log's most telling line, `hint` what usually helps; both "" where nothing was recognised."""

    reason: str = ""
    hint: str = ""


_SYSTEM = "a recipe can add system-packages (apk names): look up which one has it"
_BUILD = "a recipe can bound the build requirements with build-constraints"
_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.MULTILINE), hint)
    for pattern, hint in (
        # What comes first says most: one missing header brings a dozen other lines after it.
        (r"fatal error: .+: No such file or directory", _SYSTEM),
        (r"^(?:.*: )?(?:cannot find -l\S+).*", _SYSTEM),
        (r"^.*[Nn]o package '\S+' found.*", _SYSTEM),
        (r"^.*Dependency \"?[\w.+-]+\"? not found.*", _SYSTEM),
        (r"^.*(?:pg_config|mysql_config|llvm-config|xml2-config|curl-config)\b.*not found.*", _SYSTEM),
        (r"^.*Could NOT find \w+.*", _SYSTEM),
        (
            r"^.*can't find Rust compiler.*",
            "Rust projects need their crates, which a compile without network cannot fetch",
        ),
        (
            r"^.*(?:cargo|rustc)\S* .*not found.*",
            "Rust projects need their crates, which a compile without network cannot fetch",
        ),
        (
            r"^.*(?:[Nn]ame or service not known|[Tt]emporary failure in name resolution|Network is unreachable).*",
            "a compile has no network: find the setting of this project that makes it use what is there",
        ),
        (r"^(?:ModuleNotFoundError|ImportError): .+", _BUILD),
        (
            r"^AttributeError: module '(?:setuptools|pkg_resources|distutils|Cython|numpy)[^']*' has no attribute .+",
            _BUILD,
        ),
        (r"^.*(?:Read-only file system).*", "a build may write to its own tree and to $TMPDIR only"),
        (r"^.*No space left on device.*", "raise `scratch` in the limits of the settings"),
        (
            r"^.*(?:virtual memory exhausted|Cannot allocate memory).*",
            "raise `memory` in the limits of the settings, or lower `jobs`",
        ),
        # In gcc's words: the kernel kills what is too large by this signal.
        (r"^.*Killed signal terminated program.*", "raise `memory` in the limits of the settings, or lower `jobs`"),
        (r"^.*\bfork\b.*Resource temporarily unavailable.*", "raise `processes` in the limits of the settings"),
        (r"^\S+:\d+:\d+: (?:fatal )?error: .+", ""),
        (r"^(?!error: command|error: subprocess|ERROR: Backend)(?:\w+Error|error|ERROR|FAILED)\b: ?.+", ""),
    )
)


_REFUSED = re.compile(
    r"Resource temporarily unavailable|can't fork|[Cc]annot fork|can't start new thread|pthread_create\b.*fail"
)


def says_no_room(log: str) -> bool:
    """Whether somebody in there found a disk full."""
    return "No space left on device" in log


def says_no_process(log: str) -> bool:
    """Whether somebody in there was refused another process, or another thread."""
    return _REFUSED.search(log) is not None


def diagnose(log: str) -> Diagnosis:
    """The most telling line of a log. Pure; `log` is a stranger's text, so what comes back is safe to show."""
    text = plain(log)
    for pattern, hint in _PATTERNS:
        if found := pattern.search(text):
            return Diagnosis(reason=visible(found[0].strip(), LONGEST), hint=hint)
    return Diagnosis()
