"""A channel of ``grpc.aio`` whose endpoints are those in etcd."""

from __future__ import annotations

from collections.abc import Sequence

import grpc
import grpc.aio

from ..etcd import Client
from ..resolver.channel import RESYNC_HOLD, Following, Options, Policy, dial

__all__ = ["Channel", "insecure_channel", "secure_channel"]


class Channel(Following, grpc.aio.Channel):
    """
    A channel of ``grpc.aio`` to the endpoints of a target.

    It follows them until it is closed, or until neither it nor a stub made from it exists.

        >>> async def main() -> None:
        ...     async with insecure_channel("etcd:///foo/svc", client) as channel:
        ...         hello = channel.unary_unary("/demo.Greeter/Hello")  # or GreeterStub(channel)
        ...         try:
        ...             await hello(b"world", timeout=60)
        ...         except grpc.aio.AioRpcError as error:
        ...             print(error.code())  # no server is registered
        >>> asyncio.run(main())
        StatusCode.UNAVAILABLE
    """

    _channel: grpc.aio.Channel

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:  # noqa: FBT001, FBT002 - as gRPC
        """As gRPC."""
        return self._channel.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """As gRPC."""
        await self._channel.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        """As gRPC."""
        await self._channel.channel_ready()

    async def close(self, grace: float | None = None) -> None:
        """As gRPC."""
        await self._channel.close(grace)
        self._release()

    async def __aenter__(self) -> Channel:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


def insecure_channel(
    target: str,
    client: Client,
    *,
    options: Options | None = None,
    compression: grpc.Compression | None = None,
    interceptors: Sequence[grpc.aio.ClientInterceptor] | None = None,
    policy: Policy = "round_robin",
    authority: str | None = None,
    resync_hold: float = RESYNC_HOLD,
) -> Channel:
    """
    Return a channel to the endpoints of *target*, without TLS: see `resolver`.

        >>> async def main() -> None:
        ...     async with insecure_channel("etcd:///foo/svc", client) as channel:
        ...         hello = channel.unary_unary("/demo.Greeter/Hello")  # or GreeterStub(channel)
        ...         try:
        ...             await hello(b"world", timeout=60)
        ...         except grpc.aio.AioRpcError as error:
        ...             print(error.code())  # no server is registered
        >>> asyncio.run(main())
        StatusCode.UNAVAILABLE
    """
    dialled = dial(target, client, options, policy, authority, resync_hold)
    channel = grpc.aio.insecure_channel(dialled.target, dialled.options, compression, interceptors)
    return Channel(channel, dialled.service)


def secure_channel(
    target: str,
    credentials: grpc.ChannelCredentials,
    client: Client,
    *,
    options: Options | None = None,
    compression: grpc.Compression | None = None,
    interceptors: Sequence[grpc.aio.ClientInterceptor] | None = None,
    policy: Policy = "round_robin",
    authority: str | None = None,
    resync_hold: float = RESYNC_HOLD,
) -> Channel:
    """
    Return a channel to the endpoints of *target*, with *credentials*: see `resolver`.

        >>> credentials = grpc.ssl_channel_credentials()
        >>> async def main() -> None:
        ...     async with secure_channel("foo/svc", credentials, client) as channel:
        ...         print(channel)
        >>> asyncio.run(main())
        <Channel to foo/svc: 0 endpoints>
    """
    dialled = dial(target, client, options, policy, authority, resync_hold)
    channel = grpc.aio.secure_channel(
        dialled.target, credentials, dialled.options, compression, interceptors
    )
    return Channel(channel, dialled.service)
