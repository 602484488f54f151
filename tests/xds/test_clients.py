"""Real clients follow etcd: what a change in etcd becomes in each language."""

from __future__ import annotations

import time

import pytest
from harness import Etcd, wait_until
from harness.backends import Backends, method
from harness.xds import Bridge, Language, Xds, addresses, languages

from etcdnaming import Client, Endpoint, EndpointManager, Update
from etcdnaming.xds.names import Kind

from .conftest import Service

TARGET = "xds:///foo/svc"

FEDERATION = {"GRPC_EXPERIMENTAL_XDS_FEDERATION": "true"}
"""Switches authorities and templates on in gRPC 1.51, as C++ and Ruby have it here."""

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def bridge(xds: Xds) -> Bridge:
    """A bridge of everything below ``foo``."""
    return xds.bridge("foo")


def test_endpoints_get_calls_while_they_are_in_etcd(
    xds: Xds, bridge: Bridge, language: Language, service: Service, backends: Backends
) -> None:
    """A new one, another address, one that leaves: without an error."""
    first, second, third = backends(), backends(), backends()
    service.add(first)
    caller = xds.call(language, bridge.address, TARGET)
    caller.wait_for(first.addr)
    service.add(second)
    caller.wait_for(first.addr, second.addr)
    service.add(third)
    service.remove(first)
    caller.wait_for(second.addr, third.addr)
    service.remove(second)
    caller.wait_for(third.addr)
    assert caller.errors == []
    assert bridge.metric('nacks_total{type="ClusterLoadAssignment"}') == 0


def test_endpoints_with_ipv4_and_with_ipv6_addresses_get_calls(
    xds: Xds, bridge: Bridge, language: Language, service: Service, backends: Backends
) -> None:
    """In one set."""
    four, six = backends(), backends("[::1]:0")
    service.add(four, six)
    caller = xds.call(language, bridge.address, TARGET)
    caller.wait_for(four.addr, six.addr)
    assert caller.errors == []


def test_endpoint_with_another_address_gets_no_calls_at_the_old_one(
    xds: Xds,
    bridge: Bridge,
    language: Language,
    client: Client,
    backends: Backends,
) -> None:
    """The key is the same."""
    first, second = backends(), backends()
    manager = EndpointManager(client, "foo/svc")
    manager.add_endpoint("foo/svc/e1", Endpoint(first.addr))
    caller = xds.call(language, bridge.address, TARGET)
    caller.wait_for(first.addr)
    manager.add_endpoint("foo/svc/e1", Endpoint(second.addr))
    caller.wait_for(second.addr)
    assert caller.errors == []


def test_endpoint_leaves_when_its_lease_expires(
    xds: Xds,
    bridge: Bridge,
    language: Language,
    service: Service,
    backends: Backends,
    etcd: Etcd,
) -> None:
    """As when its process dies."""
    stays, dies = backends(), backends()
    service.add(stays)
    caller = xds.call(language, bridge.address, TARGET)
    caller.wait_for(stays.addr)
    service.add(dies, lease=etcd.grant(10))
    caller.wait_for(stays.addr, dies.addr)
    caller.wait_for(stays.addr)
    assert caller.errors == []


def test_call_in_flight_to_a_removed_endpoint_completes(
    xds: Xds, bridge: Bridge, language: Language, service: Service, backends: Backends
) -> None:
    """It is not cut off."""
    leaves, stays = backends(), backends()
    service.add(leaves)
    caller = xds.call(
        language, bridge.address, TARGET, "-calls", "1", "-method", method("Slow"), "-body", "2"
    )
    assert leaves.first.wait(30)
    service.add(stays)
    service.remove(leaves)
    [call] = caller.finish()
    assert (call.answer, call.error) == (leaves.addr, "")


@pytest.mark.parametrize("language", languages(without={"rust"}), indirect=True)  # it waits
def test_call_fails_at_once_when_the_last_endpoint_is_gone(
    xds: Xds, bridge: Bridge, language: Language, service: Service, backends: Backends
) -> None:
    """UNAVAILABLE; and it works again with the next endpoint."""
    first, second = backends(), backends()
    service.add(first)
    caller = xds.call(language, bridge.address, TARGET)
    caller.wait_for(first.addr)
    service.remove(first)
    wait_until(lambda: caller.errors, 30)
    assert all("UNAVAILABLE" in each.upper() for each in caller.errors)
    first.calls.clear()
    caller.wait_for_calls(5)
    assert not first.calls["Who"]
    failed = [call for call in caller.calls if call.error]
    assert max(call.seconds for call in failed) < 10
    service.add(second)
    caller.wait_for(second.addr)


@pytest.mark.parametrize("language", languages(without={"rust"}), indirect=True)  # it waits
@pytest.mark.parametrize("target", ["foo/unknown", "elsewhere/svc", "/foo/svc"])
def test_unknown_name_fails_at_once(
    xds: Xds,
    bridge: Bridge,
    language: Language,
    service: Service,
    backends: Backends,
    target: str,
) -> None:
    """Unknown, not served, another name because of its slash: all are empty."""
    service.add(backends())
    caller = xds.call(language, bridge.address, f"xds:///{target}", "-calls", "3")
    calls = caller.finish()
    assert all("UNAVAILABLE" in call.error.upper() for call in calls), calls
    assert max(call.seconds for call in calls[1:]) < 5, calls


@pytest.mark.parametrize("language", languages(without={"ruby"}), indirect=True)  # it can't
def test_call_that_waits_for_ready_goes_to_the_first_endpoint(
    xds: Xds, bridge: Bridge, language: Language, service: Service, backends: Backends
) -> None:
    """A plain one would fail."""
    backend = backends()
    caller = xds.call(language, bridge.address, TARGET, "-wfr", "-calls", "1", "-deadline", "60")
    wait_until(lambda: bridge.metric('subscriptions{type="ClusterLoadAssignment"}') == 1, 30)
    time.sleep(0.5)  # so that the call has met the empty set
    assert caller.calls == []
    service.add(backend)
    [call] = caller.finish()
    assert call.answer == backend.addr


@pytest.mark.parametrize("language", languages(without={"rust"}), indirect=True)  # it ignores them
def test_weights_are_the_shares_of_calls(
    xds: Xds, bridge: Bridge, language: Language, service: Service, backends: Backends
) -> None:
    """3 to 1; and a weight of 0 gets none."""
    heavy, light, none = backends(), backends(), backends()
    service.add(heavy, metadata={"weight": 3})
    service.add(light)
    service.add(none, metadata={"weight": 0})
    caller = xds.call(language, bridge.address, TARGET, interval=2)
    caller.wait_for(heavy.addr, light.addr)
    caller.wait_for_calls(400, 60)
    found = caller.answers(400)
    assert 260 <= found[heavy.addr] <= 340, found
    assert not found[none.addr]
    assert caller.errors == []


def test_calls_are_retried_where_the_bridge_says_so(
    xds: Xds, language: Language, service: Service, backends: Backends
) -> None:
    """UNAVAILABLE is sent again, so many times; without it the call fails."""
    retried, failing = backends(), backends()
    service.add(retried)
    once = ("-calls", "1", "-method", method("Flaky"))  # its third answer is the first good one
    [call] = xds.call(language, xds.bridge("foo", "--retry=3").address, TARGET, *once).finish()
    assert (call.answer, call.error) == ("3", "")
    service.add(failing)
    service.remove(retried)
    [call] = xds.call(language, xds.bridge("foo").address, TARGET, *once).finish()
    assert "UNAVAILABLE" in call.error.upper()


def test_draining_endpoint_gets_no_new_calls(
    xds: Xds, bridge: Bridge, language: Language, service: Service, backends: Backends
) -> None:
    """Until it does not drain any more."""
    first, second = backends(), backends()
    service.add(first, second)
    caller = xds.call(language, bridge.address, TARGET)
    caller.wait_for(first.addr, second.addr)
    service.add(first, metadata={"draining": True})
    caller.wait_for(second.addr)
    service.add(first)
    caller.wait_for(first.addr, second.addr)
    assert caller.errors == []


@pytest.mark.parametrize("language", languages(without={"rust"}), indirect=True)  # as weights
def test_calls_stay_in_the_zone_of_the_client_while_it_has_endpoints(
    xds: Xds, language: Language, service: Service, backends: Backends
) -> None:
    """Then they go elsewhere, and come back."""
    near, far = backends(), backends()
    service.add(near, metadata={"zone": "a"})
    service.add(far, metadata={"zone": "b"})
    bridge = xds.bridge("foo", "--zones=prefer")
    caller = xds.call(language, bridge.address, TARGET, zone="a")
    caller.wait_for(near.addr)
    service.remove(near)
    caller.wait_for(far.addr)
    service.add(near, metadata={"zone": "a"})
    caller.wait_for(near.addr)
    assert caller.errors == []


def test_names_with_an_authority_are_served(
    xds: Xds, bridge: Bridge, language: Language, service: Service, backends: Backends
) -> None:
    """They reach the bridge as xdstp URLs."""
    first, second = backends(), backends()
    service.add(first)
    target = "xds://etcd/foo/svc"
    caller = xds.call(language, bridge.address, target, env=FEDERATION, authority="etcd")
    caller.wait_for(first.addr)
    service.add(second)
    caller.wait_for(first.addr, second.addr)
    assert caller.errors == []


@pytest.mark.parametrize("language", languages(without={"rust"}), indirect=True)  # it can't
def test_prefix_can_be_left_out_of_names(
    xds: Xds, bridge: Bridge, language: Language, service: Service, backends: Backends
) -> None:
    """By a template in the bootstrap file."""
    backend = backends()
    service.add(backend)
    caller = xds.call(language, bridge.address, "xds:///svc", env=FEDERATION, strip="foo")
    caller.wait_for(backend.addr)


def test_whatever_is_stored_is_refused_by_no_client(
    xds: Xds,
    bridge: Bridge,
    language: Language,
    client: Client,
    backends: Backends,
    etcd: Etcd,
) -> None:
    """One bad value would spoil the set, and a new client had no endpoints at all."""
    good, weighty = backends(), backends()
    stored = {
        "good": Endpoint(good.addr),
        "twin": Endpoint(good.addr, {"weight": 1}),
        "mapped": Endpoint(f"[::ffff:127.0.0.1]:{good.port}"),
        "weighty": Endpoint(weighty.addr, {"weight": 1}),
        "v6": Endpoint("[::1]:9", {"weight": 0}),
        "scope": Endpoint("[fe80::1%eth0]:80"),
        "host": Endpoint("no-such-host.invalid:80"),
        "no-port": Endpoint("10.0.0.1"),
        "port-0": Endpoint("10.0.0.1:0"),
        "unix": Endpoint("unix:/run/x.sock"),
        "url": Endpoint("http://10.0.0.1:80"),
        "odd": Endpoint(weighty.addr, {"weight": -1, "zone": 3, "draining": "no"}),
        "heavy": Endpoint("10.0.0.1:80", {"weight": 0, "zone": "\x00"}),
    }
    EndpointManager(client, "foo/svc").update(
        [Update.add(f"foo/svc/{name}", endpoint) for name, endpoint in stored.items()]
    )
    etcd.put("foo/svc/nonsense", "{")
    caller = xds.call(language, bridge.address, TARGET)
    caller.wait_for(good.addr, weighty.addr)
    assert caller.errors == []
    assert bridge.metric('nacks_total{type="ClusterLoadAssignment"}') == 0
    streams = bridge.json("/streams")["streams"]
    assert [each["types"]["ClusterLoadAssignment"]["error"] for each in streams] == [""]


def test_largest_weights_are_refused_by_no_client(
    xds: Xds, bridge: Bridge, language: Language, service: Service, backends: Backends
) -> None:
    """Five thousand times a million is more than 32 bits hold."""
    backend = backends()
    service.add(backend, metadata={"weight": 1_000_000})
    for start in range(0, 5000, 100):
        service.add(
            *(f"127.1.{n // 250}.{n % 250}:1" for n in range(start, start + 100)),
            metadata={"weight": 1_000_000, "zone": "b"},
        )
    xds.call(language, bridge.address, TARGET, "-deadline", "1")
    wait_until(lambda: accepted(bridge), 60)
    assert bridge.metric('nacks_total{type="ClusterLoadAssignment"}') == 0


def accepted(bridge: Bridge) -> list[str]:
    """Return the version of the endpoints that each client has accepted."""
    types = [each["types"] for each in bridge.json("/streams")["streams"]]
    return [
        version
        for each in types
        if (version := each.get("ClusterLoadAssignment", {}).get("accepted_version"))
    ]


def test_host_names_are_looked_up(
    xds: Xds, bridge: Bridge, language: Language, service: Service, backends: Backends
) -> None:
    """Clients would refuse them."""
    backend = backends()
    service.add(f"localhost:{backend.port}")
    caller = xds.call(language, bridge.address, TARGET, "-wfr")
    caller.wait_for(backend.addr)


def test_every_client_is_a_node_with_a_name_an_agent_and_a_version(
    xds: Xds, bridge: Bridge, language: Language, service: Service, backends: Backends
) -> None:
    """For /streams; and the rules go by the agent."""
    backend = backends()
    service.add(backend)
    caller = xds.call(language, bridge.address, TARGET, zone="a")
    caller.wait_for(backend.addr)
    [stream] = bridge.json("/streams")["streams"]
    agents = {"go": "gRPC Go", "node": "gRPC Node", "java": "gRPC Java", "rust": "gRPC Rust"}
    assert stream["agent"].startswith(agents.get(language.name, "gRPC C-core"))
    assert (stream["node"], stream["zone"]) == ("test-node", "a")
    [names] = {tuple(each["names"]) for each in stream["types"].values()}
    assert names == ("foo/svc",)


@pytest.mark.parametrize(
    "language", [each for each in languages() if each.id == "rust"], indirect=True
)
def test_rust_waits_while_a_set_is_empty_and_goes_on_with_the_next_endpoint(
    xds: Xds, bridge: Bridge, language: Language, service: Service, backends: Backends
) -> None:
    """Until the deadline. No call goes to the endpoint that is gone."""
    first, second = backends(), backends()
    service.add(first)
    caller = xds.call(language, bridge.address, TARGET, "-deadline", "1")
    caller.wait_for(first.addr)
    service.remove(first)
    wait_until(lambda: len(caller.errors) > 1, 30)
    assert all("DEADLINE" in each.upper() for each in caller.errors)
    service.add(second)
    caller.wait_for(second.addr)


@pytest.mark.interop
@pytest.mark.parametrize("version", ["1.66.0", "1.75.0", "1.85.1"])
def test_java_leaves_the_last_endpoint_of_a_set_that_became_empty(
    xds: Xds, bridge: Bridge, service: Service, backends: Backends, version: str
) -> None:
    """From 1.76 on it ignores a set that is really empty."""
    first, second = backends(), backends()
    service.add(first)
    language = Language("java", version)
    caller = xds.call(language, bridge.address, TARGET)
    caller.wait_for(first.addr)
    service.remove(first)
    wait_until(lambda: len(caller.errors) > 3, 30)
    first.calls.clear()
    caller.wait_for_calls(10)
    assert not first.calls["Who"]
    assert all("UNAVAILABLE" in each for each in caller.errors)
    waiting = xds.call(language, bridge.address, TARGET, "-wfr", "-calls", "1", "-deadline", "60")
    service.add(second)
    caller.wait_for(second.addr)
    assert [call.answer for call in waiting.finish(60)] == [second.addr]


def test_other_clients_get_a_set_that_is_really_empty(xds: Xds, bridge: Bridge) -> None:
    """The endpoint that Java gets instead is for Java alone."""
    for agent, expected in (("gRPC Java", ["127.0.0.1:1"]), ("gRPC Go", []), ("envoy", [])):
        stream = xds.ads(bridge.address, agent)
        stream.ask(Kind.ASSIGNMENT, "foo/none")
        assert addresses(stream.get()) == {"foo/none": expected}
