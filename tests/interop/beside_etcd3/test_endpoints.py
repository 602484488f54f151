"""`EndpointManager` works on the channel of an ``etcd3.Client``."""

from __future__ import annotations

from collections.abc import Callable
from queue import Queue
from typing import Any

import etcd3
import pytest
from harness import ROOT, WRITER, Certificates, Etcd, auth
from harness.watcher import Watcher, stored

from etcdnaming import Endpoint, EndpointManager, Update, wire
from etcdnaming.etcd import Client


@pytest.fixture
def manager(client: Client) -> EndpointManager:
    """The endpoints of ``svc``."""
    return EndpointManager(client, "svc")


def test_python_etcd3_reads_what_the_manager_writes(
    manager: EndpointManager, etcd3_client: Any
) -> None:
    """The same bytes."""
    endpoint = Endpoint("1.2.3.4:80", {"zone": "<é>"})
    manager.add_endpoint("svc/e1", endpoint)

    assert etcd3_client.get("svc/e1")[0] == wire.encode(endpoint)


def test_manager_reads_what_python_etcd3_writes(
    manager: EndpointManager, etcd3_client: Any
) -> None:
    """Put, replaced in a transaction, deleted."""
    etcd3_client.put("svc/e1", stored("1"))
    etcd3_client.put("svc/e2", stored("2"))
    assert manager.list().by_key() == {"svc/e1": Endpoint("1"), "svc/e2": Endpoint("2")}

    etcd3_client.transaction(
        compare=[etcd3_client.transactions.version("svc/e1") > 0],
        success=[
            etcd3_client.transactions.put("svc/e1", stored("3")),
            etcd3_client.transactions.delete("svc/e2"),
        ],
        failure=[],
    )
    assert manager.list().by_key() == {"svc/e1": Endpoint("3")}
    etcd3_client.delete("svc/e1")
    assert manager.list().by_key() == {}


def test_manager_keeps_a_key_on_the_lease_of_python_etcd3(
    etcd: Etcd, manager: EndpointManager, etcd3_client: Any
) -> None:
    """When the endpoint is changed; it goes when that client revokes the lease."""
    lease = etcd3_client.lease(600)
    etcd3_client.put("svc/e1", stored("1"), lease)

    manager.update([Update.add("svc/e1", Endpoint("2")), Update.add("svc/e2", Endpoint("3"))])
    assert [each.lease for each in manager.list().endpoints] == [lease.id, 0]

    lease.revoke()
    assert list(etcd.get("svc/")) == [b"svc/e2"]


def test_both_clients_watch_each_others_changes(
    client: Client, manager: EndpointManager, etcd3_client: Any
) -> None:
    """On one channel."""
    events: Queue[tuple[str, bytes, bytes]] = Queue()

    def take(response: Any) -> None:
        for each in response.events:
            events.put((type(each).__name__, each.key, each.value))

    watch = etcd3_client.add_watch_prefix_callback("svc/", take)
    with Watcher(client) as watcher:
        watcher.wait_until_connected()
        etcd3_client.put("svc/e1", stored("1"))
        manager.add_endpoint("svc/e1", Endpoint("2"))
        etcd3_client.delete("svc/e1")
        watcher.wait_until(lambda watcher: watcher.count == 3)
        reported = watcher.reported
    seen = [events.get(timeout=10) for _ in range(3)]
    etcd3_client.cancel_watch(watch)

    assert reported == [("ADD", "svc/e1", "1"), ("ADD", "svc/e1", "2"), ("DELETE", "svc/e1", "2")]
    assert seen == [
        ("PutEvent", b"svc/e1", stored("1").encode()),
        ("PutEvent", b"svc/e1", stored("2").encode()),
        ("DeleteEvent", b"svc/e1", b""),
    ]


def test_list_reads_a_target_larger_than_the_channels_messages(
    etcd: Etcd, manager: EndpointManager
) -> None:
    """The channel takes 4 MiB at a time."""
    etcd.put_all({b"svc/%d" % n: stored("x" * 1000).encode() for n in range(6000)})

    assert len(manager.list().endpoints) == 6000


def test_client_uses_certificates_of_the_channel_and_its_own_login(
    secure_etcd: Callable[..., Etcd], certificates: Certificates
) -> None:
    """python-etcd3 logs in with TLS only."""
    etcd = secure_etcd(*auth.SERVER_FLAGS)
    auth.add_users(etcd)
    root, writer = (user.split(":") for user in (ROOT, WRITER))
    ca = str(certificates.ca)
    with etcd3.client(port=etcd.port, ca_cert=ca, user=root[0], password=root[1]) as theirs:
        with Client(channel=theirs.channel, user=writer[0], password=writer[1]) as ours:
            EndpointManager(ours, "svc").add_endpoint("svc/e1", Endpoint("1"))
        assert theirs.get("svc/e1")[0] == stored("1").encode()
