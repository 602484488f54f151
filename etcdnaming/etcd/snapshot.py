"""A range of keys at one revision, read in pages that every member and every channel can carry."""

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
from . import rpc_pb2 as rpc
from .bounded_queue import BoundedQueue
from .client import Client
from .columns import PageOfColumns
from .deadline import within

Found = TypeVar("Found")

_Page: TypeAlias = rpc.RangeResponse | PageOfColumns
_Read: TypeAlias = Callable[[rpc.RangeRequest], _Page]
_Pages: TypeAlias = BoundedQueue[_Page | Exception | None]

__all__ = ["Snapshot", "read_pages", "read_snapshot"]

FIRST_PAGE = 1_000
LARGEST_PAGE = 20_000
"""Keys. etcd counts the whole range again for every page, so few large ones cost it less."""

PAGE_BYTES = 3 << 20
"""What a page should weigh, once the size of the values is known; some channels take 4 MiB."""

AHEAD = 2
"""Pages read while one is converted; if that is slow, no more lie in memory."""

PART, NAP = 2_000, 1e-6
"""Keys converted in one go, and seconds until the next: else who reads ahead had to wait for us."""

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


def read_pages(client: Client, request: rpc.RangeRequest) -> Iterator[_Page]:
    """
    Yield what is in the range of *request* page by page, all of one revision; never no page.

    Raises:
        CompactedError, FutureRevisionError: As `read_snapshot`, but nothing is read again, because
            the caller has pages of that revision.
    """
    first = _page(client._range, _beginning(request))
    if _following(request, first, first, len(first.kvs)) is None:
        yield first
        return
    with closing(_pages(client._range, request, first)) as pages:
        yield from pages


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
            for kvs in _parts(page.kvs):
                found += convert(kvs)
                time.sleep(NAP)
            age()  # now, while the next page is under way, not at the end
    return Snapshot(first.header, found, first.count, more=page.more)


def _pages(read: _Read, asked: rpc.RangeRequest, first: _Page) -> Generator[_Page, None, None]:
    """Yield *first*, and what follows; a thread asks for each as soon as it knows how."""
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


def _parts(kvs: Sequence[rpc.KeyValue]) -> Iterator[Sequence[rpc.KeyValue]]:
    return (kvs[begin : begin + PART] for begin in range(0, len(kvs), PART))


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
    size = _next_size(page)
    request.limit = min(size, asked.limit - read) if asked.limit else size
    return request


def _next_size(page: _Page) -> int:
    fitting = PAGE_BYTES * len(page.kvs) // page.ByteSize()
    return max(1, min(fitting, LARGEST_PAGE, 20 * len(page.kvs)))


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
