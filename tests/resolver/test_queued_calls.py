"""A call that waits for a connection is sent to an endpoint that appears later, as Go's is."""

from __future__ import annotations

import asyncio
import select
import socket
from typing import Any

import grpc
import pytest
from harness import wait_until
from harness.counting import WHO, CountingServers
from harness.load import in_loop

from etcdnaming import Client, Endpoint, EndpointManager, aio, insecure_channel

FAILING = grpc.ChannelConnectivity.TRANSIENT_FAILURE


@pytest.fixture
def live(servers: CountingServers) -> str:
    """Return the address of a server."""
    return servers.start()[0]


def register_dead(kind: str, dead: socket.socket, client: Client) -> None:
    """Register what calls can't be sent to: nothing, or two endpoints of *kind*."""
    if kind == "silent":
        dead.listen()
    if kind != "none":
        port = dead.getsockname()[1]
        for host in ("127.0.0.1", "localhost"):
            EndpointManager(client, "svc").add_endpoint(f"svc/{host}", Endpoint(f"{host}:{port}"))


def is_dialled(dead: socket.socket) -> bool:
    """Return whether a connection waits to be accepted."""
    return bool(select.select([dead], [], [], 0)[0])


CASES = pytest.mark.parametrize(
    ("kind", "wait_for_ready"),
    [("none", True), ("refusing", True), ("silent", False), ("silent", True)],
)


@CASES
def test_queued_call_is_sent_when_a_live_endpoint_is_added(
    client: Client, live: str, dead: socket.socket, kind: str, wait_for_ready: bool
) -> None:
    """The call began when no endpoint could take it, and is not at its deadline yet."""
    register_dead(kind, dead, client)
    with insecure_channel("svc", client) as channel:
        states: list[grpc.ChannelConnectivity] = []
        channel.subscribe(states.append)
        call: Any = channel.unary_unary(WHO)
        future = call.future(b"", timeout=20, wait_for_ready=wait_for_ready)
        wait_until(lambda: is_dialled(dead) if kind == "silent" else FAILING in states)
        assert not future.done()
        EndpointManager(client, "svc").add_endpoint("svc/live", Endpoint(live))
        assert future.result() == live.encode()


@CASES
@in_loop
async def test_queued_asyncio_call_is_sent_when_a_live_endpoint_is_added(
    client: Client, live: str, dead: socket.socket, kind: str, wait_for_ready: bool
) -> None:
    """The same with asyncio."""
    register_dead(kind, dead, client)
    async with aio.insecure_channel("svc", client) as channel:
        call = channel.unary_unary(WHO)(b"", timeout=20, wait_for_ready=wait_for_ready)
        state = channel.get_state(try_to_connect=True)
        if kind == "silent":
            assert await asyncio.to_thread(select.select, [dead], [], [], 15) != ([], [], [])
        while kind != "silent" and state is not FAILING:
            await channel.wait_for_state_change(state)
            state = channel.get_state()
        assert not call.done()
        EndpointManager(client, "svc").add_endpoint("svc/live", Endpoint(live))
        assert await call == live.encode()


def test_plain_call_fails_when_the_set_is_empty(client: Client) -> None:
    """UNAVAILABLE, long before its deadline."""
    with insecure_channel("svc", client) as channel:
        call: Any = channel.unary_unary(WHO)
        with pytest.raises(grpc.RpcError) as caught:
            call(b"", timeout=120)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


def test_plain_call_fails_when_all_endpoints_refuse(client: Client, dead: socket.socket) -> None:
    """UNAVAILABLE as well."""
    register_dead("refusing", dead, client)
    with insecure_channel("svc", client) as channel:
        call: Any = channel.unary_unary(WHO)
        with pytest.raises(grpc.RpcError) as caught:
            call(b"", timeout=120)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
