"""
``json``: for programs. One object a line, every member always there, ids as hex strings.

The lines are put together by hand, because no encoder knows Go's notation of numbers, and a
hundred thousand endpoints must neither wait nor be held in memory as one text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from json.encoder import encode_basestring

from ...errors import ConditionFailedError
from ...model import Condition, Deletion, Keys, Listing, Services, Update, UpdateResult
from . import objects
from .progress import progress
from .spelling import safe_json
from .stdout import write

__all__ = ["JSONLinesPrinter"]


class JSONLinesPrinter:
    """See `Printer`; the shapes of the objects are in `objects`."""

    wants_remaining = False
    wants_leases = True
    progress = staticmethod(progress)

    def added(self, result: UpdateResult, prev_kv: bool) -> None:
        """``header endpoint prev``."""
        (update,) = result.updates
        before = result.previous if prev_kv else {}
        _write_object(
            header=objects.header(result.header),
            endpoint=objects.endpoint(update),
            prev=objects.previous(before, update.key),
        )

    def deleted(self, deletion: Deletion, prev_kv: bool) -> None:
        """``header deleted prev``, a list."""
        _write_object(
            header=objects.header(deletion.header),
            deleted=str(deletion.deleted),
            prev=map(objects.stored, deletion.previous if prev_kv else ()),
        )

    def listing(self, listing: Listing, remaining: Mapping[int, int]) -> None:
        """``header target count more endpoints invalid``."""
        _write_object(
            **_found(listing),
            endpoints=objects.stored_endpoints(listing.endpoints),
            invalid=map(objects.invalid, listing.invalid),
        )

    def addrs(self, listing: Listing) -> None:
        """``header target count more addrs invalid``."""
        _write_object(
            **_found(listing),
            addrs=(encode_basestring(stored.endpoint.addr) for stored in listing.endpoints),
            invalid=map(objects.invalid, listing.invalid),
        )

    def keys(self, keys: Keys) -> None:
        """``header target count more keys``."""
        _write_object(**_found(keys), keys=map(objects.stored_key, keys.keys))

    def count(self, keys: Keys) -> None:
        """``header target count``."""
        _write_object(
            header=objects.header(keys.header),
            target=encode_basestring(keys.target),
            count=str(keys.count),
        )

    def services(self, services: Services) -> None:
        """``header prefix services``."""
        _write_object(
            header=objects.header(services.header),
            prefix=encode_basestring(services.prefix),
            services=(objects.service(*each) for each in services.counts.items()),
        )

    def transaction(self, results: Sequence[UpdateResult]) -> None:
        """``header succeeded updates failed``, an object for each transaction."""
        for result in results:
            _write_object(
                header=objects.header(result.header),
                succeeded="true",
                updates=map(objects.update, result.updates),
                failed=(),
            )

    def failure(self, error: ConditionFailedError, updates: Sequence[Update]) -> None:
        """As `transaction`; *failed* are the conditions that were not met."""
        _write_object(
            header=objects.header(error.header),
            succeeded="false",
            updates=map(objects.update, updates),
            failed=map(objects.condition, error.failed),
        )

    def plan(self, updates: Sequence[Update], conditions: Sequence[Condition]) -> None:
        """``dry_run updates conditions``."""
        _write_object(
            dry_run="true",
            updates=map(objects.update, updates),
            conditions=map(objects.condition, conditions),
        )

    def version(self, versions: Mapping[str, str]) -> None:
        """A member for each part."""
        _write_object(**{name: encode_basestring(version) for name, version in versions.items()})


def _found(found: Listing | Keys) -> dict[str, str]:
    return {
        "header": objects.header(found.header),
        "target": encode_basestring(found.target),
        "count": str(found.count),
        "more": "true" if found.more else "false",
    }


def _write_object(**members: str | Iterable[str]) -> None:
    write(map(safe_json, _object(members)))


def _object(members: Mapping[str, str | Iterable[str]]) -> Iterator[str]:
    """Yield the object of *members*, which are JSON, or the items of an array."""
    before = "{"
    for name, member in members.items():
        yield f"{before}{encode_basestring(name)}:"
        before = ","
        yield from [member] if isinstance(member, str) else _array(member)
    yield "}\n"


def _array(items: Iterable[str]) -> Iterator[str]:
    before = "["
    for item in items:
        yield before + item
        before = ","
    yield "[]" if before == "[" else "]"
