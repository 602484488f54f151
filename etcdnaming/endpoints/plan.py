"""Compare the endpoints of a target with those that are wanted, without I/O."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .. import keys, wire
from ..model import Difference, InvalidValue, Listing, Plan, StoredEndpoint, Update

__all__ = ["plan"]


def plan(
    listing: Listing,
    wanted: Sequence[Update],
    *,
    prune: bool = False,
    prune_leased: bool = False,
) -> Plan:
    """
    Return what must be updated so that the target of *listing* holds what is *wanted*.

    Args:
        listing: All endpoints of the target.

        wanted: Endpoints that the target must hold, and keys that must be absent. The last update
            of a key counts. An endpoint that keeps its lease stays on it.

        prune: Delete the endpoints that are not wanted.

        prune_leased: Prune also endpoints on leases, which another process keeps registered, and
            values that can't be read.
    """
    stored: Sequence[StoredEndpoint | InvalidValue] = [*listing.endpoints, *listing.invalid]
    current = {each.key: each for each in stored}
    updates = {each.key: each for each in wanted}
    compared = [Difference(each, current.get(each.key)) for each in updates.values()]
    unchanged = [each for each in compared if _is_done(*each)]
    found = [each for each in compared if not _is_done(*each)]
    unwanted = [each for each in current.values() if prune and each.key not in updates]
    kept = [each for each in unwanted if not (prune_leased or _is_ours(each))]
    found += _deletes(unwanted, kept)
    found.sort(key=lambda each: keys.encode(each.update.key))
    return Plan(listing.header, listing.target, found, unchanged, kept)


def _is_done(update: Update, before: StoredEndpoint | InvalidValue | None) -> bool:
    if update.endpoint is None or before is None:
        return update.endpoint is None and before is None
    if isinstance(before, InvalidValue) or update.lease not in (None, before.lease):
        return False
    return wire.encode(before.endpoint) == wire.encode(update.endpoint)


def _is_ours(unwanted: StoredEndpoint | InvalidValue) -> bool:
    """Return whether *unwanted* is an endpoint that no other process keeps registered."""
    return isinstance(unwanted, StoredEndpoint) and not unwanted.lease


def _deletes(
    unwanted: Sequence[StoredEndpoint | InvalidValue],
    kept: Sequence[StoredEndpoint | InvalidValue],
) -> Iterator[Difference]:
    spared = {each.key for each in kept}
    return (
        Difference(Update.delete(each.key), each) for each in unwanted if each.key not in spared
    )
