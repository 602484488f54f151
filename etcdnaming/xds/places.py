"""What of an endpoint's address an xDS client can dial: an IP address and a port."""

from __future__ import annotations

import ipaddress
import socket

from ..addresses import SocketPath, parse_address
from ..errors import InvalidEndpointError
from . import xds_pb2 as xds
from .host_names import IP, parse_ip

__all__ = ["HostName", "Place", "read_place"]


class Place:
    """
    An IP address and a port.

    The encoded ``LbEndpoint`` is kept: a set of 10,000 endpoints of which one changed is then
    encoded in a fraction of the time.
    """

    __slots__ = ("_encoded", "_weight", "ip", "port")

    def __init__(self, ip: str, port: int) -> None:
        self.ip, self.port = ip, port
        self._weight, self._encoded = 0, b""

    @property
    def address(self) -> tuple[str, int]:
        """What makes two places one: an IPv4-mapped IPv6 address is the IPv4 address."""
        return self.ip.removeprefix("::ffff:") if "." in self.ip else self.ip, self.port

    def encoded(self, weight: int) -> bytes:
        """Return the ``LbEndpoint`` with this weight."""
        if weight != self._weight:
            address = xds.SocketAddress(address=self.ip, port_value=self.port)
            endpoint = xds.Endpoint(address=xds.Address(socket_address=address))
            weighted = xds.UInt32Value(value=weight)
            message = xds.LbEndpoint(endpoint=endpoint, load_balancing_weight=weighted)
            self._weight, self._encoded = weight, message.SerializeToString()
        return self._encoded


class HostName:
    """A name that the DNS has to be asked for, and a port."""

    __slots__ = ("host", "port")

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port

    def at(self, ip: IP) -> Place | None:
        """Return the place at *ip*; ``None`` if only this machine could dial it."""
        return _place(ip, self.port)


def read_place(addr: str) -> Place | HostName:
    """
    Return what the address *addr* of an endpoint means.

    >>> read_place("10.0.0.1:80").address, read_place("[::ffff:10.0.0.1]:80").address
    (('10.0.0.1', 80), ('10.0.0.1', 80))

    Raises:
        InvalidEndpointError: No client on another machine could dial it.
    """
    # Most addresses are plain IPv4, for which the full parser takes ten times as long.
    host, _, port = addr.rpartition(":")
    if _is_ipv4(host) and port.isascii() and port.isdecimal() and 0 < int(port[:6]) < 65536:
        return Place(host, int(port))
    address = parse_address(addr)
    if isinstance(address, SocketPath):
        raise InvalidEndpointError(f"{addr!r} is a unix socket, which exists on one machine only")
    if "%" in address.host:
        raise InvalidEndpointError(
            f"{addr!r} has a scope, which means something on one machine only"
        )
    ip = parse_ip(address.host)
    return (ip and _place(ip, address.port)) or HostName(address.host, address.port)


def _is_ipv4(host: str) -> bool:
    try:
        return len(socket.inet_pton(socket.AF_INET, host)) == 4
    except (OSError, ValueError):
        return False


def _place(ip: IP, port: int) -> Place | None:
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.scope_id:
            return None
        if ip.ipv4_mapped:
            return Place(f"::ffff:{ip.ipv4_mapped}", port)
    return Place(str(ip), port)
