"""One stream of a client: its requests in, our responses out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection
from typing import Any, Protocol

from google.protobuf.message import DecodeError

from .. import xds_pb2 as xds
from ..names import Kind
from ..stream import Receipt, Response, Source, Stream
from .counters import Counters
from .hub import Hub

__all__ = ["Journal", "RequestError", "Session"]


class RequestError(Exception):
    """A request that ends the stream, and why."""


class Journal(Protocol):
    """Takes what is to be reported of a stream."""

    def request(self, session: Session, kind_url: str, receipt: Receipt) -> None:
        """Note what became of a request."""

    def response(self, session: Session, response: Response, size: int) -> None:
        """Note what is written."""


class Session:
    """
    One stream; belongs to the loop's thread.

    Changes add up in a set of names, not in a queue: a client that does not read costs nothing, and
    gets the newest when it does. Its requests are not read, either, until it has read the answers.
    """

    def __init__(
        self,
        source: Source,
        hub: Hub,
        counters: Counters,
        journal: Journal,
        *,
        peer: str,
        max_names: int,
    ) -> None:
        self.stream = Stream(source)
        self.peer, self.since = peer, time.time()
        self._hub, self._counters, self._journal = hub, counters, journal
        self._max_names = max_names
        self._loop = asyncio.get_running_loop()
        self._awake = asyncio.Event()
        # Two tasks write. Each holds this from making a response until it is written, so that they
        # are written in the order of their nonces.
        self._writing = asyncio.Lock()
        self._marked: dict[str, float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._failure: Exception | None = None
        self._ended = False

    @property
    def queued(self) -> int:
        """How many names have changed that were not written yet."""
        return len(self._marked)

    def mark(self, names: Collection[str], at: float) -> None:
        """Have the sets *names*, which changed at the time *at*, written if they differ."""
        for name in names:
            self._marked.setdefault(name, at)
        self._awake.set()

    async def run(self, requests: AsyncIterator[bytes], write: Callable[[bytes], Any]) -> None:
        """
        Serve until the client ends the stream.

        Raises:
            RequestError: A request can't be served.
        """
        self._hub.sessions[self] = None
        reader = self._loop.create_task(self._read(requests, write))
        try:
            while not self._ended:
                await self._awake.wait()
                self._awake.clear()
                await self._write_changes(write)
            if self._failure:
                raise self._failure
        finally:
            reader.cancel()
            if self._timer:
                self._timer.cancel()
            self._hub.move(self, self.stream.names(Kind.ASSIGNMENT), frozenset())
            del self._hub.sessions[self]

    async def _write_changes(self, write: Callable[[bytes], Any]) -> None:
        while True:
            async with self._writing:
                response = self._next()
                if response is None:
                    return
                await self._write(write, response)

    async def _write(self, write: Callable[[bytes], Any], response: Response) -> None:
        data = response.encoded()
        self._journal.response(self, response, len(data))
        await write(data)

    async def _read(self, requests: AsyncIterator[bytes], write: Callable[[bytes], Any]) -> None:
        try:
            async for data in requests:
                async with self._writing:
                    response = self._receive(data)
                    if response:  # waking the other task would cost as much as the answer
                        await self._write(write, response)
        except asyncio.CancelledError:
            raise
        except Exception as exc:  # noqa: BLE001 - a bug, too, ends this stream only, with its error
            self._failure = exc
        self._ended = True
        self._awake.set()

    def _receive(self, data: bytes) -> Response | None:
        try:
            request = xds.DiscoveryRequest.FromString(data)
        except DecodeError as exc:
            raise RequestError("the request is not a DiscoveryRequest") from exc
        if len(request.resource_names) > self._max_names:
            raise RequestError(f"more than {self._max_names} names of a type on one stream")
        before = self.stream.names(Kind.ASSIGNMENT)
        receipt = self.stream.receive(request, self._loop.time())
        after = self.stream.names(Kind.ASSIGNMENT)
        if after is not before:
            self._hub.move(self, before, after)
        self._journal.request(self, request.type_url, receipt)
        self._schedule_resend()
        return receipt.response

    def _next(self) -> Response | None:
        """Return the change to write now."""
        now = self._loop.time()
        if self._marked:
            marked, self._marked = self._marked, {}
            response = self.stream.push(Kind.ASSIGNMENT, marked, now)
            if response:
                self._counters.change_seconds.add(time.monotonic() - min(marked.values()))
                return response
        due = self.stream.resend_at
        if due is None or due > now:
            return None
        response = self.stream.resend(now)
        self._counters.resent += response is not None
        self._schedule_resend()
        return response

    def _schedule_resend(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None
        due = self.stream.resend_at
        if due is not None:
            self._timer = self._loop.call_at(due, self._awake.set)
