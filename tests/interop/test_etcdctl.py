"""etcdctl and etcdnaming see each other's changes."""

from __future__ import annotations

import json

import pytest
from harness import Entry, Etcd, Result, Run
from harness.watcher import Watcher, stored

from etcdnaming import Client, Endpoint, EndpointManager, Update, wire

pytestmark = [pytest.mark.server, pytest.mark.against("etcdctl")]


@pytest.fixture
def manager(client: Client) -> EndpointManager:
    """The endpoints of ``svc``."""
    return EndpointManager(client, "svc")


def test_manager_sees_put_and_del_of_etcdctl(
    etcd: Etcd, client: Client, manager: EndpointManager
) -> None:
    """As etcd's guide registers a service: listed, watched, and gone."""
    with Watcher(client) as watcher:
        watcher.wait_until_connected()
        etcd.ctl("put", "svc/e1", '{"Addr":"1.2.3.4","Metadata":"..."}')
        assert manager.list().by_key() == {"svc/e1": Endpoint("1.2.3.4", "...")}
        etcd.ctl("del", "svc/e1")
        assert manager.list().by_key() == {}
        watcher.wait_until(lambda watcher: watcher.count == 2)
    assert watcher.reported == [("ADD", "svc/e1", "1.2.3.4"), ("DELETE", "svc/e1", "1.2.3.4")]


def test_manager_sees_a_lease_of_etcdctl_and_its_end(
    etcd: Etcd, client: Client, manager: EndpointManager
) -> None:
    """The key goes when the lease is revoked, and when it expires."""
    revoked, ending = etcd.grant(600), etcd.grant(5)  # a busy machine needs a while to use it
    with Watcher(client) as watcher:
        watcher.wait_until_connected()
        for key, lease in ("svc/e1", revoked), ("svc/e2", ending):
            etcd.ctl("put", key, stored("1"), f"--lease={lease:x}")
        watcher.wait_until(lambda watcher: watcher.count == 2)
        assert [change.lease for change in watcher.changes] == [revoked, ending]
        etcd.ctl("lease", "revoke", f"{revoked:x}")
        watcher.wait_until(lambda watcher: watcher.count == 4)
    assert sorted(watcher.reported[2:]) == [("DELETE", "svc/e1", "1"), ("DELETE", "svc/e2", "1")]
    assert manager.list().by_key() == {}


def test_watch_reports_a_txn_of_etcdctl_in_one_batch(etcd: Etcd, client: Client) -> None:
    """At one revision."""
    etcd.put("svc/e1", stored("1"))
    with Watcher(client) as watcher:
        watcher.wait_until_connected()
        puts = [f"put svc/{name} {json.dumps(stored(name))}" for name in ("e2", "e3")]
        operations = "\n".join(["del svc/e1", *puts])
        done = etcd.ctl("txn", input=f'version("svc/e1") > "0"\n\n{operations}\n\n\n')
        watcher.wait_until(lambda watcher: watcher.count == 3)
    assert done.startswith("SUCCESS\n")
    assert len(watcher.batches) == 2
    assert len({change.revision for change in watcher.changes}) == 1
    assert watcher.reported == [
        ("DELETE", "svc/e1", "1"),
        ("ADD", "svc/e2", "e2"),
        ("ADD", "svc/e3", "e3"),
    ]


def test_etcdctl_shows_what_the_manager_writes(etcd: Etcd, manager: EndpointManager) -> None:
    """Byte for byte, with the same revisions and lease."""
    lease = etcd.grant(600)
    endpoint = Endpoint("1.2.3.4:80", {"zone": "<é>"})
    result = manager.update([Update.add("svc/e1", endpoint, lease=lease)])
    revision = result.header.revision

    value = wire.encode(endpoint)
    assert etcd.ctl("get", "--prefix", "svc/") == f"svc/e1\n{value.decode()}\n"
    assert etcd.entry("svc/e1") == Entry(b"svc/e1", value, revision, revision, 1, lease)
    attached = etcd.ctl_json("lease", "timetolive", f"{lease:x}", "--keys")["keys"]
    assert attached == ["c3ZjL2Ux"]  # svc/e1
    etcd.ctl("txn", input=f'mod("svc/e1") = "{revision}"\n\ndel svc/e1\n\n\n')
    assert etcd.get("") == {}


def test_commands_and_etcdctl_change_the_same_key(etcd: Etcd, run: Run) -> None:
    """Both show the same revisions."""
    assert run("add", "svc/e1", "--addr", "1:1").status == 0
    etcd.ctl("put", "svc/e1", stored("1:2"))
    shown = run("-w", "json", "list", "svc").json()
    entry = etcd.entry("svc/e1")
    [found] = shown["endpoints"]
    assert (found["addr"], found["version"], found["mod_revision"]) == (
        "1:2",
        entry.version,
        entry.mod_revision,
    )
    unchanged = f"--if-mod-rev={entry.mod_revision}"
    assert run("add", "svc/e1", "--addr", "1:3", unchanged) == Result(0, "OK\n", "")
    assert json.loads(etcd.ctl("get", "svc/e1", "--print-value-only"))["Addr"] == "1:3"
    assert etcd.ctl("del", "svc/e1") == "1\n"
    assert run("del", "svc/e1") == Result(0, "0\n", "")
