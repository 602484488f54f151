"""Slots looked at and written in etcd: flat transactions that write only what is as it was seen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, TypeVar

from ..errors import EtcdError
from ..etcd import Client, requests, rpc
from ..etcd.answers import lacks_space
from .rules import Seen, Slot

__all__ = ["AT_ONCE", "Write", "look", "parts", "write"]

AT_ONCE = 32
"""Keys in one transaction: less than etcd takes, which may have been told to take less than 128."""

Item = TypeVar("Item")


class Write(NamedTuple):
    """What to make of a slot: its value on *lease*, or nothing (``None``)."""

    slot: Slot
    lease: int | None


def look(client: Client, slots: Sequence[Slot]) -> None:
    """See what etcd holds at *slots*."""
    for some in parts(slots, AT_ONCE):
        try:
            _see(some, client.read([requests.get(slot.key) for slot in some]))
        except EtcdError as exc:
            if not lacks_space(exc):
                raise
            # An old etcd (3.5.1) has no space for any transaction, not even for one that reads.
            for slot in some:
                _note(slot, client.range(rpc.RangeRequest(key=slot.key)).kvs)


def write(client: Client, writes: Sequence[Write]) -> int:
    """
    Write all of them, if they are as we have seen them, and return the revision.

    Otherwise write nothing, see how they are, and return 0.

    Raises:
        OutcomeUnknownError: There was no answer; what is there has to be looked at.
        LeaseNotFoundError: The lease is gone.
    """
    slots = [each.slot for each in writes]
    for slot in slots:
        slot.sure = False  # until there is an answer
    answer = client.txn(
        rpc.TxnRequest(
            compare=[_is_as_seen(slot) for slot in slots],
            success=[_operation(each) for each in writes],
            failure=[requests.get(slot.key) for slot in slots],
        )
    )
    if not answer.succeeded:
        _see(slots, answer)
        return 0
    for slot, lease in writes:
        slot.sure = True
        slot.seen = None if lease is None else Seen(answer.header.revision, lease, slot.value)
    return answer.header.revision


def parts(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """Return *items* in parts of at most *size*."""
    return (items[start : start + size] for start in range(0, len(items), size))


def _is_as_seen(slot: Slot) -> rpc.Compare:
    return requests.is_at(slot.key, slot.seen.mod_revision if slot.seen else 0)  # 0: absent


def _operation(write: Write) -> rpc.RequestOp:
    if write.lease is None:
        return requests.delete(write.slot.key)
    return requests.put(write.slot.key, write.slot.value, lease=write.lease)


def _see(slots: Iterable[Slot], answer: rpc.TxnResponse) -> None:
    for slot, response in zip(slots, answer.responses, strict=True):
        _note(slot, response.response_range.kvs)


def _note(slot: Slot, found: Sequence[rpc.KeyValue]) -> None:
    slot.seen = Seen(found[0].mod_revision, found[0].lease, found[0].value) if found else None
    slot.sure = True
