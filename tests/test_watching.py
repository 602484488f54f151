"""A watch of a healthy etcd: all existing endpoints first, then every change in order."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import grpc
import pytest
from harness import AT_ONCE, TIMEOUT, Etcd, wait_until
from harness.ports import free_port
from harness.resources import connections, descriptors
from harness.watcher import Watcher, brief, put, stored

from etcdnaming.endpoints.manager import EndpointManager
from etcdnaming.endpoints.watch import Watch
from etcdnaming.errors import ClosedError, CompactedError, InvalidTargetError
from etcdnaming.etcd import Client
from etcdnaming.model import ChangeBatch, Endpoint, Operation, Update

WRITE_FAST = str(Path(__file__).parent / "harness" / "write_fast.py")


@pytest.fixture
def manager(client: Client) -> EndpointManager:
    """The manager of ``svc``."""
    return EndpointManager(client, "svc")


@pytest.fixture
def watcher(etcd: Etcd, client: Client) -> Iterator[Watcher]:
    """A watcher that has received the first batch of the empty ``svc``."""
    with Watcher(client) as watcher:
        yield watcher.wait_until(lambda watcher: watcher.batches)


@pytest.mark.server
def test_watch_of_an_empty_target_delivers_an_empty_first_batch(
    etcd: Etcd, manager: EndpointManager
) -> None:
    """The batch shows that the target is empty, and at which revision."""
    with manager.watch() as watch:
        assert watch.get(TIMEOUT) == ChangeBatch(etcd.revision(), [], [], first=True)


@pytest.mark.server
def test_watch_delivers_all_existing_endpoints_first(etcd: Etcd, manager: EndpointManager) -> None:
    """The endpoints are in key order, as in a listing, with lease and metadata."""
    lease = etcd.grant(600)
    etcd.put("svc/e2", '{"Addr":"2","Metadata":{"zone":"a"}}', lease)
    put(etcd, e1="1")
    etcd.put("svc/bad", "10.0.0.1:80")
    with manager.watch() as watch:
        batch = watch.get(TIMEOUT)
        listing = manager.list()
        assert batch is not None
        assert batch.first
        assert not batch.resync
        assert batch.revision == etcd.revision()
        assert [(each.key, each.endpoint, each.lease, each.previous) for each in batch.changes] == [
            ("svc/e1", Endpoint("1"), 0, None),
            ("svc/e2", Endpoint("2", {"zone": "a"}), lease, None),
        ]
        assert {each.op for each in batch.changes} == {Operation.ADD}
        assert list(batch.invalid) == list(listing.invalid)
        assert list(watch.endpoints.values()) == list(listing.endpoints)


@pytest.mark.server
def test_watch_delivers_every_change_in_order(etcd: Etcd, watcher: Watcher) -> None:
    """Each change has the revision at which it was made."""
    begin = etcd.revision()
    for addr in "123":
        put(etcd, e1=addr)
    put(etcd, e2="4")
    etcd.delete("svc/e1")
    watcher.wait_for_addresses(e2="4")
    assert watcher.reported == [
        ("ADD", "svc/e1", "1"),
        ("ADD", "svc/e1", "2"),
        ("ADD", "svc/e1", "3"),
        ("ADD", "svc/e2", "4"),
        ("DELETE", "svc/e1", "3"),
    ]
    assert [each.revision for each in watcher.changes] == [begin + n for n in range(1, 6)]


@pytest.mark.server
def test_watch_misses_no_change_between_the_first_batch_and_later_ones(
    etcd: Etcd, client: Client, manager: EndpointManager
) -> None:
    """Watches start while another thread writes without a pause."""
    etcd.put_all({b"svc/%d" % n: stored("1").encode() for n in range(1500)})
    done = threading.Event()

    def write() -> None:
        for n in range(300):
            manager.add_endpoint("svc/busy", Endpoint(str(n)))
        done.set()

    with ExitStack() as stack:
        threading.Thread(target=write).start()
        watchers = []
        while not done.wait(0.05):
            watchers.append(stack.enter_context(Watcher(client)))
        for watcher in watchers:
            watcher.wait_until(lambda watcher: watcher.replayed.get("svc/busy") == Endpoint("299"))
            seen = [int(each.endpoint.addr) for each in watcher.changes if each.endpoint]
            assert seen == list(range(300 - len(seen), 300))
            assert len(watcher.replayed) == 1501


@pytest.mark.server
def test_watch_delivers_a_transaction_in_one_batch(
    manager: EndpointManager, watcher: Watcher
) -> None:
    """A load balancer never sees only a part of the changes."""
    manager.update([Update.add(f"svc/{n:03}", Endpoint("1")) for n in range(128)])
    manager.update(
        [Update.delete(f"svc/{n:03}") for n in range(64)]
        + [Update.add(f"svc/{n:03}", Endpoint("2")) for n in range(64, 128)]
    )
    watcher.wait_until(lambda watcher: len(watcher.changes) == 256)
    assert {len(batch.changes) % 128 for batch in watcher.batches} == {0}
    assert set(watcher.replayed.values()) == {Endpoint("2")}


@pytest.mark.server
def test_watch_delivers_the_previous_endpoint_with_a_delete(etcd: Etcd, watcher: Watcher) -> None:
    """Go's watch does not include the deleted address."""
    lease = etcd.grant(600)
    etcd.put("svc/e1", '{"Addr":"1","Metadata":"hi"}', lease)
    revision = etcd.entry("svc/e1").mod_revision
    etcd.revoke(lease)
    watcher.wait_until(lambda watcher: len(watcher.changes) == 2)
    gone = watcher.changes[-1]
    assert (gone.op, gone.endpoint, gone.lease) == (Operation.DELETE, None, 0)
    assert gone.previous
    assert gone.previous.endpoint == Endpoint("1", "hi")
    assert (gone.previous.lease, gone.previous.mod_revision) == (lease, revision)


@pytest.mark.server
def test_watch_delivers_puts_that_change_only_the_lease_or_nothing(
    etcd: Etcd, watcher: Watcher
) -> None:
    """The endpoint and the previous one are equal."""
    lease = etcd.grant(600)
    put(etcd, e1="1")
    put(etcd, e1="1")
    etcd.put("svc/e1", stored("1"), lease)
    watcher.wait_until(lambda watcher: len(watcher.changes) == 3)
    _, again, leased = watcher.changes
    assert again.previous
    assert leased.previous
    assert again.previous.endpoint == again.endpoint == leased.endpoint == Endpoint("1")
    assert (leased.previous.lease, leased.lease) == (0, lease)


@pytest.mark.server
def test_watch_deletes_an_endpoint_when_its_value_becomes_invalid(
    etcd: Etcd, watcher: Watcher
) -> None:
    """The invalid value is reported, and later changes are delivered."""
    put(etcd, e1="1")
    etcd.put("svc/e1", "10.0.0.1:80")
    etcd.put("svc/e1", "worse")
    put(etcd, e2="2")
    watcher.wait_for_addresses(e2="2")
    assert watcher.reported == [
        ("ADD", "svc/e1", "1"),
        ("DELETE", "svc/e1", "1"),
        ("ADD", "svc/e2", "2"),
    ]
    assert [(bad.key, bad.value) for bad in watcher.invalid] == [
        ("svc/e1", b"10.0.0.1:80"),
        ("svc/e1", b"worse"),
    ]


@pytest.mark.server
def test_watch_adds_an_endpoint_when_its_invalid_value_is_repaired(
    etcd: Etcd, client: Client
) -> None:
    """One value was invalid from the beginning and is repaired, another one is deleted."""
    etcd.put("svc/e1", "bad")
    etcd.put("svc/e2", "bad")
    with Watcher(client) as watcher:
        watcher.wait_until(lambda watcher: len(watcher.invalid) == 2)
        put(etcd, e1="1")
        etcd.delete("svc/e2")
        put(etcd, e3="3")
        watcher.wait_for_addresses(e1="1", e3="3")
        assert watcher.reported == [("ADD", "svc/e1", "1"), ("ADD", "svc/e3", "3")]
        healed = [key for batch in watcher.batches for key in batch.no_longer_invalid]
        assert healed == ["svc/e1", "svc/e2"]


@pytest.mark.server
def test_watch_delivers_keys_that_are_not_utf8(etcd: Etcd, watcher: Watcher) -> None:
    """Other bytes become lone surrogates, as in file names."""
    etcd.put(b"svc/\xff", stored("1"))
    etcd.delete(b"svc/\xff")
    watcher.wait_until(lambda watcher: len(watcher.changes) == 2)
    assert [change.key.encode("utf-8", "surrogateescape") for change in watcher.changes] == [
        b"svc/\xff",
        b"svc/\xff",
    ]


@pytest.mark.server
def test_watch_delivers_no_keys_of_other_targets(etcd: Etcd, watcher: Watcher) -> None:
    """Neither a longer name nor the name of the target itself is a key of the target."""
    for key in ("svc", "svc_other/e1", "svc0", "sv/e1", "svc-/e1", "svc/e1"):
        etcd.put(key, stored("1"))
    watcher.wait_for_addresses(e1="1")
    assert watcher.reported == [("ADD", "svc/e1", "1")]


@pytest.mark.server
@pytest.mark.parametrize("target", ["", "/"])
def test_watch_of_an_empty_target_is_refused(client: Client, target: str) -> None:
    """An empty target must not mean all keys, so the error comes before any request."""
    with pytest.raises(InvalidTargetError):
        Watch(client, target)


@pytest.mark.server
def test_watch_from_a_revision_begins_with_its_changes(etcd: Etcd, client: Client) -> None:
    """There is no first batch, but the earlier endpoints are known."""
    put(etcd, e1="1")
    put(etcd, e2="2")
    begin = etcd.entry("svc/e2").mod_revision
    etcd.delete("svc/e1")
    with Watcher(client, revision=begin, held={"e1": "1"}) as watcher:
        watcher.wait_until(lambda watcher: len(watcher.changes) == 2)
        put(etcd, e3="3")
        watcher.wait_for_addresses(e2="2", e3="3")
        assert watcher.reported == [
            ("ADD", "svc/e2", "2"),
            ("DELETE", "svc/e1", "1"),
            ("ADD", "svc/e3", "3"),
        ]
        assert not any(batch.first for batch in watcher.batches)


@pytest.mark.server
def test_watch_delivers_many_revisions_in_few_batches_and_in_order(
    etcd: Etcd, client: Client, manager: EndpointManager
) -> None:
    """Changes that are already in etcd arrive together."""
    begin = etcd.revision() + 1
    for n in range(1500):
        manager.add_endpoint("svc/e1", Endpoint(str(n)))
    with Watcher(client, revision=begin) as watcher:
        watcher.wait_for_addresses(e1="1499")
        assert [each.revision - begin for each in watcher.changes] == list(range(1500))
        assert len(watcher.batches) < 100


@pytest.mark.server
def test_watch_from_revision_1_delivers_the_whole_history(own_etcd: Callable[..., Etcd]) -> None:
    """The etcd of this test has not been compacted."""
    etcd = own_etcd()
    with Client([etcd.endpoint]) as client, Watcher(client, revision=1) as early:
        early.wait_until_connected()
        put(etcd, e1="1")
        put(etcd, e1="2")
        with Watcher(client, revision=1) as late:
            for watcher in (early, late):
                watcher.wait_for_addresses(e1="2")
                assert [each.revision for each in watcher.changes] == [2, 3]


@pytest.mark.server
def test_watch_from_a_future_revision_waits_for_it(etcd: Etcd, client: Client) -> None:
    """Earlier changes are applied to the known endpoints, but not delivered."""
    put(etcd, e1="1")
    begin = etcd.revision() + 4
    with Watcher(client, revision=begin, held={"e2": "2", "e3": "3"}) as watcher:
        watcher.wait_until_connected()
        put(etcd, e2="2")
        put(etcd, e3="3")
        etcd.delete("svc/e1")
        put(etcd, e2="4")
        etcd.delete("svc/e3")
        watcher.wait_for_addresses(e2="4")
        assert watcher.reported == [("ADD", "svc/e2", "4"), ("DELETE", "svc/e3", "3")]
        assert watcher.changes[0].revision == begin


@pytest.mark.server
def test_watch_from_a_compacted_revision_fails_with_the_oldest_available_revision(
    own_etcd: Callable[..., Etcd],
) -> None:
    """The error contains the oldest revision from which a watch can start."""
    etcd = own_etcd()
    for addr in "12345":
        put(etcd, e1=addr)
    etcd.ctl("compact", "4")
    with Client([etcd.endpoint]) as client:
        for revision in (1, 3):
            watch = Watch(client, "svc", revision=revision)
            for _ in range(2):  # every call of get() fails, not only the first
                with pytest.raises(CompactedError, match="the compact revision is 4"):
                    watch.get(TIMEOUT)
        with Watcher(client, revision=4) as watcher:
            watcher.wait_for_addresses(e1="5")
            assert [brief(each)[2] for each in watcher.changes] == ["3", "4", "5"]


@pytest.mark.server
def test_watch_iterator_ends_after_close(etcd: Etcd, manager: EndpointManager) -> None:
    """Every later call of `get` is an error."""
    with manager.watch() as watch:
        assert next(watch).first
    assert list(watch) == []
    for timeout in (None, 0, 1):
        with pytest.raises(ClosedError):
            watch.get(timeout)
    watch.close()


@pytest.mark.server
@pytest.mark.parametrize("timeout", [0, 0.2])
def test_watch_get_returns_none_when_nothing_comes_within_the_timeout(
    watcher: Watcher, client: Client, timeout: float
) -> None:
    """A change of the connection state does not end the wait."""
    with EndpointManager(client, "svc").watch() as watch:
        assert watch.get(TIMEOUT)
        start = time.monotonic()
        assert watch.get(timeout) is None
        assert timeout <= time.monotonic() - start < timeout + AT_ONCE


@pytest.mark.server
def test_watch_close_returns_immediately_when_nothing_happens(watcher: Watcher) -> None:
    """Another thread waits for the next batch at that time."""
    watcher.wait_until_connected().close()
    assert watcher.ended.is_set()
    assert watcher.error is None


@pytest.mark.server
def test_watch_close_returns_immediately_while_the_watch_starts(etcd: Etcd, client: Client) -> None:
    """The watch may be in any step of its start."""
    for n in range(30):
        watcher = Watcher(client)
        time.sleep(n / 3000)  # somewhere between the connection attempt and the first event
        watcher.close()


@pytest.mark.server
def test_watch_close_returns_immediately_with_many_undelivered_changes(
    etcd: Etcd, client: Client, manager: EndpointManager
) -> None:
    """The queue is full, so the background threads wait until it has space."""
    watch = manager.watch()
    assert watch.get(TIMEOUT)
    for n in range(600):
        manager.add_endpoint("svc/e1", Endpoint(str(n)))
    threads = threading.active_count()
    start = time.monotonic()
    watch.close()
    assert time.monotonic() - start < AT_ONCE
    wait_until(lambda: threading.active_count() < threads)
    with pytest.raises(ClosedError):
        watch.get()


def test_watch_misses_no_change_when_its_consumer_is_slow(
    manager: EndpointManager, watcher: Watcher
) -> None:
    """etcd buffers the changes, and other watches are not delayed."""
    with manager.watch() as slow:
        assert next(slow).first
        for n in range(1500):
            manager.add_endpoint("svc/e1", Endpoint(str(n)))
        watcher.wait_for_addresses(e1="1499")
        seen = 0
        while seen < 1500:
            for change in next(slow).changes:
                assert change.endpoint == Endpoint(str(seen))
                seen += 1


@pytest.mark.server
def test_watch_state_is_reported_in_the_thread_that_calls_get(
    etcd: Etcd, manager: EndpointManager
) -> None:
    """A program can show the states without a lock."""
    threads = list[threading.Thread]()
    with manager.watch(on_state=lambda _: threads.append(threading.current_thread())) as watch:
        while not threads:
            watch.get(0.1)
        assert threads == [threading.current_thread()]


def test_watch_logs_that_etcd_is_away_when_there_is_no_callback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A program that waits for a change must not be silent about the reason."""
    etcd = f"127.0.0.1:{free_port()}"
    with Client(etcd, dial_timeout=0.1) as client, EndpointManager(client, "svc").watch() as watch:
        while not caplog.messages:
            assert watch.get(0.1) is None
        [message] = caplog.messages
        assert message.startswith("the watch of svc is disconnected: no etcd endpoint reached")
        assert repr(watch) == "<Watch of svc: 0 endpoints>"


@pytest.mark.server
def test_watch_state_names_the_member(etcd: Etcd, watcher: Watcher) -> None:
    """The state is reported once, because later events do not change it."""
    watcher.wait_until_connected()
    put(etcd, e1="1")
    watcher.wait_for_addresses(e1="1")
    [(_, state)] = watcher.states
    assert (state.connected, state.detail) == (True, etcd.endpoint)


@pytest.mark.server
def test_watch_close_keeps_the_connection_of_other_watches(
    own_etcd: Callable[..., Etcd],
) -> None:
    """The client keeps its member, too."""
    etcd = own_etcd()
    with Client([etcd.endpoint]) as client, Watcher(client) as stays:
        stays.wait_until_connected()
        before = connections(etcd.port)
        for _ in range(5):
            with Watcher(client) as goes:
                goes.wait_until_connected()
        EndpointManager(client, "svc").add_endpoint("svc/e1", Endpoint("1"))
        stays.wait_for_addresses(e1="1")
        assert stays.connections == [True]
        assert connections(etcd.port) == before


@pytest.mark.server
def test_closed_watches_leave_no_threads_and_file_descriptors(etcd: Etcd, client: Client) -> None:
    """The numbers after many watches are those after the first ones."""

    def watch_all() -> None:
        with ExitStack() as stack:
            for watcher in [stack.enter_context(Watcher(client)) for _ in range(20)]:
                watcher.wait_until_connected()

    watch_all()
    threads, files = threading.active_count(), descriptors()
    for _ in range(5):
        watch_all()
    gc.collect()
    wait_until(lambda: threading.active_count() <= threads and descriptors() <= files)


@pytest.mark.server
def test_watch_receives_more_than_4_mib_when_its_channel_is_limited_to_that(
    own_etcd: Callable[..., Etcd],
) -> None:
    """etcd sends earlier changes in fragments."""
    etcd = own_etcd()
    metadata = "x" * 60_000
    with (
        grpc.insecure_channel(etcd.endpoint) as channel,
        Client(channel=channel) as client,
    ):
        manager = EndpointManager(client, "svc")
        for n in range(0, 160, 20):
            manager.update(
                [Update.add(f"svc/{each}", Endpoint("1", metadata)) for each in range(n, n + 20)]
            )
        with Watcher(client, revision=2) as late:
            late.wait_until(lambda late: len(late.replayed) == 160)
            assert not any(batch.resync for batch in late.batches)
            assert all(each.endpoint == Endpoint("1", metadata) for each in late.changes)


@pytest.mark.server
def test_watch_reads_the_range_when_a_transaction_is_too_large_for_its_channel(
    own_etcd: Callable[..., Etcd],
) -> None:
    """The transaction has 128 values of 60 kB, and the watch continues after it."""
    etcd = own_etcd("--max-request-bytes=16000000")
    with (
        grpc.insecure_channel(etcd.endpoint) as channel,
        Client(channel=channel) as client,
        Watcher(client) as watcher,
    ):
        watcher.wait_until_connected()
        manager = EndpointManager(client, "svc")
        manager.update([Update.add(f"svc/{n}", Endpoint("1", "x" * 60_000)) for n in range(128)])
        watcher.wait_until(lambda watcher: len(watcher.replayed) == 128)
        etcd.put("svc/0", stored("2"))
        watcher.wait_until(lambda watcher: watcher.replayed["svc/0"] == Endpoint("2"))
        assert [batch.resync for batch in watcher.batches] == [False, True, False]
        assert watcher.connections == [True]


@pytest.mark.parametrize("at_once", [pytest.param(1, marks=pytest.mark.long), 10, 50])
def test_watch_delivers_all_of_50_000_changes_at_full_speed(
    own_etcd: Callable[..., Etcd], at_once: int
) -> None:
    """Each change comes once, over one connection; benchmarks/watch_flood.py measures the delay."""
    etcd, count = own_etcd(), 50_000
    command = [sys.executable, WRITE_FAST, etcd.endpoint, str(count), str(at_once)]
    with Client([etcd.endpoint]) as client, Watcher(client) as watcher:
        watcher.wait_until_connected()
        subprocess.run(command, check=True, timeout=120)
        watcher.wait_until(lambda watcher: watcher.count == count, 60)
        reported = [int(each.endpoint.addr) for each in watcher.changes if each.endpoint]
        assert sorted(reported) == list(range(count))
        assert not any(batch.resync for batch in watcher.batches)
        assert watcher.connections == [True]
