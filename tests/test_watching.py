"""A watch on an etcd that is well: first all there is, then every change, in order."""

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
    """The endpoints of ``svc``."""
    return EndpointManager(client, "svc")


@pytest.fixture
def watcher(etcd: Etcd, client: Client) -> Iterator[Watcher]:
    """A watch that has seen that ``svc`` is empty."""
    with Watcher(client) as watcher:
        yield watcher.wait_until(lambda watcher: watcher.batches)


@pytest.mark.server
def test_an_empty_target_is_told_with_its_revision(etcd: Etcd, manager: EndpointManager) -> None:
    """Silence would not say whether there is nothing, or nothing is known."""
    with manager.watch() as watch:
        assert watch.get(TIMEOUT) == ChangeBatch(etcd.revision(), [], [], first=True)


@pytest.mark.server
def test_first_comes_all_there_is(etcd: Etcd, manager: EndpointManager) -> None:
    """In key order, as `list` has it, with lease and metadata."""
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
def test_every_change_is_told_in_order(etcd: Etcd, watcher: Watcher) -> None:
    """Each with the revision it was made at."""
    begin = etcd.revision()
    for addr in "123":
        put(etcd, e1=addr)
    put(etcd, e2="4")
    etcd.delete("svc/e1")
    watcher.wait_for_addresses(e2="4")
    assert watcher.told == [
        ("ADD", "svc/e1", "1"),
        ("ADD", "svc/e1", "2"),
        ("ADD", "svc/e1", "3"),
        ("ADD", "svc/e2", "4"),
        ("DELETE", "svc/e1", "3"),
    ]
    assert [each.revision for each in watcher.changes] == [begin + n for n in range(1, 6)]


@pytest.mark.server
def test_nothing_is_missed_between_the_first_set_and_the_changes(
    etcd: Etcd, client: Client, manager: EndpointManager
) -> None:
    """Watches begin while others write without a pause."""
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
def test_a_transaction_arrives_together(manager: EndpointManager, watcher: Watcher) -> None:
    """A load balancer never sees half of a change."""
    manager.update([Update.add(f"svc/{n:03}", Endpoint("1")) for n in range(128)])
    manager.update(
        [Update.delete(f"svc/{n:03}") for n in range(64)]
        + [Update.add(f"svc/{n:03}", Endpoint("2")) for n in range(64, 128)]
    )
    watcher.wait_until(lambda watcher: len(watcher.changes) == 256)
    assert {len(batch.changes) % 128 for batch in watcher.batches} == {0}
    assert set(watcher.replayed.values()) == {Endpoint("2")}


@pytest.mark.server
def test_a_delete_says_what_went_away(etcd: Etcd, watcher: Watcher) -> None:
    """Go's watch leaves the address out."""
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
def test_a_put_that_changes_nothing_but_the_lease_says_so(etcd: Etcd, watcher: Watcher) -> None:
    """What was there before equals what is there now."""
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
def test_a_value_that_cant_be_read_takes_its_endpoint_away(etcd: Etcd, watcher: Watcher) -> None:
    """And is named; what follows it is told all the same."""
    put(etcd, e1="1")
    etcd.put("svc/e1", "10.0.0.1:80")
    etcd.put("svc/e1", "worse")
    put(etcd, e2="2")
    watcher.wait_for_addresses(e2="2")
    assert watcher.told == [
        ("ADD", "svc/e1", "1"),
        ("DELETE", "svc/e1", "1"),
        ("ADD", "svc/e2", "2"),
    ]
    assert [(bad.key, bad.value) for bad in watcher.invalid] == [
        ("svc/e1", b"10.0.0.1:80"),
        ("svc/e1", b"worse"),
    ]


@pytest.mark.server
def test_a_repaired_value_is_a_new_endpoint(etcd: Etcd, client: Client) -> None:
    """One that was bad from the first, and one that was bad and went away."""
    etcd.put("svc/e1", "bad")
    etcd.put("svc/e2", "bad")
    with Watcher(client) as watcher:
        watcher.wait_until(lambda watcher: len(watcher.invalid) == 2)
        put(etcd, e1="1")
        etcd.delete("svc/e2")
        put(etcd, e3="3")
        watcher.wait_for_addresses(e1="1", e3="3")
        assert watcher.told == [("ADD", "svc/e1", "1"), ("ADD", "svc/e3", "3")]
        healed = [key for batch in watcher.batches for key in batch.no_longer_invalid]
        assert healed == ["svc/e1", "svc/e2"]


@pytest.mark.server
def test_keys_that_are_not_utf8_are_told(etcd: Etcd, watcher: Watcher) -> None:
    """As lone surrogates, like names of files."""
    etcd.put(b"svc/\xff", stored("1"))
    etcd.delete(b"svc/\xff")
    watcher.wait_until(lambda watcher: len(watcher.changes) == 2)
    assert [change.key.encode("utf-8", "surrogateescape") for change in watcher.changes] == [
        b"svc/\xff",
        b"svc/\xff",
    ]


@pytest.mark.server
def test_foo_never_sees_foo_other(etcd: Etcd, watcher: Watcher) -> None:
    """Nor its own name as a key."""
    for key in ("svc", "svc_other/e1", "svc0", "sv/e1", "svc-/e1", "svc/e1"):
        etcd.put(key, stored("1"))
    watcher.wait_for_addresses(e1="1")
    assert watcher.told == [("ADD", "svc/e1", "1")]


@pytest.mark.server
@pytest.mark.parametrize("target", ["", "/"])
def test_an_empty_target_never_means_everything(client: Client, target: str) -> None:
    """It is refused before anything is asked."""
    with pytest.raises(InvalidTargetError):
        Watch(client, target)


@pytest.mark.server
def test_a_revision_begins_with_its_changes(etcd: Etcd, client: Client) -> None:
    """Without a first set; but what was there before is known."""
    put(etcd, e1="1")
    put(etcd, e2="2")
    begin = etcd.entry("svc/e2").mod_revision
    etcd.delete("svc/e1")
    with Watcher(client, revision=begin, held={"e1": "1"}) as watcher:
        watcher.wait_until(lambda watcher: len(watcher.changes) == 2)
        put(etcd, e3="3")
        watcher.wait_for_addresses(e2="2", e3="3")
        assert watcher.told == [
            ("ADD", "svc/e2", "2"),
            ("DELETE", "svc/e1", "1"),
            ("ADD", "svc/e3", "3"),
        ]
        assert not any(batch.first for batch in watcher.batches)


@pytest.mark.server
def test_many_revisions_may_arrive_together(
    etcd: Etcd, client: Client, manager: EndpointManager
) -> None:
    """In order all the same."""
    begin = etcd.revision() + 1
    for n in range(1500):
        manager.add_endpoint("svc/e1", Endpoint(str(n)))
    with Watcher(client, revision=begin) as watcher:
        watcher.wait_for_addresses(e1="1499")
        assert [each.revision - begin for each in watcher.changes] == list(range(1500))
        assert len(watcher.batches) < 100


@pytest.mark.server
def test_a_revision_of_1_is_the_beginning(own_etcd: Callable[..., Etcd]) -> None:
    """Of an etcd that has forgotten nothing."""
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
def test_a_revision_to_come_is_waited_for(etcd: Etcd, client: Client) -> None:
    """What happens before that is known, but not told."""
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
        assert watcher.told == [("ADD", "svc/e2", "4"), ("DELETE", "svc/e3", "3")]
        assert watcher.changes[0].revision == begin


@pytest.mark.server
def test_a_compacted_revision_is_refused_with_the_one_that_is_not(
    own_etcd: Callable[..., Etcd],
) -> None:
    """Which is the oldest that can be requested, as the error says."""
    etcd = own_etcd()
    for addr in "12345":
        put(etcd, e1=addr)
    etcd.ctl("compact", "4")
    with Client([etcd.endpoint]) as client:
        for revision in (1, 3):
            watch = Watch(client, "svc", revision=revision)
            for _ in range(2):  # it does not go silent after the first time
                with pytest.raises(CompactedError, match="the compact revision is 4"):
                    watch.get(TIMEOUT)
        with Watcher(client, revision=4) as watcher:
            watcher.wait_for_addresses(e1="5")
            assert [brief(each)[2] for each in watcher.changes] == ["3", "4", "5"]


@pytest.mark.server
def test_the_iterator_ends_when_it_is_closed(etcd: Etcd, manager: EndpointManager) -> None:
    """And `get` says so, as often as it is asked."""
    with manager.watch() as watch:
        assert next(watch).first
    assert list(watch) == []
    for timeout in (None, 0, 1):
        with pytest.raises(ClosedError):
            watch.get(timeout)
    watch.close()


@pytest.mark.server
@pytest.mark.parametrize("timeout", [0, 0.2])
def test_get_returns_nothing_in_time(watcher: Watcher, client: Client, timeout: float) -> None:
    """Although states come in between."""
    with EndpointManager(client, "svc").watch() as watch:
        assert watch.get(TIMEOUT)
        start = time.monotonic()
        assert watch.get(timeout) is None
        assert timeout <= time.monotonic() - start < timeout + AT_ONCE


@pytest.mark.server
def test_closing_ends_at_once_while_nothing_happens(watcher: Watcher) -> None:
    """From another thread than the one that takes."""
    watcher.wait_until_connected().close()
    assert watcher.ended.is_set()
    assert watcher.error is None


@pytest.mark.server
def test_closing_ends_at_once_before_anything_was_read(etcd: Etcd, client: Client) -> None:
    """Whatever it has come to."""
    for n in range(30):
        watcher = Watcher(client)
        time.sleep(n / 3000)  # somewhere between the dialling and the first event
        watcher.close()


@pytest.mark.server
def test_closing_ends_at_once_with_much_that_nobody_took(
    etcd: Etcd, client: Client, manager: EndpointManager
) -> None:
    """More than is kept for a slow taker: the threads behind wait for room."""
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


def test_a_slow_taker_misses_nothing(manager: EndpointManager, watcher: Watcher) -> None:
    """etcd waits, others do not."""
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
def test_states_are_told_by_the_thread_that_takes(etcd: Etcd, manager: EndpointManager) -> None:
    """So that displaying them needs no lock."""
    threads = list[threading.Thread]()
    with manager.watch(on_state=lambda _: threads.append(threading.current_thread())) as watch:
        while not threads:
            watch.get(0.1)
        assert threads == [threading.current_thread()]


@pytest.mark.server
def test_the_state_names_the_member(etcd: Etcd, watcher: Watcher) -> None:
    """Once: being connected is no news when one is."""
    watcher.wait_until_connected()
    put(etcd, e1="1")
    watcher.wait_for_addresses(e1="1")
    [(_, state)] = watcher.states
    assert (state.connected, state.detail) == (True, etcd.endpoint)


@pytest.mark.server
def test_closing_one_watch_leaves_the_others_their_connection(
    own_etcd: Callable[..., Etcd],
) -> None:
    """And the client its member."""
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
def test_many_watches_leave_nothing_behind(etcd: Etcd, client: Client) -> None:
    """No thread, no file descriptor."""

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
def test_a_channel_of_4_mib_carries_more_than_that(own_etcd: Callable[..., Etcd]) -> None:
    """What is missed is sent in fragments."""
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
def test_a_transaction_that_no_channel_can_carry_is_read(own_etcd: Callable[..., Etcd]) -> None:
    """128 times 60 kB, at once, through 4 MiB; and the watch goes on."""
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
def test_50_000_changes_at_full_speed_are_all_told(
    own_etcd: Callable[..., Etcd], at_once: int
) -> None:
    """Each once, over one connection; benchmarks/watch_flood.py measures how soon."""
    etcd, count = own_etcd(), 50_000
    command = [sys.executable, WRITE_FAST, etcd.endpoint, str(count), str(at_once)]
    with Client([etcd.endpoint]) as client, Watcher(client) as watcher:
        watcher.wait_until_connected()
        subprocess.run(command, check=True, timeout=120)
        watcher.wait_until(lambda watcher: watcher.count == count, 60)
        told = [int(each.endpoint.addr) for each in watcher.changes if each.endpoint]
        assert sorted(told) == list(range(count))
        assert not any(batch.resync for batch in watcher.batches)
        assert watcher.connections == [True]
