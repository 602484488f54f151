"""What one endpoint's value in etcd does to a channel, and to the other endpoints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from harness import TIMEOUT, Etcd, Run, wait_until
from harness.backends import Backends, method
from harness.counting import WHO, CountingServers
from harness.watcher import stored

from etcdnaming import Client, Endpoint, EndpointManager, insecure_channel
from etcdnaming.resolver.channel import Channel


@pytest.fixture
def manager(client: Client) -> EndpointManager:
    """Return the manager of the service."""
    return EndpointManager(client, "svc")


@pytest.fixture
def channel(client: Client) -> Iterator[Channel]:
    """Return a channel to the service."""
    with insecure_channel("svc", client) as channel:
        yield channel


def ask(channel: Channel, times: int) -> Counter[str]:
    """Count the answers by the address of the server."""
    call: Any = channel.unary_unary(WHO)
    return Counter(call(b"", timeout=10, wait_for_ready=True).decode() for _ in range(times))


@pytest.mark.parametrize(
    "poison",
    [
        stored("[fe80::1%no-such-interface]:80"),
        stored("10.0.0.1:99999"),
        stored("unix:/run/no-such.sock"),
        stored("no-such-name.invalid:80"),
        stored(""),
        "{",
        "null",
        '{"Op":0,"Addr":5}',
        '{"Op":0,"Addr":"127.0.0.1:1","Metadata":{"weight":-1,"zone":[],"draining":"no"}}',
    ],
)
def test_good_endpoints_get_all_calls_when_one_value_cannot_be_used(
    etcd: Etcd, channel: Channel, servers: CountingServers, poison: str
) -> None:
    """The value is there before the good ones, and while they change."""
    first, second = servers.start(2)
    etcd.put("svc/0", poison)
    etcd.put("svc/1", stored(first))
    call: Any = channel.unary_unary(WHO)
    assert call(b"", timeout=20, wait_for_ready=True).decode() == first
    etcd.put("svc/2", stored(second))
    wait_until(lambda: set(ask(channel, 4)) == {first, second})
    assert ask(channel, 40).keys() == {first, second}


def test_endpoint_of_weight_three_gets_three_times_the_calls(
    manager: EndpointManager, channel: Channel, servers: CountingServers
) -> None:
    """By its metadata; the share is random, within 10 % of 900 calls."""
    heavy, light = servers.start(2)
    manager.add_endpoint("svc/heavy", Endpoint(heavy, {"weight": 3}))
    manager.add_endpoint("svc/light", Endpoint(light))
    wait_until(lambda: set(ask(channel, 10)) == {heavy, light})
    assert 0.65 < ask(channel, 900)[heavy] / 900 < 0.85


@pytest.mark.parametrize("metadata", [{"draining": True}, {"weight": 0}])
def test_draining_endpoint_gets_no_new_calls_until_it_is_back(
    manager: EndpointManager, channel: Channel, servers: CountingServers, metadata: Any
) -> None:
    """The other one gets them all."""
    drained, other = servers.start(2)
    manager.add_endpoint("svc/drained", Endpoint(drained))
    manager.add_endpoint("svc/other", Endpoint(other))
    wait_until(lambda: set(ask(channel, 4)) == {drained, other})
    manager.add_endpoint("svc/drained", Endpoint(drained, metadata))
    wait_until(lambda: set(ask(channel, 10)) == {other})
    assert ask(channel, 40) == {other: 40}
    manager.add_endpoint("svc/drained", Endpoint(drained))
    wait_until(lambda: set(ask(channel, 4)) == {drained, other})


def test_drain_of_the_command_line_reaches_a_channel_and_calls_in_flight_finish(
    run: Run, manager: EndpointManager, channel: Channel, backends: Backends
) -> None:
    """So does undrain."""
    drained, other = backends(), backends()
    manager.add_endpoint("svc/drained", Endpoint(drained.addr, {"zone": "a"}))
    manager.add_endpoint("svc/other", Endpoint(other.addr))
    both = {drained.addr, other.addr}
    wait_until(lambda: set(ask(channel, 4)) == both)
    slow: Any = channel.unary_unary(method("Slow"))
    begun = [slow.future(b"2", timeout=TIMEOUT) for _ in range(2)]
    wait_until(lambda: drained.calls["Slow"] == other.calls["Slow"] == 1)
    assert run("drain", "svc/drained").status == 0
    wait_until(lambda: set(ask(channel, 10)) == {other.addr})
    assert {each.result().decode() for each in begun} == both
    assert ask(channel, 40) == {other.addr: 40}
    assert run("undrain", "svc/drained").status == 0
    wait_until(lambda: set(ask(channel, 4)) == both)
