"""Go's ``endpoints.Manager`` and `EndpointManager` work on the same keys."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from harness import Etcd
from harness.go import GoClient, GoError, has_go
from harness.watcher import Watcher

from etcdnaming import wire
from etcdnaming.endpoints.manager import EndpointManager
from etcdnaming.errors import InvalidKeyError
from etcdnaming.etcd import Client
from etcdnaming.model import JSON, Change, Endpoint, Update

pytestmark = [
    pytest.mark.interop,
    pytest.mark.server,
    pytest.mark.skipif(not has_go(), reason="needs Go"),
    pytest.mark.timeout(300),  # the first build of Go's client takes a minute or more
]

METADATA: list[JSON] = [
    None,
    "zone a",
    {"weight": 3, "zone": "eu-1", "a": [1.5, True, None, {}]},
    '<a href="&">\u2028 é 😀\x7f',
]


@pytest.fixture
def manager(client: Client) -> EndpointManager:
    """Return an `EndpointManager` of ``svc``."""
    return EndpointManager(client, "svc")


def printed_by_go(line: str) -> tuple[str, str, Endpoint | None]:
    """Return an update that Go has printed."""
    update = json.loads(line)
    endpoint = Endpoint(update["addr"], update["metadata"]) if update["op"] == "add" else None
    return update["op"], update["key"], endpoint


def printed_by_python(change: Change) -> tuple[str, str, Endpoint | None]:
    """Return a `Change` in the same form."""
    return change.op.name.lower(), change.key, change.endpoint


def as_go_takes_it(updates: list[Update]) -> str:
    """Return *updates* for ``peer update``."""
    return json.dumps(
        [
            {
                "op": update.op.name.lower(),
                "key": update.key,
                "addr": update.endpoint and update.endpoint.addr,
                "metadata": update.endpoint and update.endpoint.metadata,
            }
            for update in updates
        ]
    )


def random_updates(rng: random.Random) -> list[Update]:
    """Return updates of different keys, which one transaction takes."""
    names = rng.sample(range(8), rng.choice([1, 1, 1, 2, 4]))
    return [
        Update.delete(f"svc/e{name}")
        if rng.random() < 0.3
        else Update.add(f"svc/e{name}", Endpoint(f"10.0.0.{name}:{rng.randrange(4)}", metadata))
        for name in names
        for metadata in [rng.choice(METADATA)]
    ]


@pytest.mark.parametrize("metadata", METADATA, ids=["none", "text", "object", "escapes"])
def test_go_and_python_write_the_same_bytes(
    etcd: Etcd, go: GoClient, manager: EndpointManager, metadata: JSON
) -> None:
    """The same endpoint is the same value."""
    endpoint = Endpoint("1.2.3.4:80", metadata)

    manager.add_endpoint("svc/python", endpoint)
    go("add", "svc", "svc/go", endpoint.addr, json.dumps(metadata))

    value = wire.encode(endpoint)
    assert etcd.get("svc/") == {b"svc/go": value, b"svc/python": value}
    assert manager.list().by_key() == {"svc/go": endpoint, "svc/python": endpoint}
    listed = {"Addr": endpoint.addr, "Metadata": metadata}
    assert go.list("svc") == {"svc/go": listed, "svc/python": listed}


def test_go_and_python_delete_each_others_endpoints(
    etcd: Etcd, go: GoClient, manager: EndpointManager
) -> None:
    """Nothing is left."""
    manager.add_endpoint("svc/python", Endpoint("1.2.3.4:80"))
    go("add", "svc", "svc/go", "1.2.3.4:80", "null")

    go("del", "svc", "svc/python")
    manager.delete_endpoint("svc/go")

    assert etcd.get("") == {}
    assert (go.list("svc"), manager.list().by_key()) == ({}, {})


def test_update_is_one_transaction_in_go_and_python(
    etcd: Etcd, go: GoClient, manager: EndpointManager
) -> None:
    """All of it, at one revision."""
    first = [Update.add(f"svc/e{n}", Endpoint(f"10.0.0.{n}:80", {"n": n})) for n in range(4)]
    second = [Update.delete("svc/e0"), *(Update.add(f"svc/e{n}", Endpoint("x")) for n in (1, 5))]
    before = etcd.revision()

    go("update", "svc", input=as_go_takes_it(first))
    assert manager.list().by_key() == {each.key: each.endpoint for each in first}
    manager.update(second)

    assert etcd.revision() == before + 2
    assert {entry.mod_revision for entry in etcd.entries("svc/")} == {before + 1, before + 2}
    by_key = manager.list().by_key()
    assert sorted(by_key) == [f"svc/e{n}" for n in (1, 2, 3, 5)]
    assert go.list("svc") == {
        key: {"Addr": endpoint.addr, "Metadata": endpoint.metadata}
        for key, endpoint in by_key.items()
    }


def test_update_keeps_an_endpoint_on_the_lease_that_go_gave_it(
    etcd: Etcd, go: GoClient, manager: EndpointManager
) -> None:
    """It expires with the lease, for both."""
    lease = etcd.grant(600)
    go("add", "svc", "svc/e1", "1.2.3.4:80", "null", f"{lease:x}")
    assert [stored.lease for stored in manager.list().endpoints] == [lease]

    manager.add_endpoint("svc/e1", Endpoint("1.2.3.4:80", {"weight": 0}))
    assert etcd.lease_of("svc/e1") == lease
    assert go.list("svc") == {"svc/e1": {"Addr": "1.2.3.4:80", "Metadata": {"weight": 0}}}

    etcd.revoke(lease)
    assert (go.list("svc"), manager.list().by_key()) == ({}, {})


def test_go_and_python_list_the_same_keys(
    etcd: Etcd, go: GoClient, manager: EndpointManager
) -> None:
    """Deeper ones too, neighbours not; a value that can't be read is no endpoint to either."""
    good: dict[str, str] = {"svc/a": '{"Addr":"1"}', "svc/deep/b": '{"addr":"2"}', "svc/c": "null"}
    bad = {"svc/bad": "10.0.0.1:80", "svc/half": '{"Addr":"1"', "svc_other/a": "{}", "svc": "{}"}
    for key, value in {**good, **bad}.items():
        etcd.put(key, value)

    listed = go.list("svc")

    assert sorted(listed) == sorted(good)
    assert listed == {
        key: {"Addr": endpoint.addr, "Metadata": endpoint.metadata}
        for key, endpoint in manager.list().by_key().items()
    }


def test_go_and_python_refuse_a_key_outside_the_target_in_the_same_words(
    etcd: Etcd, go: GoClient, manager: EndpointManager
) -> None:
    """Nothing is sent."""
    with pytest.raises(GoError) as by_go:
        go("add", "svc", "svc_other/e1", "1.2.3.4:80", "null")
    with pytest.raises(InvalidKeyError) as by_us:
        manager.add_endpoint("svc_other/e1", Endpoint("1.2.3.4:80"))

    assert str(by_us.value) in str(by_go.value)
    assert etcd.get("") == {}


def test_go_and_python_watch_the_same_changes(
    etcd: Etcd, go: GoClient, client: Client, manager: EndpointManager
) -> None:
    """Made by Go, Python, etcdctl, or a lease that ends; from the first set to the last."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # noqa: T201 - shown when it fails
    rng = random.Random(seed)
    lease = etcd.grant(600)
    etcd.put("svc/first", wire.encode(Endpoint("1")))
    etcd.put("svc/leased", wire.encode(Endpoint("2")), lease)
    writers: list[Callable[[list[Update]], Any]] = [
        lambda updates: go("update", "svc", input=as_go_takes_it(updates)),
        manager.update,
        partial(by_etcdctl, etcd),
    ]
    watch = go.start("watch", "svc")
    try:
        with Watcher(client) as watcher:
            watch.wait_for_out('"svc/leased"')
            watcher.wait_until(lambda watcher: watcher.batches)
            for _ in range(40):
                rng.choice(writers)(random_updates(rng))
            etcd.revoke(lease)
            manager.add_endpoint("svc/last", Endpoint("end"))
            watch.wait_for_out('"svc/last"')
            watcher.wait_until(lambda watcher: "svc/last" in watcher.replayed)
            changes = [change for batch in watcher.batches for change in batch.changes]
        lines = watch.finish().out.splitlines()
    finally:
        watch.close()
    assert [printed_by_go(line) for line in lines] == [
        printed_by_python(change) for change in changes
    ]


def by_etcdctl(etcd: Etcd, updates: list[Update]) -> None:
    """Make changes with etcdctl, one after another."""
    for update in updates:
        if update.endpoint is None:
            etcd.delete(update.key)
        else:
            etcd.put(update.key, wire.encode(update.endpoint))
