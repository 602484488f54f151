"""The endpoints below some prefixes, as etcd has them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from contextlib import ExitStack, closing
from typing import Any

import pytest
from harness import Etcd, wait_until
from harness.hostile import HostileProxy
from harness.nested import nested
from harness.watcher import stored

from etcdnaming import Change, ChangeBatch, Endpoint, EndpointManager, Operation, Update
from etcdnaming.errors import PermissionDeniedError
from etcdnaming.etcd import Client
from etcdnaming.xds import follower, host_names
from etcdnaming.xds import xds_pb2 as xds
from etcdnaming.xds.assignment import View
from etcdnaming.xds.catalog import Catalog
from etcdnaming.xds.notice import Notice

ALL = View()


class Watched:
    """A catalog, what it has reported and what it has noticed."""

    def __init__(self, client: Client, *prefixes: str, **options: Any) -> None:
        self.reported: list[AbstractSet[str]] = []
        self.notices: list[Notice] = []
        self.catalog = Catalog(
            client, prefixes, self.reported.append, self.notices.append, **options
        )
        self.catalog.start()

    def addresses(self, target: str, view: View = ALL) -> list[str] | None:
        """Return what is sent of *target*; ``None``: nothing yet."""
        data = self.catalog.assignment(target, target, view)
        if data is None:
            return None
        message = xds.ClusterLoadAssignment.FromString(xds.Any.FromString(data).value)
        found = []
        for each in message.endpoints:
            for endpoint in xds.LocalityLbEndpoints.FromString(each).lb_endpoints:
                place = xds.LbEndpoint.FromString(endpoint).endpoint.address.socket_address
                found.append(f"{place.address}:{place.port_value}")
        return sorted(found)

    def said(self, event: str) -> list[str]:
        """Return the texts of the notices of *event*."""
        return [each.text for each in self.notices if each.event == event]


@pytest.fixture
def watched(client: Client) -> Iterator[Callable[..., Watched]]:
    """``watched(*prefixes, **options)``: a catalog that was read."""
    with ExitStack() as stack:

        def start(*prefixes: str, **options: Any) -> Watched:
            found = Watched(client, *prefixes, **options)
            stack.callback(found.catalog.close)
            wait_until(lambda: found.catalog.ready)
            return found

        yield start


@pytest.fixture
def put(client: Client) -> Callable[..., None]:
    """``put(key, addr, metadata)``: store an endpoint."""

    def store(key: str, addr: str, metadata: Any = None) -> None:
        target = key.rpartition("/")[0]
        EndpointManager(client, target).add_endpoint(key, Endpoint(addr, metadata))

    return store


def test_target_has_the_endpoints_at_any_depth_below_it(
    watched: Callable[..., Watched], put: Callable[..., None]
) -> None:
    """As in Go's resolver; a longer name is another service, and so is one with a leading slash."""
    put("foo/svc/e1", "10.0.0.1:80")
    put("foo/svc/deep/e2", "10.0.0.2:80")
    put("foo/svc_other/e3", "10.0.0.3:80")
    found = watched("foo")

    assert found.addresses("foo/svc") == ["10.0.0.1:80", "10.0.0.2:80"]
    assert found.addresses("foo/svc/deep") == ["10.0.0.2:80"]
    assert found.addresses("foo") == ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"]
    assert found.addresses("/foo/svc") == []
    assert found.catalog.services() == {"foo/svc": 1, "foo/svc/deep": 1, "foo/svc_other": 1}


def test_targets_outside_the_prefixes_are_empty(
    watched: Callable[..., Watched], put: Callable[..., None]
) -> None:
    """They look like names that don't exist: keys can't be probed."""
    put("foo/svc/e1", "10.0.0.1:80")
    put("bar/svc/e1", "10.0.0.2:80")
    put("baz/svc/e1", "10.0.0.3:80")
    found = watched("foo/svc", "bar")

    assert found.addresses("foo/svc") == ["10.0.0.1:80"]
    assert found.addresses("bar/svc") == ["10.0.0.2:80"]
    assert found.addresses("foo") == found.addresses("baz/svc") == found.addresses("no") == []


def test_change_is_told_for_every_target_above_the_key(
    watched: Callable[..., Watched], put: Callable[..., None]
) -> None:
    """Which are those whose set it may change."""
    found = watched("foo")
    found.reported.clear()

    put("foo/bar/svc/e1", "10.0.0.1:80")

    wait_until(lambda: {"foo", "foo/bar", "foo/bar/svc"} in found.reported)
    assert found.addresses("foo/bar/svc") == ["10.0.0.1:80"]


def test_set_that_stays_the_same_is_the_same_object(
    watched: Callable[..., Watched], put: Callable[..., None]
) -> None:
    """So a stream sees at once that there is nothing to send, and all streams share it."""
    put("foo/svc/e1", "10.0.0.1:80", {"version": 1})
    found = watched("foo")
    before = found.catalog.assignment("foo/svc", "foo/svc", View())
    assert found.catalog.assignment("foo/svc", "foo/svc", View()) is before
    assert found.catalog.encodings == 1
    found.reported.clear()

    put("foo/svc/e1", "10.0.0.1:80", {"version": 2})
    wait_until(lambda: any(found.reported))

    assert found.catalog.assignment("foo/svc", "foo/svc", View()) is before
    assert found.catalog.encodings == 2


def test_draining_endpoint_is_left_out(
    watched: Callable[..., Watched], put: Callable[..., None]
) -> None:
    """By its weight, too; and is back when the metadata say so."""
    put("foo/svc/e1", "10.0.0.1:80", {"draining": True})
    put("foo/svc/e2", "10.0.0.2:80", {"weight": 0})
    found = watched("foo")
    assert found.addresses("foo/svc") == []
    assert found.catalog.left_out()["draining"] == 2

    put("foo/svc/e2", "10.0.0.2:80", {"weight": 1})

    wait_until(lambda: found.addresses("foo/svc") == ["10.0.0.2:80"])
    assert found.catalog.left_out()["draining"] == 1


def test_corrected_attribute_counts_when_python_finds_the_values_equal(
    watched: Callable[..., Watched], put: Callable[..., None]
) -> None:
    """1 is not true: an operator who corrects it expects that the endpoint drains."""
    put("foo/svc/e1", "10.0.0.1:80", {"draining": 1})
    found = watched("foo")
    assert found.addresses("foo/svc") == ["10.0.0.1:80"]

    put("foo/svc/e1", "10.0.0.1:80", {"draining": True})

    wait_until(lambda: found.addresses("foo/svc") == [])


@pytest.mark.parametrize("metadata", [nested(9000), {"weight": nested(9000)}])
def test_deep_metadata_of_one_endpoint_spoils_no_other(
    watched: Callable[..., Watched], put: Callable[..., None], metadata: Any
) -> None:
    """Also when it is stored again: Python can neither compare nor print such a value."""
    put("foo/svc/e1", "10.0.0.1:80", metadata)
    found = watched("foo")
    put("foo/svc/e1", "10.0.0.1:80", metadata)
    put("foo/svc/e2", "10.0.0.2:80")

    wait_until(lambda: found.addresses("foo/svc") == ["10.0.0.1:80", "10.0.0.2:80"])
    assert not found.said("unreadable")


def test_what_can_not_be_served_is_left_out_with_one_warning(
    watched: Callable[..., Watched], put: Callable[..., None], etcd: Etcd
) -> None:
    """Values, addresses, and what is odd in metadata; the rest is served."""
    etcd.put("foo/svc/bad", "nonsense")
    put("foo/svc/e1", "10.0.0.1")
    put("foo/svc/e2", "10.0.0.2:80", {"weight": "heavy"})
    put("foo/svc/e3", "[fe80::1%eth0]:80")
    found = watched("foo")

    assert found.addresses("foo/svc") == ["10.0.0.2:80"]
    put("foo/svc/e1", "10.0.0.1")
    put("foo/svc/e4", "10.0.0.4:80")
    wait_until(lambda: found.addresses("foo/svc") == ["10.0.0.2:80", "10.0.0.4:80"])
    assert sorted(text.partition(" is left out: ")[0] for text in found.said("left-out")) == [
        "foo/svc/bad",
        "foo/svc/e1",
        "foo/svc/e3",
    ]
    assert [text.partition(":")[0] for text in found.said("metadata")] == ["foo/svc/e2"]
    left_out = found.catalog.left_out()
    assert (left_out["value"], left_out["address"]) == (1, 2)
    states = {each.key: each.left_out for each in found.catalog.endpoints("foo/svc")}
    assert not states["foo/svc/e2"]
    assert "scope" in states["foo/svc/e3"]
    assert states["foo/svc/bad"]


def test_warning_is_repeated_when_the_endpoint_was_deleted_meanwhile(
    watched: Callable[..., Watched], put: Callable[..., None], etcd: Etcd
) -> None:
    """What was warned of is forgotten with the key: a server runs for years, and keys are new."""
    found = watched("foo")
    for times in (1, 2):
        put("foo/svc/e1", "10.0.0.1:80", {"weight": "heavy"})
        put("foo/svc/e1", "10.0.0.1:80", {"weight": "heavy"})
        etcd.put("foo/svc/bad", "nonsense")
        wait_until(lambda: len(found.said("metadata")) == times)  # noqa: B023 - called at once
        wait_until(lambda: len(found.said("left-out")) == times)  # noqa: B023 - called at once
        etcd.delete("foo/svc/e1")
        etcd.delete("foo/svc/bad")
        wait_until(lambda: found.catalog.count() == (0, 0))
        wait_until(lambda: found.catalog.left_out()["value"] == 0)


def test_spoilt_endpoint_that_is_mended_is_served(
    watched: Callable[..., Watched], put: Callable[..., None], etcd: Etcd
) -> None:
    """And one that is spoilt is left out at once."""
    put("foo/svc/e1", "10.0.0.1:80")
    found = watched("foo")
    etcd.put("foo/svc/e1", "nonsense")
    wait_until(lambda: found.addresses("foo/svc") == [])
    assert found.catalog.left_out()["value"] == 1

    put("foo/svc/e1", "10.0.0.1:80")

    wait_until(lambda: found.addresses("foo/svc") == ["10.0.0.1:80"])
    assert found.catalog.left_out()["value"] == 0


def test_host_name_becomes_its_addresses(
    watched: Callable[..., Watched], put: Callable[..., None]
) -> None:
    """``localhost`` has one or two; one that is unknown is counted."""
    put("foo/svc/e1", "localhost:80")
    put("foo/svc/e2", "no-such-host.invalid:80")
    found = watched("foo")

    wait_until(lambda: "127.0.0.1:80" in (found.addresses("foo/svc") or ()))
    wait_until(lambda: found.catalog.left_out()["host"] == 1)
    states = {each.key: each.left_out for each in found.catalog.endpoints("foo/svc")}
    assert states == {
        "foo/svc/e1": "",
        "foo/svc/e2": "'no-such-host.invalid': unknown host",
    }


def test_first_set_waits_for_the_dns(
    client: Client, put: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A restarted server would take these endpoints from clients that have them; others go out."""
    answer = threading.Event()
    real = host_names._look_up

    def slow(name: str) -> Any:
        answer.wait(30)
        return real(name)

    monkeypatch.setattr(host_names, "_look_up", slow)
    put("foo/slow/e1", "localhost:80")
    put("foo/slow/e2", "10.0.0.1:80")
    put("foo/fast/e1", "10.0.0.2:80")
    found = Watched(client, "foo")
    try:
        wait_until(lambda: found.catalog.ready)
        assert found.addresses("foo/fast") == ["10.0.0.2:80"]
        assert found.addresses("foo/slow") is None
        found.reported.clear()
        answer.set()
        wait_until(lambda: {"foo", "foo/slow"} in found.reported)
        assert {"10.0.0.1:80", "127.0.0.1:80"} <= set(found.addresses("foo/slow") or ())
    finally:
        answer.set()
        found.catalog.close()


def test_first_set_does_not_wait_for_ever(
    client: Client, put: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clients would give up."""
    answer = threading.Event()

    def silent(name: str) -> Any:
        answer.wait(30)
        return host_names._Found(frozenset(), "no answer")

    monkeypatch.setattr(host_names, "_look_up", silent)
    monkeypatch.setattr("etcdnaming.xds.catalog.FIRST_LOOKUP", 0.2)
    put("foo/slow/e1", "localhost:80")
    put("foo/slow/e2", "10.0.0.1:80")
    found = Watched(client, "foo")
    try:
        wait_until(lambda: found.addresses("foo/slow") == ["10.0.0.1:80"])
        assert {"foo", "foo/slow"} in found.reported
    finally:
        answer.set()
        found.catalog.close()


def test_what_is_missing_after_a_resync_is_held(
    own_etcd: Callable[..., Etcd],
) -> None:
    """It may register again; a deletion counts at once."""
    etcd = own_etcd()
    with Client([etcd.endpoint]) as client:
        manager = EndpointManager(client, "foo/svc")
        manager.update([Update.add(f"foo/svc/e{n}", Endpoint(f"10.0.0.{n}:80")) for n in (1, 2)])
        found = Watched(client, "foo", hold=3.0)
        try:
            wait_until(lambda: found.addresses("foo/svc") == ["10.0.0.1:80", "10.0.0.2:80"])
            etcd.wipe()
            manager.add_endpoint("foo/svc/e3", Endpoint("10.0.0.3:80"))
            wait_until(lambda: len(found.addresses("foo/svc") or ()) == 3, 30)
            assert sum(each.held for each in found.catalog.endpoints("foo/svc")) == 2
            assert found.said("resync")
            wait_until(lambda: found.addresses("foo/svc") == ["10.0.0.3:80"], 30)
            manager.delete_endpoint("foo/svc/e3")
            wait_until(lambda: found.addresses("foo/svc") == [])
        finally:
            found.catalog.close()


def test_follower_waits_for_what_is_due_first(client: Client) -> None:
    """The end of the time for which an endpoint is held, or a call that its owner asked for."""
    key, again = "foo/e1", time.monotonic() + 3600
    added = Change(Operation.ADD, key, 2, Endpoint("1"), 0, None)
    for hold, longest in (60.0, 60.0), (7200.0, 3600.0):
        found = follower.Follower(
            client, "foo", hold, lambda *_: again, lambda: None, lambda _: None
        )
        found._note_batch(ChangeBatch(2, [added], [], first=True))
        found._note_batch(ChangeBatch(3, [], [], first=True))
        assert found.is_held(key)
        left = found._patience()
        assert left is not None
        assert longest / 2 < left <= longest


def test_etcd_away_changes_nothing(own_etcd: Callable[..., Etcd]) -> None:
    """Only the age grows. Why etcd is away is reported, also if that changes."""
    etcd = own_etcd()
    with Client([etcd.endpoint], dial_timeout=0.3) as client:
        EndpointManager(client, "foo/svc").add_endpoint("foo/svc/e1", Endpoint("10.0.0.1:80"))
        found = Watched(client, "foo")
        try:
            wait_until(lambda: found.catalog.ready and found.catalog.age() == 0)
            etcd.kill()
            wait_until(lambda: (found.catalog.age() or 0) > 0)
            assert found.addresses("foo/svc") == ["10.0.0.1:80"]
            assert found.said("etcd-lost")
            wait_until(lambda: len(found.said("etcd-lost")) == 2)
            why = f"no etcd endpoint reached within 0.3s: {etcd.endpoint}: connection refused"
            assert found.said("etcd-lost")[1] == f"foo: still without etcd: {why}"
            etcd.start()
            wait_until(lambda: found.catalog.age() == 0, 30)
            assert len(found.said("etcd-connected")) == 1
        finally:
            found.catalog.close()


def test_many_variants_of_a_name_do_not_add_up(
    watched: Callable[..., Watched], put: Callable[..., None]
) -> None:
    """Clients choose their zones, and how they write a name."""
    put("foo/svc/e1", "10.0.0.1:80")
    found = watched("foo")

    first, _, again = (
        found.catalog.assignment("foo/svc", "foo/svc", View(zone)) for zone in ("a", "b", "a")
    )
    assert again is first
    for n in range(1000):
        found.catalog.assignment("foo/svc", "foo/svc", View(f"zone-{n}"))

    kept = found.catalog._encoded
    assert len(kept["foo/svc"]) <= 100
    found.catalog.forget("foo/svc")
    assert not kept


def test_catalog_keeps_what_it_knows_while_etcd_refuses_and_reads_it_again(
    etcd: Etcd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A role may be revoked and granted again."""
    monkeypatch.setattr(follower, "RETRY", 0.5)
    refused = "etcdserver: permission denied"
    etcd.put("foo/e1", stored("10.0.0.1:80"))
    etcd.put("foo/bad", "nonsense")
    with HostileProxy(etcd.endpoint) as proxy, Client([proxy.endpoint]) as client:
        watched = Watched(client, "foo")
        with closing(watched.catalog):
            wait_until(lambda: watched.addresses("foo") == ["10.0.0.1:80"])
            assert watched.catalog.left_out()["value"] == 1
            [its] = watched.catalog.followers
            wait_until(lambda: its.connected)
            proxy.excuses["Range"] = refused
            proxy.changes["Watch"] = lambda answer: refuse(answer, refused)
            etcd.put("foo/e2", stored("10.0.0.2:80"))
            etcd.delete("foo/bad")
            wait_until(lambda: isinstance(its.failure, PermissionDeniedError))
            since, before = time.monotonic(), len(proxy.remaining["Range"])
            wait_until(lambda: len(proxy.remaining["Range"]) >= before + 2)
            assert watched.addresses("foo") == ["10.0.0.1:80"]
            assert not its.connected
            waited = time.monotonic() - since
            assert (its.age() or 0) > waited  # no attempt makes what is known younger
            assert len(watched.said("unreadable")) == 1
            proxy.excuses.clear()
            proxy.changes.clear()
            wait_until(lambda: watched.addresses("foo") == ["10.0.0.1:80", "10.0.0.2:80"])
            assert its.failure is None
            assert watched.catalog.left_out()["value"] == 0


def test_service_is_counted_until_its_last_endpoint_is_deleted(
    watched: Callable[..., Watched], put: Callable[..., None], etcd: Etcd
) -> None:
    """The list of services has no empty ones."""
    put("foo/svc/e1", "10.0.0.1:80")
    put("foo/svc/e2", "10.0.0.2:80")
    put("foo/other/e1", "10.0.0.1:80")
    catalog = watched("foo").catalog
    assert catalog.services() == {"foo/other": 1, "foo/svc": 2}
    etcd.delete("foo/svc/e1")
    wait_until(lambda: catalog.services() == {"foo/other": 1, "foo/svc": 1})
    etcd.delete("foo/svc/e2")
    wait_until(lambda: catalog.services() == {"foo/other": 1})
    assert catalog.count() == (1, 1)


def test_catalog_pauses_before_it_reads_again_and_stops_at_once(
    etcd: Etcd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither is etcd asked in a loop, nor does a closed catalog wait for the end of a pause."""
    assert follower.RETRY == 5
    monkeypatch.setattr(follower, "RETRY", 3600.0)
    with HostileProxy(etcd.endpoint) as proxy, Client([proxy.endpoint]) as client:
        proxy.excuses["Range"] = "etcdserver: permission denied"
        watched = Watched(client, "foo")
        with closing(watched.catalog):
            wait_until(lambda: watched.catalog.followers[0].failure)
            time.sleep(1)
            assert len(proxy.remaining["Range"]) == 1
            assert watched.catalog.age() is None
        wait_until(lambda: "etcdnaming-xds" not in {each.name for each in threading.enumerate()})


def refuse(answer: Any, reason: str) -> None:
    """Make *answer* the end of its watch."""
    answer.ClearField("events")
    answer.canceled, answer.cancel_reason = True, reason
