"""Fold several updates of one key into one, because etcd refuses two in one transaction."""

from __future__ import annotations

from collections.abc import Sequence

from ..model import Operation, Update

__all__ = ["fold"]


def fold(updates: Sequence[Update]) -> tuple[Update, ...]:
    """
    Return at most one update per key, with the same effect as *updates* in order.

    The lease is folded too: an add that keeps the lease keeps the one that the previous update
    left, which is none after a delete.

    >>> from etcdnaming.model import Endpoint
    >>> fold([Update.delete("svc/e1"), Update.add("svc/e1", Endpoint("1.2.3.4"))])[0].lease
    0
    """
    folded: dict[str, Update] = {}
    for update in updates:
        before = folded.get(update.key)
        folded[update.key] = _after(before, update) if before else update
    return tuple(folded.values())


def _after(before: Update, then: Update) -> Update:
    if then.op is Operation.DELETE or then.lease is not None:
        return then
    return then._replace(lease=0 if before.op is Operation.DELETE else before.lease)
