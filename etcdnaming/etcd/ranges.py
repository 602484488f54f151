"""
Read, count and delete ranges of keys in plain data: no protobuf message leaves this room.

The one exception is `KeyValue`: the keys of a long list are handed out as etcd's own messages,
which have these attributes, because a copy of each would take longer than decoding its value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol, TypeVar

from ..model import Header
from . import rpc_pb2 as rpc
from .client import Client
from .snapshot import read_pages as _read_pages
from .snapshot import read_snapshot

__all__ = [
    "KeyValue",
    "count_keys",
    "delete_range",
    "header_of",
    "read_keys",
    "read_pages",
    "read_range",
]

Found = TypeVar("Found")


class KeyValue(Protocol):
    """A key as etcd stores it, to be read only."""

    @property
    def key(self) -> bytes: ...  # noqa: D102 - etcd's names
    @property
    def value(self) -> bytes: ...  # noqa: D102
    @property
    def create_revision(self) -> int: ...  # noqa: D102
    @property
    def mod_revision(self) -> int: ...  # noqa: D102
    @property
    def version(self) -> int: ...  # noqa: D102
    @property
    def lease(self) -> int: ...  # noqa: D102


def header_of(header: rpc.ResponseHeader, *, revision: int = 0) -> Header:
    """
    Return *header* as plain data; *revision* is the one that was read, if it is not the current.

    etcd's own header has the current revision, also in the answer to a read of an older one.
    """
    read_at = revision or header.revision
    return Header(header.cluster_id, header.member_id, read_at, header.raft_term)


def read_range(  # noqa: PLR0913 - what etcd lets a reader choose
    client: Client,
    keys: tuple[bytes, bytes],
    convert: Callable[[Sequence[KeyValue]], Iterable[Found]],
    *,
    revision: int = 0,
    limit: int = 0,
    serializable: bool = False,
    keys_only: bool = False,
) -> tuple[Header, list[Found], int, bool]:
    """
    Return what is stored in the range *keys* (first key, end) at one revision, however much it is.

    That is a header with that revision, the converted keys in order, the number of keys in the
    range, and whether *limit* left some out. *convert* is called with one part after another.

    Raises:
        CompactedError, FutureRevisionError: etcd does not have *revision*.
    """
    request = rpc.RangeRequest(
        key=keys[0],
        range_end=keys[1],
        revision=revision,
        limit=limit,
        serializable=serializable,
        keys_only=keys_only,
    )
    snapshot = read_snapshot(client, request, convert, by_columns=not keys_only)
    header = header_of(snapshot.header, revision=revision)
    return header, snapshot.found, snapshot.count, snapshot.more


def read_pages(
    client: Client, keys: tuple[bytes, bytes], *, revision: int = 0
) -> Iterator[tuple[Header, Sequence[KeyValue], int, bool]]:
    """
    Yield what is stored in the range *keys* in parts, all of one revision, in the order of keys.

    Each is a header with that revision, keys with values, the number of keys in the whole range,
    and whether more parts follow.

    Raises:
        CompactedError, FutureRevisionError: etcd does not have *revision*, or no longer has it.
    """
    request = rpc.RangeRequest(key=keys[0], range_end=keys[1], revision=revision)
    count = 0
    for page in _read_pages(client, request):
        count = count or page.count  # a later page counts only what is behind it
        revision = revision or page.header.revision
        yield header_of(page.header, revision=revision), page.kvs, count, page.more


def read_keys(client: Client, keys: tuple[bytes, bytes], limit: int) -> tuple[list[bytes], bool]:
    """Return the first keys of a range, at most *limit*, and whether there are more."""
    answer = client._range(
        rpc.RangeRequest(key=keys[0], range_end=keys[1], limit=limit, keys_only=True)
    )
    return [kv.key for kv in answer.kvs], answer.more


def count_keys(
    client: Client, keys: tuple[bytes, bytes], *, revision: int = 0, serializable: bool = False
) -> tuple[Header, int]:
    """Return the number of keys in a range, without reading them."""
    answer = client._range(
        rpc.RangeRequest(
            key=keys[0],
            range_end=keys[1],
            revision=revision,
            serializable=serializable,
            count_only=True,
        )
    )
    return header_of(answer.header, revision=revision), answer.count


def delete_range(
    client: Client, keys: tuple[bytes, bytes], *, previous: bool = False
) -> tuple[Header, int, Sequence[KeyValue]]:
    """
    Delete a range of keys (an empty end: one key); return their number and, if *previous*, them.

    Raises:
        OutcomeUnknownError: It was sent, and no answer came.
    """
    answer = client._delete_range(
        rpc.DeleteRangeRequest(key=keys[0], range_end=keys[1], prev_kv=previous)
    )
    return header_of(answer.header), answer.deleted, answer.prev_kvs
