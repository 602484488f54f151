"""Follow the endpoints of a service in asyncio: python watcher.py foo/bar/greeter."""

import asyncio
import os
import sys
from contextlib import suppress

from etcdnaming import Client, WatchState, aio

ETCD = os.environ.get("ETCDNAMING_ENDPOINTS", "127.0.0.1:2379")


def note(state: WatchState) -> None:
    """Print that the connection to etcd was lost or restored."""
    print("connected" if state.connected else f"disconnected: {state.detail}", file=sys.stderr)


async def main(target: str) -> None:
    """Print the address and the metadata of each endpoint whenever there is a change."""
    with Client(ETCD) as client:
        async with aio.EndpointManager(client, target).watch(on_state=note) as watch:
            async for _ in watch:
                endpoints = [stored.endpoint for stored in watch.endpoints.values()]
                print({each.addr: each.metadata for each in endpoints}, flush=True)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(main(sys.argv[1]))
