"""Snapshots: large ranges are read in pages at one revision, during writes and compactions."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing

import grpc
import pytest
from harness import Etcd
from harness.waiting import wait_until

from etcdnaming.errors import CompactedError
from etcdnaming.etcd import Client, rpc
from etcdnaming.etcd.ranges import AHEAD, FIRST_PAGE, LARGEST_PAGE, read_snapshot

pytestmark = pytest.mark.server

ALL = rpc.RangeRequest(key=b"svc/", range_end=b"svc0")


@pytest.fixture
def given(etcd: Etcd) -> Iterator[grpc.Channel]:
    """A plain gRPC channel, which receives at most 4 MiB in a message."""
    with grpc.insecure_channel(etcd.endpoint) as channel:
        yield channel


def test_snapshot_of_several_pages_has_one_revision(etcd: Etcd, client: Client) -> None:
    """Keys that are added during the read are not part of the snapshot."""
    etcd.put_all({b"svc/%05d" % n: b"x" * 100 for n in range(5_000)})
    stop = threading.Event()

    def write() -> None:
        number = 0
        with Client([etcd.endpoint]) as other:
            while not stop.is_set():
                number += 1
                key = b"svc/%05d.5" % (number % 5000)
                put = rpc.RequestOp(request_put=rpc.PutRequest(key=key, value=b"late"))
                other._txn(rpc.TxnRequest(success=[put]))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        snapshots = [read_snapshot(client, ALL, list) for _ in range(5)]
    finally:
        stop.set()
        writer.join()
    for snapshot in snapshots:
        assert len(snapshot.found) == snapshot.count
        assert max(kv.mod_revision for kv in snapshot.found) <= snapshot.header.revision
        assert sum(kv.value != b"late" for kv in snapshot.found) == 5_000
        assert [kv.key for kv in snapshot.found] == sorted(kv.key for kv in snapshot.found)


def test_snapshot_of_six_megabytes_is_read_when_the_channel_takes_four(
    etcd: Etcd, client: Client, given: grpc.Channel
) -> None:
    """A page that is refused as too large is requested again with half as many keys."""
    values = {b"svc/%04d" % n: b"x" * 6_000 for n in range(1_000)}
    etcd.put_all(values)
    for reader in (client, Client(channel=given)):
        snapshot = read_snapshot(reader, ALL, list)
        assert {kv.key: kv.value for kv in snapshot.found} == values


@pytest.mark.long
@pytest.mark.timeout(300)
def test_snapshot_of_a_hundred_thousand_values_of_a_kilobyte_is_complete(
    etcd: Etcd, client: Client
) -> None:
    """The snapshot has 100 MB and contains each key once, in order."""
    etcd.put_all({b"svc/%06d" % n: b"x" * 1_000 for n in range(100_000)})
    snapshot = read_snapshot(client, ALL, list)
    assert [kv.key for kv in snapshot.found] == [b"svc/%06d" % n for n in range(100_000)]
    etcd.empty()


def test_snapshot_pages_are_limited_in_keys_and_bytes(etcd: Etcd) -> None:
    """The number of keys limits pages of small values, the size limits those of large values."""
    etcd.put_all({b"svc/%06d" % n: b"x" * 500 for n in range(12_000)})
    with closing(Pages(etcd)) as client:
        assert len(read_snapshot(client, ALL, list).found) == 12_000
    assert client.limits[0] == FIRST_PAGE == 1_000
    assert all(0 < limit <= LARGEST_PAGE == 20_000 for limit in client.limits)
    assert all(size < 4 << 20 for size in client.sizes)
    assert len(client.sizes) > 2


def test_snapshot_limit_applies_across_pages(etcd: Etcd, client: Client) -> None:
    """The first page has a thousand keys."""
    etcd.put_all({b"svc/%05d" % n: b"x" for n in range(2_500)})
    for limit, more in (
        (999, True),
        (1_000, True),
        (1_001, True),
        (2_500, False),
        (9_999, False),
    ):
        request = rpc.RangeRequest(key=b"svc/", range_end=b"svc0", limit=limit)
        snapshot = read_snapshot(client, request, list)
        assert (len(snapshot.found), snapshot.more) == (min(limit, 2_500), more)
        assert snapshot.count == 2_500


def test_snapshot_reads_only_a_few_pages_ahead_of_a_slow_consumer(etcd: Etcd) -> None:
    """The memory for pages is limited, however slow the consumer is."""
    etcd.put_all({b"svc/%05d" % n: b"x" * 3_000 for n in range(9_000)})
    converted, waiting = 0, list[int]()

    def convert(kvs: Sequence[rpc.KeyValue]) -> list[bytes]:
        nonlocal converted
        if len(client.sizes) < 9:  # wait for the next page as long as more pages are expected
            wait_until(lambda: len(client.sizes) > converted + 1)
            time.sleep(0.1)  # so that a page too many would arrive
        waiting.append(len(client.sizes) - converted)
        converted += 1
        return [kv.key for kv in kvs]

    with closing(Pages(etcd)) as client:
        assert len(read_snapshot(client, ALL, convert).found) == 9_000
    assert len(client.sizes) == converted
    assert 1 < max(waiting) <= AHEAD + 2  # one in conversion, one to be queued


def test_snapshot_stops_reading_when_a_page_cant_be_converted(etcd: Etcd) -> None:
    """The thread that reads the pages ends."""
    etcd.put_all({b"svc/%05d" % n: b"x" for n in range(5_000)})

    def refuse(kvs: Sequence[rpc.KeyValue]) -> list[bytes]:
        raise ArithmeticError

    with Client([etcd.endpoint]) as client, pytest.raises(ArithmeticError):
        read_snapshot(client, ALL, refuse)
    wait_until(lambda: "etcdnaming-pages" not in {each.name for each in threading.enumerate()})


class Pages(Client):
    """A client that records the limit of each request and the size of each answer."""

    def __init__(self, etcd: Etcd) -> None:
        super().__init__([etcd.endpoint])
        self.limits: list[int] = []
        self.sizes: list[int] = []

    def _range(self, request: rpc.RangeRequest) -> rpc.RangeResponse:
        """Read a page, and record its limit and size."""
        self.limits.append(request.limit)
        page = super()._range(request)
        self.sizes.append(page.ByteSize())
        return page


class Compacting(Client):
    """A client whose range is changed and compacted before later pages, *times* times."""

    def __init__(self, etcd: Etcd, times: int) -> None:
        super().__init__([etcd.endpoint], command_timeout=120)  # for several runs of etcdctl
        self._etcd, self.times = etcd, times

    def _range(self, request: rpc.RangeRequest) -> rpc.RangeResponse:
        """Compact before reading, if this is a later page."""
        if request.revision and self.times:
            self.times -= 1
            self._etcd.put("svc/99999", "x")
            self._etcd.ctl("compact", str(self._etcd.revision()))
        return super()._range(request)


@pytest.mark.parametrize(("times", "whole"), [(1, True), (3, True), (4, False)])
def test_snapshot_restarts_up_to_three_times_when_it_is_compacted(
    etcd: Etcd, times: int, whole: bool
) -> None:
    """After the last attempt the read fails with the error of etcd."""
    etcd.put_all({b"svc/%05d" % n: b"x" for n in range(1_500)})
    with Compacting(etcd, times) as client:
        if whole:
            assert len(read_snapshot(client, ALL, list).found) == 1_501
        else:
            with pytest.raises(CompactedError):
                read_snapshot(client, ALL, list)


def test_snapshot_at_a_requested_revision_fails_when_it_is_compacted(
    etcd: Etcd, client: Client
) -> None:
    """No other revision is read instead, so the read fails immediately."""
    etcd.put_all({b"svc/%05d" % n: b"x" for n in range(1_500)})
    revision = etcd.revision()
    with Compacting(etcd, 1) as slow, pytest.raises(CompactedError):
        read_snapshot(
            slow, rpc.RangeRequest(key=b"svc/", range_end=b"svc0", revision=revision), list
        )
    assert read_snapshot(client, ALL, list).count == 1_501


def test_snapshot_reads_nothing_outside_its_range(own_etcd: Callable[..., Etcd]) -> None:
    """Other keys of etcd are neither read nor counted."""
    etcd = own_etcd()
    etcd.put_all({b"other/%05d" % n: b"x" for n in range(2_000)})
    with Client([etcd.endpoint]) as client:
        assert read_snapshot(client, ALL, list).count == 0


def test_snapshot_of_ten_megabytes_is_read_when_the_channel_takes_four(
    etcd: Etcd, given: grpc.Channel
) -> None:
    """The later pages must not exceed the limit of the channel either."""
    values = {b"svc/%05d" % n: b"x" * 2_000 for n in range(5_000)}
    etcd.put_all(values)
    snapshot = read_snapshot(Client(channel=given), ALL, list)
    assert {kv.key: kv.value for kv in snapshot.found} == values


def test_snapshot_is_not_looked_at_by_the_next_garbage_collections(
    etcd: Etcd, client: Client
) -> None:
    """What was read stays; a look at a hundred thousand endpoints takes 30 ms each time."""
    etcd.put_all({b"svc/%05d" % n: b"x" for n in range(3 * FIRST_PAGE)})
    assert gc.isenabled()
    assert not gc.get_freeze_count()

    snapshot = read_snapshot(client, ALL, lambda kvs: [[kv.key] for kv in kvs])

    assert gc.isenabled()
    young = {id(each) for generation in (0, 1) for each in gc.get_objects(generation)}
    assert not young.intersection(map(id, snapshot.found[:FIRST_PAGE]))
    assert not gc.get_freeze_count()


def test_snapshot_leaves_frozen_what_the_program_has_frozen(etcd: Etcd, client: Client) -> None:
    """As servers do that fork: an object that is looked at is copied in each child."""
    etcd.put_all({b"svc/%05d" % n: b"x" for n in range(3 * FIRST_PAGE)})
    gc.freeze()
    try:
        frozen = gc.get_freeze_count()
        snapshot = read_snapshot(client, ALL, lambda kvs: [[kv.key] for kv in kvs])
        assert len(snapshot.found) == 3 * FIRST_PAGE
        assert gc.get_freeze_count() > frozen // 2
    finally:
        gc.unfreeze()


@pytest.mark.parametrize("enabled", [True, False])
def test_snapshot_of_several_pages_restores_the_garbage_collector(
    etcd: Etcd, client: Client, enabled: bool
) -> None:
    """It is switched off only while many keys are read."""
    etcd.put_all({b"svc/%05d" % n: b"x" for n in range(FIRST_PAGE + 1)})
    was: list[bool] = []

    def convert(kvs: Sequence[rpc.KeyValue]) -> Sequence[rpc.KeyValue]:
        was.append(gc.isenabled())
        return kvs

    (gc.enable if enabled else gc.disable)()
    try:
        read_snapshot(client, ALL, convert)
        assert gc.isenabled() is enabled
        assert was
        assert not any(was)
    finally:
        gc.enable()
