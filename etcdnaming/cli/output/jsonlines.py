"""
``json``: for programs. One object a line, every member always present, IDs as hex strings.

The objects themselves are in `json_objects`. The lines are put together by hand, because no encoder
has Go's notation of numbers, and the text of a hundred thousand endpoints must be streamed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from itertools import chain
from json.encoder import encode_basestring

from ...errors import ConditionFailedError
from ...model import (
    ChangeBatch,
    Condition,
    Deletion,
    InvalidValue,
    Keys,
    Listing,
    Plan,
    Services,
    StoredEndpoint,
    Update,
    UpdateResult,
)
from . import json_objects as objects
from .printers import (
    CheckedEndpoints,
    EtcdStatus,
    FoundEndpoints,
    GotEndpoints,
    Printer,
    StateChange,
)
from .spelling import counts, safe_json
from .streams import write

__all__ = ["JSONLinesPrinter"]


class JSONLinesPrinter(Printer):
    """See `Printer`."""

    def added(self, result: UpdateResult, prev_kv: bool) -> None:
        """``header endpoint prev``."""
        (update,) = result.updates
        before = result.previous if prev_kv else {}
        self._write_object(
            header=objects.header(result.header),
            endpoint=objects.endpoint(update),
            prev=objects.previous(before, update.key),
        )

    def changed(self, result: UpdateResult, prev_kv: bool) -> None:
        """``header endpoints prev``, two lists."""
        self._write_object(
            header=objects.header(result.header),
            endpoints=map(objects.endpoint, result.updates),
            prev=map(objects.stored, result.previous.values() if prev_kv else ()),
        )

    def deleted(self, deletion: Deletion, prev_kv: bool) -> None:
        """``header deleted prev``, a list."""
        self._write_object(
            header=objects.header(deletion.header),
            deleted=str(deletion.deleted),
            prev=map(objects.stored, deletion.previous if prev_kv else ()),
        )

    def listing(self, listing: Listing, remaining: Mapping[int, int]) -> None:
        """``header target count more endpoints invalid``."""
        self._write_object(
            **_found(listing),
            endpoints=objects.stored_endpoints(listing.endpoints),
            invalid=map(objects.invalid, listing.invalid),
        )

    def addrs(self, listing: Listing) -> None:
        """``header target count more addrs invalid``."""
        self._write_object(
            **_found(listing),
            addrs=(encode_basestring(stored.endpoint.addr) for stored in listing.endpoints),
            invalid=map(objects.invalid, listing.invalid),
        )

    def keys(self, keys: Keys) -> None:
        """``header target count more keys``."""
        self._write_object(**_found(keys), keys=map(objects.stored_key, keys.keys))

    def count(self, keys: Keys) -> None:
        """``header target count``."""
        self._write_object(
            header=objects.header(keys.header),
            target=encode_basestring(keys.target),
            count=str(keys.count),
        )

    def services(self, services: Services) -> None:
        """``header prefix services others``."""
        self._write_object(
            header=objects.header(services.header),
            prefix=encode_basestring(services.prefix),
            services=(objects.service(*each) for each in services.counts.items()),
            others=str(services.others),
        )

    def got(self, got: GotEndpoints) -> None:
        """``header endpoints invalid missing``."""
        self._write_object(
            header=objects.header(got.header),
            endpoints=(objects.details(*each) for each in got.endpoints),
            invalid=map(objects.invalid, got.invalid),
            missing=map(objects.bare_key, got.missing),
        )

    def found(self, found: FoundEndpoints, remaining: Mapping[int, int]) -> None:
        """``target revision count endpoints``."""
        self._write_object(
            target=encode_basestring(found.target),
            revision=str(found.revision),
            count=str(len(found.endpoints)),
            endpoints=objects.stored_endpoints(found.endpoints),
        )

    def checked(self, checked: CheckedEndpoints) -> None:
        """``header target serving count endpoints invalid``."""
        self._write_object(
            header=objects.header(checked.header),
            target=encode_basestring(checked.target),
            serving=str(checked.serving),
            count=str(len(checked.endpoints)),
            endpoints=map(objects.health, checked.endpoints),
            invalid=map(objects.invalid, checked.invalid),
        )

    def status(self, found: Sequence[EtcdStatus]) -> None:
        """``members``."""
        self._write_object(members=map(objects.status, found))

    def transaction(self, results: Sequence[UpdateResult]) -> None:
        """``header succeeded updates failed``, an object for each transaction."""
        for result in results:
            self._write_object(
                header=objects.header(result.header),
                succeeded="true",
                updates=map(objects.update, result.updates),
                failed=(),
            )

    def failure(self, error: ConditionFailedError, updates: Sequence[Update]) -> None:
        """As `transaction`; ``failed`` holds the conditions that were not met."""
        self._write_object(
            header=objects.header(error.header),
            succeeded="false",
            updates=map(objects.update, updates),
            failed=map(objects.condition, error.failed),
        )

    def plan(self, updates: Sequence[Update], conditions: Sequence[Condition]) -> None:
        """``dry_run updates conditions``."""
        self._write_object(
            dry_run="true",
            updates=map(objects.update, updates),
            conditions=map(objects.condition, conditions),
        )

    def differences(self, plan: Plan, *, done: bool) -> None:
        """``header target dry_run``, four counts, ``updates kept``."""
        self._write_object(
            header=objects.header(plan.header),
            target=encode_basestring(plan.target),
            dry_run="false" if done else "true",
            **{name: str(count) for name, count in counts(plan).items()},
            updates=map(objects.difference, plan.differences),
            kept=map(objects.stored, plan.kept),
        )

    def export_lines(self, pages: Iterable[Listing]) -> Iterable[str]:
        """``header target count updates invalid``."""
        parts = iter(pages)
        first = next(parts)
        unreadable: list[InvalidValue] = []
        members: dict[str, str | Iterable[str]] = {
            "header": objects.header(first.header),
            "target": encode_basestring(first.target),
            "count": str(first.count),
            "updates": _exported(chain([first], parts), unreadable),
            "invalid": (objects.invalid(each) for each in unreadable),  # filled by then
        }
        return self._text(map(safe_json, _object(members)))

    def version(self, versions: Mapping[str, str]) -> None:
        """A member for each part."""
        self._write_object(
            **{name: encode_basestring(version) for name, version in versions.items()}
        )

    def batch_lines(
        self, target: str, batch: ChangeBatch, endpoints: Mapping[str, StoredEndpoint]
    ) -> Iterator[str]:
        """An object a line for each event of the batch."""
        return (f"{safe_json(each)}\n" for each in objects.events(batch))

    def state_lines(self, change: StateChange) -> Iterator[str]:
        """One object; the time is UTC with milliseconds."""
        at = datetime.fromtimestamp(change.at, timezone.utc).isoformat(timespec="milliseconds")
        yield f"{safe_json(objects.state_change(change, at.replace('+00:00', 'Z')))}\n"

    def _write_object(self, **members: str | Iterable[str]) -> None:
        """Write an object of these members; each is JSON, or the JSON of an array's items."""
        write(self._text(map(safe_json, _object(members))))

    def _text(self, pieces: Iterable[str]) -> Iterable[str]:
        """Return the text for the JSON of one object; `YAMLPrinter` converts it."""
        return pieces


def _found(found: Listing | Keys) -> dict[str, str]:
    return {
        "header": objects.header(found.header),
        "target": encode_basestring(found.target),
        "count": str(found.count),
        "more": "true" if found.more else "false",
    }


def _exported(pages: Iterable[Listing], unreadable: list[InvalidValue]) -> Iterator[str]:
    for page in pages:
        yield from map(objects.stored_update, page.endpoints)
        unreadable += page.invalid


def _object(members: Mapping[str, str | Iterable[str]]) -> Iterator[str]:
    """Yield the pieces of an object; a member is JSON, or the items of an array."""
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
