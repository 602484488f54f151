"""
``simple``: for pipes. Few words, no header, TAB between the columns.

KEY and ADDR are escaped (`spelling.escape`); METADATA is JSON, which has its own escapes, so
``cut -f3`` can be fed to any JSON parser. A value that can't be read has no line here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import starmap
from json.encoder import encode_basestring, encode_basestring_ascii

from ...errors import ConditionFailedError
from ...model import (
    ChangeBatch,
    Condition,
    Deletion,
    Difference,
    Endpoint,
    InvalidValue,
    Keys,
    Listing,
    Plan,
    Services,
    StoredEndpoint,
    Update,
    UpdateResult,
)
from ...wire import dumps, dumps_again
from .printers import (
    CheckedEndpoints,
    EtcdStatus,
    FoundEndpoints,
    GotEndpoints,
    Printer,
    StateChange,
)
from .spelling import (
    endpoint_facts,
    escape,
    event_type,
    health_cells,
    invalid_facts,
    lease_id,
    safe_json,
    status_cells,
    subject,
    unreadable,
)
from .streams import write

__all__ = ["SimplePrinter", "addr_lines", "update_file"]


class SimplePrinter(Printer):
    """See `Printer`."""

    wants_leases = False

    def added(self, result: UpdateResult, prev_kv: bool) -> None:
        """``OK``, then the line of the previous value."""
        write(["OK\n"])
        if prev_kv:
            write(_lines(result.previous.values()))

    def deleted(self, deletion: Deletion, prev_kv: bool) -> None:
        """The number, then a line for each previous value."""
        write([f"{deletion.deleted}\n"])
        if prev_kv:
            write(_lines(deletion.previous))

    def listing(self, listing: Listing, remaining: Mapping[int, int]) -> None:
        """``KEY ADDR METADATA``."""
        write(_lines(listing.endpoints))

    def addrs(self, listing: Listing) -> None:
        """An address a line."""
        write(addr_lines(listing))

    def keys(self, keys: Keys) -> None:
        """A key a line."""
        write(f"{escape(stored.key)}\n" for stored in keys.keys)

    def count(self, keys: Keys) -> None:
        """The number."""
        write([f"{keys.count}\n"])

    def services(self, services: Services) -> None:
        """``TARGET COUNT``."""
        write(f"{escape(target)}\t{count}\n" for target, count in services.counts.items())

    def got(self, got: GotEndpoints) -> None:
        """``NAME VALUE`` for everything known about each endpoint, a blank line between them."""
        blocks = [*starmap(endpoint_facts, got.endpoints), *map(invalid_facts, got.invalid)]
        for number, facts in enumerate(blocks):
            write(["\n"] if number else [])
            write(f"{name}\t{value}\n" for name, value in facts)

    def found(self, found: FoundEndpoints, remaining: Mapping[int, int]) -> None:
        """``KEY ADDR METADATA``."""
        write(_lines(found.endpoints))

    def checked(self, checked: CheckedEndpoints) -> None:
        """``KEY ADDR STATUS LATENCY REASON``."""
        write("\t".join(health_cells(each)).rstrip("\t") + "\n" for each in checked.endpoints)

    def status(self, found: Sequence[EtcdStatus]) -> None:
        """``ENDPOINT MEMBER VERSION ROLE REVISION RAFT-TERM DB-SIZE …``, and why it is missing."""
        write("\t".join(status_cells(each)).rstrip("\t") + "\n" for each in found)

    def transaction(self, results: Sequence[UpdateResult]) -> None:
        """``SUCCESS``, once."""
        write(["SUCCESS\n"])

    def failure(self, error: ConditionFailedError, updates: Sequence[Update]) -> None:
        """``FAILURE``; the error on stderr names the condition."""
        write(["FAILURE\n"])

    def plan(self, updates: Sequence[Update], conditions: Sequence[Condition]) -> None:
        """An update file."""
        write(_plan_lines(updates, conditions))

    def differences(self, plan: Plan, *, done: bool) -> None:
        """``- KEY ADDR METADATA`` as it was, ``+ KEY ADDR METADATA`` as it is then."""
        for difference in plan.differences:
            write(_difference_lines(difference))

    def export_lines(self, pages: Iterable[Listing]) -> Iterator[str]:
        """An update file; values that can't be read are comments."""
        return update_file(pages)

    def version(self, versions: Mapping[str, str]) -> None:
        """``NAME VERSION``."""
        write(f"{escape(name)}\t{escape(version)}\n" for name, version in versions.items())

    def batch_lines(
        self, target: str, batch: ChangeBatch, endpoints: Mapping[str, StoredEndpoint]
    ) -> Iterator[str]:
        """``PUT KEY ADDR METADATA``; a ``DELETE`` shows the endpoint that was removed."""
        for change in batch.changes:
            yield f"{event_type(change)}\t{_line(change.key, subject(change)[0])}"

    def state_lines(self, change: StateChange) -> Iterator[str]:
        """What etcdctl prints about leases; everything else is on stderr."""
        if change.type == "granted":
            yield f"lease {lease_id(change.event.lease)} granted with TTL({change.event.ttl}s)\n"
        elif change.type == "revoked":
            yield f"lease {lease_id(change.event.lease)} revoked\n"

    def registered_lines(self) -> Iterator[str]:
        """``OK``, as ``add`` prints it."""
        yield "OK\n"


def addr_lines(listing: Listing) -> Iterator[str]:
    """Yield a line with the address of each endpoint."""
    return (f"{escape(stored.endpoint.addr)}\n" for stored in listing.endpoints)


def update_file(pages: Iterable[Listing]) -> Iterator[str]:
    """Yield the lines of an update file with the endpoints of *pages*."""
    for page in pages:
        for stored in page.endpoints:
            metadata = safe_json(dumps_again(stored.endpoint.metadata))
            yield f"add {_word(stored.key)} {_word(stored.endpoint.addr)} {metadata}\n"
        for found in page.invalid:
            yield f"# not an endpoint: {escape(unreadable(found))}\n"


def _difference_lines(difference: Difference) -> Iterator[str]:
    update, before = difference
    if isinstance(before, InvalidValue):
        yield f"-\t{escape(before.key)}\t\t\n"
    elif before is not None:
        yield f"-\t{_line(before.key, before.endpoint)}"
    if update.endpoint is not None:
        yield f"+\t{_line(update.key, update.endpoint)}"


def _lines(found: Iterable[StoredEndpoint | InvalidValue]) -> Iterator[str]:
    for stored in found:
        if isinstance(stored, StoredEndpoint):
            yield _line(stored.key, stored.endpoint)


def _line(key: str, endpoint: Endpoint) -> str:
    """``KEY ADDR METADATA``; *endpoint* was decoded from JSON."""
    return f"{escape(key)}\t{escape(endpoint.addr)}\t{safe_json(dumps_again(endpoint.metadata))}\n"


def _plan_lines(updates: Sequence[Update], conditions: Sequence[Condition]) -> Iterator[str]:
    r"""
    Yield the lines of an update file, which ``txn-update`` reads.

    Conditions and leases, which such a line can't express, are comments above it.

    >>> from etcdnaming.model import Endpoint, Update
    >>> [*_plan_lines([Update.add("svc/e1", Endpoint("1.2.3.4:80", "a"), lease=0)], [])]
    ['# with no lease\n', 'add svc/e1 1.2.3.4:80 "a"\n']
    """
    for condition in conditions:
        yield f"# if {escape(str(condition))}\n"
    for update in updates:
        if update.lease is not None:
            yield f"# with {f'lease {lease_id(update.lease)}' if update.lease else 'no lease'}\n"
        yield _update_line(update)


def _update_line(update: Update) -> str:
    if update.endpoint is None:
        return f"del {_word(update.key)}\n"
    metadata = safe_json(dumps(update.endpoint.metadata))
    return f"add {_word(update.key)} {_word(update.endpoint.addr)} {metadata}\n"


def _word(text: str) -> str:
    if text.isprintable() and text and " " not in text and text[0] != '"':
        return text
    # The ASCII escapes (\udcNN) preserve even bytes that are not UTF-8.
    return encode_basestring(text) if text.isprintable() else encode_basestring_ascii(text)
