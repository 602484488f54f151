"""Await calls that block, without blocking the loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from typing import TypeVar

from ..etcd.threads import start_thread

__all__ = ["call_in_loop", "in_loop", "run", "run_to_end", "settle"]

Event = TypeVar("Event")
Result = TypeVar("Result")


async def run(call: Callable[[], Result]) -> Result:
    """
    Return the result of *call*, made in a thread of its own.

    A pool would be full while etcd does not answer, the loop's own most of all: the loop looks up
    host names in it. If the task is cancelled, the thread ends with *call*, within the time limit
    that this has, and its result is dropped.

    Raises:
        ConnectionFailedError: No thread can be started now.
    """
    loop = asyncio.get_running_loop()
    result: asyncio.Future[Result] = loop.create_future()
    context = copy_context()  # has the deadline of the caller, if any

    def work() -> None:
        settle(loop, result, partial(context.run, call))

    start_thread(work, "etcdnaming-aio")
    return await result


async def run_to_end(call: Callable[[], Result]) -> Result:
    """Return the result of *call* as `run` does; a cancelled task waits for its end as well."""
    running = asyncio.ensure_future(run(call))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        raise


def settle(
    loop: asyncio.AbstractEventLoop, future: asyncio.Future[Result], call: Callable[[], Result]
) -> None:
    """Make *call* here, and give its result, or what it raises, to *future* of *loop*."""
    try:
        value = call()
    except BaseException as exc:  # noqa: BLE001 - raised where the future is awaited
        call_in_loop(loop, partial(_fail, future, exc))
    else:
        call_in_loop(loop, partial(_succeed, future, value))


def call_in_loop(loop: asyncio.AbstractEventLoop, callback: Callable[[], object]) -> None:
    """Have *loop* call *callback*, from any thread; a loop that is closed does not."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(callback)


def in_loop(
    loop: asyncio.AbstractEventLoop, callback: Callable[[Event], object]
) -> Callable[[Event], None]:
    """Return a function for any thread that has *loop* call *callback* with its argument."""
    return lambda event: call_in_loop(loop, partial(callback, event))


def _succeed(future: asyncio.Future[Result], value: Result) -> None:
    if not future.done():  # the task may have been cancelled
        future.set_result(value)


def _fail(future: asyncio.Future[Result], exc: BaseException) -> None:
    if not future.done():
        future.set_exception(exc)
        future.exception()  # asyncio logs one that is never looked at, as after a cancellation
