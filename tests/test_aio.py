"""Asyncio channels that follow etcd, tested with real gRPC servers."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import grpc.aio
import pytest
import trustme
from harness import READER, Etcd
from harness.backends import Backend, Backends, method
from harness.load import aio_load, in_loop

from etcdnaming import Endpoint, EndpointManager, Update
from etcdnaming.aio import Channel, insecure_channel, secure_channel
from etcdnaming.errors import InvalidSettingError, InvalidTargetError
from etcdnaming.etcd import Client
from etcdnaming.xds.embedded import services


@pytest.fixture
def manager(client: Client) -> EndpointManager:
    """Return the manager of the target ``foo/svc``."""
    return EndpointManager(client, "foo/svc")


def update(manager: EndpointManager, *add: Backend, delete: tuple[Backend, ...] = ()) -> None:
    """Register some servers and deregister others, in one transaction."""
    manager.update(
        [Update.add(f"foo/svc/{each.addr}", Endpoint(each.addr)) for each in add]
        + [Update.delete(f"foo/svc/{each.addr}") for each in delete]
    )


async def ask(channel: Channel, times: int, **terms: Any) -> Counter[str]:
    """Call ``Who`` so many times, and count the answers by the address of the server."""
    who = channel.unary_unary(method("Who"))
    return Counter([(await who(b"", **{"timeout": 10, **terms})).decode() for _ in range(times)])


async def wait_until(predicate: Callable[[], object]) -> None:
    """Return as soon as *predicate* is true."""
    while not predicate():  # noqa: ASYNC110 - what is waited for has no event
        await asyncio.sleep(0.01)


async def some(*requests: bytes) -> AsyncIterator[bytes]:
    """Yield *requests*."""
    for request in requests:
        yield request


@in_loop
async def test_channel_leaves_out_addresses_that_grpc_refuses(
    client: Client, manager: EndpointManager, backends: Backends
) -> None:
    """No call fails beside an address with an unknown IPv6 scope or a port out of range."""
    backend = backends()
    hostile = "[fe80::1%nope0]:80", "[fe80::1%25nope0]:80", "[fe80::1%a?b]:80", "1.2.3.4:99999"
    manager.update([Update.add(f"foo/svc/{n}", Endpoint(addr)) for n, addr in enumerate(hostile)])
    update(manager, backend)
    async with insecure_channel("etcd:///foo/svc", client) as channel:
        await wait_until(lambda: channel.endpoints == (Endpoint(backend.addr),))
        assert await ask(channel, 20) == {backend.addr: 20}


@in_loop
async def test_channel_makes_all_kinds_of_calls_before_and_after_the_endpoints_are_known(
    client: Client, manager: EndpointManager, backends: Backends
) -> None:
    """Calls that are made before wait for the endpoints."""
    update(manager, backends(), backends())
    async with insecure_channel("etcd:///foo/svc", client) as channel:
        for _ in range(2):
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
async def test_stream_without_an_iterator_waits_until_the_endpoints_are_known(
    client: Client, manager: EndpointManager, backends: Backends
) -> None:
    """Asyncio can also make streams by calling write() and read()."""
    update(manager, backends())
    async with insecure_channel("foo/svc", client) as channel:
        chat = channel.stream_stream(method("Chat"))()
        total = channel.stream_unary(method("Sum"))()
        await chat.write(b"a")
        assert await chat.read() == b"a"
        await chat.done_writing()
        assert await chat.code() is grpc.StatusCode.OK
        for _ in range(3):
            await total.write(b"")
        await total.done_writing()
        assert await total == b"3"


class Stamp(grpc.aio.UnaryUnaryClientInterceptor):
    """An interceptor that counts calls."""

    def __init__(self) -> None:
        self.calls = 0

    async def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        """Count the call and continue it."""
        self.calls += 1
        return await continuation(details, request)


@in_loop
async def test_calls_use_metadata_compression_retries_and_interceptors(
    client: Client, manager: EndpointManager, backends: Backends
) -> None:
    """The call works before and after the endpoints are known."""
    update(manager, backends())
    retry = {
        "maxAttempts": 4,
        "initialBackoff": "0.01s",
        "maxBackoff": "0.01s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": ["UNAVAILABLE"],
    }
    config = json.dumps({"methodConfig": [{"name": [{}], "retryPolicy": retry}]})
    stamp = Stamp()
    async with insecure_channel(
        "foo/svc",
        client,
        options=[("grpc.service_config", config)],
        compression=grpc.Compression.Gzip,
        interceptors=[stamp],
    ) as channel:
        for _ in range(2):
            call = channel.unary_unary(method("Metadata"))
            assert b"'key': 'value'" in await call(b"", metadata=(("key", "value"),), timeout=10)
            echo = channel.unary_unary(method("Echo"))
            assert await echo(b"x" * 9999, timeout=10) == b"x" * 9999
        assert await channel.unary_unary(method("Flaky"))(b"", timeout=10) == b"3"
        assert stamp.calls == 5


@in_loop
async def test_call_fails_or_waits_when_the_service_has_no_endpoints(
    client: Client, manager: EndpointManager, backends: Backends
) -> None:
    """A call with wait_for_ready waits, any other call fails at once."""
    async with insecure_channel("foo/svc", client) as channel:
        with pytest.raises(grpc.aio.AioRpcError, match="foo/svc") as caught:
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
async def test_calls_in_flight_finish_when_all_servers_are_replaced(
    client: Client, manager: EndpointManager, backends: Backends
) -> None:
    """No call fails, and those in flight finish on the old server."""
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
async def test_round_robin_sends_half_of_the_calls_to_each_server(
    client: Client, manager: EndpointManager, backends: Backends
) -> None:
    """The share may differ by 25 %."""
    both = backends(), backends()
    update(manager, *both)
    async with insecure_channel("foo/svc", client) as channel:
        while len(await ask(channel, 4)) < 2:
            pass
        answers = await ask(channel, 200)
        assert all(75 <= answers[each.addr] <= 125 for each in both)


@in_loop
async def test_pick_first_sends_all_calls_to_one_server(
    client: Client, manager: EndpointManager, backends: Backends
) -> None:
    """The synchronous channel does the same."""
    update(manager, backends(), backends())
    async with insecure_channel("foo/svc", client, policy="pick_first") as channel:
        assert list((await ask(channel, 50)).values()) == [50]


@in_loop
async def test_mutual_tls_works_when_all_servers_share_one_name(
    client: Client, manager: EndpointManager, backends: Backends
) -> None:
    """The name is the last part of the target, unless another authority is given."""
    ca = trustme.CA()
    server, ours = ca.issue_cert("svc"), ca.issue_cert("us")
    credentials = grpc.ssl_server_credentials(
        [(server.private_key_pem.bytes(), server.cert_chain_pems[0].bytes())],
        ca.cert_pem.bytes(),
        require_client_auth=True,
    )
    both = [backends("127.0.0.1:0", credentials) for _ in range(2)]
    update(manager, *both)
    roots = ca.cert_pem.bytes()
    mutual = grpc.ssl_channel_credentials(
        roots, ours.private_key_pem.bytes(), ours.cert_chain_pems[0].bytes()
    )
    async with secure_channel("foo/svc", mutual, client) as channel:
        while len(await ask(channel, 4)) < 2:
            pass
    for wrong in (
        secure_channel("foo/svc", mutual, client, authority="other"),
        secure_channel("foo/svc", grpc.ssl_channel_credentials(roots), client),
    ):
        async with wrong as channel:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await ask(channel, 1, timeout=5)
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


@in_loop
async def test_channel_raises_an_error_when_its_arguments_are_invalid(client: Client) -> None:
    """The error is raised by the constructor, not by the first call."""
    with pytest.raises(InvalidTargetError):
        insecure_channel("etcd:///", client)
    with pytest.raises(InvalidSettingError):
        insecure_channel("foo", client, policy="best")  # type: ignore[arg-type]
    with pytest.raises(InvalidSettingError):
        insecure_channel("foo", client, resync_hold=-1)
    with pytest.raises(TypeError):
        insecure_channel("foo", client, options=[("grpc.x", object())])


@in_loop
async def test_every_call_fails_when_etcd_denies_permission(auth_etcd: Callable[[], Etcd]) -> None:
    """A call with wait_for_ready waits, because a role may be granted."""
    user, _, password = READER.partition(":")
    etcd = await asyncio.to_thread(auth_etcd)
    with Client([etcd.endpoint], user=user, password=password) as client:
        async with insecure_channel("secret/svc", client) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await ask(channel, 1)
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await ask(channel, 1, wait_for_ready=True, timeout=0.5)
            assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


@in_loop
async def test_endpoints_are_held_after_etcd_was_wiped(
    own_etcd: Callable[[], Etcd], backends: Backends
) -> None:
    """An endpoint that a resync does not find is not removed at once."""
    etcd, staying, leaving = await asyncio.to_thread(own_etcd), backends(), backends()
    with Client([etcd.endpoint]) as client:
        manager = EndpointManager(client, "foo/svc")
        await asyncio.to_thread(update, manager, staying, leaving)
        async with insecure_channel("foo/svc", client, resync_hold=6) as channel:
            await wait_until(lambda: len(channel.endpoints) == 2)
            async with aio_load(channel) as outcome:
                await asyncio.to_thread(etcd.wipe)
                await wait_until(lambda: channel.age == 0)
                assert len(channel.endpoints) == 2
                await asyncio.to_thread(update, manager, staying)
                await wait_until(lambda: channel.endpoints == (Endpoint(staying.addr),))
            assert outcome.errors == []


@in_loop
async def test_closed_channel_cancels_its_calls_after_the_grace_period(
    client: Client, manager: EndpointManager, backends: Backends
) -> None:
    """Calls on servers that were removed end as well."""
    old, new = backends(), backends()
    channel = insecure_channel("foo/svc", client)
    await wait_until(lambda: channel.age is not None)
    waiting = channel.unary_unary(method("Who"))(b"", wait_for_ready=True)
    await asyncio.to_thread(update, manager, old)
    assert await waiting == old.addr.encode()
    before = channel.unary_stream(method("Count"))(b"1000 0.01")
    assert await before.read() == b"0"
    await asyncio.to_thread(update, manager, new, delete=(old,))
    while await ask(channel, 1) != {new.addr: 1}:
        pass  # gRPC has the endpoints a moment later
    short, long = (channel.unary_unary(method("Slow"))(each) for each in (b"0.3", b"9"))
    await asyncio.sleep(0.1)
    await channel.close(grace=1)
    assert await short == new.addr.encode()
    if version(grpc) >= (1, 85):  # before, gRPC did not report the end of such a stream
        assert await before.code() is grpc.StatusCode.CANCELLED
    assert await long.code() is grpc.StatusCode.CANCELLED
    assert channel.get_state() is grpc.ChannelConnectivity.SHUTDOWN


def version(module: Any) -> tuple[int, ...]:
    """Return the first two numbers of the version of *module*."""
    return tuple(map(int, module.__version__.split(".")[:2]))


def is_followed() -> bool:
    """Return whether this process follows any target."""
    return any(each.name == "etcdnaming-xds" for each in threading.enumerate())


@in_loop
async def test_closed_channel_leaves_no_thread_behind(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call on it is an error; a channel without references ends, too."""
    monkeypatch.setattr(services, "LINGER", 0.1)
    channel = insecure_channel("foo/svc", client)
    await channel.close()
    with pytest.raises(grpc.aio.UsageError, match="closed"):
        await ask(channel, 1)
    await wait_until(lambda: not is_followed())
    forgotten = insecure_channel("foo/svc", client)
    del forgotten
    await wait_until(lambda: not is_followed())


@in_loop
async def test_channel_ready_raises_an_error_when_the_channel_is_closed(client: Client) -> None:
    """gRPC's own channel does the same."""
    channel = insecure_channel("foo/svc", client)
    waiting = asyncio.create_task(channel.channel_ready())
    await asyncio.sleep(0.1)
    await channel.close()
    with pytest.raises(grpc.aio.UsageError, match="closed"):
        await waiting


@in_loop
async def test_waiting_task_or_call_can_be_cancelled(
    client: Client, manager: EndpointManager, backends: Backends
) -> None:
    """Other calls continue to wait."""
    async with insecure_channel("foo/svc", client) as channel:
        task, other = (asyncio.create_task(ask(channel, 1, wait_for_ready=True)) for _ in range(2))
        call = channel.unary_unary(method("Who"))(b"", wait_for_ready=True)
        await asyncio.sleep(0.2)
        assert task.cancel()
        assert call.cancel()
        for cancelled in (task, call):
            with pytest.raises(asyncio.CancelledError):
                await cancelled
        backend = backends()
        await asyncio.to_thread(update, manager, backend)
        assert await other == {backend.addr: 1}
        assert backend.calls == {"Who": 1}


def test_loop_that_ends_with_an_open_channel_leaves_no_thread_behind(
    client: Client, manager: EndpointManager, backends: Backends
) -> None:
    """The next loop gets its own channel."""
    before = set(threading.enumerate())
    backend = backends()
    update(manager, backend)

    async def forget() -> Counter[str]:
        return await ask(insecure_channel("foo/svc", client), 3)

    for _ in range(3):
        assert asyncio.run(asyncio.wait_for(forget(), 20)) == {backend.addr: 3}
    asyncio.run(wait_until(lambda: not any(map(_is_ours, set(threading.enumerate()) - before))))


def _is_ours(thread: threading.Thread) -> bool:
    return thread.name.startswith("etcdnaming-")
