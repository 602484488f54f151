"""Why an endpoint can't be used, in words that say what to do about it."""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from .security import Address

if TYPE_CHECKING:
    import ssl

    from .security import Content, TLSFiles

__all__ = ["explain", "handshake"]

PROBE = 1.0
"""Seconds for a TLS handshake of our own, which shows what gRPC does not say."""

SYSTEM = "the CA certificates of this system"

_PLAIN = (
    ("Connection refused", "connection refused"),
    ("lookup", "host name not found"),
    ("Domain name not found", "host name not found"),  # gRPC 1.66
    ("resolving", "host name not found"),
    ("Deadline Exceeded", "no answer"),
)

_CLOSED = (
    "Socket closed",
    "Connection reset",
    "Broken pipe",
    "Handshake read failed",
    "connection attempt timed out",
)

# How a client of HTTP/2 begins: the preface, and SETTINGS. The server begins with SETTINGS.
_HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
_SETTINGS = 4


class _Failure(NamedTuple):
    """A failed TLS connection: gRPC's description, and the files it was made from."""

    address: Address
    details: str
    files: TLSFiles


def explain(address: Address, details: str, files: TLSFiles | None) -> tuple[str, bool]:
    """
    Return the reason in gRPC's *details* of a failed connection, and whether it is about TLS.

    *files* are what the connection was made from; without them it was plain text.
    """
    hangs_up = any(text in details for text in _CLOSED)
    if files:
        for text, meaning in _TLS:
            if text in details:
                failure = _Failure(address, details, files)
                return (meaning if isinstance(meaning, str) else meaning(failure)), True
        if hangs_up and _speaks_plain_text(address):
            return "it does not speak TLS: use http://", True
    elif hangs_up and _speaks_tls(address):
        return _tls_advice(address), True
    for text, reason in _PLAIN:
        if text in details:
            return reason, False
    return details.rpartition(": ")[2] or "no answer", False


def _unverified(failure: _Failure) -> str:
    """Return why the server's certificate is not trusted."""
    from .pem import read_certificates, wrong_time

    roots = failure.files.roots
    if reason := wrong_time(_certificate_of(failure)):
        return f"its certificate {reason}"
    if roots and roots.name:
        reasons = [wrong_time(each) for each in read_certificates(roots.data)]
        if all(reasons):
            return f"the CA certificate in {roots.name} {reasons[0]}"
    # What newer gRPC adds to its own words; here it is about a certificate between the two.
    if "expired" in failure.details or "not yet valid" in failure.details:
        return "a certificate in its chain has expired, or is not valid yet"
    if roots and roots.name:
        return f"its certificate is not signed by a CA in {roots.name}"
    return "its certificate is not signed by a CA of this system: set cacert"


def _misnamed(failure: _Failure) -> str:
    name = failure.address.server_name
    return f"its certificate is not for {name!r}" if name else "its certificate is for another name"


def _refused(failure: _Failure) -> str:
    """Return why the server does not trust the client certificate."""
    from .pem import read_certificates, wrong_time

    cert = failure.files.cert
    if cert is None:
        return "it asks for a client certificate: set cert and key"
    reasons = filter(None, map(wrong_time, read_certificates(cert.data)))
    reason = next(reasons, "is not signed by a CA that it trusts")
    return f"it refused the client certificate in {cert.name}, which {reason}"


def _unusable(failure: _Failure) -> str:
    """Return which file gRPC can't use, as far as Python's own TLS library shows it."""
    files = failure.files
    for content in (files.roots, files.cert):
        if content and not _is_readable(content):
            return f"{content.name or SYSTEM}: a certificate in it is damaged"
    if files.cert and files.key and (reason := _misfit(files.cert, files.key)):
        return f"{files.key.name}: {reason}"
    names = ", ".join(each.name for each in files if each and each.name)
    return f"gRPC can't use {names or SYSTEM}"


# Text of gRPC's core -> its meaning. TLS trouble is final: no waiting heals it.
_TLS: tuple[tuple[str, str | Callable[[_Failure], str]], ...] = (
    ("CERTIFICATE_VERIFY_FAILED", _unverified),
    ("Hostname Verification", _misnamed),
    ("not in peer certificate", _misnamed),
    ("ALERT", _refused),
    # The same by TLS 1.3, where the handshake is over for us before the server has looked.
    ("Unwrap failed", _refused),
    ("WRONG_VERSION_NUMBER", "it does not speak TLS: use http://"),
    ("security handshaker", _unusable),
    ("empty address list", _unusable),  # the same in older gRPC
    ("andshake failed", "the TLS handshake failed"),
)


def _is_readable(content: Content) -> bool:
    import ssl  # only on the way to an error message

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(cadata=content.data.decode("ascii", "ignore"))
    except (ssl.SSLError, ValueError):
        return False
    return True


def _misfit(cert: Content, key: Content) -> str:
    """Return what is wrong with *key*; empty if nothing is."""
    import ssl  # only on the way to an error message

    try:
        _load(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), cert, key)
    except ssl.SSLError as exc:
        if exc.reason == "KEY_VALUES_MISMATCH":
            return f"the key of another certificate than {cert.name}"
        return "the private key in it is damaged"
    except OSError:
        return ""  # it can't be tried on this system
    return ""


def _load(context: ssl.SSLContext, cert: Content, key: Content) -> None:
    with _as_file(cert.data) as cert_file, _as_file(key.data) as key_file:
        context.load_cert_chain(cert_file, key_file, password="")


@contextmanager
def _as_file(content: bytes) -> Iterator[str]:
    """
    Give *content* a name, for a library that reads files only. A key is not written to any disk.

    Raises:
        OSError: This system has no files in memory.
    """
    if sys.platform != "linux":
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))
    with open(os.memfd_create("etcdnaming"), "wb", buffering=0) as file:
        file.write(content)
        yield f"/proc/self/fd/{file.fileno()}"


def _tls_advice(address: Address) -> str:
    if address.target.startswith("unix:"):
        return "it speaks TLS: use unixs://"
    if address.tls is False:
        return "it speaks TLS: use https:// instead of http://"
    return "it speaks TLS: use https://, or set cacert"


def _speaks_tls(address: Address) -> bool:
    """Say hello by TLS: an endpoint that hangs up on plain HTTP/2 gives no other clue."""
    import ssl  # only on the way to an error message

    try:
        return bool(handshake(address)[0])
    except ssl.SSLError as exc:
        return "ALERT" in str(exc.reason)
    except (OSError, ValueError):
        return False


def _speaks_plain_text(address: Address) -> bool:
    """Try HTTP/2 without TLS: a server that closes connections may only be starting or ending."""
    try:
        with _connection(address) as plain:
            plain.sendall(_HELLO)
            return plain.recv(4)[3:] == bytes([_SETTINGS])
    except (OSError, ValueError):
        return False


def _certificate_of(failure: _Failure) -> bytes:
    """Return the server's certificate, whatever it is; nothing if it shows none."""
    try:
        return handshake(failure.address, failure.files)[0]
    except (OSError, ValueError):
        return b""


def handshake(address: Address, files: TLSFiles | None = None) -> tuple[bytes, str]:
    """
    Return the certificate (DER) that the server shows, and the version of TLS.

    Without a client certificate the server may refuse.

    Raises:
        OSError, ValueError: The handshake failed.
    """
    import ssl  # only on the way to an error message

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if files and files.cert and files.key:
        _load(context, files.cert, files.key)
    with _connection(address) as plain:
        host = None if plain.family == socket.AF_UNIX else _host_port(address)[0]
        name = address.server_name or host
        with context.wrap_socket(plain, server_hostname=name) as secure:
            return secure.getpeercert(binary_form=True) or b"", secure.version() or ""


def _connection(address: Address) -> socket.socket:
    if not address.target.startswith("unix:"):
        return socket.create_connection(_host_port(address), timeout=PROBE)
    local = socket.socket(socket.AF_UNIX)
    local.settimeout(PROBE)
    try:
        local.connect(address.target.removeprefix("unix:"))
    except OSError:
        local.close()
        raise
    return local


def _host_port(address: Address) -> tuple[str, int]:
    host, _, port = address.target.removeprefix("dns:///").rpartition(":")
    return host.strip("[]"), int(port)
