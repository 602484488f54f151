"""
Transactions of etcd in plain data: compares, operations, and what etcd found at their keys.

They are flat, never nested: older etcd does not check permissions inside a nested transaction
(GHSA-rfx7-8w68-q57q).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from ..errors import EtcdError
from ..model import Header
from . import rpc_pb2 as rpc
from .answers import header_of, lacks_space
from .client import Client
from .columns import KeyValue

__all__ = [
    "Compare",
    "Delete",
    "Get",
    "NoneNewer",
    "Put",
    "TxnResult",
    "look_up",
    "look_up_with_header",
    "transact",
]


class Compare(NamedTuple):
    """*key* was last changed at *mod_revision*; 0: it does not exist, ``None``: it does."""

    key: bytes
    mod_revision: int | None


class NoneNewer(NamedTuple):
    """No key from *start* to *end* (exclusive) was created after *revision*."""

    start: bytes
    end: bytes
    revision: int


class Put(NamedTuple):
    """
    Write *key*.

    *keep_lease* needs a key that exists; it stays on its lease. *previous*: return what it held.
    """

    key: bytes
    value: bytes
    lease: int = 0
    keep_lease: bool = False
    previous: bool = False


class Delete(NamedTuple):
    """Delete *key*, and return what it held."""

    key: bytes


class Get(NamedTuple):
    """Read *key*; *keys_only*: without its value."""

    key: bytes
    keys_only: bool = False


class TxnResult(NamedTuple):
    """
    What a transaction did.

    *succeeded*: all compares held. *found* is one item for each operation that was executed: what
    etcd holds at its key, or held before, if that was asked for and the key existed.
    """

    succeeded: bool
    header: Header
    found: Sequence[KeyValue | None]


Operation: TypeAlias = Put | Delete | Get

_Part: TypeAlias = Mapping[str, object]
"""
The fields of an `rpc.RequestOp` or an `rpc.Compare`.

protobuf makes the transaction of mappings in half the time that it needs for messages, which it
copies into one another.
"""


def transact(
    client: Client,
    compares: Iterable[Compare | NoneNewer],
    success: Iterable[Operation],
    failure: Iterable[Operation],
) -> TxnResult:
    """
    Execute *success* if all *compares* hold, else *failure*, in one step.

    Raises:
        OutcomeUnknownError: It was sent, and no answer came.
    """
    answer = client._txn(
        rpc.TxnRequest(
            compare=map(_compare, compares),
            success=map(_operation, success),
            failure=map(_operation, failure),
        )
    )
    return TxnResult(answer.succeeded, header_of(answer.header), [*map(_found, answer.responses)])


def look_up(client: Client, keys: Sequence[bytes]) -> list[KeyValue | None]:
    """
    Return what etcd stores at each of *keys*, with its value, to write them.

    That is at one revision, if etcd can.
    """
    return look_up_with_header(client, keys, to_write=True)[1]


def look_up_with_header(
    client: Client, keys: Sequence[bytes], *, to_write: bool
) -> tuple[Header, list[KeyValue | None]]:
    """
    Return the header of the answer, and `look_up`; there is at least one key.

    *to_write*: if the user has no permission, the error names the one that writing needs.
    """
    request = rpc.TxnRequest(success=[_operation(Get(key)) for key in keys])
    try:
        answer = client._read(request, to_write=to_write)
    except EtcdError as exc:
        if not lacks_space(exc):
            raise
        # etcd 3.5.1 with a full database refuses every transaction, even one that only reads.
        answers = [client._range(rpc.RangeRequest(key=key)) for key in keys]
        return header_of(answers[-1].header), [_first(each.kvs) for each in answers]
    return header_of(answer.header), [_found(response) for response in answer.responses]


def _compare(compare: Compare | NoneNewer) -> _Part:
    if isinstance(compare, NoneNewer):
        start, end, revision = compare
        return {
            "key": start,
            "range_end": end,
            "target": rpc.Compare.CREATE,
            "result": rpc.Compare.LESS,
            "create_revision": revision + 1,
        }
    key, at = compare
    if at is None:
        return {
            "key": key,
            "target": rpc.Compare.VERSION,
            "result": rpc.Compare.GREATER,
            "version": 0,
        }
    # An absent key is at 0.
    return {
        "key": key,
        "target": rpc.Compare.MOD,
        "result": rpc.Compare.EQUAL,
        "mod_revision": at,
    }


def _operation(operation: Operation) -> _Part:
    if isinstance(operation, Put):
        key, value, lease, keep_lease, previous = operation
        put = {
            "key": key,
            "value": value,
            "lease": lease,
            "ignore_lease": keep_lease,
            "prev_kv": previous,
        }
        return {"request_put": put}
    if isinstance(operation, Delete):
        return {"request_delete_range": {"key": operation.key, "prev_kv": True}}
    return {"request_range": {"key": operation.key, "keys_only": operation.keys_only}}


def _found(response: rpc.ResponseOp) -> KeyValue | None:
    if response.HasField("response_put"):
        put = response.response_put
        return put.prev_kv if put.HasField("prev_kv") else None
    if response.HasField("response_range"):
        return _first(response.response_range.kvs)
    return _first(response.response_delete_range.prev_kvs)


def _first(found: Sequence[rpc.KeyValue]) -> KeyValue | None:
    return found[0] if found else None
