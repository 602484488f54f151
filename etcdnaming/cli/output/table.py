"""
``table``: for people. The only format that needs rich, see `etcdnaming.cli.output.printer`.

rich draws into a text, which goes the way of all results; what it may use is decided in `terminal`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

from rich.text import Text

from ...errors import ConditionFailedError
from ...model import Condition, Deletion, Keys, Listing, Services, Update, UpdateResult
from . import rows
from .counting import counted
from .drawing import draw
from .grid import Grid, Row
from .progress import progress
from .spelling import escape
from .stdout import write

__all__ = ["TablePrinter"]


class TablePrinter:
    """See `Printer`. Below the rows stands what they are all about."""

    wants_remaining = True
    wants_leases = True
    progress = staticmethod(progress)

    def added(self, result: UpdateResult, prev_kv: bool) -> None:
        """What was stored, and what was there."""
        before = map(rows.previous, result.previous.values() if prev_kv else ())
        _print(
            Grid(rows.CHANGES, [*map(rows.update, result.updates), *before]),
            Text(f"OK, revision {result.header.revision}"),
        )

    def deleted(self, deletion: Deletion, prev_kv: bool) -> None:
        """How many, and what was there."""
        _print(
            Grid(rows.CHANGES, map(rows.previous, deletion.previous if prev_kv else ())),
            Text(f"{deletion.deleted} deleted, revision {deletion.header.revision}"),
        )

    def listing(self, listing: Listing, remaining: Mapping[int, int]) -> None:
        """The endpoints; what can't be read stands last, where nobody can miss it."""
        endpoints = (rows.endpoint(stored, remaining) for stored in listing.endpoints)
        _print(Grid(rows.ENDPOINTS, endpoints), *_summary(listing))

    def addrs(self, listing: Listing) -> None:
        """The addresses."""
        addrs = (Row([escape(stored.endpoint.addr)]) for stored in listing.endpoints)
        _print(Grid(["ADDR"], addrs), *_summary(listing))

    def keys(self, keys: Keys) -> None:
        """The keys, and when they were changed."""
        found = _found(keys, len(keys.keys), "key")
        _print(Grid(rows.KEYS, map(rows.key, keys.keys)), Text(found, "dim"))

    def count(self, keys: Keys) -> None:
        """The number."""
        _print(Text(_found(keys, keys.count, "key")))

    def services(self, services: Services) -> None:
        """The targets and the number of their keys."""
        counts = services.counts.items()
        where = f"under {escape(services.prefix)}, revision {services.header.revision}"
        _print(
            Grid(["TARGET", "KEYS"], (Row([escape(name), str(count)]) for name, count in counts)),
            Text(f"{counted(len(counts), 'target')} {where}", "dim"),
        )

    def transaction(self, results: Sequence[UpdateResult]) -> None:
        """What was done, in one table also for many transactions."""
        done = chain.from_iterable(result.updates for result in results)
        how = f" in {len(results)} transactions" if len(results) > 1 else ""
        _print(
            Grid(rows.CHANGES, map(rows.update, done)),
            Text(f"SUCCESS{how}, revision {results[-1].header.revision}"),
        )

    def failure(self, error: ConditionFailedError, updates: Sequence[Update]) -> None:
        """What was not done, and why."""
        failed = [rows.condition(condition, "red") for condition in error.failed]
        _print(
            Grid(rows.CHANGES, [*failed, *map(rows.update, updates)]),
            Text(f"FAILURE: nothing was written, revision {error.header.revision}", "bold red"),
        )

    def plan(self, updates: Sequence[Update], conditions: Sequence[Condition]) -> None:
        """What would be done, and on what condition."""
        planned = [*map(rows.condition, conditions), *map(rows.update, updates)]
        _print(Grid(rows.CHANGES, planned), Text("dry run: nothing was written"))

    def version(self, versions: Mapping[str, str]) -> None:
        """The parts and their versions."""
        parts = (Row([escape(name), escape(version)]) for name, version in versions.items())
        _print(Grid(["PART", "VERSION"], parts))


def _summary(listing: Listing) -> Iterator[Grid | Text]:
    found = Text(_found(listing, len(listing.endpoints), "endpoint"), "dim")
    if listing.invalid:
        yield Grid(rows.UNREADABLE, map(rows.unreadable, listing.invalid))
        unreadable = f"{counted(len(listing.invalid), 'value')} can't be read\n"
        found = Text(unreadable, "bold red").append(found)
    yield found


def _found(found: Listing | Keys, shown: int, noun: str) -> str:
    number = f"{shown} of {counted(found.count, noun)}" if found.more else counted(shown, noun)
    return f"{number} under {escape(found.target)}, revision {found.header.revision}"


def _print(*parts: Grid | Text) -> None:
    write([draw(*parts)])
