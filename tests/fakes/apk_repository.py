"""A signed package repository as apk-tools 2 reads it, with packages of one file each, and its server on the bridge."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key that signs a repository; `name` is what its public half is called in a folder of keys."""

    name: str = "test.rsa.pub"
    key: rsa.RSAPrivateKey = field(default_factory=lambda: rsa.generate_private_key(65537, 2048), repr=False)

    def write_public(self, folder: Path) -> Path:
        """Write the public half into `folder`, made if need be; that folder."""
        folder.mkdir(exist_ok=True)
        public = self.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        (folder / self.name).write_bytes(public)
        return folder

    def signature(self, signed: bytes) -> bytes:
        """The first of the gzip streams: a tar without its end, which holds the signature of the next stream."""
        signature = self.key.sign(signed, padding.PKCS1v15(), SHA1())  # noqa: S303 - what apk-tools 2 checks
        return gzip.compress(_tar({f".SIGN.RSA.{self.name}": signature}, ended=False), mtime=0)


def write_repository(folder: Path, key: SigningKey, *packages: str, version: str = "1.0-r0") -> None:
    """Write `folder/x86_64` with an index and packages without needs, each with one file below /usr/share."""
    place = folder / "x86_64"
    place.mkdir(parents=True, exist_ok=True)
    entries = ""
    for name in packages:
        data = gzip.compress(_tar({f"usr/share/{name}": version.encode()}), mtime=0)
        about = {"pkgname": name, "pkgver": version, "pkgdesc": "for a test", "arch": "x86_64", "size": "10"}
        about["datahash"] = hashlib.sha256(data).hexdigest()
        info = "".join(f"{field} = {value}\n" for field, value in about.items())
        control = gzip.compress(_tar({".PKGINFO": info.encode()}, ended=False), mtime=0)
        whole = key.signature(control) + control + data
        (place / f"{name}-{version}.apk").write_bytes(whole)
        checksum = base64.b64encode(hashlib.sha1(control).digest()).decode()  # noqa: S324 - what apk-tools 2 checks
        entries += f"C:Q1{checksum}\nP:{name}\nV:{version}\nA:x86_64\nS:{len(whole)}\nI:10\nT:for a test\n\n"
    index = gzip.compress(_tar({"DESCRIPTION": b"for a test", "APKINDEX": entries.encode()}), mtime=0)
    (place / "APKINDEX.tar.gz").write_bytes(key.signature(index) + index)


@contextmanager
def served(folder: Path, address: str) -> Iterator[str]:
    """Serve a folder at `address`, which containers reach; the URL."""
    server = ThreadingHTTPServer((address, 0), partial(_Silent, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://{address}:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Silent(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def _tar(files: dict[str, bytes], *, ended: bool = True) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for folder in ("usr", "usr/share") if ended and "APKINDEX" not in files else ():
            directory = tarfile.TarInfo(folder)
            directory.type, directory.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(directory)
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            if ended:
                member.pax_headers = {"APK-TOOLS.checksum.SHA1": hashlib.sha1(content).hexdigest()}  # noqa: S324
            archive.addfile(member, io.BytesIO(content))
        end = archive.offset
    return buffer.getvalue() if ended else buffer.getvalue()[:end]
