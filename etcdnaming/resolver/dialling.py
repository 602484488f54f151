"""The two ways to make a channel, named and shaped as gRPC's own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias, TypeVar, get_args
from urllib.parse import quote

import grpc

from .. import keys
from ..errors import InvalidSettingError
from ..etcd import Client
from .channel import Channel

__all__ = ["RESYNC_HOLD", "Options", "Policy", "dialled_by", "insecure_channel", "secure_channel"]

Options: TypeAlias = Sequence[tuple[str, Any]]
Policy: TypeAlias = Literal["round_robin", "pick_first"]
AnyChannel = TypeVar("AnyChannel")

RESYNC_HOLD = 30.0
"""Seconds."""


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

    Args:
        target: ``etcd:///foo/bar/svc`` or ``foo/bar/svc``.

        client: Asks etcd. It must outlive the channel.

        options: As gRPC takes them; retries, for one, are in its service config.

        compression: As gRPC takes it.

        policy: How calls are spread, unless the service config says it.

        authority: What ``:authority`` says; the last part of the target if nothing is given.

        resync_hold: Seconds for which endpoints are kept that are not there when etcd had to be
            read again, because it was compacted, restored or wiped.

    Raises:
        InvalidTargetError: The target names no service.
        InvalidSettingError: There is no such policy, or the time is not one.
    """

    def dial(addresses: str, chosen: Options) -> grpc.Channel:
        return grpc.insecure_channel(addresses, chosen, compression)

    name, dialled = dialled_by(dial, target, options, policy, authority)
    return Channel(client, name, resync_hold, dialled)


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
    """

    def dial(addresses: str, chosen: Options) -> grpc.Channel:
        return grpc.secure_channel(addresses, credentials, chosen, compression)

    name, dialled = dialled_by(dial, target, options, policy, authority)
    return Channel(client, name, resync_hold, dialled)


def dialled_by(
    dial: Callable[[str, Options], AnyChannel],
    target: str,
    options: Options | None,
    policy: str,
    authority: str | None,
) -> tuple[str, Callable[[str], AnyChannel]]:
    """
    Return the name of the service, and what dials addresses with its options.

    Raises:
        InvalidTargetError: The target names no service.
        InvalidSettingError: There is no such policy.
    """
    if policy not in get_args(Policy):
        raise InvalidSettingError(f"there is no policy {policy!r}: use round_robin or pick_first")
    name = keys.parse_target(target)
    # gRPC's own default is the list of all addresses, which servers refuse when it is long.
    said = authority or quote(keys.encode(name).rstrip(b"/").rpartition(b"/")[2])
    ours = {"grpc.lb_policy_name": policy, "grpc.default_authority": said}
    chosen = [*ours.items(), *(options or ())]  # theirs overrule
    dial("ipv4:127.0.0.1:1", chosen)  # connects to nothing, and complains of options here
    return name, lambda addresses: dial(addresses, chosen)
