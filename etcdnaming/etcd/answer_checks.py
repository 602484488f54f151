"""
What is wrong with an answer that no etcd gives, but a broken proxy in front of one may.

Each function returns the fault, or an empty text. They are called for every answer, so that a
caller can rely on what it reads: pages that come to an end, an answer for each operation, a lease
that can be kept alive. They look at a few fields only, never at every key of a page.
"""

from __future__ import annotations

from . import rpc_pb2 as rpc
from .columns import PageOfColumns

__all__ = [
    "LAST_REVISION",
    "fault_of_delete",
    "fault_of_grant",
    "fault_of_range",
    "fault_of_ttl",
    "fault_of_txn",
]

LAST_REVISION = 2**63 - 2
"""A watch that resumes after this one would overflow the number etcd counts revisions with."""

MAX_TTL = 10 * 366 * 86400
"""Seconds. etcd grants more only to a client that asks for more."""

_RESULTS = {
    "request_put": "response_put",
    "request_range": "response_range",
    "request_delete_range": "response_delete_range",
}


def fault_of_range(request: rpc.RangeRequest, response: rpc.RangeResponse | PageOfColumns) -> str:
    """Check an answer to a read of a range, which may be a page of it."""
    found = response.kvs
    if response.more and not found:
        return "it announces more keys, but holds none"
    if response.count < len(found):
        return f"it counts {response.count} keys, but holds {len(found)}"
    # The next page begins after the last key, so a key before the range would be read for ever.
    if found and not (_is_asked(request, found[0].key) and _is_asked(request, found[-1].key)):
        return "it holds a key outside the range"
    return _fault_of_header(response.header)


def fault_of_txn(request: rpc.TxnRequest, response: rpc.TxnResponse) -> str:
    """Check an answer to a transaction."""
    asked = request.success if response.succeeded else request.failure
    due = [_RESULTS[each.WhichOneof("request")] for each in asked]
    if due != [each.WhichOneof("response") for each in response.responses]:
        return "its results are not those of the operations"
    if not (response.succeeded or request.compare):
        return "it has failed, without a condition"
    return _fault_of_header(response.header)


def fault_of_delete(request: rpc.DeleteRangeRequest, response: rpc.DeleteRangeResponse) -> str:
    """Check an answer to a deletion of a range."""
    if response.deleted < 0 or (request.prev_kv and len(response.prev_kvs) != response.deleted):
        return f"it counts {response.deleted} deleted keys, but holds {len(response.prev_kvs)}"
    return _fault_of_header(response.header)


def fault_of_grant(request: rpc.LeaseGrantRequest, response: rpc.LeaseGrantResponse) -> str:
    """Check a granted lease."""
    if response.ID == 0:
        return "it grants a lease without an ID"
    if response.TTL <= 0:
        return f"it grants a TTL of {response.TTL}s"
    return fault_of_ttl(response.TTL, request.TTL)


def fault_of_ttl(ttl: int, asked: int) -> str:
    """Check that *ttl*, in seconds, is not longer than any that etcd gives for *asked*."""
    return f"it gives a lease a TTL of {ttl}s" if ttl > max(MAX_TTL, asked) else ""


def _fault_of_header(header: rpc.ResponseHeader) -> str:
    if 0 < header.revision <= LAST_REVISION:
        return ""
    return f"its revision is {header.revision}"


def _is_asked(request: rpc.RangeRequest, key: bytes) -> bool:
    if not request.range_end:
        return key == request.key
    # One zero byte as the end is no end.
    return request.key <= key and (key < request.range_end or request.range_end == b"\0")
