"""
etcdnaming for asyncio: `EndpointManager`, `Watch` and `Registration` with calls to await.

    >>> async def main() -> None:
    ...     async with aio.Registration(client, {"foo/svc/e1": Endpoint("10.0.0.1:80")}):
    ...         async with aio.EndpointManager(client, "foo/svc").watch() as watch:
    ...             async for batch in watch:
    ...                 print(*watch.endpoints)
    ...                 break  # a real watch goes on
    >>> asyncio.run(main())
    foo/svc/e1

They are thin: threads, streams and `Client` are those of `etcdnaming`. A manager works in every
loop; a watch, a registration and a channel belong to the loop that runs when they are made.
`insecure_channel` and `secure_channel` return channels of ``grpc.aio`` that follow the endpoints.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .channel import Channel, insecure_channel, secure_channel
    from .manager import EndpointManager, services
    from .registration import Registration
    from .watch import Watch

__all__ = [
    "Channel",
    "EndpointManager",
    "Registration",
    "Watch",
    "insecure_channel",
    "secure_channel",
    "services",
]

# The module of each public name, imported on first use: only channels import grpc.aio.
_EXPORTS = {
    "Channel": "channel",
    "EndpointManager": "manager",
    "Registration": "registration",
    "Watch": "watch",
    "insecure_channel": "channel",
    "secure_channel": "channel",
    "services": "manager",
}


def __getattr__(name: str) -> object:
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".{_EXPORTS[name]}", __name__), name)


def __dir__() -> list[str]:
    return [*__all__]
