"""`EndpointManager` with calls to await."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from ..endpoints import manager
from ..endpoints.transaction import MAX_TXN_OPS
from ..etcd import Client
from ..model import (
    Condition,
    Deletion,
    Endpoint,
    Keys,
    Listing,
    Services,
    StoredEndpoint,
    Update,
    UpdateResult,
    WatchState,
)
from .threads import run
from .watch import Watch

__all__ = ["EndpointManager", "services"]


class EndpointManager:
    """
    The endpoints of *target*, as `etcdnaming.EndpointManager`, for any loop.

        >>> async def main() -> None:
        ...     manager = EndpointManager(client, "etcd:///foo/svc")
        ...     await manager.add_endpoint("foo/svc/e1", Endpoint("10.0.0.1:80"))
        ...     print([stored.endpoint.addr for stored in await manager.list()])
        >>> asyncio.run(main())
        ['10.0.0.1:80']

    Each call takes a thread until etcd has answered, at most the client's timeout. If the task is
    cancelled meanwhile, a write that was sent may still be made.

    Args:
        client: The client of the etcd that stores them.

        target: ``foo/bar/svc``, ``foo/bar/svc/`` or ``etcd:///foo/bar/svc``.

        max_txn_ops: The server's limit of operations in one transaction (etcd's ``--max-txn-ops``).

    Raises:
        InvalidTargetError: *target* names no service, or it names a host.
    """

    def __init__(self, client: Client, target: str, *, max_txn_ops: int = MAX_TXN_OPS) -> None:
        self._client, self._target = client, target
        self._manager = manager.EndpointManager(client, target, max_txn_ops=max_txn_ops)

    def __repr__(self) -> str:
        return f"aio.{self._manager!r}"

    async def add_endpoint(
        self,
        key: str,
        endpoint: Endpoint,
        *,
        lease: int | None = None,
        if_absent: bool = False,
        if_mod_revision: int | None = None,
    ) -> UpdateResult:
        """
        Store *endpoint* at *key*: see `etcdnaming.EndpointManager.add_endpoint`.

            >>> _ = asyncio.run(manager.add_endpoint("foo/svc/e1", Endpoint("10.0.0.1:80")))
            >>> asyncio.run(manager.list()).by_key()
            {'foo/svc/e1': Endpoint(addr='10.0.0.1:80', metadata=None)}
        """
        return await run(
            partial(
                self._manager.add_endpoint,
                key,
                endpoint,
                lease=lease,
                if_absent=if_absent,
                if_mod_revision=if_mod_revision,
            )
        )

    async def delete_endpoint(
        self, key: str, *, if_mod_revision: int | None = None
    ) -> UpdateResult:
        """
        Remove *key*; no error if it does not exist.

            >>> _ = asyncio.run(manager.add_endpoint("foo/svc/e1", Endpoint("10.0.0.1:80")))
            >>> _ = asyncio.run(manager.delete_endpoint("foo/svc/e1"))
            >>> len(asyncio.run(manager.list()))
            0
        """
        return await run(
            partial(self._manager.delete_endpoint, key, if_mod_revision=if_mod_revision)
        )

    async def update(
        self,
        updates: Sequence[Update],
        *,
        conditions: Sequence[Condition] = (),
        previous: bool = False,
    ) -> UpdateResult:
        """
        Make all updates or none: see `etcdnaming.EndpointManager.update`.

            >>> add = Update.add("foo/svc/e1", Endpoint("10.0.0.1:80"))
            >>> len(asyncio.run(manager.update([add])).updates)
            1
        """
        return await run(
            partial(self._manager.update, updates, conditions=conditions, previous=previous)
        )

    async def get(self, key: str) -> StoredEndpoint | None:
        """
        Return the endpoint at *key* with its lease and revisions, or ``None``.

            >>> _ = asyncio.run(manager.add_endpoint("foo/svc/e1", Endpoint("10.0.0.1:80")))
            >>> asyncio.run(manager.get("foo/svc/e1")).endpoint.addr
            '10.0.0.1:80'
        """
        return await run(partial(self._manager.get, key))

    async def modify(
        self,
        key: str | Sequence[str],
        change: Callable[[StoredEndpoint], Endpoint],
        *,
        previous: bool = False,
    ) -> UpdateResult:
        """
        Replace the endpoint at *key* by ``change(stored)``: see the method of the other manager.

        *change* is called in another thread than the loop's.

            >>> _ = asyncio.run(manager.add_endpoint("foo/svc/e1", Endpoint("10.0.0.1:80")))
            >>> def moved(stored: StoredEndpoint) -> Endpoint:
            ...     return Endpoint("10.0.0.2:80", stored.endpoint.metadata)
            >>> _ = asyncio.run(manager.modify("foo/svc/e1", moved))
            >>> asyncio.run(manager.get("foo/svc/e1")).endpoint.addr
            '10.0.0.2:80'
        """
        return await run(partial(self._manager.modify, key, change, previous=previous))

    async def list(
        self, *, revision: int = 0, limit: int = 0, serializable: bool = False
    ) -> Listing:
        """
        Return the endpoints of the target: see `etcdnaming.EndpointManager.list`.

            >>> _ = asyncio.run(manager.add_endpoint("foo/svc/e1", Endpoint("10.0.0.1:80")))
            >>> [stored.key for stored in asyncio.run(manager.list())]
            ['foo/svc/e1']
        """
        return await run(
            partial(self._manager.list, revision=revision, limit=limit, serializable=serializable)
        )

    async def list_keys(
        self,
        *,
        revision: int = 0,
        limit: int = 0,
        serializable: bool = False,
        leases: bool = False,
    ) -> Keys:
        """
        Return the keys of the target, without reading their values.

            >>> _ = asyncio.run(manager.add_endpoint("foo/svc/e1", Endpoint("10.0.0.1:80")))
            >>> [stored.key for stored in asyncio.run(manager.list_keys())]
            ['foo/svc/e1']
        """
        return await run(
            partial(
                self._manager.list_keys,
                revision=revision,
                limit=limit,
                serializable=serializable,
                leases=leases,
            )
        )

    async def count(self, *, revision: int = 0, serializable: bool = False) -> Keys:
        """
        Return the number of keys of the target, without the keys.

            >>> _ = asyncio.run(manager.add_endpoint("foo/svc/e1", Endpoint("10.0.0.1:80")))
            >>> asyncio.run(manager.count()).count
            1
        """
        return await run(partial(self._manager.count, revision=revision, serializable=serializable))

    async def delete_all(self, *, previous: bool = False) -> Deletion:
        """
        Remove every key under the target, including those of deeper targets, in one step.

            >>> _ = asyncio.run(manager.add_endpoint("foo/svc/e1", Endpoint("10.0.0.1:80")))
            >>> asyncio.run(manager.delete_all()).deleted
            1
        """
        return await run(partial(self._manager.delete_all, previous=previous))

    def watch(
        self, *, revision: int = 0, on_state: Callable[[WatchState], None] | None = None
    ) -> Watch:
        """
        Watch the endpoints, in the running loop: first the current set, then every change.

            >>> _ = asyncio.run(manager.add_endpoint("foo/svc/e1", Endpoint("10.0.0.1:80")))
            >>> async def main() -> None:
            ...     async with manager.watch() as watch:
            ...         async for batch in watch:
            ...             print([(change.op.name, change.endpoint.addr) for change in batch])
            ...             break  # a real watch goes on
            >>> asyncio.run(main())
            [('ADD', '10.0.0.1:80')]

        Args:
            revision: Start with the changes of this revision; 0 starts with the current set.

            on_state: Called in the loop when the connection is lost and restored, and when it stays
                lost for another reason. Without it, that is logged.
        """
        return Watch(self._client, self._target, revision=revision, on_state=on_state)


async def services(
    client: Client, prefix: str | None = None, *, revision: int = 0, serializable: bool = False
) -> Services:
    """
    Return the targets under *prefix* with their key counts: see `etcdnaming.services`.

        >>> _ = asyncio.run(manager.add_endpoint("foo/svc/e1", Endpoint("10.0.0.1:80")))
        >>> dict(asyncio.run(services(client, "foo")))
        {'foo/svc': 1}
    """
    return await run(
        partial(manager.services, client, prefix, revision=revision, serializable=serializable)
    )
