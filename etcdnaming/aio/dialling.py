"""The two ways to make a channel, named and shaped as those of ``grpc.aio``."""

from __future__ import annotations

from collections.abc import Sequence

import grpc
import grpc.aio

from ..etcd import Client
from ..resolver.dialling import RESYNC_HOLD, Options, Policy, dialled_by
from .channel import Channel

__all__ = ["insecure_channel", "secure_channel"]


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
    """Return a channel to the endpoints of *target*, without TLS: see `resolver`."""

    def dial(addresses: str, chosen: Options) -> grpc.aio.Channel:
        return grpc.aio.insecure_channel(addresses, chosen, compression, interceptors)

    name, dialled = dialled_by(dial, target, options, policy, authority)
    return Channel(client, name, resync_hold, dialled)


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
    """Return a channel to the endpoints of *target*, with *credentials*: see `resolver`."""

    def dial(addresses: str, chosen: Options) -> grpc.aio.Channel:
        return grpc.aio.secure_channel(addresses, credentials, chosen, compression, interceptors)

    name, dialled = dialled_by(dial, target, options, policy, authority)
    return Channel(client, name, resync_hold, dialled)
