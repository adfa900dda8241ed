"""Small wheels for tests, made in memory."""

from __future__ import annotations

import hashlib
import io
import zipfile

from packaging.utils import parse_wheel_filename

from mirror.core.made_of import MADE_OF, MadeOf
from mirror.core.model import CheckedWheel


def wheel_bytes(
    filename: str, *, requires: tuple[str, ...] = (), payload: bytes = b"", made_of: MadeOf | None = None
) -> bytes:
    """The same bytes for the same arguments: a wheel with one module, METADATA, WHEEL and an empty RECORD."""
    name, version, _, tags = parse_wheel_filename(filename)
    module = name.replace("-", "_")
    info = f"{module}-{version}.dist-info"
    members = {
        f"{module}.py": b"VALUE = 1\n" + payload,
        f"{info}/METADATA": metadata(name, str(version), requires),
        f"{info}/WHEEL": "\n".join(["Wheel-Version: 1.0", *(f"Tag: {t}" for t in sorted(map(str, tags))), ""]).encode(),
        **({f"{info}/{MADE_OF}": made_of.to_bytes()} if made_of else {}),
        f"{info}/RECORD": b"",
    }
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for member, content in members.items():
            archive.writestr(zipfile.ZipInfo(member), content)
    return stream.getvalue()


def metadata(name: str, version: str, requires: tuple[str, ...] = ()) -> bytes:
    """A METADATA file."""
    lines = [
        "Metadata-Version: 2.1",
        f"Name: {name}",
        f"Version: {version}",
        *(f"Requires-Dist: {r}" for r in requires),
    ]
    return ("\n".join(lines) + "\n").encode()


def checked_wheel(
    filename: str,
    *,
    payload: bytes = b"",
    requires_python: str | None = None,
    upstream: str | None = "upstream",
    made_of: MadeOf | None = None,
) -> CheckedWheel:
    """What the gate would hand on for such a wheel; `upstream` is None for one of a project of our own."""
    name, version, _, _ = parse_wheel_filename(filename)
    content = wheel_bytes(filename, payload=payload, made_of=made_of)
    return CheckedWheel(
        filename=filename,
        name=name,
        version=version,
        content=content,
        sha256=hashlib.sha256(content).hexdigest(),
        requires_python=requires_python,
        core_metadata=metadata(name, str(version)),
        import_names=(name.replace("-", "_"),),
        upstream=upstream,
    )
