"""
What a program may write about the results, for mypy and pyright in strict mode; it is never run.

A comment that ignores an error is itself an error where there is none, so both checkers refuse what
they are said to refuse.
"""
# pyright: strict, reportUnnecessaryTypeIgnoreComment=true, reportPrivateUsage=false

from __future__ import annotations

from etcdnaming import (
    Change,
    Client,
    Endpoint,
    EndpointManager,
    Registration,
    StoredEndpoint,
    Update,
    aio,
    errors,
    insecure_channel,
)


def read(manager: EndpointManager) -> str:
    """Read results as the sequences that they are, and metadata without a cast."""
    listing = manager.list()
    first: StoredEndpoint = listing[0]
    some: int = len(listing) + len(listing[1:])
    zone: str = first.endpoint.metadata["zone"]
    weights: list[int] = [each.endpoint.metadata["weights"][0] for each in listing]
    changes: list[Change] = [change for batch in manager.watch() for change in batch]
    plan = [difference.update.key for difference in manager.plan([])]
    return f"{some} {zone} {weights} {changes} {plan}"


def write(manager: EndpointManager) -> None:
    """Metadata must be JSON."""
    metadata = {"zone": "a", "weights": [1, 2.5, None]}
    manager.add_endpoint("svc/e1", Endpoint("10.0.0.1:80", metadata))
    Endpoint("10.0.0.1:80", {"a", "b"})  # type: ignore[arg-type]
    Endpoint("10.0.0.1:80", {1: "a"})  # type: ignore[dict-item]
    Update.add("svc/e1", "10.0.0.1:80")  # type: ignore[arg-type]
    Registration(manager, {})  # type: ignore[arg-type]


async def wait(client: Client) -> tuple[list[str], bool]:
    """The same with asyncio."""
    manager = aio.EndpointManager(client, "svc")
    listing = await manager.list()
    addrs: list[str] = [stored.endpoint.addr for stored in listing]
    async with manager.watch() as watch, aio.Registration(client, {}) as registration:
        async for batch in watch:
            addrs += [change.key for change in batch]
        return addrs, await registration.wait(timeout=1)


def call(client: Client) -> tuple[list[str], float | None]:
    """A channel is gRPC's, with the endpoints; errors have attributes."""
    try:
        with insecure_channel("svc", client, policy="pick_first") as channel:
            addrs: list[str] = [endpoint.addr for endpoint in channel.endpoints]
            insecure_channel("svc", client, policy="best")  # type: ignore[arg-type]
            return addrs, channel.age
    except errors.InvalidKeyError as error:
        return [error.key, error.target], None
