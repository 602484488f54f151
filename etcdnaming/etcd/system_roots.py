"""The certificates of the system's CAs, found where Go finds them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from .files import File
from .pem import read_certificates

__all__ = ["system_roots"]

# Those of Go's crypto/x509. Of the bundles the first one counts, of the directories every one.
_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
_DIRECTORIES = ("/etc/ssl/certs", "/etc/pki/tls/certs")

_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)


def system_roots(bundle: File | None) -> bytes | None:
    """
    Return the certificates as PEM; ``None`` if there are none, for which gRPC has its own.

    *bundle* is the file that ``SSL_CERT_FILE`` names, if it names one.

    Raises:
        ValueError: ``SSL_CERT_FILE`` or ``SSL_CERT_DIR`` is set, and no certificate was found.
    """
    directories = os.environ.get("SSL_CERT_DIR")
    contents = [
        _content(bundle) if bundle else next(filter(None, map(_regular, map(Path, _BUNDLES))), b""),
        *_in_directories(directories.split(":") if directories else _DIRECTORIES),
    ]
    found = dict.fromkeys(each for content in contents for each in _CERTIFICATE.findall(content))
    roots = b"\n".join(each for each in found if _is_readable(each))
    if not roots and (bundle or directories):
        raise ValueError("SSL_CERT_FILE and SSL_CERT_DIR lead to no certificate of a CA")
    return roots or None


def _in_directories(names: Iterable[str]) -> Iterator[bytes]:
    for name in names:
        with suppress(OSError):
            for file in Path(name).iterdir():
                # OpenSSL's links from hashes to files beside them would bring the same once more.
                if not (file.is_symlink() and "/" not in str(file.readlink())):
                    yield _regular(file)


def _regular(file: Path) -> bytes:
    return _content(File(str(file), 0)) if file.is_file() else b""


def _content(file: File) -> bytes:
    try:
        return file.read()
    except OSError:
        return b""  # as for Go: what is elsewhere may do


def _is_readable(certificate: bytes) -> bool:
    # gRPC passes over all that follows one that it can't read.
    try:
        return bool(read_certificates(certificate))
    except ValueError:
        return False
