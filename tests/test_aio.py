"""Channels that follow etcd, for asyncio."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import closing
from functools import wraps
from typing import Any

import grpc
import grpc.aio
import pytest
from harness.backends import Backend, Backends, method

from etcdnaming import Endpoint, EndpointManager, Update
from etcdnaming.aio import Channel, insecure_channel
from etcdnaming.etcd import Client
from etcdnaming.resolver import following


def in_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run *test* in a loop of its own."""

    @wraps(test)
    def run(*args: Any, **named: Any) -> None:
        asyncio.run(asyncio.wait_for(test(*args, **named), 30))

    return run


@pytest.fixture
def backends() -> Iterator[Backends]:
    """``backends()`` starts a server."""
    with closing(Backends()) as backends:
        yield backends


@pytest.fixture
def manager(client: Client) -> EndpointManager:
    """The endpoints of ``foo/svc``."""
    return EndpointManager(client, "foo/svc")


def update(manager: EndpointManager, *add: Backend, delete: tuple[Backend, ...] = ()) -> None:
    """Register some and deregister others, in one transaction."""
    manager.update(
        [Update.add(f"foo/svc/{each.addr}", Endpoint(each.addr)) for each in add]
        + [Update.delete(f"foo/svc/{each.addr}") for each in delete]
    )


async def ask(channel: Channel, times: int, **terms: Any) -> Counter[str]:
    """Return who answered how often."""
    who = channel.unary_unary(method("Who"))
    return Counter([(await who(b"", timeout=10, **terms)).decode() for _ in range(times)])


async def wait_until(predicate: Callable[[], object]) -> None:
    """Return as soon as *predicate* is true."""
    while not predicate():  # noqa: ASYNC110 - what is waited for has no event
        await asyncio.sleep(0.01)


async def some(*requests: bytes) -> AsyncIterator[bytes]:
    """Yield *requests*."""
    for request in requests:
        yield request


@in_loop
async def test_all_kinds_of_calls_before_and_after_the_first_set(
    client: Client, manager: EndpointManager, backends: Backends
) -> None:
    """They wait for it."""
    update(manager, backends(), backends())
    async with insecure_channel("etcd:///foo/svc", client) as channel:
        for known in (False, True):
            assert bool(channel.endpoints) is known
            calls = (
                channel.unary_unary(method("Echo"))(b"a", timeout=10),
                channel.stream_unary(method("Sum"))(some(b"", b""), timeout=10),
            )
            count = channel.unary_stream(method("Count"))(b"3", timeout=10)
            chat = channel.stream_stream(method("Chat"))(some(b"x", b"y"), timeout=10)
            assert [await call for call in calls] == [b"a", b"2"]
            assert [each async for each in count] == [b"0", b"1", b"2"]
            assert [each async for each in chat] == [b"x", b"y"]
        await wait_until(lambda: channel.age == 0)


@in_loop
async def test_an_empty_service_fails_calls_or_lets_them_wait(
    client: Client, manager: EndpointManager, backends: Backends
) -> None:
    """As they want it."""
    async with insecure_channel("foo/svc", client) as channel:
        with pytest.raises(grpc.aio.AioRpcError, match="has no endpoints") as caught:
            await ask(channel, 1)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        late = channel.unary_unary(method("Who"))(b"", timeout=0.2, wait_for_ready=True)
        assert await late.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        waiting = asyncio.create_task(ask(channel, 1, wait_for_ready=True))
        await asyncio.sleep(0.1)
        backend = backends()
        await asyncio.to_thread(update, manager, backend)
        assert await waiting == {backend.addr: 1}
        await channel.channel_ready()
        assert channel.get_state() is grpc.ChannelConnectivity.READY


@in_loop
async def test_all_servers_are_replaced_at_once(
    client: Client, manager: EndpointManager, backends: Backends
) -> None:
    """No call fails, and those in flight finish where they are."""
    old, new = backends(), backends()
    update(manager, old)
    async with insecure_channel("foo/svc", client) as channel:
        slow = channel.unary_unary(method("Slow"))(b"1")
        stream = channel.unary_stream(method("Count"))(b"20 0.05")
        assert await ask(channel, 5) == {old.addr: 5}
        await asyncio.to_thread(update, manager, new, delete=(old,))
        while await ask(channel, 1) != {new.addr: 1}:
            pass
        assert await ask(channel, 20) == {new.addr: 20}
        assert await slow == old.addr.encode()
        assert len([each async for each in stream]) == 20


@in_loop
async def test_round_robin(client: Client, manager: EndpointManager, backends: Backends) -> None:
    """Half of the calls to each, within 25 %."""
    both = backends(), backends()
    update(manager, *both)
    async with insecure_channel("foo/svc", client) as channel:
        while len(await ask(channel, 4)) < 2:
            pass
        answers = await ask(channel, 200)
        assert all(75 <= answers[each.addr] <= 125 for each in both)


@in_loop
async def test_a_closed_channel_leaves_nothing_behind(client: Client) -> None:
    """And calls on it are a mistake."""
    channel = insecure_channel("foo/svc", client)
    await channel.close()
    with pytest.raises(grpc.aio.UsageError, match="closed"):
        await ask(channel, 1)
    await wait_until(lambda: not following._shared)  # noqa: SLF001
    forgotten = insecure_channel("foo/svc", client)
    del forgotten
    await wait_until(lambda: not following._shared)  # noqa: SLF001
