"""What a stranger would write into a name, a version, a reason or a log to have it run in somebody's browser."""

from __future__ import annotations

from html.parser import HTMLParser

PAYLOADS = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)' x='",
    "</pre></td></table><svg onload=alert(1)>",
    "--><iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "javascript:alert(1)//",
    "{{ 7 * 191 }}{% raw %}",
    "&lt;script&gt;\x00\x1b[31m\u202eecilA\u2028",
)
ALL = " ".join(PAYLOADS)
_ELEMENTS = frozenset({"script", "img", "svg", "iframe", "object", "embed", "style", "base", "form", "input"})
_ADDRESSES = frozenset({"href", "src", "action", "srcdoc", "data"})


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        ours = {
            "script": values.get("src", "").lstrip("./").startswith("static/page.js?") and "defer" in values,
            "img": values.get("src", "").lstrip("./").startswith("static/icon.svg?"),
            "form": values == {"class": "filter", "method": "get", "action": "projects", "role": "search"},
            "input": values.get("id") == "q",
        }
        if tag in _ELEMENTS and not ours.get(tag):
            self.found.append(f"<{tag}>")
        self.found += [name for name in values if name.startswith("on") or name in ("style", "srcdoc")]
        self.found += [
            f"{name}={value}"
            for name, value in values.items()
            if name in _ADDRESSES and ":" in value.partition("?")[0].partition("/")[0]
        ]


def runnable(html: str) -> list[str]:
    """What a browser would run or fetch of a page beside what is ours: elements, handlers, addresses with a scheme.

    And characters that would not be seen as what they are.
    """
    reader = _Reader()
    reader.feed(html)
    reader.close()
    hidden = {character for character in html if not character.isprintable() and character != "\n"}
    return [*reader.found, *(f"U+{ord(character):04X}" for character in sorted(hidden))]
