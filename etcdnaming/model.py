"""
Plain frozen data, without I/O.

Named tuples rather than data classes: defining a data class takes six times as long at start-up,
and making a hundred thousand instances takes three times as long.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias, TypeVar, Union

__all__ = [
    "JSON",
    "Change",
    "ChangeBatch",
    "Condition",
    "Deletion",
    "Difference",
    "Endpoint",
    "Header",
    "InvalidValue",
    "Keys",
    "Lease",
    "LeaseTTL",
    "Listing",
    "Operation",
    "Plan",
    "Services",
    "StoredEndpoint",
    "StoredKey",
    "Update",
    "UpdateResult",
    "WatchState",
    "build_many",
]

JSON: TypeAlias = Union[bool, int, float, str, Sequence["JSON"], Mapping[str, "JSON"], None]  # noqa: UP007 - of strings

Row = TypeVar("Row", bound=tuple[Any, ...])


def build_many(kind: type[Row], fields: Iterable[tuple[Any, ...]]) -> Iterator[Row]:
    """
    Yield a *kind* (a named tuple) for each tuple of *fields*, in half the time of calling *kind*.

    >>> list(build_many(Endpoint, [("1.2.3.4:80", None)]))
    [Endpoint(addr='1.2.3.4:80', metadata=None)]
    """
    return map(partial(tuple.__new__, kind), fields)


class Operation(enum.IntEnum):
    """The kind of an update. The numbers are those of Go's ``endpoints.Operation``."""

    ADD = 0
    DELETE = 1


class Endpoint(NamedTuple):
    """
    One address a client may dial. Go's ``endpoints.Endpoint``.

    Attributes:
        addr: What gRPC clients dial, usually ``host:port``.

        metadata: Any JSON value; integers keep all their digits.
    """

    addr: str
    metadata: JSON = None


class Update(NamedTuple):
    """
    Add or delete of one endpoint, best made by `add` or `delete`. Go's ``endpoints.Update``.

    Attributes:
        op: Add or delete.

        key: The whole key, target included.

        endpoint: The endpoint to store; ``None`` for a delete.

        lease: For an add: ``None`` keeps the key's current lease (if any), ``0`` makes the key
            permanent, anything else is the ID of a granted lease.
    """

    op: Operation
    key: str
    endpoint: Endpoint | None = None
    lease: int | None = None

    @classmethod
    def add(cls, key: str, endpoint: Endpoint, *, lease: int | None = None) -> Update:
        """Store *endpoint* at *key*."""
        return cls(Operation.ADD, key, endpoint, lease)

    @classmethod
    def delete(cls, key: str) -> Update:
        """Remove *key*."""
        return cls(Operation.DELETE, key)


class Condition(NamedTuple):
    """
    A condition on *key* that must hold for an update to be made.

    *mod_revision* ``0``: the key is absent; ``None``: the key exists; any other number: the key was
    last changed at exactly that revision.
    """

    key: str
    mod_revision: int | None

    def __str__(self) -> str:
        if self.mod_revision is None:
            return f"{self.key} exists"
        if self.mod_revision == 0:
            return f"{self.key} is absent"
        return f"{self.key} has mod_revision {self.mod_revision}"


class Header(NamedTuple):
    """The header of an answer: cluster, member, revision of the store, raft term."""

    cluster_id: int
    member_id: int
    revision: int
    raft_term: int


class StoredKey(NamedTuple):
    """A key in etcd, without its value. *lease* is 0 for none."""

    key: str
    create_revision: int
    mod_revision: int
    version: int
    lease: int


class StoredEndpoint(NamedTuple):
    """An endpoint in etcd with its key, revisions and lease (0 for none)."""

    key: str
    endpoint: Endpoint
    create_revision: int
    mod_revision: int
    version: int
    lease: int


class InvalidValue(NamedTuple):
    """A key whose value is not an endpoint, and the reason."""

    key: str
    reason: str
    value: bytes
    mod_revision: int
    lease: int


class UpdateResult(NamedTuple):
    """
    The result of one transaction.

    Attributes:
        header: Of etcd's answer.

        updates: The folded updates, one per key.

        previous: The previous values by key; keys that were absent are missing.

        detached: Keys that folding detached from their lease, with the ID of that lease.
    """

    header: Header
    updates: tuple[Update, ...]
    previous: Mapping[str, StoredEndpoint | InvalidValue]
    detached: Mapping[str, int] = MappingProxyType({})


class Difference(NamedTuple):
    """
    An update of a `Plan`, and what etcd holds *before* it (``None``: the key is absent).

    An update whose lease is ``None`` keeps the lease of *before*.
    """

    update: Update
    before: StoredEndpoint | InvalidValue | None


class Plan(NamedTuple):
    """
    What makes a target hold the wanted endpoints.

    Attributes:
        header: Of the answer with the endpoints of the target, or of the last transaction.

        target: The target.

        differences: The updates to make, or that were made, one per key, in key order.

        unchanged: The updates that would change nothing, so that they are not made.

        kept: What pruning leaves: endpoints on leases, and values that can't be read.
    """

    header: Header
    target: str
    differences: Sequence[Difference]
    unchanged: Sequence[Difference]
    kept: Sequence[StoredEndpoint | InvalidValue]


class Deletion(NamedTuple):
    """The number of deleted keys, and their previous values if requested."""

    header: Header
    deleted: int
    previous: Sequence[StoredEndpoint | InvalidValue]


class Lease(NamedTuple):
    """A granted lease. *ttl* is in seconds and may exceed the requested one."""

    id: int
    ttl: int


class LeaseTTL(NamedTuple):
    """Seconds for which a lease was *granted*, and those *remaining*: -1 if the lease is gone."""

    granted: int
    remaining: int


class Listing(NamedTuple):
    """
    The endpoints of *target* at one revision, ``header.revision``, in key order.

    *invalid* holds the keys whose value can't be read, *count* is the number of keys under the
    target, *more* is true if a limit cut the list short.
    """

    header: Header
    target: str
    endpoints: Sequence[StoredEndpoint]
    invalid: Sequence[InvalidValue]
    count: int  # type: ignore[assignment]  # etcd's name; tuple.count is not needed
    more: bool

    def by_key(self) -> dict[str, Endpoint]:
        """Return the endpoints by their keys, as Go's ``Key2EndpointMap``."""
        return {stored.key: stored.endpoint for stored in self.endpoints}


class Keys(NamedTuple):
    """The keys under *target* at one revision, without values."""

    header: Header
    target: str
    keys: Sequence[StoredKey]
    count: int  # type: ignore[assignment]  # etcd's name; tuple.count is not needed
    more: bool


class Services(NamedTuple):
    """
    The targets under *prefix* (empty: all of etcd) in order, with their endpoint counts.

    *others* is the number of keys there that are not endpoints.
    """

    header: Header
    prefix: str
    counts: Mapping[str, int]
    others: int = 0


class Change(NamedTuple):
    """
    An endpoint that was added, changed or removed at *revision*.

    Attributes:
        op: Add or delete.

        key: The whole key.

        revision: The revision of the change.

        endpoint: The endpoint after the change; ``None`` if it was removed.

        lease: Its lease, 0 for none.

        previous: What the key held before, if it held an endpoint. Where its endpoint equals
            *endpoint*, only lease or revision have changed.
    """

    op: Operation
    key: str
    revision: int
    endpoint: Endpoint | None
    lease: int
    previous: StoredEndpoint | None


class ChangeBatch(NamedTuple):
    """
    Changes that are reported together, in the order they were made.

    Attributes:
        revision: The revision of the last change.

        changes: The changes.

        invalid: Values that can't be read, found in the same events.

        first: The batch is the full set at the start of the watch.

        resync: etcd could not deliver what was missed; the changes are the differences found by
            reading the target again.

        no_longer_invalid: Keys that held an unreadable value and now hold an endpoint or are gone.
    """

    revision: int
    changes: Sequence[Change]
    invalid: Sequence[InvalidValue]
    first: bool = False
    resync: bool = False
    no_longer_invalid: Sequence[str] = ()


class WatchState(NamedTuple):
    """Whether a watch is connected; *detail* is the member, or the reason why not."""

    connected: bool
    detail: str
