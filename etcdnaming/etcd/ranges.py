"""
Read, count and delete ranges of keys in plain data: no protobuf message leaves this room.

A range is read at one revision, in pages that every member and every channel can carry.

The one exception is `KeyValue`: the keys of a long list are handed out as etcd's own messages,
which have these attributes, because a copy of each would take longer than decoding its value.
"""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from contextvars import copy_context
from functools import partial
from typing import Generic, TypeAlias, TypeVar

from ..errors import (
    ClosedError,
    CompactedError,
    FutureRevisionError,
    InvalidAnswerError,
    MessageTooLargeError,
)
from ..model import Header
from . import rpc_pb2 as rpc
from .answers import header_of
from .client import Client
from .columns import KeyValue, PageOfColumns
from .deadline import within
from .threads import BoundedQueue

__all__ = [
    "Snapshot",
    "count_keys",
    "delete_range",
    "read_keys",
    "read_pages",
    "read_range",
    "read_snapshot",
]

Found = TypeVar("Found")

_Page: TypeAlias = rpc.RangeResponse | PageOfColumns
_Read: TypeAlias = Callable[[rpc.RangeRequest], _Page]
_Pages: TypeAlias = BoundedQueue[_Page | Exception | None]

FIRST_PAGE = 1_000
LARGEST_PAGE = 20_000
"""Keys. etcd counts the whole range again for every page, so few large ones cost it less."""

PAGE_BYTES = 3 << 20
"""What a page should weigh, once the size of the values is known; some channels take 4 MiB."""

AHEAD = 2
"""Pages read while one is converted; if that is slow, no more lie in memory."""

PART, NAP = 2_000, 1e-6
"""Keys converted in one go, and seconds of a pause then, so that the next page can be read."""

STARTS = 4
"""How often a reading that compaction overtakes is begun: once, and 3 times again."""


class Snapshot(Generic[Found]):
    """
    What was *found* in a range, in the order of its keys, as it was at ``header.revision``.

    *count* is the number there are in the range, *more* whether a limit left some out.
    """

    __slots__ = ("count", "found", "header", "more")

    def __init__(
        self, header: rpc.ResponseHeader, found: list[Found], count: int, *, more: bool
    ) -> None:
        self.header, self.found, self.count, self.more = header, found, count, more


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
            Nothing is read again, because the caller has parts of that revision.
    """
    request = rpc.RangeRequest(key=keys[0], range_end=keys[1], revision=revision)
    first = _page(client._range, _beginning(request))
    revision = revision or first.header.revision
    with closing(_pages(client._range, request, first)) as pages:
        for page in pages:
            # The count is that of the first page: a later one counts only what is behind it.
            yield header_of(page.header, revision=revision), page.kvs, first.count, page.more


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


def read_snapshot(
    client: Client,
    request: rpc.RangeRequest,
    convert: Callable[[Sequence[rpc.KeyValue]], Iterable[Found]],
    *,
    by_columns: bool = False,
) -> Snapshot[Found]:
    """
    Return what is in the range of *request*, up to its limit, however much that is.

    *convert* makes something of the keys and values of a page, while the next one is under way.
    If *by_columns*, most pages that it gets are `Columns`.

    Raises:
        CompactedError: The revision asked for is compacted or, when none was, compaction overtook
            the reading several times in a row.
    """
    read = client._range_by_columns if by_columns else client._range
    with within(client.timeout):
        for _ in range(STARTS - 1):
            try:
                return _read(read, request, convert)
            except (CompactedError, FutureRevisionError):
                # Without a revision of the caller's, it is that of our first page which is gone,
                # or which another member than the one that left has not reached.
                if request.revision:
                    raise
        return _read(read, request, convert)


def _read(
    read: _Read,
    request: rpc.RangeRequest,
    convert: Callable[[Sequence[rpc.KeyValue]], Iterable[Found]],
) -> Snapshot[Found]:
    first = page = _page(read, _beginning(request))
    if _following(request, first, page, len(page.kvs)) is None:
        return Snapshot(first.header, [*convert(page.kvs)], first.count, more=page.more)
    found: list[Found] = []
    with _garbage_left_lying() as age, closing(_pages(read, request, first)) as pages:
        for page in pages:
            for begin in range(0, len(page.kvs), PART):
                found += convert(page.kvs[begin : begin + PART])
                time.sleep(NAP)
            age()  # now, while the next page is under way, not at the end
    return Snapshot(first.header, found, first.count, more=page.more)


def _pages(read: _Read, asked: rpc.RangeRequest, first: _Page) -> Generator[_Page, None, None]:
    """Yield *first*, and what follows; a thread asks for each as soon as it knows how."""
    if _following(asked, first, first, len(first.kvs)) is None:
        yield first
        return
    page: _Page | Exception | None = first
    ahead: _Pages = BoundedQueue(AHEAD)
    threading.Thread(
        target=copy_context().run,  # the deadline goes along
        args=(_read_ahead, read, asked, first, ahead),
        name="etcdnaming-pages",
        daemon=True,
    ).start()
    with closing(ahead):
        while page is not None:
            if isinstance(page, Exception):
                raise page
            yield page
            page = ahead.get()


def _read_ahead(read: _Read, asked: rpc.RangeRequest, first: _Page, pages: _Pages) -> None:
    page, number = first, len(first.kvs)
    with suppress(ClosedError):
        try:
            while (following := _following(asked, first, page, number)) is not None:
                page = _page(read, following)
                number += len(page.kvs)
                pages.put(page)
            pages.put(None)
        except Exception as exc:  # noqa: BLE001 - a bug, too, must not look like silence
            pages.put(exc)


def _beginning(asked: rpc.RangeRequest) -> rpc.RangeRequest:
    request = rpc.RangeRequest()
    request.CopyFrom(asked)
    request.limit = min(FIRST_PAGE, asked.limit or FIRST_PAGE)
    return request


def _following(
    asked: rpc.RangeRequest, first: _Page, page: _Page, read: int
) -> rpc.RangeRequest | None:
    """Return what to ask for after *page*, when so many were *read*."""
    if not page.more or (asked.limit and read >= asked.limit):
        return None
    if read >= first.count:
        raise InvalidAnswerError(f"it announces more than the {first.count} keys that it counts")
    request = rpc.RangeRequest()
    request.CopyFrom(asked)
    request.key = page.kvs[-1].key + b"\0"
    request.revision = asked.revision or first.header.revision
    fitting = PAGE_BYTES * len(page.kvs) // page.ByteSize()
    size = max(1, min(fitting, LARGEST_PAGE, 20 * len(page.kvs)))
    request.limit = min(size, asked.limit - read) if asked.limit else size
    return request


def _page(read: _Read, request: rpc.RangeRequest) -> _Page:
    """Return the page asked for; if a channel that was passed in can't carry it, less of it."""
    while True:
        try:
            return read(request)
        except MessageTooLargeError:
            if request.limit == 1:
                raise
            request.limit //= 2


@contextmanager
def _garbage_left_lying() -> Iterator[Callable[[], object]]:
    """
    Let Python not look for garbage while much is made and all of it kept.

    It would look at the same objects again and again, which takes longer than making them. The
    function that is yielded moves the new objects to where Python hardly ever looks.
    """
    if not gc.isenabled():
        yield lambda: None
        return
    gc.disable()
    try:
        # `unfreeze` would also free what the program has frozen, so there it is a look.
        yield partial(gc.collect, 0) if gc.get_freeze_count() else _age
    finally:
        gc.enable()


def _age() -> None:
    """Move all objects to the oldest generation without looking at one: it takes no time."""
    gc.freeze()
    gc.unfreeze()
