"""etcd's grpc-proxy registers itself as Go services do, and forwards every command."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing

import pytest
from harness import Etcd, Proxy, Result, Run, Spawn, wait_until
from harness.watcher import Watcher, stored

from etcdnaming import Client, Endpoint, EndpointManager, Registration

pytestmark = [
    pytest.mark.server,
    pytest.mark.against("etcd's grpc-proxy"),
]

PREFIX = "proxies"
REGISTERING = [f"--resolver-prefix={PREFIX}", "--resolver-ttl=2"]


@pytest.fixture
def proxy(etcd: Etcd, grpc_proxy: Callable[..., Proxy]) -> Proxy:
    """Start a proxy that registers itself."""
    return grpc_proxy(etcd, *REGISTERING)


def members(proxy: Proxy) -> dict[str, str]:
    """Return the names that the proxy's ``member list`` shows, by address."""
    listed = proxy.ctl_json("member", "list")["members"]
    return {member["clientURLs"][0]: member["name"] for member in listed}


def test_list_shows_a_proxy_that_registered_itself(etcd: Etcd, proxy: Proxy) -> None:
    """On its own lease, with its host name in the metadata."""
    with Client([etcd.endpoint]) as client:
        manager = EndpointManager(client, PREFIX)
        wait_until(lambda: manager.list().endpoints)
        [found] = manager.list().endpoints
    assert (found.key, found.endpoint.addr) == (f"{PREFIX}/{proxy.endpoint}", proxy.endpoint)
    assert isinstance(found.endpoint.metadata, str)
    assert list(json.loads(found.endpoint.metadata)) == ["name"]
    assert found.lease == etcd.lease_of(found.key)


def test_watch_reports_a_proxy_that_starts_and_stops(
    etcd: Etcd, client: Client, grpc_proxy: Callable[..., Proxy]
) -> None:
    """Its address is reported when it is gone: its lease is not revoked, but expires."""
    with Watcher(client, target=PREFIX) as watcher:
        watcher.wait_until_connected()
        proxy = grpc_proxy(etcd, *REGISTERING)
        watcher.wait_until(lambda watcher: watcher.count == 1)
        proxy.close()
        watcher.wait_until(lambda watcher: watcher.count == 2, timeout=20)
    key, addr = f"{PREFIX}/{proxy.endpoint}", proxy.endpoint
    assert watcher.reported == [("ADD", key, addr), ("DELETE", key, addr)]


def test_proxy_lists_a_registered_endpoint_as_a_member(etcd: Etcd, proxy: Proxy, run: Run) -> None:
    """With a text as metadata, in which the proxy looks for a name."""
    added = run("add", f"{PREFIX}/", "--addr", "10.0.0.1:80", "--metadata", '{"name":"by hand"}')
    warning = "--metadata stores this JSON object as text; --metadata-json stores the object"
    assert added == Result(0, "OK\n", f"Warning: {warning}\n")
    endpoint = Endpoint("10.0.0.2:80", '{"name":"a service"}')
    with (
        Client([proxy.endpoint]) as client,
        Registration(client, {f"{PREFIX}/e2": endpoint}),
    ):
        wait_until(lambda: len(members(proxy)) == 3)
        shown = members(proxy)
    assert (shown["10.0.0.1:80"], shown["10.0.0.2:80"]) == ("by hand", "a service")
    assert proxy.endpoint in shown


def test_commands_work_through_a_proxy(etcd: Etcd, proxy: Proxy, run: Run, spawn: Spawn) -> None:
    """Their changes are stored in the etcd behind it."""
    through = f"--endpoints={proxy.endpoint}"
    etcd.put("svc/e0", stored("1:0"))
    with closing(spawn("watch", "svc", through)) as watch:
        watch.wait_for_out("svc/e0")
        assert run(through, "del", "svc/e0") == Result(0, "1\n", "")
        for args, out in (
            (["add", "svc/e1", "--addr", "1:1"], "OK\n"),
            (["add", "svc/e2", "--addr", "1:2", "--if-absent", "--ttl", "60"], None),
            (["list", "svc"], "svc/e1\t1:1\tnull\nsvc/e2\t1:2\tnull\n"),
            (["list", "svc", "--keys-only", "--no-lease"], "svc/e1\n"),
            (["list", "--services", "svc/"], "svc\t2\n"),
            (["wait", "svc", "--min", "2", "--timeout", "10s"], None),
            (["txn-update", "--del", "svc/e1", "--add", "svc/e2=1:3"], "SUCCESS\n"),
            (["del", "svc/e2"], "1\n"),
            (["add", "svc/e3", "--addr", "1:4"], "OK\n"),
            (["del", "--all", "svc/", "--yes"], "1\n"),
        ):
            result = run(through, *args)
            assert (result.status, out or result.out) == (0, result.out), (args, result)
        watch.wait_for_out("DELETE\tsvc/e3\t1:4")
        lines = [line.split("\t")[:3] for line in watch.out.splitlines()]
    assert etcd.get("svc/") == {}
    assert lines == [
        ["PUT", "svc/e0", "1:0"],
        ["DELETE", "svc/e0", "1:0"],
        ["PUT", "svc/e1", "1:1"],
        ["PUT", "svc/e2", "1:2"],
        ["DELETE", "svc/e1", "1:1"],
        ["PUT", "svc/e2", "1:3"],
        ["DELETE", "svc/e2", "1:3"],
        ["PUT", "svc/e3", "1:4"],
        ["DELETE", "svc/e3", "1:4"],
    ]
