"""Make a plan for a target come true by compare-and-swap, in one transaction or in batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from ..errors import ConditionFailedError, ConflictError, TooManyOperationsError
from ..etcd import Client, within
from ..model import Condition, Difference, Header, Plan
from . import transaction

__all__ = ["apply"]

MAX_ATTEMPTS = 10
"""Transactions in a row that lose against other clients, before giving up."""


def apply(
    client: Client,
    make_plan: Callable[[], Plan],
    *,
    max_txn_ops: int,
    batch_size: int | None,
    on_batch: Callable[[int, int], None],
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

    Raises:
        TooManyOperationsError: They don't fit in one transaction. Nothing was written.
        ConflictError: Other clients kept changing the keys.
    """
    done: list[Difference] = []
    first: Plan | None = None
    lost: Sequence[Condition] = ()
    attempts = 0
    with within(client.timeout) as deadline:
        while attempts < MAX_ATTEMPTS:
            plan = make_plan()
            first = first or plan
            size = batch_size or len(plan.differences)
            if size > max_txn_ops:
                raise TooManyOperationsError(size, max_txn_ops)
            header, total = plan.header, len(done) + len(plan.differences)
            unchanged = plan.unchanged if size + len(plan.unchanged) <= max_txn_ops else ()
            try:
                for batch in _batches(plan.differences, size):
                    header = _write(client, batch, unchanged, max_txn_ops)
                    done += batch
                    attempts = 0
                    on_batch(len(done), total)
                    deadline.renew()  # each transaction has the time of one command
            except ConditionFailedError as exc:
                attempts, lost = attempts + 1, exc.failed
                continue
            # A later plan counts as unchanged what this call has written.
            return plan._replace(header=header, differences=done, unchanged=first.unchanged)
    raise ConflictError([each.key for each in lost], MAX_ATTEMPTS)


def _batches(differences: Sequence[Difference], size: int) -> Iterator[Sequence[Difference]]:
    return (differences[at : at + size] for at in range(0, len(differences), size or 1))


def _write(
    client: Client, batch: Sequence[Difference], unchanged: Sequence[Difference], max_txn_ops: int
) -> Header:
    updates = [each.update for each in batch]
    # Without the compares of unchanged keys, two clients that apply different files at once could
    # each write the half that the other one has just found as wanted.
    seen = [
        Condition(update.key, before.mod_revision if before else 0)
        for update, before in (*batch, *unchanged)
    ]
    return transaction.update(client, updates, conditions=seen, max_txn_ops=max_txn_ops).header
