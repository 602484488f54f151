"""Make a plan for a target come true by compare-and-swap, in one transaction or in batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from .. import keys
from ..errors import ConflictError, TooManyOperationsError
from ..etcd import Client, within
from ..etcd.transactions import Compare, Get, NoneNewer, transact
from ..model import Difference, Header, Plan
from .transaction import operation

__all__ = ["apply"]

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
                for batch in _batches(plan.differences, size):
                    others = _others(plan, header) if prune else None
                    header = _write(client, batch, unchanged, others)
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


def _batches(differences: Sequence[Difference], size: int) -> Iterator[Sequence[Difference]]:
    return (differences[at : at + size] for at in range(0, len(differences), size or 1))


def _others(plan: Plan, header: Header) -> NoneNewer:
    """Return the compare that no key was added to the target since the answer with *header*."""
    return NoneNewer(*keys.range_of(plan.target), header.revision)


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
