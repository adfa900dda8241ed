"""What Python's zipfile raises of an archive that a stranger has made."""

from __future__ import annotations

import lzma
import struct
import zipfile
import zlib

UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    OSError,
    EOFError,
    ValueError,
    RuntimeError,
)
"""Damaged, encrypted, cut off, or of a kind that zipfile does not know (NotImplementedError is a RuntimeError)."""
