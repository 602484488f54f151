"""`EndpointManager`, `Watch` and `Registration` of `etcdnaming.aio`, against a real etcd."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

import pytest
from harness import TIMEOUT, Etcd, wait_until
from harness.load import in_loop
from harness.ports import free_port

from etcdnaming import ChangeBatch, Client, Endpoint, RegistrationEvent, Update, aio
from etcdnaming.errors import (
    ClientClosedError,
    ClosedError,
    InvalidKeyError,
    InvalidTargetError,
)

MAX_LAG = 1.0
"""Seconds; alone it is a hundredth. What blocks a thread here takes longer."""

HERE, THERE = Endpoint("10.0.0.1:80", {"zone": "a"}), Endpoint("10.0.0.2:80")


def threads_of_calls() -> list[str]:
    """Return the threads that asyncio's calls have under way."""
    return [each.name for each in threading.enumerate() if each.name == "etcdnaming-aio"]


async def lag_during(*awaited: Awaitable[object]) -> float:
    """Return for how long the loop was blocked at most by these, in half a second."""
    together = asyncio.gather(*awaited, return_exceptions=True)
    start = last = time.monotonic()
    worst = 0.0
    while last < start + 0.5:
        await asyncio.sleep(0.01)
        worst, last = max(worst, time.monotonic() - last), time.monotonic()
    together.cancel()
    with suppress(asyncio.CancelledError):
        await together
    return worst


@in_loop
async def test_aio_manager_makes_every_call(client: Client, etcd: Etcd) -> None:
    """With the results and the errors of the other manager."""
    manager = aio.EndpointManager(client, "etcd:///svc/")
    await manager.add_endpoint("svc/e1", HERE, if_absent=True)
    await manager.update([Update.add("svc/", THERE)])
    assert [*etcd.get("")] == [b"svc/10.0.0.2:80", b"svc/e1"]
    assert (await manager.list()).by_key() == {"svc/10.0.0.2:80": THERE, "svc/e1": HERE}
    assert [each.key for each in await manager.list_keys(limit=1)] == ["svc/10.0.0.2:80"]
    assert (await manager.count()).count == 2
    assert dict(await aio.services(client, "svc")) == {"svc": 2}
    assert await manager.get("svc/none") is None
    await manager.modify("svc/e1", lambda _: THERE)
    stored = await manager.get("svc/e1")
    assert stored is not None
    assert stored.endpoint == THERE
    await manager.delete_endpoint("svc/e1")
    assert (await manager.delete_all()).deleted == 1
    with pytest.raises(InvalidKeyError):
        await manager.add_endpoint("other/e1", HERE)
    with pytest.raises(InvalidTargetError):
        aio.EndpointManager(client, "/")


@in_loop
async def test_aio_watch_yields_the_set_and_every_change(client: Client) -> None:
    """`endpoints` are those after the batch that was taken last."""
    manager = aio.EndpointManager(client, "svc")
    async with manager.watch() as watch:
        first = await anext(watch)
        assert (first.first, [*first], watch.endpoints) == (True, [], {})
        assert repr(watch) == "<aio.Watch of svc: 0 endpoints>"
        assert await watch.get(timeout=0.01) is None
        await manager.add_endpoint("svc/e1", HERE)
        await manager.add_endpoint("svc/e2", THERE)
        assert [change.key async for batch in limited(watch, 2) for change in batch] == [
            "svc/e1",
            "svc/e2",
        ]
        assert [*watch.endpoints] == ["svc/e1", "svc/e2"]
    assert [batch async for batch in watch] == []
    with pytest.raises(ClosedError):
        await watch.get()


@in_loop
async def test_aio_logs_that_etcd_is_away_when_there_is_no_callback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Of a registration, whose block begins at once, and of a watch."""
    with Client(f"127.0.0.1:{free_port()}", dial_timeout=0.1) as client:
        manager = aio.EndpointManager(client, "svc")
        async with aio.Registration(client, {"svc/e1": HERE}, wait=False), manager.watch() as watch:
            while caplog.text.count("no etcd endpoint reached") < 2:
                assert await watch.get(0.1) is None


async def limited(watch: aio.Watch, changes: int) -> AsyncIterator[ChangeBatch]:
    """Yield batches until there were so many *changes*."""
    async for batch in watch:
        yield batch
        changes -= len(batch)
        if not changes:
            return


@in_loop
async def test_aio_watch_loses_no_batch_when_a_task_is_cancelled(client: Client) -> None:
    """However often it is cancelled while it waits: the next task gets the batch."""
    manager = aio.EndpointManager(client, "svc")
    async with manager.watch() as watch:
        await anext(watch)
        for _ in range(3):
            task = asyncio.create_task(watch.get())
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        await manager.add_endpoint("svc/e1", HERE)
        batch = await watch.get(TIMEOUT)
        assert batch is not None
        assert [change.key for change in batch] == ["svc/e1"]


@in_loop
async def test_aio_watch_ends_its_threads_when_it_is_closed(client: Client) -> None:
    """A task that waits for a batch ends, too; so it does when the client is closed."""
    manager = aio.EndpointManager(client, "svc")
    for _ in range(2):
        watch = manager.watch()
        await anext(watch)
        waiting = asyncio.create_task(drain(watch))
        await asyncio.sleep(0)
        await watch.close()
        await waiting
        await asyncio.to_thread(wait_until, is_no_thread_left)
    watch = manager.watch()
    await anext(watch)
    client.close()
    with pytest.raises(ClientClosedError):
        await watch.get()
    await watch.close()


def is_no_thread_left() -> bool:
    """Return whether the threads of watches have ended."""
    return "etcdnaming-aio-watch" not in {each.name for each in threading.enumerate()}


async def drain(watch: aio.Watch) -> None:
    """Take all batches."""
    async for _ in watch:
        pass


@in_loop
async def test_aio_registration_holds_while_the_block_runs(client: Client, etcd: Etcd) -> None:
    """``withdraw(); await wait()`` is a drain: etcd has nothing left. Events come in the loop."""
    events: list[tuple[str, bool]] = []
    loop_thread = threading.get_ident()

    def note(event: RegistrationEvent) -> None:
        events.append((event.kind, threading.get_ident() == loop_thread))

    async with aio.Registration(client, {"svc/e1": HERE}, on_state=note) as registration:
        assert registration.registered
        assert etcd.entry("svc/e1").lease == registration.lease
        registration.set("svc/e2", THERE)
        assert await registration.wait(TIMEOUT)
        assert [*registration.endpoints] == ["svc/e1", "svc/e2"]
        registration.withdraw()
        assert await registration.wait(TIMEOUT)
        assert etcd.get("") == {}
        registration.restore()
        assert await registration.wait(TIMEOUT)
        assert [*etcd.get("")] == [b"svc/e1", b"svc/e2"]
    assert etcd.get("") == {}
    assert etcd.leases() == []
    assert ("granted", True) in events
    assert all(in_thread for _, in_thread in events)


@pytest.mark.parametrize("after", [0.0, 0.02])
@in_loop
async def test_aio_registration_leaves_nothing_when_its_task_is_cancelled(
    client: Client, etcd: Etcd, after: float
) -> None:
    """While it starts, or in the block."""
    entered = asyncio.Event()

    async def hold() -> None:
        async with aio.Registration(client, {"svc/e1": HERE}):
            entered.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(hold())
    if after:
        await entered.wait()
    await asyncio.sleep(after)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert etcd.get("") == {}
    assert etcd.leases() == []


def test_aio_never_blocks_the_loop_while_etcd_is_frozen(own_etcd: Callable[..., Etcd]) -> None:
    """Every call, and closing; calls that were cancelled leave no thread."""

    async def main(etcd: Etcd, client: Client) -> None:
        manager = aio.EndpointManager(client, "svc")
        watch = manager.watch()
        registration = aio.Registration(client, {"svc/e1": HERE})
        await registration.start()
        await anext(watch)
        await watch.get()  # the endpoint that was registered
        etcd.freeze()
        try:
            registration.set("svc/e1", THERE)
            cancelled = asyncio.create_task(manager.list())
            await asyncio.sleep(0)
            cancelled.cancel()
            with suppress(asyncio.CancelledError):
                await cancelled
            assert threads_of_calls()
            calls = [manager.add_endpoint(f"svc/{n}", HERE) for n in range(20)]
            waits = (registration.wait(), watch.get(), manager.list(), manager.delete_all())
            assert await lag_during(*calls, *waits) < MAX_LAG
            assert await lag_during(registration.close(), watch.close()) < MAX_LAG
        finally:
            etcd.thaw()

    etcd = own_etcd()
    with Client(etcd.endpoint, dial_timeout=2, command_timeout=2) as client:
        asyncio.run(main(etcd, client))
        wait_until(lambda: not threads_of_calls())


def test_aio_serves_several_loops_of_one_client(client: Client, etcd: Etcd) -> None:
    """One loop after another, and two at once."""

    async def hold(name: str, both: threading.Barrier) -> None:
        manager = aio.EndpointManager(client, "svc")
        async with aio.Registration(client, {f"svc/{name}": HERE}), manager.watch() as watch:
            await asyncio.to_thread(both.wait, TIMEOUT)
            while len(watch.endpoints) < both.parties:
                await anext(watch)
            await asyncio.to_thread(both.wait, TIMEOUT)

    asyncio.run(hold("e1", threading.Barrier(1)))
    both = threading.Barrier(2)
    others = [
        threading.Thread(target=lambda name=name: asyncio.run(hold(name, both)))
        for name in ("e1", "e2")
    ]
    for other in others:
        other.start()
    for other in others:
        other.join(TIMEOUT)
        assert not other.is_alive()
    assert not both.broken
    assert etcd.get("") == {}
