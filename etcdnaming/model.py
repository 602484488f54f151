"""
The nouns: plain frozen data, without I/O.

Named tuples, because a data class costs six times as much to make at start-up, and three times as
much for each of a hundred thousand endpoints.
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
    "Endpoint",
    "Header",
    "InvalidValue",
    "Keys",
    "Lease",
    "Listing",
    "Operation",
    "Services",
    "StoredEndpoint",
    "StoredKey",
    "Update",
    "UpdateResult",
    "WatchState",
    "build_many",
]

JSON: TypeAlias = Union[bool, int, float, str, Sequence["JSON"], Mapping[str, "JSON"], None]  # noqa: UP007 - of strings

Noun = TypeVar("Noun", bound=tuple[Any, ...])


def build_many(noun: type[Noun], rows: Iterable[tuple[Any, ...]]) -> Iterator[Noun]:
    """
    Yield a *noun* for each of *rows*, its fields; takes half the time of calling *noun*.

    >>> list(build_many(Endpoint, [("1.2.3.4:80", None)]))
    [Endpoint(addr='1.2.3.4:80', metadata=None)]
    """
    return map(partial(tuple.__new__, noun), rows)


class Operation(enum.IntEnum):
    """What an update does. The numbers are Go's ``endpoints.Operation``."""

    ADD = 0
    DELETE = 1


class Endpoint(NamedTuple):
    """
    One address a client may dial. Go's ``endpoints.Endpoint``.

    *addr* is what the client's gRPC takes, usually ``host:port``; *metadata* any JSON value, whose
    integers keep all their digits.
    """

    addr: str
    metadata: JSON = None


class Update(NamedTuple):
    """
    Add or delete of one endpoint. Go's ``endpoints.Update``.

    *key* is the whole key, target included. *endpoint* and *lease* are for an add, best made by
    `add`. A *lease* of ``None`` keeps the lease the key hangs on (if any), ``0`` makes the
    key permanent, anything else is the id of a granted lease.
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
    What must be true of *key* for an update to be made.

    *mod_revision* ``0``: the key is absent. ``None``: the key exists. Anything else: the key
    was last changed at exactly that revision.
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
    """Who answered, and at which revision of the store."""

    cluster_id: int
    member_id: int
    revision: int
    raft_term: int


class StoredKey(NamedTuple):
    """A key as etcd holds it. *lease* is 0 for none."""

    key: str
    create_revision: int
    mod_revision: int
    version: int
    lease: int


class StoredEndpoint(NamedTuple):
    """An endpoint as etcd holds it. *lease* is 0 for none."""

    key: str
    endpoint: Endpoint
    create_revision: int
    mod_revision: int
    version: int
    lease: int


class InvalidValue(NamedTuple):
    """A key whose value is not an endpoint, and why."""

    key: str
    reason: str
    value: bytes
    mod_revision: int
    lease: int


class UpdateResult(NamedTuple):
    """
    What one transaction did.

    *updates* are the folded ones, one a key; *previous* is what the keys held before, as far as
    they held anything; *detached* the keys that a fold took off their lease, with that lease.
    """

    header: Header
    updates: tuple[Update, ...]
    previous: Mapping[str, StoredEndpoint | InvalidValue]
    detached: Mapping[str, int] = MappingProxyType({})


class Deletion(NamedTuple):
    """How many keys were deleted, and what they held (as far as it was asked for)."""

    header: Header
    deleted: int
    previous: Sequence[StoredEndpoint | InvalidValue]


class Lease(NamedTuple):
    """A lease as etcd granted it. *ttl* is in seconds, and may be more than was asked for."""

    id: int
    ttl: int


class Listing(NamedTuple):
    """
    The endpoints of *target* at one revision, ``header.revision``, in key order.

    *invalid* names the keys whose value can't be read, *count* is the number of keys there
    are, *more* says that a limit cut the list short.
    """

    header: Header
    target: str
    endpoints: Sequence[StoredEndpoint]
    invalid: Sequence[InvalidValue]
    count: int  # type: ignore[assignment]  # etcd's word; nobody counts the members
    more: bool

    def by_key(self) -> dict[str, Endpoint]:
        """Return the endpoints by their keys, as Go's ``Key2EndpointMap``."""
        return {stored.key: stored.endpoint for stored in self.endpoints}


class Keys(NamedTuple):
    """The keys under *target* at one revision, without their values."""

    header: Header
    target: str
    keys: Sequence[StoredKey]
    count: int  # type: ignore[assignment]  # etcd's word; nobody counts the members
    more: bool


class Services(NamedTuple):
    """The targets under *prefix* and the number of keys of each, in order."""

    header: Header
    prefix: str
    counts: Mapping[str, int]


class Change(NamedTuple):
    """
    An endpoint that came, changed or went, at *revision*.

    *endpoint* is what is there now, on *lease* (0: none); ``None`` when it went. *previous* is what
    was there before: where it equals *endpoint*, only lease or revision have changed.
    """

    op: Operation
    key: str
    revision: int
    endpoint: Endpoint | None
    lease: int
    previous: StoredEndpoint | None


class ChangeBatch(NamedTuple):
    """
    Changes that were told together, in the order they were made, up to *revision*.

    *first*: this is all there was when the watch began. *resync*: etcd could not tell what was
    missed; these are the differences. *invalid*: values that can't be read, met on the way;
    *no_longer_invalid*: keys that held such a value, and are gone or hold an endpoint now.
    """

    revision: int
    changes: Sequence[Change]
    invalid: Sequence[InvalidValue]
    first: bool = False
    resync: bool = False
    no_longer_invalid: Sequence[str] = ()


class WatchState(NamedTuple):
    """Whether changes are delivered, and by which member, or why not."""

    connected: bool
    detail: str
