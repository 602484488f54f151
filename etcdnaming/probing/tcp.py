"""Whether somebody listens at a port."""

from __future__ import annotations

import socket

__all__ = ["trouble_with_port"]


def trouble_with_port(host: str, port: int, timeout: float) -> str:
    """Return what is wrong with it; empty if a connection is made within *timeout* seconds."""
    try:
        socket.create_connection((host, port), timeout).close()
    except OSError as exc:
        return (exc.strerror or str(exc)).lower()
    except UnicodeError:
        return f"{host!r} is no name of a host"
    return ""
