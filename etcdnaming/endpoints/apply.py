"""
A target as it should be: the plan, made without I/O, and how it comes true.

That is done by compare-and-swap, in one transaction or in batches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from .. import keys, wire
from ..errors import ConflictError, TooManyOperationsError
from ..etcd import Client, within
from ..etcd.transactions import Compare, Get, NoneNewer, transact
from ..model import Difference, Header, InvalidValue, Listing, Plan, StoredEndpoint, Update
from .transaction import operation

__all__ = ["apply", "plan"]


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
    # On a lease, another process keeps it registered.
    kept = [
        each
        for each in unwanted
        if not prune_leased and (each.lease or isinstance(each, InvalidValue))
    ]
    found += _deletes(unwanted, kept)
    found.sort(key=lambda each: keys.encode(each.update.key))
    return Plan(listing.header, listing.target, found, unchanged, kept)


def _is_done(update: Update, before: StoredEndpoint | InvalidValue | None) -> bool:
    if update.endpoint is None or before is None:
        return update.endpoint is None and before is None
    if isinstance(before, InvalidValue) or update.lease not in (None, before.lease):
        return False
    return wire.encode(before.endpoint) == wire.encode(update.endpoint)


def _deletes(
    unwanted: Sequence[StoredEndpoint | InvalidValue],
    kept: Sequence[StoredEndpoint | InvalidValue],
) -> Iterator[Difference]:
    spared = {each.key for each in kept}
    return (
        Difference(Update.delete(each.key), each) for each in unwanted if each.key not in spared
    )


MAX_ATTEMPTS = 10
"""Transactions in a row that lose against other clients, before giving up."""


def apply(  # noqa: PLR0913 - many settings, each with a name
    client: Client,
    make_plan: Callable[[], Plan],
    *,
    max_txn_ops: int,
    batch_size: int | None,
    on_batch: Callable[[int, int], None],
    prune: bool = False,
) -> Plan:
    """
    Make the updates of a plan, and return those that were made.

    Each transaction compares the mod revisions of the keys that it writes with those that the plan
    was made of and, where the server's limit permits, of the keys that are unchanged. If another
    client was faster, *make_plan* reads again.

    Args:
        client: The client of the etcd that stores them.

        make_plan: Reads the target and plans.

        max_txn_ops: The server's limit of operations in one transaction.

        batch_size: Keys in one transaction; ``None``: all in one.

        on_batch: Called with the number of updates made and of all after each transaction.

        prune: The plan is of all keys of the target: each transaction also compares that no other
            key was created since.

    Raises:
        TooManyOperationsError: They don't fit in one transaction. Nothing was written.
        ConflictError: Other clients kept changing the keys.
    """
    done: list[Difference] = []
    first: Plan | None = None
    lost: Sequence[str] = ()
    attempts = 0
    with within(client.timeout) as deadline:
        while attempts < MAX_ATTEMPTS:
            plan = make_plan()
            first = first or plan
            size = _batch_size(plan, batch_size, max_txn_ops, prune=prune)
            header, total = plan.header, len(done) + len(plan.differences)
            room = max_txn_ops - size - prune
            unchanged = plan.unchanged if len(plan.unchanged) <= room else ()
            try:
                for at in range(0, len(plan.differences), size or 1):
                    batch = plan.differences[at : at + size]
                    # No key may have been added to the target since the last answer.
                    newer = NoneNewer(*keys.range_of(plan.target), header.revision)
                    header = _write(client, batch, unchanged, newer if prune else None)
                    done += batch
                    attempts = 0
                    on_batch(len(done), total)
                    deadline.renew()  # each transaction has the time of one command
            except _ChangedError as exc:
                attempts, lost = attempts + 1, exc.keys or [f"{plan.target}/"]
                continue
            # A later plan counts as unchanged what this call has written.
            return plan._replace(header=header, differences=done, unchanged=first.unchanged)
    raise ConflictError(lost, MAX_ATTEMPTS)


class _ChangedError(Exception):
    """Other clients have changed *keys* or, if it is empty, created others."""

    def __init__(self, keys: Sequence[str]) -> None:
        super().__init__(*keys)
        self.keys = keys


def _batch_size(plan: Plan, wanted: int | None, max_txn_ops: int, *, prune: bool) -> int:
    """
    Return the number of updates in each transaction.

    Raises:
        TooManyOperationsError: etcd takes fewer.
    """
    needed = len(plan.differences) + prune if wanted is None else wanted
    if needed > max_txn_ops:
        raise TooManyOperationsError(needed, max_txn_ops)
    # etcd limits compares as well, of which there is one more.
    return len(plan.differences) if wanted is None else min(wanted, max(max_txn_ops - prune, 1))


def _write(
    client: Client,
    batch: Sequence[Difference],
    unchanged: Sequence[Difference],
    others: NoneNewer | None,
) -> Header:
    # Without the compares of unchanged keys, two clients that apply different files at once could
    # each write the half that the other one has just found as wanted.
    seen = {
        update.key: before.mod_revision if before else 0 for update, before in (*batch, *unchanged)
    }
    compares = [Compare(keys.encode(key), revision) for key, revision in seen.items()]
    result = transact(
        client,
        [*compares, others] if others else compares,
        [operation(update, exists=before is not None) for update, before in batch],
        [Get(keys.encode(key), keys_only=True) for key in seen],
    )
    if result.succeeded:
        return result.header
    now = [found.mod_revision if found else 0 for found in result.found]
    raise _ChangedError(
        [key for (key, revision), at in zip(seen.items(), now, strict=True) if at != revision]
    )
