"""EndpointManager does what Go's manager does, checked with etcdctl."""

from __future__ import annotations

from functools import partial

import pytest
from harness import Etcd, Run, wait_until
from harness.hostile import HostileProxy
from harness.watcher import stored

from etcdnaming import Registration, insecure_channel
from etcdnaming.endpoints.completion_queries import keys_with_prefix, targets_with_prefix
from etcdnaming.endpoints.manager import EndpointManager, services
from etcdnaming.errors import (
    CompactedError,
    ConditionFailedError,
    FutureRevisionError,
    InvalidEndpointError,
    InvalidKeyError,
    InvalidSettingError,
    InvalidTargetError,
)
from etcdnaming.etcd import Client
from etcdnaming.model import Condition, Endpoint, InvalidValue, Update

pytestmark = pytest.mark.server


@pytest.fixture
def manager(client: Client) -> EndpointManager:
    """The endpoints of ``foo``."""
    return EndpointManager(client, "foo")


def test_manager_adds_and_deletes_what_etcdctl_sees(etcd: Etcd, manager: EndpointManager) -> None:
    """Stored as Go stores it."""
    manager.add_endpoint("foo/e1", Endpoint("1.2.3.4"))
    assert etcd.get("foo/") == {b"foo/e1": b'{"Op":0,"Addr":"1.2.3.4","Metadata":null}'}
    manager.delete_endpoint("foo/e1")
    assert etcd.get("foo/") == {}


@pytest.mark.parametrize(
    ("addr", "reason"),
    [
        ("localhost", "the address 'localhost' has no port: write localhost:PORT"),
        ("1.2.3.4:99999", "the address '1.2.3.4:99999' needs a port from 1 to 65535"),
        ("http://a:1", "the address 'http://a:1' is a URL: write HOST:PORT"),
        ("a\n\x1b[2J:80", r"the address 'a\n\x1b[2J:80' has a blank or a control character"),
        ("", "the address is empty"),
    ],
)
def test_manager_stores_and_logs_an_address_that_cannot_be_dialled(
    etcd: Etcd,
    manager: EndpointManager,
    caplog: pytest.LogCaptureFixture,
    addr: str,
    reason: str,
) -> None:
    """Go stores any text; the log names the key."""
    manager.add_endpoint("foo/e\n1", Endpoint(addr))

    assert manager.list().by_key() == {"foo/e\n1": Endpoint(addr)}
    assert caplog.messages == [rf"foo/e\n1: gRPC clients can't dial it: {reason}"]


def test_manager_does_not_log_an_address_that_can_be_dialled(
    manager: EndpointManager, caplog: pytest.LogCaptureFixture
) -> None:
    """Nor a delete."""
    for n, addr in enumerate(("1.2.3.4:80", "[fe80::1%eth0]:80", "unix:/run/s", "dns:///a:80")):
        manager.add_endpoint(f"foo/e{n}", Endpoint(addr))
    manager.delete_endpoint("foo/e0")

    assert caplog.messages == []


@pytest.mark.parametrize("text", ["svc/a", "svc/a/", "etcd:///svc/a", "etcd://svc/a/"])
def test_library_parses_a_target_as_the_command_line_does(
    etcd: Etcd, client: Client, run: Run, text: str
) -> None:
    """The manager, `services` and a channel; the four forms mean one target."""
    etcd.put("svc/a/e1", '{"Addr":"1.2.3.4:80"}')
    manager = EndpointManager(client, text)
    with manager.watch() as watch, insecure_channel(text, client) as channel:
        assert [*manager.list().by_key()] == ["svc/a/e1"]
        assert manager.list().target == "svc/a"
        assert next(watch).changes[0].key == "svc/a/e1"
        wait_until(lambda: channel.endpoints == (Endpoint("1.2.3.4:80"),))
    assert services(client, text).prefix == "svc/a"
    assert run("list", text, "--addrs-only").out == "1.2.3.4:80\n"


def test_library_refuses_a_target_with_a_host(client: Client) -> None:
    """As the command line: a target does not decide where a password is sent."""
    with pytest.raises(InvalidTargetError, match="write etcd:///svc"):
        EndpointManager(client, "etcd://10.0.0.1:2379/svc")


def test_manager_completes_a_key_that_ends_in_a_slash(etcd: Etcd, manager: EndpointManager) -> None:
    """With the address, as the command line does; the result has the whole key."""
    result = manager.add_endpoint("foo/", Endpoint("1.2.3.4:80"), if_absent=True)
    assert [each.key for each in result.updates] == ["foo/1.2.3.4:80"]
    manager.update([Update.add("foo/", Endpoint("1.2.3.5:80"))])
    assert [*etcd.get("")] == [b"foo/1.2.3.4:80", b"foo/1.2.3.5:80"]
    with pytest.raises(ConditionFailedError, match=r"foo/1.2.3.4:80 is absent"):
        manager.add_endpoint("foo/", Endpoint("1.2.3.4:80"), if_absent=True)
    with pytest.raises(InvalidEndpointError, match="write the KEY in full"):
        manager.add_endpoint("foo/", Endpoint("unix:/run/s"))


def test_manager_deletes_a_key_that_ends_in_a_slash(etcd: Etcd, manager: EndpointManager) -> None:
    """Another client may have stored it; nothing completes it."""
    etcd.put("foo/", "{}")
    etcd.put("foo/e1", "{}")
    manager.delete_endpoint("foo/")
    assert [*etcd.get("")] == [b"foo/e1"]


def test_registration_completes_a_key_that_ends_in_a_slash(etcd: Etcd, client: Client) -> None:
    """As `EndpointManager.add_endpoint` does."""
    with Registration(client, {"foo/": Endpoint("1.2.3.4:80")}) as registration:
        assert [*etcd.get("")] == [b"foo/1.2.3.4:80"]
        assert [*registration.endpoints] == ["foo/1.2.3.4:80"]
    with pytest.raises(InvalidEndpointError, match="has no name"):
        Registration(client, {"foo/": Endpoint("")})


def test_add_endpoint_refuses_contradictory_conditions(
    etcd: Etcd, manager: EndpointManager
) -> None:
    """Nothing is written."""
    with pytest.raises(InvalidSettingError, match="exclude each other"):
        manager.add_endpoint("foo/e1", Endpoint("1.2.3.4:80"), if_absent=True, if_mod_revision=7)
    assert etcd.get("") == {}


def test_list_reads_what_etcds_guide_puts_by_hand(etcd: Etcd, manager: EndpointManager) -> None:
    """Without Op, and with metadata."""
    etcd.put("foo/1.2.3.4", '{"Addr":"1.2.3.4","Metadata":"hi"}')
    assert manager.list().by_key() == {"foo/1.2.3.4": Endpoint("1.2.3.4", "hi")}


def test_list_leaves_out_targets_with_the_same_prefix(etcd: Etcd, manager: EndpointManager) -> None:
    """``foo`` does not include ``foo_other``, nor the key ``foo``."""
    for key in ("foo", "foo_other/e1", "foo0", "fo/e1", "foo-/e1"):
        etcd.put(key, "{}")
    assert manager.list().by_key() == {}
    assert manager.delete_all().deleted == 0
    assert len(etcd.get("fo")) == 5


def test_list_returns_revisions_version_and_lease(etcd: Etcd, manager: EndpointManager) -> None:
    """As etcdctl shows them."""
    lease = etcd.grant(600)
    etcd.put("foo/e1", "{}")
    etcd.put("foo/e1", "{}", lease)
    [stored], entry = manager.list().endpoints, etcd.entry("foo/e1")
    assert (
        stored.create_revision,
        stored.mod_revision,
        stored.version,
        stored.lease,
    ) == (
        entry.create_revision,
        entry.mod_revision,
        2,
        lease,
    )
    assert manager.list().header.revision == etcd.revision()


def test_list_names_values_that_cannot_be_read(etcd: Etcd, manager: EndpointManager) -> None:
    """Go skips them silently."""
    etcd.put("foo/bad", "10.0.0.1:80")
    etcd.put("foo/good", '{"Addr":"1.2.3.4"}')
    listing = manager.list()
    assert list(listing.by_key()) == ["foo/good"]
    [invalid] = listing.invalid
    assert isinstance(invalid, InvalidValue)
    assert (invalid.key, invalid.value) == ("foo/bad", b"10.0.0.1:80")
    assert invalid.mod_revision == etcd.entry("foo/bad").mod_revision


def test_manager_refuses_a_key_outside_the_target(etcd: Etcd, manager: EndpointManager) -> None:
    """In an update, in a condition, and before anything is sent."""
    revision = etcd.revision()
    outside = "foo_other/e1"
    with pytest.raises(InvalidKeyError):
        manager.add_endpoint(outside, Endpoint("1"))
    with pytest.raises(InvalidKeyError):
        manager.delete_endpoint(outside)
    with pytest.raises(InvalidKeyError):
        manager.update([Update.delete("foo/e1")], conditions=[Condition(outside, 0)])
    assert etcd.revision() == revision


@pytest.mark.parametrize("target", ["", "/", "//"])
def test_manager_refuses_an_empty_target(client: Client, target: str) -> None:
    """Its range would be all of etcd."""
    with pytest.raises(InvalidTargetError):
        EndpointManager(client, target)
    with pytest.raises(InvalidTargetError):
        services(client, target)


def test_manager_checks_conditions_of_the_key(etcd: Etcd, manager: EndpointManager) -> None:
    """Absent, or unchanged since a revision."""
    manager.add_endpoint("foo/e1", Endpoint("1"), if_absent=True)
    seen = etcd.entry("foo/e1").mod_revision
    with pytest.raises(ConditionFailedError):
        manager.add_endpoint("foo/e1", Endpoint("2"), if_absent=True)
    manager.add_endpoint("foo/e1", Endpoint("2"), if_mod_revision=seen)
    with pytest.raises(ConditionFailedError):
        manager.delete_endpoint("foo/e1", if_mod_revision=seen)
    manager.delete_endpoint("foo/e1", if_mod_revision=seen + 1)
    assert etcd.get("foo/") == {}


def test_list_reads_the_past_until_it_is_compacted(
    etcd: Etcd, client: Client, manager: EndpointManager
) -> None:
    """The header has the revision that was read. A future revision is an error of its own."""
    manager.add_endpoint("foo/e1", Endpoint("1"))
    past = etcd.revision()
    manager.add_endpoint("foo/e1", Endpoint("2"))
    assert manager.list(revision=past).by_key() == {"foo/e1": Endpoint("1")}
    for read in (manager.list, manager.list_keys, manager.count, partial(services, client, "foo")):
        assert read(revision=past).header.revision == past
        assert read().header.revision == etcd.revision()
    etcd.ctl("compact", str(etcd.revision()))
    with pytest.raises(CompactedError):
        manager.list(revision=past)
    with pytest.raises(FutureRevisionError):
        manager.list(revision=past + 1000)


def test_list_counts_all_keys_when_limited(etcd: Etcd, manager: EndpointManager) -> None:
    """The count is that of the target, not of the result."""
    etcd.put_all({b"foo/e%d" % n: b"{}" for n in range(5)})
    for limit, more in ((2, True), (5, False), (0, False)):
        listing = manager.list(limit=limit)
        assert (len(listing.endpoints), listing.count, listing.more) == (
            limit or 5,
            5,
            more,
        )
    found = manager.list_keys(limit=1)
    assert ([key.key for key in found.keys], found.count, found.more) == (
        ["foo/e0"],
        5,
        True,
    )
    assert manager.count().count == 5


ENDPOINT = '{"Addr":"1:1"}'


def test_services_counts_endpoints_by_target(etcd: Etcd, client: Client) -> None:
    """The prefix ends at a slash here too."""
    for key in ("a/x/1", "a/x/2", "a/y/1", "a/x/deep/1", "a/1", "a_other/1"):
        etcd.put(key, ENDPOINT)
    assert services(client, "a").counts == {"a": 1, "a/x": 2, "a/x/deep": 1, "a/y": 1}


def test_services_reads_all_of_etcd_without_a_prefix(etcd: Etcd, client: Client) -> None:
    """Keys that are no endpoints are counted: no value, no address, no target."""
    values = {"b/e1": "{}", "c/e1": "no endpoint", "d": ENDPOINT, "/e": ENDPOINT}
    etcd.put_all({key.encode(): value.encode() for key, value in values.items()})
    etcd.put_all({key: ENDPOINT.encode() for key in (b"a/e1", b"/a/e1", b"\0\xff/e1", b"\xff/e")})

    found = services(client)

    assert found.counts == {"/a": 1, "a": 1, "\0\udcff": 1, "\udcff": 1}
    assert (found.prefix, found.others) == ("", 4)


def test_delete_all_removes_deeper_targets_and_returns_what_it_removed(
    etcd: Etcd, manager: EndpointManager
) -> None:
    """In one step."""
    etcd.put_all({b"foo/e1": b"{}", b"foo/bar/e2": b"no endpoint"})
    before = etcd.revision()
    deletion = manager.delete_all(previous=True)
    assert (deletion.deleted, etcd.revision()) == (2, before + 1)
    assert [stored.key for stored in deletion.previous] == ["foo/bar/e2", "foo/e1"]


@pytest.mark.parametrize("key", [b"foo/\xff\xfe", "foo/ä\t[red]x[/red]".encode(), b"foo/\x1b[0m"])
def test_manager_reads_changes_and_deletes_keys_of_any_bytes(
    etcd: Etcd, manager: EndpointManager, key: bytes
) -> None:
    """They are written back unchanged."""
    etcd.put(key, "{}")
    [name] = manager.list().by_key()
    manager.add_endpoint(name, Endpoint("1"))
    assert list(etcd.get("foo/")) == [key]
    manager.delete_endpoint(name)
    assert etcd.get("foo/") == {}


def test_list_keys_and_completion_transfer_no_values(etcd: Etcd) -> None:
    """Values may be large."""
    etcd.put("svc/e1", stored("1"))
    values: list[bytes] = []
    with HostileProxy(etcd.endpoint) as proxy, Client([proxy.endpoint]) as client:
        proxy.changes["Range"] = lambda answer: values.extend(kv.value for kv in answer.kvs)
        assert [each.key for each in EndpointManager(client, "svc").list_keys()] == ["svc/e1"]
        assert [*keys_with_prefix(client, "")] == ["svc/e1"]
        assert [*targets_with_prefix(client, "")] == ["svc"]
    assert values
    assert not any(values)
