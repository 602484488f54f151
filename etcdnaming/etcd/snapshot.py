"""A range of keys at one revision, read in pages that every member and every channel can carry."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import NamedTuple

from ..errors import CompactedError, FutureRevisionError, MessageTooLargeError
from . import rpc_pb2 as rpc
from .client import Client
from .deadline import within
from .keys_only import range_keys

__all__ = ["Snapshot", "read_snapshot"]

FIRST_PAGE = 1_000
LARGEST_PAGE = 20_000
"""Keys. etcd counts the whole range again for every page, so few large ones cost it less."""

PAGE_BYTES = 4 << 20
"""What a page should weigh, once the size of the values is known."""

STARTS = 4
"""How often a reading that compaction overtakes is begun: once, and 3 times again."""


class Snapshot(NamedTuple):
    """
    Keys in order, as they were at ``header.revision``.

    *count* is the number there are in the range, *more* whether a limit left some out.
    """

    header: rpc.ResponseHeader
    kvs: list[rpc.KeyValue]
    count: int  # type: ignore[assignment]  # etcd's word; nobody counts the fields
    more: bool


def read_snapshot(client: Client, request: rpc.RangeRequest) -> Snapshot:
    """
    Return what is in the range of *request*, up to its limit, however much that is.

    Raises:
        CompactedError: The revision asked for is compacted or, when none was, compaction overtook
            the reading several times in a row.
    """
    with within(client.timeout):
        for _ in range(STARTS - 1):
            try:
                return _read(client, request)
            except (CompactedError, FutureRevisionError):
                # Without a revision of the caller's, it is that of our first page which is gone,
                # or which another member than the one that left has not reached.
                if request.revision:
                    raise
        return _read(client, request)


def _read(client: Client, request: rpc.RangeRequest) -> Snapshot:
    pages = list(_pages(client, request))
    kvs = [kv for page in pages for kv in page.kvs]
    return Snapshot(pages[0].header, kvs, pages[0].count, pages[-1].more)


def _pages(client: Client, asked: rpc.RangeRequest) -> Iterator[rpc.RangeResponse]:
    request = rpc.RangeRequest()
    request.CopyFrom(asked)
    left, page_size = asked.limit or sys.maxsize, FIRST_PAGE
    while True:
        request.limit = min(page_size, left)
        try:
            page = range_keys(client, request) if asked.keys_only else client.range(request)
        except MessageTooLargeError:
            # A channel that was passed in may carry no more than 4 MiB.
            if request.limit == 1:
                raise
            page_size = request.limit // 2
            continue
        yield page
        left -= len(page.kvs)
        if not page.more or left <= 0:
            return
        page_size = _next_size(page_size, page)
        request.key = page.kvs[-1].key + b"\0"
        request.revision = asked.revision or page.header.revision


def _next_size(size: int, page: rpc.RangeResponse) -> int:
    fitting = PAGE_BYTES * len(page.kvs) // page.ByteSize()
    return max(1, min(fitting, LARGEST_PAGE, 20 * size))
