"""Constant load on a channel, and the errors of the calls that failed."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import wraps
from typing import Any

import grpc
import grpc.aio

from .backends import method

__all__ = ["Outcome", "aio_load", "in_loop", "load"]

STREAM = b"20 0.1"
"""What is streamed: 20 responses in two seconds."""


class Outcome:
    """The number of calls, and the errors of those that failed."""

    def __init__(self) -> None:
        self.errors: list[str] = []
        self.calls = self.streams = 0

    def note(self, number: int = 1, wanted: int = 1) -> None:
        """Count a call that had *number* responses."""
        if number != wanted:
            self.errors.append(f"{number} responses")
        self.calls += wanted == 1
        self.streams += wanted > 1

    def note_failure(self, exc: grpc.RpcError) -> None:
        """Record a call that failed."""
        self.errors.append(f"{time.strftime('%H:%M:%S')} {exc.code()} {exc.details()}")


@contextmanager
def load(channel: grpc.Channel, unary: int = 2, streams: int = 0) -> Iterator[Outcome]:
    """Call continuously in so many threads while the block runs."""
    outcome, stop = Outcome(), threading.Event()
    echo: Any = channel.unary_unary(method("Echo"))
    count: Any = channel.unary_stream(method("Count"))

    def call() -> None:
        echo(b"", timeout=20)
        outcome.note()

    def stream() -> None:
        outcome.note(len(list(count(STREAM, timeout=60))), 20)

    def again_and_again(do: Callable[[], None]) -> None:
        while not stop.wait(0.002):
            try:
                do()
            except grpc.RpcError as exc:
                outcome.note_failure(exc)

    wanted = [call] * unary + [stream] * streams
    threads = [threading.Thread(target=again_and_again, args=(each,)) for each in wanted]
    for thread in threads:
        thread.start()
    try:
        yield outcome
    finally:
        stop.set()
        for thread in threads:
            thread.join()


@asynccontextmanager
async def aio_load(
    channel: grpc.aio.Channel, unary: int = 2, streams: int = 0
) -> AsyncIterator[Outcome]:
    """Call continuously in so many tasks while the block runs."""
    outcome, stop = Outcome(), asyncio.Event()
    echo: Any = channel.unary_unary(method("Echo"))
    count: Any = channel.unary_stream(method("Count"))

    async def call() -> None:
        await echo(b"", timeout=20)
        outcome.note()
        await asyncio.sleep(0.002)

    async def stream() -> None:
        outcome.note(len([each async for each in count(STREAM, timeout=60)]), 20)

    async def again_and_again(do: Callable[[], Coroutine[Any, Any, None]]) -> None:
        while not stop.is_set():
            try:
                await do()
            except grpc.RpcError as exc:
                outcome.note_failure(exc)

    wanted = [call] * unary + [stream] * streams
    tasks = [asyncio.create_task(again_and_again(each)) for each in wanted]
    try:
        yield outcome
    finally:
        stop.set()
        await asyncio.gather(*tasks)


def in_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run *test* in an event loop of its own, with pytest's deadline."""

    @wraps(test)
    def run(*args: Any, **named: Any) -> None:
        asyncio.run(test(*args, **named))

    return run
