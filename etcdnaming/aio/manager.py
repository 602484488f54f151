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

        >>> async def addresses(client: Client) -> list[str]:
        ...     listing = await EndpointManager(client, "foo/svc").list()
        ...     return [stored.endpoint.addr for stored in listing]

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
        """Store *endpoint* at *key*: see `etcdnaming.EndpointManager.add_endpoint`."""
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
        """Remove *key*; no error if it does not exist."""
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
        """Make all updates or none: see `etcdnaming.EndpointManager.update`."""
        return await run(
            partial(self._manager.update, updates, conditions=conditions, previous=previous)
        )

    async def get(self, key: str) -> StoredEndpoint | None:
        """Return the endpoint at *key* with its lease and revisions, or ``None``."""
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
        """
        return await run(partial(self._manager.modify, key, change, previous=previous))

    async def list(
        self, *, revision: int = 0, limit: int = 0, serializable: bool = False
    ) -> Listing:
        """Return the endpoints of the target: see `etcdnaming.EndpointManager.list`."""
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
        """Return the keys of the target, without reading their values."""
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
        """Return the number of keys of the target, without the keys."""
        return await run(partial(self._manager.count, revision=revision, serializable=serializable))

    async def delete_all(self, *, previous: bool = False) -> Deletion:
        """Remove every key under the target, including those of deeper targets, in one step."""
        return await run(partial(self._manager.delete_all, previous=previous))

    def watch(
        self, *, revision: int = 0, on_state: Callable[[WatchState], None] | None = None
    ) -> Watch:
        """
        Watch the endpoints, in the running loop: first the current set, then every change.

        Args:
            revision: Start with the changes of this revision; 0 starts with the current set.

            on_state: Called in the loop when the connection is lost and restored. Without it, that
                is logged.
        """
        return Watch(self._client, self._target, revision=revision, on_state=on_state)


async def services(
    client: Client, prefix: str | None = None, *, revision: int = 0, serializable: bool = False
) -> Services:
    """
    Return the targets under *prefix* with their key counts: see `etcdnaming.services`.

        >>> async def targets(client: Client) -> list[str]:
        ...     return [*await services(client, "foo")]
    """
    return await run(
        partial(manager.services, client, prefix, revision=revision, serializable=serializable)
    )
