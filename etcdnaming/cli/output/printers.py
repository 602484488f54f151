"""The interfaces of an output format and of ``watch``'s output, and the loader of formats."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol, TextIO

from .stdout import flush, write

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
        WatchState,
    )
    from ...registration.event import RegistrationEvent

__all__ = [
    "CheckedEndpoints",
    "EndpointDetails",
    "EndpointHealth",
    "EtcdStatus",
    "FoundEndpoints",
    "GotEndpoints",
    "LinePrinter",
    "Printer",
    "StateChange",
    "WatchPrinter",
    "live_printer",
    "printer",
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

    wants_remaining: bool
    """Whether `listing` and `found` show the remaining seconds of leases."""

    wants_leases: bool
    """Whether `keys` shows the leases of keys."""

    def added(self, result: UpdateResult, prev_kv: bool) -> None:
        """One endpoint was stored; with *prev_kv*, print the previous value of its key."""

    def changed(self, result: UpdateResult, prev_kv: bool) -> None:
        """Endpoints were changed in one transaction; with *prev_kv*, print what they were."""

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
        """Return the text for the moment when everything is registered for the first time."""


def printer(name: str, stream: TextIO | None = None, *, headers: bool = True) -> Printer:
    """
    Return the printer of the format *name*, one of `FORMATS`; only its module is imported.

    *stream* is where the ``…_lines`` will be written (default: stdout); a table adapts to it.
    Without *headers* a table has no header line.
    """
    if name == "fields":
        from .fields import FieldsPrinter

        return FieldsPrinter()
    if name == "json":
        from .jsonlines import JSONLinesPrinter

        return JSONLinesPrinter()
    if name == "simple":
        from .simple import SimplePrinter

        return SimplePrinter()
    if name == "table":
        from .table import TablePrinter  # imports rich

        return TablePrinter(stream, headers=headers)
    if name == "yaml":
        from .yaml import YAMLPrinter

        return YAMLPrinter()
    raise ValueError(f"unknown format {name!r}")


class WatchPrinter(Protocol):
    """Prints the batches of a watch; everything is written when a method returns."""

    def print_batch(self, batch: ChangeBatch, endpoints: Mapping[str, StoredEndpoint]) -> None:
        """Print the first set or the changes; *endpoints*: all endpoints after them, by key."""

    def print_state(self, state: WatchState) -> None:
        """Print that the connection was lost or restored; only a live table prints it."""

    def begin(self) -> None:
        """Take over the terminal, if this printer needs it."""

    def read_keys(self, on_quit: Callable[[], None]) -> None:
        """Call *on_quit* in another thread when the user presses the key that ends the watch."""

    def end(self) -> None:
        """Restore the terminal; callable at any time, also from a signal handler."""


class LinePrinter:
    """Prints each batch with *printer*, and flushes; see `WatchPrinter`."""

    def __init__(self, printer: Printer, target: str) -> None:
        self._printer, self._target = printer, target

    def print_batch(self, batch: ChangeBatch, endpoints: Mapping[str, StoredEndpoint]) -> None:
        """Write the lines of *batch*, unless it is empty."""
        if batch.first or batch.changes or batch.invalid:
            write(self._printer.batch_lines(self._target, batch, endpoints))
            flush()

    def print_state(self, state: WatchState) -> None:
        """Do nothing: the state is reported on stderr."""

    def begin(self) -> None:
        """Do nothing: a line printer does not own the terminal."""

    def read_keys(self, on_quit: Callable[[], None]) -> None:
        """Do nothing: stdin belongs to CMD, or to the shell."""

    def end(self) -> None:
        """Do nothing: there is no terminal to restore."""


def live_printer(
    target: str, time_to_live: Callable[[int], int], *, headers: bool = True
) -> WatchPrinter:
    """
    Return the table that stays on the terminal and is redrawn.

    *time_to_live* returns the remaining seconds of a lease (-1: gone); other threads call it.
    Without *headers* the table has no header line.
    """
    from .live_table import LiveTable  # imports rich

    return LiveTable(target, time_to_live, headers=headers)
