"""What a build backend asks for besides what the sdist declares (PEP 517): a stranger's word, too."""

from __future__ import annotations

from packaging.requirements import Requirement

from mirror.core.errors import MirrorError
from mirror.core.text import visible

_LONGEST_REQUIREMENT, _MOST_REQUIREMENTS = 2000, 500


def read_needs(needs: object) -> tuple[str, ...]:
    """The requirement strings that a sandbox claims the build backend asked for, () for none.

    Raises MirrorError (`bad-build-requirements`): a line of something else would reach the resolver as an option.
    """
    wanted = needs or []
    wrong = [found for found in wanted if not _is_requirement(found)] if isinstance(wanted, list) else [wanted]
    if isinstance(wanted, list) and len(wanted) > _MOST_REQUIREMENTS:
        wrong = [f"{len(wanted)} requirements"]
    if wrong or not isinstance(wanted, list):
        raise MirrorError(
            "bad-build-requirements",
            f"the build backend asked for what is no dependency specifier: {visible(str(wrong[0]), 200)}",
            hint="ask the project's maintainers, or choose another version",
        )
    return tuple(wanted)


def _is_requirement(text: object) -> bool:
    try:
        if not isinstance(text, str) or len(text) > _LONGEST_REQUIREMENT or not text.isprintable():
            return False
        Requirement(text).specifier.contains("1")  # reads its versions
    except (ValueError, RecursionError):  # InvalidRequirement among them
        return False
    return True
