"""What is in a PEM file, and what is wrong with it, as far as no TLS library is needed."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import NamedTuple

__all__ = ["check_key", "read_certificates", "valid_until", "wrong_time"]

CERTIFICATES = frozenset({"CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE"})
KEYS = frozenset({"PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY"})

_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 .]+)-----(.*?)(-----END \1-----|\Z)", re.DOTALL)
_SEQUENCE, _VERSION = 0x30, 0xA0
_UTC_TIME, _GENERALIZED_TIME = 0x17, 0x18


class _Block(NamedTuple):
    label: str
    body: str
    is_complete: bool


def read_certificates(content: bytes) -> list[bytes]:
    """
    Return the certificates in *content* as DER, one at least.

    Raises:
        ValueError: There is none, or one is damaged; the text is what to say after the file's name.
    """
    found = [each for each in _blocks(content) if each.label in CERTIFICATES]
    if not found:
        raise ValueError(_instead(content, "certificate"))
    return [_der(each, "certificate") for each in found]


def check_key(content: bytes) -> None:
    """
    Make sure that there is a private key in *content*, and that it needs no passphrase.

    Raises:
        ValueError: As of `read_certificates`.
    """
    key = next((each for each in _blocks(content) if each.label in KEYS), None)
    if key is None:
        raise ValueError(_instead(content, "private key"))
    if key.label == "ENCRYPTED PRIVATE KEY" or "4,ENCRYPTED" in key.body:
        raise ValueError("an encrypted key, and gRPC takes no passphrase: decrypt it")
    _der(key, "private key")


def wrong_time(certificate: bytes) -> str:
    """
    Return why *certificate* (DER) is not valid now, as the end of a sentence; empty if it is.

    What can't be read is for a TLS library to judge, and valid here.
    """
    try:
        begin, end = _validity(certificate)
    except ValueError:
        return ""
    now = datetime.now(timezone.utc)
    if now > end:
        return f"expired on {end:%Y-%m-%d %H:%M:%S} UTC"
    if now < begin:
        return (
            f"is not valid before {begin:%Y-%m-%d %H:%M:%S} UTC "
            f"(the clock of this system: {now:%Y-%m-%d %H:%M:%S} UTC)"
        )
    return ""


def valid_until(certificate: bytes) -> str:
    """Return the end of *certificate* (DER); empty if it can't be read."""
    try:
        return f"{_validity(certificate)[1]:%Y-%m-%d}"
    except ValueError:
        return ""


def _blocks(content: bytes) -> Iterator[_Block]:
    # gRPC reads no further than the first NUL.
    text = content.decode("latin-1").partition("\0")[0].replace("\r\n", "\n")
    for found in _BLOCK.finditer(text):
        is_complete = bool(found[3]) and "-----BEGIN" not in found[2]
        yield _Block(found[1], found[2].strip(), is_complete)


def _instead(content: bytes, wanted: str) -> str:
    """Say what *content* is, which should have been a *wanted*."""
    if not content.strip():
        return "empty"
    if content[0] == _SEQUENCE and content[1:2] > b"\x7f":
        return "binary (DER), not PEM: convert it"
    labels = sorted({each.label for each in _blocks(content)})
    if labels:
        return f"no {wanted} in it, but {', '.join(labels)}"
    return f"not PEM: no {wanted} in it"


def _der(block: _Block, name: str) -> bytes:
    if not block.is_complete:
        raise ValueError(f"a {name} in it is cut off")
    try:
        der = b64decode(block.body.rpartition("\n\n")[2])  # what stands before that are headers
        _element(der, 0)
    except ValueError as exc:
        raise ValueError(f"a {name} in it is damaged") from exc
    return der


def _validity(certificate: bytes) -> tuple[datetime, datetime]:
    """Return the two times that *certificate* is valid between."""
    _, at, _ = _element(certificate, 0)  # Certificate, a sequence
    _, at, _ = _element(certificate, at)  # TBSCertificate, another one
    tag, _, end = _element(certificate, at)
    at = end if tag == _VERSION else at
    for _ in ("serial number", "signature", "issuer"):
        _, _, at = _element(certificate, at)
    _, at, _ = _element(certificate, at)  # Validity
    begin, at = _time(certificate, at)
    return begin, _time(certificate, at)[0]


def _time(certificate: bytes, at: int) -> tuple[datetime, int]:
    """Return the time at a position, and where it ends."""
    tag, start, end = _element(certificate, at)
    text = certificate[start:end].decode("ascii")
    if tag == _UTC_TIME:
        text = f"{'19' if text >= '50' else '20'}{text}"
    elif tag != _GENERALIZED_TIME:
        raise ValueError("not a time")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=timezone.utc), end


def _element(der: bytes, at: int) -> tuple[int, int, int]:
    """Return the tag of the element at a position, and where its content begins and ends."""
    if len(der) < at + 2:
        raise ValueError("cut off")
    length, start = der[at + 1], at + 2
    if length > 0x7F:
        start += length & 0x7F
        length = int.from_bytes(der[at + 2 : start], "big")
    if start + length > len(der):
        raise ValueError("cut off")
    return der[at], start, start + length
