"""What etcd was asked when it denied permission: its own words name neither user nor key."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..errors import PermissionDeniedError
from . import rpc_pb2 as rpc

if TYPE_CHECKING:
    from google.protobuf.message import Message

__all__ = ["explain_denial"]

MOST = 3
"""Keys that are named; of a transaction of a hundred the rest is a number."""


def explain_denial(
    denied: PermissionDeniedError, user: str, permission: str, request: Message
) -> PermissionDeniedError:
    """Return *denied* with *user*, and the keys of *request* that need *permission*."""
    places = list(dict.fromkeys(map(_place, _parts(request))))
    more = f" and {len(places) - MOST} more" if len(places) > MOST else ""
    return PermissionDeniedError(
        denied.text, f"{user} needs {permission} permission on {', '.join(places[:MOST])}{more}"
    )


def _parts(request: Message) -> Iterator[Message]:
    """Yield the operations of a transaction; any other request is one."""
    if not isinstance(request, rpc.TxnRequest):
        yield request
        return
    for each in (*request.success, *request.failure):
        yield getattr(each, each.WhichOneof("request") or "request_put")


def _place(part: Message) -> str:
    if isinstance(part, rpc.PutRequest):
        return _text(part.key)
    if isinstance(part, (rpc.RangeRequest, rpc.DeleteRangeRequest, rpc.WatchCreateRequest)):
        return _range(part.key, part.range_end)
    if isinstance(part, (rpc.LeaseRevokeRequest, rpc.LeaseTimeToLiveRequest)):
        return f"the keys of lease {part.ID:016x}"
    return "what it asks for"


def _range(start: bytes, end: bytes) -> str:
    if not end:
        return _text(start)
    if start == end == b"\0":
        return "all keys"
    if start and end[:-1] == start[:-1] and end[-1] == start[-1] + 1:
        return f"the prefix {_text(start)}"
    return f"the keys from {_text(start)} to {_text(end)}"


def _text(key: bytes) -> str:
    return key.decode("utf-8", "backslashreplace")
