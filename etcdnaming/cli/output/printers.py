"""The interface of an output format, and the results that the commands print by it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from ...errors import ConditionFailedError
    from ...model import (
        ChangeBatch,
        Condition,
        Deletion,
        Header,
        InvalidValue,
        Keys,
        LeaseTTL,
        Listing,
        MemberStatus,
        Plan,
        Services,
        StoredEndpoint,
        Update,
        UpdateResult,
    )
    from ...registration.status import RegistrationEvent

__all__ = [
    "CheckedEndpoints",
    "EndpointDetails",
    "EndpointHealth",
    "EtcdStatus",
    "FoundEndpoints",
    "GotEndpoints",
    "Printer",
    "StateChange",
]


class FoundEndpoints(NamedTuple):
    """The endpoints of *target*, in key order, at one revision: the result of ``wait``."""

    target: str
    revision: int
    endpoints: Sequence[StoredEndpoint]


class EndpointDetails(NamedTuple):
    """
    One endpoint in full.

    *ttl* is that of its lease; ``None``: it has none, or etcd did not say. *fault* is why gRPC
    clients can't dial the address; empty if they can.
    """

    stored: StoredEndpoint
    ttl: LeaseTTL | None
    fault: str


class GotEndpoints(NamedTuple):
    """The result of ``get``: what is stored at the keys, and the keys that do not exist."""

    header: Header
    endpoints: Sequence[EndpointDetails]
    invalid: Sequence[InvalidValue]
    missing: Sequence[str]


class EndpointHealth(NamedTuple):
    """One endpoint that was checked; *seconds* is the latency, ``None`` without an answer."""

    stored: StoredEndpoint
    status: str
    seconds: float | None
    reason: str


class CheckedEndpoints(NamedTuple):
    """The result of ``check``: the endpoints of *target*, in key order, and their health."""

    header: Header
    target: str
    endpoints: Sequence[EndpointHealth]
    invalid: Sequence[InvalidValue]

    @property
    def serving(self) -> int:
        """The number of endpoints that serve."""
        return sum(each.status == "SERVING" for each in self.endpoints)


class EtcdStatus(NamedTuple):
    """The status of the etcd at *endpoint*; ``None`` with the *reason* if it did not answer."""

    endpoint: str
    status: MemberStatus | None
    reason: str


class StateChange(NamedTuple):
    """
    A change of the registration or of the service's health, *at* seconds since the epoch.

    *type* is the kind of *event*, or ``healthy``, ``unhealthy`` or ``metrics``; for these only the
    event's reason is set.
    """

    type: str
    at: float
    event: RegistrationEvent


class Printer(Protocol):
    """
    One format. Methods named after a result print it; methods named ``…_lines`` return text.

    The command itself warns of values that can't be read, in every format.
    """

    wants_remaining: bool = False
    """Whether `listing` and `found` show the remaining seconds of leases."""

    wants_leases: bool = True
    """Whether `keys` shows the leases of keys."""

    def added(self, result: UpdateResult, prev_kv: bool) -> None:
        """One endpoint was stored; with *prev_kv*, print the previous value of its key."""

    def changed(self, result: UpdateResult, prev_kv: bool) -> None:
        """Endpoints were changed in one transaction; with *prev_kv*, print what they were."""
        self.added(result, prev_kv)

    def deleted(self, deletion: Deletion, prev_kv: bool) -> None:
        """Keys were deleted; with *prev_kv*, print their previous values."""

    def listing(self, listing: Listing, remaining: Mapping[int, int]) -> None:
        """The endpoints of a target. *remaining*: seconds by lease ID where known, -1 if gone."""

    def addrs(self, listing: Listing) -> None:
        """Only the addresses of the endpoints of a target."""

    def keys(self, keys: Keys) -> None:
        """Only the keys under a target."""

    def count(self, keys: Keys) -> None:
        """Only the number of keys under a target."""

    def services(self, services: Services) -> None:
        """The targets under a prefix; the command reports the keys that are not endpoints."""

    def got(self, got: GotEndpoints) -> None:
        """Endpoints in full; the command reports the keys that do not exist."""

    def found(self, found: FoundEndpoints, remaining: Mapping[int, int]) -> None:
        """The endpoints when the conditions of ``wait`` are met, printed much as `listing`."""

    def checked(self, checked: CheckedEndpoints) -> None:
        """The health of the endpoints of a target."""

    def status(self, found: Sequence[EtcdStatus]) -> None:
        """The status of each endpoint of etcd."""

    def transaction(self, results: Sequence[UpdateResult]) -> None:
        """Updates were made, in one transaction for each of *results*."""

    def failure(self, error: ConditionFailedError, updates: Sequence[Update]) -> None:
        """None of *updates* was made, because a condition was not met."""

    def plan(self, updates: Sequence[Update], conditions: Sequence[Condition]) -> None:
        """A dry run: the updates and conditions that would be sent."""

    def differences(self, plan: Plan, *, done: bool) -> None:
        """The updates that ``diff`` has found or, if *done*, that ``apply`` has made."""

    def export_lines(self, pages: Iterable[Listing]) -> Iterable[str]:
        """Return the text of an update file with the endpoints of one or more parts of a list."""

    def version(self, versions: Mapping[str, str]) -> None:
        """The version of each part, by its name."""

    def batch_lines(
        self, target: str, batch: ChangeBatch, endpoints: Mapping[str, StoredEndpoint]
    ) -> Iterable[str]:
        """Return the text of one batch of ``watch``; *endpoints*: those after it, by key."""

    def state_lines(self, change: StateChange) -> Iterable[str]:
        """Return the text for one state change of ``lease-register``."""

    def registered_lines(self) -> Iterable[str]:
        """Return the text, if any, for the moment when all is registered for the first time."""
        return ()
