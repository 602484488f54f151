"""
``fields``: etcdctl's ``"Name" : value`` lines, with ``Addr`` and ``Metadata`` for ``Value``.

Text is quoted as Go's ``%q`` does, ids are decimal, metadata is JSON.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...errors import ConditionFailedError
from ...model import Condition, Deletion, Keys, Listing, Services, Update, UpdateResult
from . import blocks
from .progress import progress
from .stdout import write

__all__ = ["FieldsPrinter"]


class FieldsPrinter:
    """See `Printer`."""

    wants_remaining = False
    wants_leases = True
    progress = staticmethod(progress)

    def added(self, result: UpdateResult, prev_kv: bool) -> None:
        """Header, what was stored, and what was there."""
        write([*blocks.header(result.header), *blocks.updates(result.updates)])
        write(blocks.each(result.previous.values() if prev_kv else (), "Prev"))

    def deleted(self, deletion: Deletion, prev_kv: bool) -> None:
        """Header, the number, and what was there."""
        write([*blocks.header(deletion.header), blocks.line("Deleted", deletion.deleted)])
        if prev_kv:
            write(blocks.each(deletion.previous, "Prev"))

    def listing(self, listing: Listing, remaining: Mapping[int, int]) -> None:
        """Header, endpoints and those that can't be read, and how many keys there are."""
        write(blocks.header(listing.header))
        write(blocks.each(listing.endpoints))
        write(blocks.each(listing.invalid))
        write(blocks.total(listing))

    def addrs(self, listing: Listing) -> None:
        """As `listing`, with the addresses only."""
        write(blocks.header(listing.header))
        write(blocks.text("Addr", stored.endpoint.addr) for stored in listing.endpoints)
        write(blocks.each(listing.invalid))
        write(blocks.total(listing))

    def keys(self, keys: Keys) -> None:
        """Header, what is known of the keys, and how many there are."""
        write([*blocks.header(keys.header), *blocks.each(keys.keys), *blocks.total(keys)])

    def count(self, keys: Keys) -> None:
        """Header and the number."""
        write([*blocks.header(keys.header), blocks.line("Count", keys.count)])

    def services(self, services: Services) -> None:
        """Header, and the targets with the number of their keys."""
        write(blocks.header(services.header))
        for target, count in services.counts.items():
            write([blocks.text("Target", target), blocks.line("Count", count)])

    def transaction(self, results: Sequence[UpdateResult]) -> None:
        """Header, success and the updates, for each transaction."""
        for result in results:
            write([*blocks.header(result.header), blocks.line("Succeeded", "true")])
            write(blocks.updates(result.updates))

    def failure(self, error: ConditionFailedError, updates: Sequence[Update]) -> None:
        """Header, failure and the conditions that were not met."""
        write([*blocks.header(error.header), blocks.line("Succeeded", "false")])
        write(blocks.text("Failed", str(condition)) for condition in error.failed)

    def plan(self, updates: Sequence[Update], conditions: Sequence[Condition]) -> None:
        """The conditions and the updates."""
        write(blocks.text("If", str(condition)) for condition in conditions)
        write(blocks.updates(updates))

    def version(self, versions: Mapping[str, str]) -> None:
        """A line for each part."""
        write(blocks.text(name, version) for name, version in versions.items())
