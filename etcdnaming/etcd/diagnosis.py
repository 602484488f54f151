"""Why an endpoint can't be used, in words that say what to do about it."""

from __future__ import annotations

import socket

from .addresses import Address

__all__ = ["explain"]

# What gRPC's core says -> what it means. TLS trouble is final: no waiting heals it.
_TLS = (
    ("CERTIFICATE_VERIFY_FAILED", "its certificate is not one that the CA vouches for (--cacert)"),
    ("Hostname Verification", "its certificate is for another name"),
    ("not in peer certificate", "its certificate is for another name"),
    ("ALERT", "it refused our certificate: it wants one it trusts (--cert, --key)"),
    # The same by TLS 1.3, where the handshake is over for us before the server has looked.
    ("Unwrap failed", "it refused our certificate: it wants one it trusts (--cert, --key)"),
    ("Handshake read failed", "it does not speak TLS: http:// is what it takes"),
    ("WRONG_VERSION_NUMBER", "it does not speak TLS: http:// is what it takes"),
    ("security handshaker", "certificate and key don't fit together (--cert, --key, --cacert)"),
    ("andshake failed", "the TLS handshake failed"),
)

_PLAIN = (
    ("Connection refused", "connection refused"),
    ("lookup", "host name not found"),
    ("resolving", "host name not found"),
    ("Deadline Exceeded", "no answer"),
)

_CLOSED = ("Socket closed", "Connection reset", "Broken pipe", "connection attempt timed out")


def explain(address: Address, details: str, *, tls: bool) -> tuple[str, bool]:
    """Return the reason in gRPC's *details* of a failed connection, and whether it is about TLS."""
    if tls:
        for text, meaning in _TLS:
            if text in details:
                return meaning, True
    elif any(text in details for text in _CLOSED) and _speaks_tls(address):
        return "it speaks TLS: write https://, or give --cacert", True
    for text, meaning in _PLAIN:
        if text in details:
            return meaning, False
    return details.rpartition(": ")[2] or "no answer", False


def _speaks_tls(address: Address) -> bool:
    """Say hello by TLS: an endpoint that hangs up on plain HTTP/2 gives no other clue."""
    import ssl  # only on the way to an error message

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    host, _, port = address.target.removeprefix("dns:///").rpartition(":")
    try:
        with (
            socket.create_connection((host.strip("[]"), int(port)), timeout=0.5) as plain,
            context.wrap_socket(plain, server_hostname=host.strip("[]")),
        ):
            return True
    except ssl.SSLError as exc:
        return "ALERT" in str(exc.reason)
    except (OSError, ValueError):
        return False
