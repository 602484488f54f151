"""`EndpointManager`: register, remove, list and watch the endpoints of one target."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from .. import keys
from ..addresses import warn_of_address
from ..errors import InvalidSettingError, InvalidTargetError, InvalidValueError
from ..etcd import Client
from ..etcd.ranges import count_keys, delete_range, read_pages, read_range
from ..model import (
    Condition,
    Deletion,
    Endpoint,
    InvalidValue,
    Keys,
    Listing,
    Plan,
    Services,
    StoredEndpoint,
    Update,
    UpdateResult,
    WatchState,
)
from . import modification, transaction
from .apply import apply, plan
from .decoding import split_invalid, stored_endpoints, stored_key

if TYPE_CHECKING:
    from .watch import Watch

__all__ = ["EndpointManager", "services"]


class EndpointManager:
    """
    The endpoints of *target*, stored in etcd under ``<target>/``. Go's ``endpoints.Manager``.

        >>> from etcdnaming import Sandbox
        >>> with Sandbox() as etcd, Client(etcd.endpoint) as client:
        ...     manager = EndpointManager(client, "etcd:///foo/svc")
        ...     _ = manager.add_endpoint("foo/svc/e1", Endpoint("10.0.0.1:80"))
        ...     _ = manager.update([Update.delete("foo/svc/e1")])
        ...     _ = manager.add_endpoint("foo/svc/", Endpoint("10.0.0.2:80"))
        ...     [stored.key for stored in manager.list()], dict(services(client, "foo"))
        (['foo/svc/10.0.0.2:80'], {'foo/svc': 1})

    Every method may raise an `EtcdError`: etcd was not reached, or refused the request. A write
    whose answer is lost raises `OutcomeUnknownError`.

    Args:
        client: The client of the etcd that stores them.

        target: ``foo/bar/svc``, ``foo/bar/svc/`` or ``etcd:///foo/bar/svc``, as on the command line
            and for a channel.

        max_txn_ops: The server's limit of operations in one transaction (etcd's ``--max-txn-ops``).

    Raises:
        InvalidTargetError: *target* names no service, or it names a host.
    """

    def __init__(
        self, client: Client, target: str, *, max_txn_ops: int = transaction.MAX_TXN_OPS
    ) -> None:
        self._client, self._target = client, keys.parse_target(target)
        self._range = keys.range_of(self._target)
        self._max_txn_ops = max_txn_ops

    def __repr__(self) -> str:
        return f"EndpointManager({self._client!r}, {str(self._target)!r})"

    def add_endpoint(
        self,
        key: str,
        endpoint: Endpoint,
        *,
        lease: int | None = None,
        if_absent: bool = False,
        if_mod_revision: int | None = None,
    ) -> UpdateResult:
        """
        Store *endpoint* at *key*, which keeps its lease unless *lease* is given (0: no lease).

            >>> _ = manager.add_endpoint("foo/svc/e1", Endpoint("10.0.0.1:80"))
            >>> result = manager.add_endpoint("foo/svc/", Endpoint("10.0.0.2:80", {"zone": "a"}))
            >>> result.updates[0].key
            'foo/svc/10.0.0.2:80'

        Args:
            key: The whole key, ``foo/bar/svc/e1``. If it ends in "/", the address is its name,
                as on the command line; `UpdateResult.updates` has the key in full.

            endpoint: What is stored.

            lease: The ID of a granted lease; 0 for none; ``None`` keeps the lease that *key* has.

            if_absent: Only if *key* does not exist.

            if_mod_revision: Only if *key* was last changed at this revision. Not with *if_absent*.

        Raises:
            InvalidKeyError: *key* is not under the target. Nothing was sent.
            InvalidSettingError: Both *if_absent* and *if_mod_revision* are given. Nothing was sent.
            ConditionFailedError: *key* exists, or was changed. Nothing was written.
        """
        if if_absent and if_mod_revision is not None:
            raise InvalidSettingError("if_absent and if_mod_revision exclude each other: give one")
        key = keys.complete_key(key, endpoint.addr)
        revision = 0 if if_absent else if_mod_revision
        conditions = [] if revision is None else [Condition(key, revision)]
        return self.update([Update.add(key, endpoint, lease=lease)], conditions=conditions)

    def delete_endpoint(self, key: str, *, if_mod_revision: int | None = None) -> UpdateResult:
        """
        Remove *key*; no error if it does not exist.

            >>> _ = manager.add_endpoint("foo/svc/e1", Endpoint("10.0.0.1:80"))
            >>> _ = manager.delete_endpoint("foo/svc/e1")
            >>> len(manager.list())
            0

        Args:
            key: The whole key. One that ends in "/" is itself removed: nothing completes it.

            if_mod_revision: Only if *key* was last changed at this revision.

        Raises:
            InvalidKeyError: *key* is not under the target. Nothing was sent.
            ConditionFailedError: *key* was changed. Nothing was written.
        """
        conditions = [] if if_mod_revision is None else [Condition(key, if_mod_revision)]
        return self.update([Update.delete(key)], conditions=conditions)

    def update(
        self,
        updates: Sequence[Update],
        *,
        conditions: Sequence[Condition] = (),
        previous: bool = False,
    ) -> UpdateResult:
        """
        Make all updates, or none of them, in one transaction.

            >>> _ = manager.add_endpoint("foo/svc/e1", Endpoint("10.0.0.1:80"))
            >>> add = Update.add("foo/svc/e2", Endpoint("10.0.0.2:80"))
            >>> result = manager.update([Update.delete("foo/svc/e1"), add], previous=True)
            >>> [*manager.list().by_key()], [*result.previous]
            (['foo/svc/e2'], ['foo/svc/e1'])

        Args:
            updates: Several updates of one key are folded into one with the same effect. An added
                key that ends in "/" gets the address as its name. An address that gRPC clients
                can't dial is stored, as Go does, and logged as a warning.

            conditions: What must be true, or nothing is written. Their keys are written in full.

            previous: Return what the keys held before as well.

        Raises:
            InvalidKeyError: A key is not under the target. Nothing was sent.
            TooManyOperationsError: More than *max_txn_ops* operations. Nothing was sent.
            ConditionFailedError: A condition is not met. Nothing was written.
            ConflictError: Other clients kept changing the same keys. Nothing was written.
        """
        updates = [_complete(each) if each.key.endswith("/") else each for each in updates]
        touched: list[Update | Condition] = [*updates, *conditions]
        for each in touched:
            keys.check_key(each.key, self._target)
        for update in updates:
            if update.endpoint is not None:
                warn_of_address(update.key, update.endpoint.addr)
        return transaction.update(
            self._client,
            updates,
            conditions=conditions,
            max_txn_ops=self._max_txn_ops,
            previous=previous,
        )

    def get(self, key: str) -> StoredEndpoint | None:
        """
        Return the endpoint at *key* with its lease and revisions, or ``None``.

            >>> _ = manager.add_endpoint("foo/svc/e1", Endpoint("10.0.0.1:80"))
            >>> manager.get("foo/svc/e1").endpoint, manager.get("foo/svc/e2")
            (Endpoint(addr='10.0.0.1:80', metadata=None), None)

        Raises:
            InvalidKeyError: *key* is not under the target. Nothing was sent.
            InvalidValueError: What is stored at *key* is not an endpoint.
        """
        keys.check_key(key, self._target)
        (found,) = modification.get(self._client, [key])[1]
        if isinstance(found, InvalidValue):
            raise InvalidValueError(f"{key}: {found.reason}")
        return found

    def modify(
        self,
        key: str | Sequence[str],
        change: Callable[[StoredEndpoint], Endpoint],
        *,
        previous: bool = False,
    ) -> UpdateResult:
        """
        Replace the endpoint at *key* by ``change(stored)``, without losing any other change.

        The key is written only if it is unchanged since it was read (compare-and-swap), and stays
        on its lease. If another client was faster, the key is read and changed again. To change
        one member of the metadata:

            >>> def draining(stored: StoredEndpoint) -> Endpoint:
            ...     metadata = merge_patch(stored.endpoint.metadata, {"draining": True})
            ...     return Endpoint(stored.endpoint.addr, metadata)
            >>> _ = manager.add_endpoint("foo/svc/e1", Endpoint("10.0.0.1:80", {"zone": "a"}))
            >>> _ = manager.modify("foo/svc/e1", draining)
            >>> manager.get("foo/svc/e1").endpoint.metadata
            {'draining': True, 'zone': 'a'}

        Args:
            key: Several keys are changed in one transaction: all of them, or none.

            change: Returns the new endpoint. It may be called several times. What it raises is
                raised here, and nothing is written.

            previous: Return what the keys held before as well.

        Raises:
            InvalidKeyError: A key is not under the target. Nothing was sent.
            EndpointNotFoundError: A key does not exist. Nothing was written.
            InvalidValueError: What is stored at a key is not an endpoint. Nothing was written.
            ConflictError: Other clients changed the keys 10 times in a row. Nothing was written.
            TooManyOperationsError: More than *max_txn_ops* keys. Nothing was sent.
        """
        names = [key] if isinstance(key, str) else key
        for each in names:
            keys.check_key(each, self._target)

        def checked(stored: StoredEndpoint) -> Endpoint:
            endpoint = change(stored)
            if endpoint.addr != stored.endpoint.addr:
                warn_of_address(stored.key, endpoint.addr)
            return endpoint

        return modification.modify(
            self._client, names, checked, max_txn_ops=self._max_txn_ops, previous=previous
        )

    def plan(
        self, wanted: Sequence[Update], *, prune: bool = False, prune_leased: bool = False
    ) -> Plan:
        """
        Return what `apply` would do, without doing it; nothing but a read permission is needed.

            >>> _ = manager.add_endpoint("foo/svc/e1", Endpoint("10.0.0.1:80"))
            >>> wanted = [Update.add("foo/svc/e2", Endpoint("10.0.0.2:80"))]
            >>> plan = manager.plan(wanted, prune=True)
            >>> [(each.update.op.name, each.update.key) for each in plan]
            [('DELETE', 'foo/svc/e1'), ('ADD', 'foo/svc/e2')]

        Args:
            wanted: Endpoints that the target must hold, and keys that must be absent. The last
                update of a key counts.

            prune: Delete the endpoints of the target that are not wanted.

            prune_leased: Prune also endpoints on leases, which another process keeps registered,
                and values that can't be read.

        Raises:
            InvalidKeyError: A key is not under the target. Nothing was sent.
        """
        for each in wanted:
            keys.check_key(each.key, self._target)
        return plan(self.list(), wanted, prune=prune, prune_leased=prune_leased)

    def apply(
        self,
        wanted: Sequence[Update],
        *,
        prune: bool = False,
        prune_leased: bool = False,
        batch_size: int | None = None,
        on_batch: Callable[[int, int], None] = lambda *_: None,
    ) -> Plan:
        """
        Let the target hold the *wanted* endpoints, and return the updates that were made.

        Every key that is written is compared with what was read, in the same transaction, and with
        *prune* also that no key was added since; if another client was faster, all is read again.
        What is as wanted is not written.

            >>> wanted = [Update.add("foo/svc/e1", Endpoint("10.0.0.1:80"))]
            >>> len(manager.apply(wanted)), len(manager.apply(wanted))
            (1, 0)

        Args:
            wanted: As of `plan`.

            prune: As of `plan`.

            prune_leased: As of `plan`.

            batch_size: Make the updates in transactions of this many keys. By default they are one
                transaction: all of them are made, or none.

            on_batch: Called with the number of updates made and of all after each transaction.

        Raises:
            InvalidKeyError: A key is not under the target. Nothing was sent.
            TooManyOperationsError: More than *max_txn_ops* updates; with *prune* it takes one
                operation more. Nothing was written.
            ConflictError: Other clients kept changing the keys.
        """
        make_plan = partial(self.plan, wanted, prune=prune, prune_leased=prune_leased)
        return apply(
            self._client,
            make_plan,
            max_txn_ops=self._max_txn_ops,
            batch_size=batch_size,
            on_batch=on_batch,
            prune=prune,
        )

    def list(self, *, revision: int = 0, limit: int = 0, serializable: bool = False) -> Listing:
        """
        Return the endpoints of the target, in key order, and the values that can't be read.

            >>> _ = manager.add_endpoint("foo/svc/e1", Endpoint("10.0.0.1:80"))
            >>> listing = manager.list()
            >>> [(stored.key, stored.endpoint.addr) for stored in listing], listing.invalid
            ([('foo/svc/e1', '10.0.0.1:80')], [])

        Args:
            revision: Read the endpoints of this revision; 0 is the current one.

            limit: Read at most this many keys; 0 is no limit.

            serializable: Read from one member without a quorum; it may lag behind.

        Raises:
            CompactedError, FutureRevisionError: etcd does not have *revision*.
        """
        header, found, count, more = read_range(
            self._client,
            self._range,
            stored_endpoints,
            revision=revision,
            limit=limit,
            serializable=serializable,
        )
        endpoints, invalid = split_invalid(found)
        return Listing(header, self._target, endpoints, invalid, count, more)

    def pages(self, *, revision: int = 0) -> Iterator[Listing]:
        """
        Yield the endpoints of the target in parts, all of one revision, in key order.

        For targets that are too large for the memory. There is at least one part; ``more`` is true
        in all but the last.

            >>> _ = manager.add_endpoint("foo/svc/e1", Endpoint("10.0.0.1:80"))
            >>> [(len(page), page.more) for page in manager.pages()]
            [(1, False)]

        Args:
            revision: Read the endpoints of this revision; 0 is the current one.

        It raises while iterating.

        Raises:
            CompactedError: etcd does not have the revision, or compacted it between two parts.
            FutureRevisionError: etcd does not have the revision.
        """
        for header, kvs, count, more in read_pages(self._client, self._range, revision=revision):
            endpoints, invalid = split_invalid([*stored_endpoints(kvs)])
            yield Listing(header, self._target, endpoints, invalid, count, more)

    def list_keys(
        self,
        *,
        revision: int = 0,
        limit: int = 0,
        serializable: bool = False,
        leases: bool = False,
    ) -> Keys:
        """
        Return the keys of the target, without reading their values. Arguments as of `list`.

        etcd 3.7 and newer leave out the leases of the keys, unless *leases* is true.

            >>> _ = manager.add_endpoint("foo/svc/e1", Endpoint("10.0.0.1:80"))
            >>> [stored.key for stored in manager.list_keys()]
            ['foo/svc/e1']
        """
        header, found, count, more = read_range(
            self._client,
            self._range,
            partial(map, stored_key),
            revision=revision,
            limit=limit,
            serializable=serializable,
            keys_only=not leases,
        )
        return Keys(header, self._target, found, count, more)

    def count(self, *, revision: int = 0, serializable: bool = False) -> Keys:
        """
        Return the number of keys of the target, without the keys.

            >>> _ = manager.add_endpoint("foo/svc/e1", Endpoint("10.0.0.1:80"))
            >>> manager.count().count
            1
        """
        header, count = count_keys(
            self._client, self._range, revision=revision, serializable=serializable
        )
        return Keys(header, self._target, (), count, more=False)

    def delete_all(self, *, previous: bool = False) -> Deletion:
        """
        Remove every key under the target, including those of deeper targets, in one step.

            >>> _ = manager.add_endpoint("foo/svc/e1", Endpoint("10.0.0.1:80"))
            >>> manager.delete_all().deleted
            1
        """
        header, deleted, found = delete_range(self._client, self._range, previous=previous)
        return Deletion(header, deleted, [*stored_endpoints(found)])

    def watch(
        self,
        *,
        revision: int = 0,
        on_state: Callable[[WatchState], None] | None = None,
    ) -> Watch:
        """
        Watch the endpoints: first the current set, then every change.

        Go's watch closes its channel at the first error; this one reconnects and goes on. Iterate
        over it for each `ChangeBatch`, or see `Watch`.

            >>> _ = manager.add_endpoint("foo/svc/e1", Endpoint("10.0.0.1:80"))
            >>> with manager.watch() as watch:
            ...     for batch in watch:
            ...         print([(change.op.name, change.endpoint.addr) for change in batch])
            ...         break  # a real watch goes on
            [('ADD', '10.0.0.1:80')]

        Args:
            revision: Start with the changes of this revision; 0 starts with the current set.

            on_state: Called by the iterating thread when the connection is lost and restored, and
                when it stays lost for another reason. Without it, that is logged.

        It raises while iterating.

        Raises:
            PermissionDeniedError, CompactedError: It can't go on, and no retry would help.
        """
        from .watch import Watch  # imports modules that a list does not need

        return Watch(self._client, self._target, revision=revision, on_state=on_state)


def _complete(update: Update) -> Update:
    if update.endpoint is None:
        return update
    return update._replace(key=keys.complete_key(update.key, update.endpoint.addr))


def services(
    client: Client, prefix: str | None = None, *, revision: int = 0, serializable: bool = False
) -> Services:
    """
    Return the targets under *prefix* (``None``: all of etcd) with their endpoint counts.

    A key that holds no endpoint with an address, or that belongs to no target, is counted in
    ``others``: etcd may store keys of other programs.

        >>> _ = manager.add_endpoint("foo/svc/e1", Endpoint("10.0.0.1:80"))
        >>> dict(services(client, "foo"))
        {'foo/svc': 1}

    Raises:
        InvalidTargetError: *prefix* names no service, or it names a host.
        PermissionDeniedError: The user may not read all of these keys.
    """
    if prefix is not None:
        prefix = keys.parse_target(prefix)
    header, found, _, _ = read_range(
        client,
        keys.ALL_KEYS if prefix is None else keys.range_of(prefix),
        lambda kvs: map(_target_of, stored_endpoints(kvs)),
        revision=revision,
        serializable=serializable,
    )
    counts = Counter(found)
    others = counts.pop("", 0)
    return Services(header, prefix or "", dict(sorted(counts.items())), others)


def _target_of(stored: StoredEndpoint | InvalidValue) -> str:
    """Return the target that *stored* is an endpoint of, or "" if it is not an endpoint."""
    if isinstance(stored, InvalidValue) or not stored.endpoint.addr:
        return ""
    try:
        return keys.target_of(stored.key)
    except InvalidTargetError:
        return ""
