"""`Watch` as an asynchronous iterator."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from queue import SimpleQueue
from types import MappingProxyType, TracebackType

from .. import keys
from ..endpoints import watch
from ..errors import ClosedError
from ..etcd import Client
from ..etcd.threads import start_thread
from ..model import ChangeBatch, StoredEndpoint, WatchState
from .threads import call_in_loop, in_loop, settle

__all__ = ["Watch"]


class Watch(AsyncIterator[ChangeBatch]):
    """
    Batches of changes of *target*, for the loop that runs when this is made.

        >>> async def main() -> None:
        ...     _ = await manager.add_endpoint("foo/svc/e1", Endpoint("10.0.0.1:80"))
        ...     async with Watch(client, "foo/svc") as watch:
        ...         async for batch in watch:
        ...             print([each.endpoint.addr for each in watch.endpoints.values()])
        ...             break  # a real watch goes on
        >>> asyncio.run(main())
        ['10.0.0.1:80']

    It is `etcdnaming.Watch`, whose batches a thread takes, one for each that is asked for. If the
    task is cancelled while it waits, the next one to ask gets that batch: none is lost. One task
    at a time may take batches.

    Args:
        client: The client of the etcd to watch.

        target: ``foo/bar/svc``, ``foo/bar/svc/`` or ``etcd:///foo/bar/svc``.

        revision: Begin with the changes of this revision, and leave out the first set. 0: begin
            with all endpoints.

        on_state: Called in the loop when the connection is lost and restored, and when it stays
            lost for another reason. Without it, that is logged.

    Raises:
        InvalidTargetError: *target* names no service, or it names a host.
        ClientClosedError: The client is closed.
        ConnectionFailedError: No thread can be started now.
        RuntimeError: No loop is running.
    """

    def __init__(
        self,
        client: Client,
        target: str,
        *,
        revision: int = 0,
        on_state: Callable[[WatchState], None] | None = None,
    ) -> None:
        self._loop = loop = asyncio.get_running_loop()
        self._target = keys.parse_target(target)
        self._watch = watch.Watch(
            client,
            self._target,
            revision=revision,
            on_state=on_state if on_state is None else in_loop(loop, on_state),
        )
        self._endpoints: Mapping[str, StoredEndpoint] = {}
        self._wanted: SimpleQueue[asyncio.Future[_Taken] | None] = SimpleQueue()
        self._next: asyncio.Future[_Taken] | None = None
        self._ended: asyncio.Future[None] = loop.create_future()
        self._closed = False
        try:
            start_thread(self._take, "etcdnaming-aio-watch")
        except BaseException:
            self._watch.close()
            raise

    def __repr__(self) -> str:
        return f"<aio.Watch of {self._target}: {len(self._endpoints)} endpoints>"

    @property
    def endpoints(self) -> Mapping[str, StoredEndpoint]:
        """
        The endpoints after the last batch, by key.

            >>> _ = asyncio.run(manager.add_endpoint("foo/svc/e1", Endpoint("10.0.0.1:80")))
            >>> async def main() -> None:
            ...     async with manager.watch() as watch:
            ...         _ = await watch.get()
            ...         print([*watch.endpoints])
            >>> asyncio.run(main())
            ['foo/svc/e1']
        """
        return self._endpoints

    async def get(self, timeout: float | None = None) -> ChangeBatch | None:
        """
        Return the next batch; ``None`` if there is none for *timeout* seconds.

            >>> async def main() -> None:
            ...     async with manager.watch() as watch:
            ...         batch = await watch.get()
            ...         print(batch.first, await watch.get(timeout=0.01))
            >>> asyncio.run(main())
            True None

        Raises:
            PermissionDeniedError, CompactedError, …: No retry heals it.
            ClosedError: By `close`.
        """
        if self._closed:
            raise ClosedError("the watch is closed")
        if self._next is None:
            self._next = self._loop.create_future()
            self._wanted.put(self._next)
        waiting = self._next
        # Unlike wait_for, this cancels nothing: the thread's batch is kept for the next call.
        done, _ = await asyncio.wait([waiting], timeout=timeout)
        if not done:
            return None
        self._next = None
        batch, self._endpoints = waiting.result()
        return batch

    async def close(self) -> None:
        """
        End it, and wait until its thread has ended, which takes no time.

            >>> async def main() -> None:
            ...     watch = manager.watch()
            ...     await watch.close()
            ...     print([batch async for batch in watch])
            >>> asyncio.run(main())
            []
        """
        self._closed = True
        self._watch.close()
        self._wanted.put(None)
        await asyncio.wait([self._ended])

    def __aiter__(self) -> Watch:
        return self

    async def __anext__(self) -> ChangeBatch:
        try:
            while True:
                if (batch := await self.get()) is not None:
                    return batch
        except ClosedError:
            raise StopAsyncIteration from None

    async def __aenter__(self) -> Watch:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def _take(self) -> None:
        while (wanted := self._wanted.get()) is not None:
            settle(self._loop, wanted, self._take_one)
        call_in_loop(self._loop, partial(self._ended.set_result, None))

    def _take_one(self) -> _Taken:
        """Return a batch, and a copy of the endpoints, which only this thread may read."""
        batch = None
        while batch is None:
            batch = self._watch.get()
        return batch, MappingProxyType(dict(self._watch.endpoints))


_Taken = tuple[ChangeBatch, Mapping[str, StoredEndpoint]]
