"""A gRPC channel whose endpoints are those in etcd, and the two ways to make one."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import quote

import grpc

from .. import keys
from ..errors import InvalidSettingError
from ..etcd import Client
from ..model import Endpoint
from ..xds.embedded.resources import Policy
from .service_config import ServiceConfig, parse_policy, parse_service_config

__all__ = [
    "RESYNC_HOLD",
    "Channel",
    "Dialled",
    "Following",
    "Options",
    "Policy",
    "dial",
    "insecure_channel",
    "secure_channel",
]

Options: TypeAlias = Sequence[tuple[str, Any]]

RESYNC_HOLD = 30.0
"""Seconds."""


class Dialled(NamedTuple):
    """What a gRPC channel to a service is made with; *service* knows its endpoints."""

    target: str
    options: list[tuple[str, Any]]
    service: Any


class Following:
    """What both channels share: gRPC's own makes the calls, *service* has the endpoints."""

    def __init__(self, channel: Any, service: Any) -> None:
        from ..xds.embedded.process import services  # imported by `dial`

        self._channel, self._service = channel, service
        self._release = weakref.finalize(self, services.release, service)

    def __repr__(self) -> str:
        return f"<Channel to {self._service.key.target}: {len(self.endpoints)} endpoints>"

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """
        The endpoints in etcd that calls are spread over; gRPC has them a moment later.

            >>> _ = manager.add_endpoint("foo/svc/e1", Endpoint("10.0.0.1:80"))
            >>> with insecure_channel("etcd:///foo/svc", client) as channel:
            ...     while not channel.endpoints:  # etcd was not read yet
            ...         time.sleep(0.01)
            ...     channel.endpoints
            (Endpoint(addr='10.0.0.1:80', metadata=None),)
        """
        endpoints: tuple[Endpoint, ...] = self._service.endpoints()
        return endpoints

    @property
    def age(self) -> float | None:
        """
        The seconds since etcd could last have changed the endpoints.

        0 while it is connected; ``None`` if it was never read.

            >>> _ = manager.add_endpoint("foo/svc/e1", Endpoint("10.0.0.1:80"))
            >>> with insecure_channel("etcd:///foo/svc", client) as channel:
            ...     while channel.age is None:  # etcd was not read yet
            ...         time.sleep(0.01)
            ...     channel.age
            0.0
        """
        age: float | None = self._service.age()
        return age

    def unary_unary(self, *args: Any, **named: Any) -> Any:
        """As gRPC."""
        return self._channel.unary_unary(*args, **named)

    def unary_stream(self, *args: Any, **named: Any) -> Any:
        """As gRPC."""
        return self._channel.unary_stream(*args, **named)

    def stream_unary(self, *args: Any, **named: Any) -> Any:
        """As gRPC."""
        return self._channel.stream_unary(*args, **named)

    def stream_stream(self, *args: Any, **named: Any) -> Any:
        """As gRPC."""
        return self._channel.stream_stream(*args, **named)


class Channel(Following, grpc.Channel):
    """
    A gRPC channel to the endpoints of a target.

    It follows them until it is closed, or until neither it nor a stub made from it exists.

        >>> with insecure_channel("etcd:///foo/svc", client) as channel:
        ...     hello = channel.unary_unary("/demo.Greeter/Hello")  # or GreeterStub(channel)
        ...     try:
        ...         hello(b"world", timeout=60)
        ...     except grpc.RpcError as error:
        ...         print(error.code())  # no server is registered
        StatusCode.UNAVAILABLE
    """

    _channel: grpc.Channel

    def subscribe(self, *args: Any, **named: Any) -> None:
        """As gRPC."""
        self._channel.subscribe(*args, **named)

    def unsubscribe(self, *args: Any, **named: Any) -> None:
        """As gRPC."""
        self._channel.unsubscribe(*args, **named)

    def close(self) -> None:
        """
        As gRPC.

            >>> channel = insecure_channel("etcd:///foo/svc", client)
            >>> channel.close()
        """
        self._channel.close()
        self._release()

    def __enter__(self) -> Channel:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def insecure_channel(
    target: str,
    client: Client,
    *,
    options: Options | None = None,
    compression: grpc.Compression | None = None,
    policy: Policy = "round_robin",
    authority: str | None = None,
    resync_hold: float = RESYNC_HOLD,
) -> Channel:
    """
    Return a channel to the endpoints of *target*, without TLS.

        >>> with insecure_channel("etcd:///foo/svc", client) as channel:
        ...     hello = channel.unary_unary("/demo.Greeter/Hello")  # or GreeterStub(channel)
        ...     try:
        ...         hello(b"world", timeout=60)
        ...     except grpc.RpcError as error:
        ...         print(error.code())  # no server is registered
        StatusCode.UNAVAILABLE

    Args:
        target: ``etcd:///foo/bar/svc`` or ``foo/bar/svc``.

        client: Asks etcd. It must outlive the channel.

        options: As gRPC takes them. Of the service config, the load balancing policy, ``timeout``
            and ``retryPolicy`` are translated.

        compression: As gRPC takes it.

        policy: How calls are spread, unless the service config says it.

        authority: The ``:authority`` of calls; the last part of the target if nothing is given.

        resync_hold: Seconds for which endpoints are kept that are not there when etcd had to be
            read again, because it was compacted, restored or wiped.

    Raises:
        InvalidTargetError: The target names no service.
        InvalidSettingError: There is no such policy, the time is not one, or the service config
            has a member that can't be translated.
        ClientClosedError: The client is closed.
        ConnectionFailedError: No thread can be started now.
    """
    dialled = dial(target, client, options, policy, authority, resync_hold)
    channel = grpc.insecure_channel(dialled.target, dialled.options, compression)
    return Channel(channel, dialled.service)


def secure_channel(
    target: str,
    credentials: grpc.ChannelCredentials,
    client: Client,
    *,
    options: Options | None = None,
    compression: grpc.Compression | None = None,
    policy: Policy = "round_robin",
    authority: str | None = None,
    resync_hold: float = RESYNC_HOLD,
) -> Channel:
    """
    Return a channel to the endpoints of *target*, with *credentials*; else as `insecure_channel`.

    *authority* is also the name that the certificates of all endpoints must have.

        >>> tls = grpc.ssl_channel_credentials()
        >>> with secure_channel("foo/svc", tls, client, authority="svc.example.com") as channel:
        ...     channel
        <Channel to foo/svc: 0 endpoints>
    """
    dialled = dial(target, client, options, policy, authority, resync_hold)
    channel = grpc.secure_channel(dialled.target, credentials, dialled.options, compression)
    return Channel(channel, dialled.service)


def dial(
    target: str,
    client: Client,
    options: Options | None,
    policy: str,
    authority: str | None,
    resync_hold: float,
) -> Dialled:
    """
    Follow *target*, and return what a gRPC channel to it is made with.

    Raises:
        InvalidTargetError, InvalidSettingError, ClientClosedError, ConnectionFailedError: As
            `insecure_channel`.
    """
    name = keys.parse_target(target)
    if not resync_hold >= 0:
        raise InvalidSettingError("resync_hold must not be less than 0")
    config = ServiceConfig()
    chosen = parse_policy(policy)
    # gRPC's own default is the name of the slot.
    called = authority or quote(keys.encode(name).rstrip(b"/").rpartition(b"/")[2])
    others: list[tuple[str, Any]] = []
    for option, value in options or ():
        if option == "grpc.service_config":
            config = parse_service_config(value)
        elif option == "grpc.lb_policy_name":
            chosen = parse_policy(value)
        elif option == "grpc.default_authority":
            called = value
        elif option != "grpc.enable_http_proxy":
            others.append((option, value))
    from ..xds.embedded.process import follow  # imports h2

    service, uri, bootstrap = follow(
        client, name, resync_hold, config.policy or chosen, config.routes, called.lower()
    )
    # With a proxy gRPC would skip xDS, and dial the proxy.
    ours = [("grpc.default_authority", called), ("grpc.enable_http_proxy", 0), *bootstrap]
    return Dialled(uri, [*others, *ours], service)
