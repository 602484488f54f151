"""The inner channel that calls go by now, and the task that replaces it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from weakref import WeakSet

import grpc
import grpc.aio

from ..etcd import Client
from ..etcd.backoff import full_jitter
from ..log import logger
from ..resolver.following import follow, unfollow
from ..resolver.inner import Inner, View
from ..resolver.outlook import Outlook
from ..resolver.pace import SETTLE, WARM, spacing
from ..resolver.terms import Terms
from ..resolver.waiting import admit, too_late

__all__ = ["Current"]

_log = logger(__name__)


class Current:
    """
    Keeps `view` up to date, in a task of its own, until abandoned.

    All of it belongs to the loop; what follows etcd wakes it from another thread.
    """

    def __init__(
        self, client: Client, target: str, hold: float, dial: Callable[[str], grpc.aio.Channel]
    ) -> None:
        self.view, self.closed = View(), False
        self.under_way: WeakSet[Any] = WeakSet()
        self._dial = dial
        self._rest_ends = 0.0
        self._loop = asyncio.get_running_loop()
        self._news, self._changed = asyncio.Event(), asyncio.Event()
        self._following = follow(client, target, hold, self._wake)
        self._news.set()
        self._task = self._loop.create_task(self._run())

    def age(self) -> float | None:
        """Return for how many seconds etcd has not been there to change the set."""
        return self._following.age()

    def abandon(self) -> None:
        """Refuse calls from now on; those under way go on to their ends."""
        self.closed = True
        self._wake()

    def state(self, *, try_to_connect: bool) -> grpc.ChannelConnectivity:
        """Return the state of the service."""
        if self.closed:
            return grpc.ChannelConnectivity.SHUTDOWN
        if self.view.inner:
            state: grpc.ChannelConnectivity = self.view.inner.channel.get_state(try_to_connect)
            return state
        states = grpc.ChannelConnectivity
        return states.TRANSIENT_FAILURE if self.view.reason else states.CONNECTING

    async def wait_for_state(self, last: grpc.ChannelConnectivity) -> None:
        """Return when it may not be *last* any more."""
        waits = [self._loop.create_task(self._changed.wait())]
        if self.view.inner:
            change = self.view.inner.channel.wait_for_state_change(last)
            waits.append(self._loop.create_task(change))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def admit(self, terms: Terms) -> tuple[Inner, Terms]:
        """Return where a call can be sent, and on which terms, as soon as it can be."""
        end = terms.end()
        while not (inner := admit(self.view, terms, closed=self.closed)):
            left = None if end is None else end - time.monotonic()
            if left is not None and left <= 0:
                raise too_late(self.view)
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._changed.wait(), left)
        return inner, terms.until(end)

    def _wake(self) -> None:
        with suppress(RuntimeError):  # the loop is closed, and there is nothing to wake
            self._loop.call_soon_threadsafe(self._news.set)

    async def _run(self) -> None:
        failures = 0
        try:
            while True:
                try:
                    if not await self._wait_for_news():
                        return
                    await self._replace(self._following.outlook)
                    failures = 0
                except Exception:  # noqa: BLE001 - whatever it is, the endpoints have to be followed
                    failures += 1
                    _log.exception("a channel goes on after an error")
                    await asyncio.sleep(full_jitter(failures))
                    self._news.set()
        finally:
            unfollow(self._following, self._wake)
            self._take(View())

    async def _wait_for_news(self) -> bool:
        await self._news.wait()
        if self.view.inner and not self.closed:
            await asyncio.sleep(max(SETTLE, self._rest_ends - time.monotonic()))
        self._news.clear()
        return not self.closed

    async def _replace(self, outlook: Outlook) -> None:
        old = self.view.inner
        if outlook.target is None:
            self._take(View(None, (), outlook.reason, outlook.final))
        elif old and old.target == outlook.target:
            self._take(View(old, outlook.endpoints))
        else:
            inner = Inner(self._dial, outlook.target)
            if old:
                with suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(inner.channel.channel_ready(), WARM)
            self._take(View(inner, outlook.endpoints))

    def _take(self, view: View) -> None:
        self.view = View() if self.closed else view
        self._rest_ends = time.monotonic() + spacing(view)
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
