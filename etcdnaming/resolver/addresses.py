"""The one target that makes gRPC's core dial all endpoints."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import TypeAlias
from urllib.parse import quote

__all__ = ["IP", "dial_target", "parse_ip"]

IP: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address


def parse_ip(host: str) -> IP | None:
    """Return the IP address *host*; ``None`` for what has to be looked up: a name or a scope."""
    try:
        return None if "%" in host else ipaddress.ip_address(host)
    except ValueError:
        return None


def dial_target(places: Iterable[tuple[IP, int]], paths: Iterable[str]) -> str | None:
    """
    Return the target of all *places* or, if there are none, of all *paths*; ``None`` for nothing.

    It is sorted and names nothing twice: gRPC shares the connections of equal targets only.

    >>> v4, v6 = ipaddress.ip_address("10.0.0.1"), ipaddress.ip_address("::1")
    >>> dial_target([(v4, 80)], [])
    'ipv4:10.0.0.1:80'
    >>> dial_target([(v6, 80), (v4, 80), (v4, 80)], [])
    'ipv6:[::1]:80,[::ffff:10.0.0.1]:80'
    >>> dial_target([], ["/run/b", "/run/a"])
    'unix:/run/a,/run/b'
    """
    chosen = {(_plain(ip), port) for ip, port in places}
    if not chosen:
        found = ",".join(sorted({quote(path) for path in paths}))
        return f"unix:{found}" if found else None
    if all(ip.version == 4 for ip, _ in chosen):
        return "ipv4:" + ",".join(sorted(f"{ip}:{port}" for ip, port in chosen))
    return "ipv6:" + ",".join(sorted(f"[{_in_version_6(ip)}]:{port}" for ip, port in chosen))


def _plain(ip: IP) -> IP:
    return (ip.ipv4_mapped or ip) if isinstance(ip, ipaddress.IPv6Address) else ip


def _in_version_6(ip: IP) -> str:
    if isinstance(ip, ipaddress.IPv4Address):
        return f"::ffff:{ip}"
    return str(ip).replace("%", "%25")  # of a scope: the target is a URI
