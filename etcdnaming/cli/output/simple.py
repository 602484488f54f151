"""
``simple``: for pipes. Few words, no header, TAB between the columns.

KEY and ADDR are escaped (`spelling.escape`); METADATA is JSON, which has escapes of its own, so
that ``cut -f3`` can be fed to any JSON parser. An unreadable value has no line here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from ...errors import ConditionFailedError
from ...model import (
    Condition,
    Deletion,
    Endpoint,
    InvalidValue,
    Keys,
    Listing,
    Services,
    StoredEndpoint,
    Update,
    UpdateResult,
)
from ...wire import dumps_again
from .progress import progress
from .spelling import escape, safe_json
from .stdout import write
from .updatelines import update_lines

__all__ = ["SimplePrinter", "line"]


class SimplePrinter:
    """See `Printer`."""

    wants_remaining = False
    wants_leases = False
    progress = staticmethod(progress)

    def added(self, result: UpdateResult, prev_kv: bool) -> None:
        """``OK``, then the line of what was there."""
        write(["OK\n"])
        if prev_kv:
            write(_lines(result.previous.values()))

    def deleted(self, deletion: Deletion, prev_kv: bool) -> None:
        """The number, then a line for each that was there."""
        write([f"{deletion.deleted}\n"])
        if prev_kv:
            write(_lines(deletion.previous))

    def listing(self, listing: Listing, remaining: Mapping[int, int]) -> None:
        """``KEY ADDR METADATA``."""
        write(_lines(listing.endpoints))

    def addrs(self, listing: Listing) -> None:
        """An address a line."""
        write(f"{escape(stored.endpoint.addr)}\n" for stored in listing.endpoints)

    def keys(self, keys: Keys) -> None:
        """A key a line."""
        write(f"{escape(stored.key)}\n" for stored in keys.keys)

    def count(self, keys: Keys) -> None:
        """The number."""
        write([f"{keys.count}\n"])

    def services(self, services: Services) -> None:
        """``TARGET COUNT``."""
        write(f"{escape(target)}\t{count}\n" for target, count in services.counts.items())

    def transaction(self, results: Sequence[UpdateResult]) -> None:
        """``SUCCESS``, once."""
        write(["SUCCESS\n"])

    def failure(self, error: ConditionFailedError, updates: Sequence[Update]) -> None:
        """``FAILURE``; which condition it was is said on stderr."""
        write(["FAILURE\n"])

    def plan(self, updates: Sequence[Update], conditions: Sequence[Condition]) -> None:
        """An update file."""
        write(update_lines(updates, conditions))

    def version(self, versions: Mapping[str, str]) -> None:
        """``NAME VERSION``."""
        write(f"{escape(name)}\t{escape(version)}\n" for name, version in versions.items())


def _lines(found: Iterable[StoredEndpoint | InvalidValue]) -> Iterator[str]:
    for stored in found:
        if isinstance(stored, StoredEndpoint):
            yield line(stored.key, stored.endpoint)


def line(key: str, endpoint: Endpoint) -> str:
    """``KEY ADDR METADATA``, as it was read."""
    return f"{escape(key)}\t{escape(endpoint.addr)}\t{safe_json(dumps_again(endpoint.metadata))}\n"
