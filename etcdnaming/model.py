"""
Plain frozen data, without I/O.

Named tuples rather than data classes: defining a data class takes six times as long at start-up,
and making a hundred thousand instances takes three times as long. What is returned as a whole is a
`_Result`: a named tuple of six fields would have the length 6, whatever it holds.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice, repeat
from types import MappingProxyType
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Generic,
    NamedTuple,
    TypeAlias,
    TypeVar,
    Union,
    overload,
)

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
    "MemberStatus",
    "Operation",
    "Plan",
    "Services",
    "StoredEndpoint",
    "StoredKey",
    "Update",
    "UpdateResult",
    "WatchState",
    "build_many",
    "fold",
]

JSON: TypeAlias = Union[bool, int, float, str, Sequence["JSON"], Mapping[str, "JSON"], None]  # noqa: UP007 - of strings

Row = TypeVar("Row", bound=tuple[Any, ...])
Item = TypeVar("Item")
SomeResult = TypeVar("SomeResult", bound="_Result")

SHOWN = 5
"""Items of a sequence or a mapping that the `repr` of a result shows."""


def build_many(kind: type[Row], fields: Iterable[tuple[Any, ...]]) -> Iterator[Row]:
    """
    Yield a *kind* (a named tuple) for each tuple of *fields*, in half the time of calling *kind*.

    >>> list(build_many(Endpoint, [("1.2.3.4:80", None)]))
    [Endpoint(addr='1.2.3.4:80', metadata=None)]
    """
    return map(partial(tuple.__new__, kind), fields)


class Operation(enum.IntEnum):
    """
    The kind of an update. The numbers are those of Go's ``endpoints.Operation``.

        >>> Operation.DELETE, int(Operation.ADD)
        (<Operation.DELETE: 1>, 0)
    """

    ADD = 0
    DELETE = 1


class _EndpointFields(NamedTuple):
    addr: str
    metadata: Any = None  # so that type checkers allow metadata["zone"]; `Endpoint` checks writers


class Endpoint(_EndpointFields):
    """
    One address a client may dial. Go's ``endpoints.Endpoint``.

        >>> Endpoint("10.0.0.1:80", {"zone": "a"}).metadata["zone"]
        'a'

    Attributes:
        addr: What gRPC clients dial, usually ``host:port``.

        metadata: Any JSON value; integers keep all their digits.

    Two endpoints are equal if their addresses and their metadata are, which are compared as JSON:
    true is not 1, and a tuple is an array.
    """

    __slots__ = ()

    if TYPE_CHECKING:

        def __new__(cls, addr: str, metadata: JSON = None) -> Endpoint:
            """Check what is stored: a type checker refuses a value that is not JSON."""

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Endpoint):
            return tuple.__eq__(self, other)
        return self.addr == other.addr and _is_same_json(self.metadata, other.metadata)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return super().__hash__()

    def __repr__(self) -> str:
        try:
            return super().__repr__()
        except RecursionError:  # metadata may be nested deeper than Python can print
            return f"Endpoint(addr={self.addr!r}, metadata=...)"


class Update(NamedTuple):
    """
    Add or delete of one endpoint, best made by `add` or `delete`. Go's ``endpoints.Update``.

        >>> Update.delete("svc/e1").op
        <Operation.DELETE: 1>

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
        """
        Store *endpoint* at *key*.

            >>> Update.add("svc/e1", Endpoint("10.0.0.1:80")).endpoint
            Endpoint(addr='10.0.0.1:80', metadata=None)
        """
        return cls(Operation.ADD, key, endpoint, lease)

    @classmethod
    def delete(cls, key: str) -> Update:
        """
        Remove *key*.

            >>> Update.delete("svc/e1").key
            'svc/e1'
        """
        return cls(Operation.DELETE, key)


def fold(updates: Sequence[Update]) -> tuple[Update, ...]:
    """
    Return at most one update per key, with the same effect as *updates* in order.

    etcd refuses two updates of one key in a transaction.

    The lease is folded too: an add that keeps the lease keeps the one that the previous update
    left, which is none after a delete.

    >>> fold([Update.delete("svc/e1"), Update.add("svc/e1", Endpoint("1.2.3.4"))])[0].lease
    0
    """
    folded: dict[str, Update] = {}
    for update in updates:
        before = folded.get(update.key)
        folded[update.key] = _after(before, update) if before else update
    return tuple(folded.values())


def _after(before: Update, then: Update) -> Update:
    if then.op is Operation.DELETE or then.lease is not None:
        return then
    return then._replace(lease=0 if before.op is Operation.DELETE else before.lease)


class Condition(NamedTuple):
    """
    A condition on *key* that must hold for an update to be made.

        >>> str(Condition("svc/e1", 0)), str(Condition("svc/e1", 7))
        ('svc/e1 is absent', 'svc/e1 has mod_revision 7')

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
    """
    The header of an answer: cluster, member, revision of the store, raft term.

        >>> manager.list().header.revision > 0
        True
    """

    cluster_id: int
    member_id: int
    revision: int
    raft_term: int


class StoredKey(NamedTuple):
    """
    A key in etcd, without its value. *lease* is 0 for none.

        >>> _ = manager.add_endpoint("foo/svc/e1", Endpoint("10.0.0.1:80"))
        >>> [(stored.key, stored.version, stored.lease) for stored in manager.list_keys()]
        [('foo/svc/e1', 1, 0)]
    """

    key: str
    create_revision: int
    mod_revision: int
    version: int
    lease: int


class StoredEndpoint(NamedTuple):
    """
    An endpoint in etcd with its key, revisions and lease (0 for none).

        >>> _ = manager.add_endpoint("foo/svc/e1", Endpoint("10.0.0.1:80"))
        >>> [(stored.key, stored.endpoint.addr, stored.lease) for stored in manager.list()]
        [('foo/svc/e1', '10.0.0.1:80', 0)]
    """

    key: str
    endpoint: Endpoint
    create_revision: int
    mod_revision: int
    version: int
    lease: int


class InvalidValue(NamedTuple):
    """
    A key whose value is not an endpoint, and the reason.

        >>> InvalidValue("svc/e1", "not JSON", b"{", mod_revision=7, lease=0).reason
        'not JSON'
    """

    key: str
    reason: str
    value: bytes
    mod_revision: int
    lease: int


class _Result:
    """A frozen record: its slots are its fields. Equal to one of its kind with equal fields."""

    __slots__: tuple[str, ...] = ()

    def _fill(self, *values: object) -> None:
        any(map(object.__setattr__, repeat(self), self.__slots__, values))  # returns None each time

    def _values(self) -> tuple[object, ...]:
        return tuple(getattr(self, name) for name in self.__slots__)

    def _replace(self: SomeResult, **changes: object) -> SomeResult:  # noqa: PYI019 - Python 3.10
        """Return a copy with *changes*, as that of a named tuple."""
        fields = dict(zip(self.__slots__, self._values(), strict=True))
        return type(self)(**(fields | changes))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a {type(self).__name__} can't be changed")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"a {type(self).__name__} can't be changed")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, type(self)):
            return NotImplemented
        return self._values() == other._values()

    __hash__: ClassVar[None]  # type: ignore[assignment]  # the fields are lists and mappings

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), self._values()

    def __repr__(self) -> str:
        fields = zip(self.__slots__, self._values(), strict=True)
        shown = ", ".join(
            f"revision={value.revision}" if isinstance(value, Header) else f"{name}={_brief(value)}"
            for name, value in fields
        )
        return f"{type(self).__name__}({shown})"


class _ResultSequence(_Result, Generic[Item]):
    """A result that behaves as the sequence of its items."""

    __slots__ = ()

    def _items(self) -> Sequence[Item]:
        raise NotImplementedError

    def __len__(self) -> int:
        return len(self._items())

    def __iter__(self) -> Iterator[Item]:
        return iter(self._items())

    def __reversed__(self) -> Iterator[Item]:
        return reversed(self._items())

    def __contains__(self, item: object) -> bool:
        return item in self._items()

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Item]: ...
    def __getitem__(self, index: int | slice) -> Item | Sequence[Item]:
        return self._items()[index]


class UpdateResult(_Result):
    """
    The result of one transaction.

        >>> result = manager.add_endpoint("foo/svc/", Endpoint("10.0.0.1:80"))
        >>> [update.key for update in result.updates], result.previous
        (['foo/svc/10.0.0.1:80'], {})

    Attributes:
        header: Of etcd's answer.

        updates: The folded updates, one per key, with their keys in full. A *lease* of ``None`` is
            the one that the key had; a new key has 0, if no other was given.

        previous: The previous values by key; keys that were absent are missing.

        detached: Keys that folding detached from their lease, with the ID of that lease.
    """

    __slots__ = ("header", "updates", "previous", "detached")  # noqa: RUF023 - as they are shown
    header: Header
    updates: tuple[Update, ...]
    previous: Mapping[str, StoredEndpoint | InvalidValue]
    detached: Mapping[str, int]

    def __init__(
        self,
        header: Header,
        updates: tuple[Update, ...],
        previous: Mapping[str, StoredEndpoint | InvalidValue],
        detached: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        self._fill(header, updates, previous, detached)


class Difference(NamedTuple):
    """
    An update of a `Plan`, and what etcd holds *before* it (``None``: the key is absent).

    An update whose lease is ``None`` keeps the lease of *before*.

        >>> [difference] = manager.plan([Update.add("foo/svc/e1", Endpoint("10.0.0.1:80"))])
        >>> difference.update.key, difference.before
        ('foo/svc/e1', None)
    """

    update: Update
    before: StoredEndpoint | InvalidValue | None


class Plan(_ResultSequence[Difference]):
    """
    What makes a target hold the wanted endpoints; behaves as the sequence of its `differences`.

        >>> update = Update.add("svc/e1", Endpoint("10.0.0.1:80"))
        >>> plan = Plan(Header(1, 2, 7, 1), "svc", [Difference(update, None)], [], [])
        >>> len(plan), [(each.update.op.name, each.update.key) for each in plan]
        (1, [('ADD', 'svc/e1')])

    Attributes:
        header: Of the answer with the endpoints of the target, or of the last transaction.

        target: The target.

        differences: The updates to make, or that were made, one per key, in key order.

        unchanged: The updates that would change nothing, so that they are not made.

        kept: What pruning leaves: endpoints on leases, and values that can't be read.
    """

    __slots__ = ("header", "target", "differences", "unchanged", "kept")  # noqa: RUF023
    header: Header
    target: str
    differences: Sequence[Difference]
    unchanged: Sequence[Difference]
    kept: Sequence[StoredEndpoint | InvalidValue]

    def __init__(
        self,
        header: Header,
        target: str,
        differences: Sequence[Difference],
        unchanged: Sequence[Difference],
        kept: Sequence[StoredEndpoint | InvalidValue],
    ) -> None:
        self._fill(header, target, differences, unchanged, kept)

    def _items(self) -> Sequence[Difference]:
        return self.differences


class Deletion(_Result):
    """
    The number of deleted keys, and their previous values if requested.

        >>> _ = manager.add_endpoint("foo/svc/e1", Endpoint("10.0.0.1:80"))
        >>> deletion = manager.delete_all(previous=True)
        >>> deletion.deleted, [stored.key for stored in deletion.previous]
        (1, ['foo/svc/e1'])

    Attributes:
        header: Of etcd's answer.

        deleted: The number of deleted keys.

        previous: The previous values; empty if they were not requested.
    """

    __slots__ = ("header", "deleted", "previous")  # noqa: RUF023 - as they are shown
    header: Header
    deleted: int
    previous: Sequence[StoredEndpoint | InvalidValue]

    def __init__(
        self, header: Header, deleted: int, previous: Sequence[StoredEndpoint | InvalidValue]
    ) -> None:
        self._fill(header, deleted, previous)


class Lease(NamedTuple):
    """
    A granted lease. *ttl* is in seconds and may exceed the requested one.

        >>> client.lease_grant(30).ttl
        30
    """

    id: int
    ttl: int


class LeaseTTL(NamedTuple):
    """
    Seconds for which a lease was *granted*, and those *remaining*: -1 if the lease is gone.

        >>> client.lease_ttl(client.lease_grant(30).id).granted
        30
    """

    granted: int
    remaining: int


class MemberStatus(NamedTuple):
    """
    What a member of etcd reports about itself.

    *role* is ``leader``, ``follower`` or ``learner``; *size* is that of its database, in bytes;
    *errors* are alarms, and such as a missing leader. *seconds* is the latency of a call. *user* is
    the name that is logged in, *tls* the version of TLS and *expires* the end of the member's
    certificate; these three are empty if there is none, or if it is unknown.

        >>> status = client.status()
        >>> status.role, status.errors
        ('leader', [])
    """

    header: Header
    version: str
    role: str
    size: int
    errors: Sequence[str]
    seconds: float
    user: str
    tls: str
    expires: str


class Listing(_ResultSequence[StoredEndpoint]):
    """
    The endpoints of *target* at one revision; behaves as the sequence of its `endpoints`.

        >>> listing = Listing(Header(1, 2, 7, 1), "svc", [], [], 0, more=False)
        >>> len(listing), bool(listing), list(listing), listing.header.revision
        (0, False, [], 7)

    Attributes:
        header: Of etcd's answer; *header.revision* is the revision that was read.

        target: As it was parsed.

        endpoints: In the order of their keys.

        invalid: The keys whose value can't be read.

        count: The number of keys under the target, whatever the limit was.

        more: A limit cut the list short.
    """

    __slots__ = ("header", "target", "endpoints", "invalid", "count", "more")  # noqa: RUF023
    header: Header
    target: str
    endpoints: Sequence[StoredEndpoint]
    invalid: Sequence[InvalidValue]
    count: int
    more: bool

    def __init__(  # noqa: PLR0913, PLR0917 - its fields
        self,
        header: Header,
        target: str,
        endpoints: Sequence[StoredEndpoint],
        invalid: Sequence[InvalidValue],
        count: int,
        more: bool,  # noqa: FBT001
    ) -> None:
        self._fill(header, target, endpoints, invalid, count, more)

    def by_key(self) -> dict[str, Endpoint]:
        """
        Return the endpoints by their keys, as Go's ``Key2EndpointMap``.

            >>> _ = manager.add_endpoint("foo/svc/e1", Endpoint("10.0.0.1:80"))
            >>> manager.list().by_key()
            {'foo/svc/e1': Endpoint(addr='10.0.0.1:80', metadata=None)}
        """
        return {stored.key: stored.endpoint for stored in self.endpoints}

    def _items(self) -> Sequence[StoredEndpoint]:
        return self.endpoints


class Keys(_ResultSequence[StoredKey]):
    """
    The keys under *target* at one revision, without values; behaves as the sequence of its `keys`.

        >>> _ = manager.add_endpoint("foo/svc/e1", Endpoint("10.0.0.1:80"))
        >>> [stored.key for stored in manager.list_keys()], manager.count().count
        (['foo/svc/e1'], 1)

    Attributes:
        header: Of etcd's answer; *header.revision* is the revision that was read.

        target: As it was parsed.

        keys: In order; empty if only their number was asked for.

        count: The number of keys under the target, whatever the limit was.

        more: A limit cut the list short.
    """

    __slots__ = ("header", "target", "keys", "count", "more")  # noqa: RUF023 - as they are shown
    header: Header
    target: str
    keys: Sequence[StoredKey]
    count: int
    more: bool

    def __init__(
        self,
        header: Header,
        target: str,
        keys: Sequence[StoredKey],
        count: int,
        more: bool,  # noqa: FBT001
    ) -> None:
        self._fill(header, target, keys, count, more)

    def _items(self) -> Sequence[StoredKey]:
        return self.keys


class Services(_Result, Mapping[str, int]):
    """
    The targets under *prefix* in order; behaves as the mapping of each to its endpoint count.

        >>> found = Services(Header(1, 2, 7, 1), "foo", {"foo/svc": 3})
        >>> list(found), found["foo/svc"]
        (['foo/svc'], 3)

    Attributes:
        header: Of etcd's answer; *header.revision* is the revision that was read.

        prefix: As it was parsed; empty: all of etcd.

        counts: The number of endpoints by target.

        others: The number of keys there that are not endpoints.
    """

    __slots__ = ("header", "prefix", "counts", "others")  # noqa: RUF023 - as they are shown
    header: Header
    prefix: str
    counts: Mapping[str, int]
    others: int

    def __init__(
        self, header: Header, prefix: str, counts: Mapping[str, int], others: int = 0
    ) -> None:
        self._fill(header, prefix, counts, others)

    def __len__(self) -> int:
        return len(self.counts)

    def __iter__(self) -> Iterator[str]:
        return iter(self.counts)

    def __getitem__(self, target: str) -> int:
        return self.counts[target]


class Change(NamedTuple):
    """
    An endpoint that was added, changed or removed at *revision*.

        >>> with manager.watch() as watch:
        ...     first = watch.get()
        ...     _ = manager.add_endpoint("foo/svc/e1", Endpoint("10.0.0.1:80"))
        ...     [change] = watch.get()
        >>> change.op.name, change.key, change.endpoint.addr, change.previous
        ('ADD', 'foo/svc/e1', '10.0.0.1:80', None)

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


class ChangeBatch(_ResultSequence[Change]):
    """
    Changes that are reported together, in the order they were made; behaves as their sequence.

    It is true even without changes: it may be the empty set at the start of a watch, and
    ``while batch := watch.get(1)`` must end only when there is none.

        >>> with manager.watch() as watch:
        ...     batch = watch.get()
        >>> batch.first, len(batch), bool(batch)
        (True, 0, True)

    Attributes:
        revision: The revision of the last change.

        changes: The changes.

        invalid: Values that can't be read, found in the same events.

        first: The batch is the full set at the start of the watch.

        resync: etcd could not deliver what was missed; the changes are the differences found by
            reading the target again.

        no_longer_invalid: Keys that held an unreadable value and now hold an endpoint or are gone.
    """

    __slots__ = ("revision", "changes", "invalid", "first", "resync", "no_longer_invalid")  # noqa: RUF023
    revision: int
    changes: Sequence[Change]
    invalid: Sequence[InvalidValue]
    first: bool
    resync: bool
    no_longer_invalid: Sequence[str]

    def __init__(  # noqa: PLR0913, PLR0917 - its fields
        self,
        revision: int,
        changes: Sequence[Change],
        invalid: Sequence[InvalidValue],
        first: bool = False,  # noqa: FBT001, FBT002
        resync: bool = False,  # noqa: FBT001, FBT002
        no_longer_invalid: Sequence[str] = (),
    ) -> None:
        self._fill(revision, changes, invalid, first, resync, no_longer_invalid)

    def __bool__(self) -> bool:
        return True

    def _items(self) -> Sequence[Change]:
        return self.changes


class WatchState(NamedTuple):
    """
    Whether a watch is connected; *detail* is the member, or the reason why not.

        >>> states = []
        >>> with manager.watch(on_state=states.append) as watch:
        ...     while not states:
        ...         _ = watch.get(timeout=0.1)
        >>> states[0].connected
        True
    """

    connected: bool
    detail: str


def _is_same_json(first: JSON, second: JSON) -> bool:
    """
    Compare two JSON values, nested to any depth: for Python's own comparison it may be too deep.

    >>> _is_same_json({"draining": 1}, {"draining": True}), _is_same_json([1], (1.0,))
    (False, True)
    """
    pairs = [(first, second)]
    while pairs:
        one, other = pairs.pop()
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            if one.keys() != other.keys():
                return False
            pairs += [(one[name], other[name]) for name in one]
        elif isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
            if len(one) != len(other):
                return False
            pairs += zip(one, other, strict=True)
        elif one != other or isinstance(one, bool) is not isinstance(other, bool):
            return False
    return True


def _brief(value: object) -> str:
    """
    Return the `repr` of *value*, of a long sequence or mapping only the beginning.

    >>> _brief([*range(100_000)]), _brief({n: 0 for n in range(7)})
    ('[0, 1, 2, 3, 4, ... 99995 more]', '{0: 0, 1: 0, 2: 0, 3: 0, 4: 0, ... 2 more}')
    """
    if isinstance(value, Mapping) and len(value) > SHOWN:
        shown = (f"{key!r}: {each!r}" for key, each in islice(value.items(), SHOWN))
        return f"{{{', '.join(shown)}, ... {len(value) - SHOWN} more}}"
    if isinstance(value, (list, tuple)) and len(value) > SHOWN:
        return f"[{', '.join(map(repr, value[:SHOWN]))}, ... {len(value) - SHOWN} more]"
    return repr(value)
