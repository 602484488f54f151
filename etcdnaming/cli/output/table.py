"""
``table``: for users. The only format that needs rich.

rich draws into a text, which is written like all results; `streams` decides on width and colour.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, starmap
from typing import TextIO

from rich.text import Text

from ...errors import ConditionFailedError
from ...model import (
    Change,
    ChangeBatch,
    Condition,
    Deletion,
    Difference,
    Keys,
    Listing,
    Plan,
    Services,
    StoredEndpoint,
    Update,
    UpdateResult,
)
from ...printable import printable
from ...registration.status import RegistrationEvent
from .grid import (
    CHANGES,
    EFFECT_STYLES,
    ENDPOINTS,
    KEYS,
    Grid,
    Row,
    condition_row,
    draw,
    endpoint_row,
    key_row,
    previous_row,
    update_row,
)
from .order import natural, sort
from .printers import (
    CheckedEndpoints,
    EtcdStatus,
    FoundEndpoints,
    GotEndpoints,
    Printer,
    StateChange,
)
from .simple import addr_lines, update_file
from .spelling import (
    STATUS,
    counted,
    counts,
    difference_effect,
    effect,
    endpoint_facts,
    escape,
    health_cells,
    invalid_facts,
    lease_id,
    status_cells,
    subject,
)
from .streams import terminal_width, write

__all__ = ["TablePrinter"]

FIRST_SET = ("KEY", "ADDR", "LEASE", "METADATA")
WATCH_CHANGES = ("CHANGE", *FIRST_SET)

HEALTH = ("KEY", "ADDR", "STATUS", "LATENCY", "REASON")
HEALTH_STYLES = {"SERVING": "green", "NOT_SERVING": "yellow", "UNREACHABLE": "red"}

STATUS_NAME_WIDTH = max(map(len, STATUS))

STATE_STYLES = {
    "granted": "dim",
    "registered": "green",
    "regained": "green",
    "healthy": "green",
    "changed": "yellow",
    "waiting": "yellow",
    "deleted": "yellow",
    "taken_over": "yellow",
    "lost": "red",
    "unhealthy": "red",
    "conflict": "red",
    "error": "red",
}
STATE_WIDTH = max(map(len, STATE_STYLES))


class TablePrinter(Printer):
    """See `Printer`. The last line is a summary."""

    wants_remaining = True

    def __init__(self, stream: TextIO | None = None, *, headers: bool = True) -> None:
        self._stream, self._headers = stream, headers
        self._is_first_batch = True

    def added(self, result: UpdateResult, prev_kv: bool) -> None:
        """The stored endpoint and the previous value."""
        before = map(previous_row, result.previous.values() if prev_kv else ())
        self._write(
            Grid(CHANGES, [*map(update_row, result.updates), *before]),
            Text(f"OK, revision {result.header.revision}"),
        )

    def deleted(self, deletion: Deletion, prev_kv: bool) -> None:
        """The number, and the previous values."""
        self._write(
            Grid(CHANGES, map(previous_row, deletion.previous if prev_kv else ())),
            Text(f"{deletion.deleted} deleted, revision {deletion.header.revision}"),
        )

    def listing(self, listing: Listing, remaining: Mapping[int, int]) -> None:
        """The endpoints."""
        endpoints = (endpoint_row(stored, remaining) for stored in listing.endpoints)
        found = _found(listing, len(listing.endpoints), "endpoint")
        self._write(Grid(ENDPOINTS, endpoints), Text(found, "dim"))

    def addrs(self, listing: Listing) -> None:
        """An address a line, as `SimplePrinter` prints them."""
        write(addr_lines(listing))

    def keys(self, keys: Keys) -> None:
        """The keys with their revisions."""
        found = _found(keys, len(keys.keys), "key")
        self._write(Grid(KEYS, map(key_row, keys.keys)), Text(found, "dim"))

    def count(self, keys: Keys) -> None:
        """The number."""
        self._write(Text(_found(keys, keys.count, "key")))

    def services(self, services: Services) -> None:
        """The targets and the number of their endpoints."""
        counts = sorted(services.counts.items(), key=lambda each: natural(each[0]))
        where = f" under {escape(services.prefix)}/" if services.prefix else ""
        summary = f"{counted(len(counts), 'service')}{where}, revision {services.header.revision}"
        found = (Row([escape(name), str(count)]) for name, count in counts)
        self._write(Grid(["TARGET", "ENDPOINTS"], found), Text(summary, "dim"))

    def got(self, got: GotEndpoints) -> None:
        """A table of names and values for each endpoint."""
        blocks = [*starmap(endpoint_facts, got.endpoints), *map(invalid_facts, got.invalid)]
        for number, ((name, key), *others) in enumerate(blocks):
            write(["\n"] if number else [])
            # The first line is a fact, not a header that can be left out.
            write([draw(Grid([name, key], map(Row, others), in_place=True))])

    def found(self, found: FoundEndpoints, remaining: Mapping[int, int]) -> None:
        """The endpoints, as `listing` prints them."""
        endpoints = sort(found.endpoints, "key")
        number = counted(len(endpoints), "endpoint")
        self._write(
            Grid(ENDPOINTS, (endpoint_row(stored, remaining) for stored in endpoints)),
            Text(f"{number} under {escape(found.target)}, revision {found.revision}", "dim"),
        )

    def checked(self, checked: CheckedEndpoints) -> None:
        """The endpoints and their health."""
        endpoints = sorted(checked.endpoints, key=lambda each: natural(each.stored.key))
        column = HEALTH.index("STATUS")
        shown = (Row(health_cells(each), HEALTH_STYLES[each.status], column) for each in endpoints)
        number = counted(len(checked.endpoints), "endpoint")
        summary = f"{checked.serving} of {number} under {escape(checked.target)} SERVING"
        self._write(
            Grid(HEALTH, shown), Text(f"{summary}, revision {checked.header.revision}", "dim")
        )

    def status(self, found: Sequence[EtcdStatus]) -> None:
        """A row for each endpoint; if that is too wide, a table of names and values for each."""
        cells = [*map(status_cells, found)]
        shown = len(STATUS) if any(each[-1] for each in cells) else len(STATUS) - 1
        grid = Grid(STATUS[:shown], [Row(each[:shown]) for each in cells])
        if grid.natural_width <= terminal_width(sys.stdout):
            self._write(grid)
            return
        for number, each in enumerate(cells):
            write(["\n"] if number else [])
            left_out = {"", "-"} if each[-1] else {""}  # with a reason, all but that is unknown
            facts = [
                Row((name.ljust(STATUS_NAME_WIDTH), value))
                for name, value in zip(STATUS, each, strict=True)
                if value not in left_out
            ]
            write([draw(Grid(facts[0].cells, facts[1:], in_place=True))])

    def transaction(self, results: Sequence[UpdateResult]) -> None:
        """The updates, in one table even for many transactions."""
        done = chain.from_iterable(result.updates for result in results)
        how = f" in {len(results)} transactions" if len(results) > 1 else ""
        self._write(
            Grid(CHANGES, map(update_row, done)),
            Text(f"SUCCESS{how}, revision {results[-1].header.revision}"),
        )

    def failure(self, error: ConditionFailedError, updates: Sequence[Update]) -> None:
        """The failed conditions and the updates that were not made."""
        failed = [condition_row(condition, "red", 0) for condition in error.failed]
        self._write(
            Grid(CHANGES, [*failed, *map(update_row, updates)]),
            Text(f"FAILURE: nothing was written, revision {error.header.revision}", "bold red"),
        )

    def plan(self, updates: Sequence[Update], conditions: Sequence[Condition]) -> None:
        """The conditions and the updates that would be made."""
        planned = [*map(condition_row, conditions), *map(update_row, updates)]
        self._write(Grid(CHANGES, planned), Text("dry run: nothing was written"))

    def differences(self, plan: Plan, *, done: bool) -> None:
        """What changes, as ``watch`` shows it, and the counts."""
        found = ", ".join(f"{count} {name}" for name, count in counts(plan).items())
        kept = f", {len(plan.kept)} not pruned" if plan.kept else ""
        in_order = sorted(plan.differences, key=lambda each: natural(each.update.key))
        shown = chain.from_iterable(map(_difference_rows, in_order))
        where = f"under {escape(plan.target)}, revision {plan.header.revision}"
        self._write(
            Grid(WATCH_CHANGES, shown),
            Text(f"{'SUCCESS: ' if done else ''}{found}{kept} {where}", "" if done else "dim"),
        )

    def export_lines(self, pages: Iterable[Listing]) -> Iterator[str]:
        """The update file of ``simple``: it is to be copied."""
        return update_file(pages)

    def version(self, versions: Mapping[str, str]) -> None:
        """The parts and their versions."""
        parts = (Row([escape(name), escape(version)]) for name, version in versions.items())
        self._write(Grid(["PART", "VERSION"], parts))

    def batch_lines(
        self, target: str, batch: ChangeBatch, endpoints: Mapping[str, StoredEndpoint]
    ) -> Iterator[str]:
        """One small table a batch: the endpoints or changes, and a summary."""
        if not self._is_first_batch:
            yield "\n"
        self._is_first_batch = False
        if batch.first:
            changes = sorted(batch.changes, key=lambda change: natural(change.key))
            shown = Grid(FIRST_SET, (Row(_change_cells(change)) for change in changes))
        else:
            shown = Grid(WATCH_CHANGES, _change_rows(batch.changes))
        yield self._draw(shown, Text(_batch_summary(target, batch), "dim"))

    def state_lines(self, change: StateChange) -> Iterator[str]:
        """One line: time, type and the facts of the event."""
        clock = time.strftime("%H:%M:%S", time.localtime(change.at))
        style = STATE_STYLES.get(change.type, "")
        kind = Text(change.type.replace("_", " ").ljust(STATE_WIDTH), style)
        facts = "  ".join(_facts(change.event))
        yield draw(Text.assemble((clock, "dim"), "  ", kind, "  ", facts), stream=self._stream)

    def _write(self, *parts: Grid | Text) -> None:
        write([self._draw(*parts)])

    def _draw(self, *parts: Grid | Text) -> str:
        for part in parts:
            if isinstance(part, Grid):
                part.has_header = self._headers
        return draw(*parts)


def _found(found: Listing | Keys, shown: int, noun: str) -> str:
    number = f"{shown} of {counted(found.count, noun)}" if found.more else counted(shown, noun)
    return f"{number} under {escape(found.target)}, revision {found.header.revision}"


def _batch_summary(target: str, batch: ChangeBatch) -> str:
    count = counted(len(batch.changes), "endpoint" if batch.first else "change")
    how = ", found by reading again" if batch.resync else ""
    return f"{count} under {escape(target)}, revision {batch.revision}{how}"


def _change_rows(changes: Iterable[Change]) -> Iterator[Row]:
    for change in changes:
        what = effect(change)
        yield Row((what, *_change_cells(change)), EFFECT_STYLES[what], 0)
        if change.previous is None or change.endpoint is None:
            continue
        before = previous_row(change.previous)
        if before.cells[1:] != _change_cells(change):
            yield before


def _difference_rows(difference: Difference) -> Iterator[Row]:
    update, before = difference
    what = difference_effect(difference)
    style = EFFECT_STYLES[what]
    if before is None:
        yield Row((what, *update_row(update._replace(lease=update.lease or 0)).cells[1:]), style, 0)
    elif update.endpoint is None:
        yield Row((what, *previous_row(before).cells[1:]), style, 0)
    else:
        lease = before.lease if update.lease is None else update.lease
        yield Row((what, *update_row(update._replace(lease=lease)).cells[1:]), style, 0)
        yield previous_row(before)


def _change_cells(change: Change) -> tuple[str, ...]:
    endpoint, lease = subject(change)
    return tuple(update_row(Update.add(change.key, endpoint, lease=lease)).cells[1:])


def _facts(event: RegistrationEvent) -> Iterator[str]:
    if event.key:
        yield escape(event.key)
    if event.endpoint is not None:
        yield escape(event.endpoint.addr)
    if event.ttl:
        yield f"TTL({event.ttl}s)"
    if event.lease:
        yield f"lease {lease_id(event.lease)}"
    if event.holder:
        yield f"held by lease {lease_id(event.holder)}"
    if event.seconds:
        yield f"after {event.seconds:.1f}s"
    if event.reason:
        yield printable(event.reason)
