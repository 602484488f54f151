"""Large ranges, in pages, at one revision, while others write and compact."""

from __future__ import annotations

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
from etcdnaming.etcd.snapshot import AHEAD, FIRST_PAGE, LARGEST_PAGE, read_snapshot

pytestmark = pytest.mark.server

ALL = rpc.RangeRequest(key=b"svc/", range_end=b"svc0")


@pytest.fixture
def given(etcd: Etcd) -> Iterator[grpc.Channel]:
    """A channel as other libraries make it: it takes answers of 4 MiB and no more."""
    with grpc.insecure_channel(etcd.endpoint) as channel:
        yield channel


def test_more_than_a_page_is_read_at_one_revision(etcd: Etcd, client: Client) -> None:
    """Others may add while it is read."""
    etcd.put_all({b"svc/%05d" % n: b"x" * 100 for n in range(5_000)})
    stop = threading.Event()

    def write() -> None:
        number = 0
        with Client([etcd.endpoint]) as other:
            while not stop.is_set():
                number += 1
                key = b"svc/%05d.5" % (number % 5000)
                put = rpc.RequestOp(request_put=rpc.PutRequest(key=key, value=b"late"))
                other.txn(rpc.TxnRequest(success=[put]))

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


def test_six_megabytes_are_read_also_by_a_channel_that_takes_four(
    etcd: Etcd, client: Client, given: grpc.Channel
) -> None:
    """A page that is refused as too large is halved."""
    values = {b"svc/%04d" % n: b"x" * 6_000 for n in range(1_000)}
    etcd.put_all(values)
    for reader in (client, Client(channel=given)):
        snapshot = read_snapshot(reader, ALL, list)
        assert {kv.key: kv.value for kv in snapshot.found} == values


@pytest.mark.long
@pytest.mark.timeout(300)
def test_a_hundred_thousand_values_of_a_kilobyte_are_read(etcd: Etcd, client: Client) -> None:
    """100 MB, in order, each once."""
    etcd.put_all({b"svc/%06d" % n: b"x" * 1_000 for n in range(100_000)})
    snapshot = read_snapshot(client, ALL, list)
    assert [kv.key for kv in snapshot.found] == [b"svc/%06d" % n for n in range(100_000)]
    etcd.empty()


def test_no_page_is_large(etcd: Etcd) -> None:
    """In keys, where they are small; in bytes, where they are not."""
    etcd.put_all({b"svc/%06d" % n: b"x" * 500 for n in range(12_000)})
    with closing(Pages(etcd)) as client:
        assert len(read_snapshot(client, ALL, list).found) == 12_000
    assert client.limits[0] == FIRST_PAGE
    assert all(0 < limit <= LARGEST_PAGE for limit in client.limits)
    assert all(size < 4 << 20 for size in client.sizes)
    assert len(client.sizes) > 2


def test_a_limit_is_kept_across_pages(etcd: Etcd, client: Client) -> None:
    """The first page is a thousand keys."""
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


def test_no_more_than_a_few_pages_wait_for_who_converts_them(etcd: Etcd) -> None:
    """Memory is bounded, however slow the consumer is."""
    etcd.put_all({b"svc/%05d" % n: b"x" * 3_000 for n in range(9_000)})
    converted, waiting = 0, list[int]()

    def convert(kvs: Sequence[rpc.KeyValue]) -> list[bytes]:
        nonlocal converted
        if len(client.sizes) < 9:  # as long as something is to come, let it come
            wait_until(lambda: len(client.sizes) > converted + 1)
            time.sleep(0.1)  # for one page too many
        waiting.append(len(client.sizes) - converted)
        converted += 1
        return [kv.key for kv in kvs]

    with closing(Pages(etcd)) as client:
        assert len(read_snapshot(client, ALL, convert).found) == 9_000
    assert len(client.sizes) == converted
    assert 1 < max(waiting) <= AHEAD + 2  # the one converted, and one whose thread waits with it


def test_who_can_not_convert_a_page_is_not_sent_more(etcd: Etcd) -> None:
    """No reader is left."""
    etcd.put_all({b"svc/%05d" % n: b"x" for n in range(5_000)})

    def refuse(kvs: Sequence[rpc.KeyValue]) -> list[bytes]:
        raise ArithmeticError

    with Client([etcd.endpoint]) as client, pytest.raises(ArithmeticError):
        read_snapshot(client, ALL, refuse)
    wait_until(lambda: "etcdnaming-pages" not in {each.name for each in threading.enumerate()})


class Pages(Client):
    """A client that knows what was asked for, and how much came."""

    def __init__(self, etcd: Etcd) -> None:
        super().__init__([etcd.endpoint])
        self.limits: list[int] = []
        self.sizes: list[int] = []

    def range(self, request: rpc.RangeRequest) -> rpc.RangeResponse:
        """Read, and take it down."""
        self.limits.append(request.limit)
        page = super().range(request)
        self.sizes.append(page.ByteSize())
        return page


class Compacting(Client):
    """A client before whose second page others write and compact, *times* times."""

    def __init__(self, etcd: Etcd, times: int) -> None:
        super().__init__([etcd.endpoint])
        self._etcd, self.times = etcd, times

    def range(self, request: rpc.RangeRequest) -> rpc.RangeResponse:
        """Read, but later than everybody else."""
        if request.revision and self.times:
            self.times -= 1
            self._etcd.put("svc/99999", "x")
            self._etcd.ctl("compact", str(self._etcd.revision()))
        return super().range(request)


@pytest.mark.parametrize(("times", "whole"), [(1, True), (3, True), (4, False)])
def test_a_reading_that_compaction_overtakes_is_begun_again_three_times(
    etcd: Etcd, times: int, whole: bool
) -> None:
    """Then it is given up, and says why."""
    etcd.put_all({b"svc/%05d" % n: b"x" for n in range(1_500)})
    with Compacting(etcd, times) as client:
        if whole:
            assert len(read_snapshot(client, ALL, list).found) == 1_501
        else:
            with pytest.raises(CompactedError):
                read_snapshot(client, ALL, list)


def test_a_revision_that_was_asked_for_is_not_replaced_by_another(
    etcd: Etcd, client: Client
) -> None:
    """What is compacted is said at once."""
    etcd.put_all({b"svc/%05d" % n: b"x" for n in range(1_500)})
    revision = etcd.revision()
    with Compacting(etcd, 1) as slow, pytest.raises(CompactedError):
        read_snapshot(
            slow, rpc.RangeRequest(key=b"svc/", range_end=b"svc0", revision=revision), list
        )
    assert read_snapshot(client, ALL, list).count == 1_501


def test_the_rest_of_the_keyspace_is_not_read(own_etcd: Callable[..., Etcd]) -> None:
    """One request more than the pages would be one too many."""
    etcd = own_etcd()
    etcd.put_all({b"other/%05d" % n: b"x" for n in range(2_000)})
    with Client([etcd.endpoint]) as client:
        assert read_snapshot(client, ALL, list).count == 0


def test_a_channel_that_takes_four_megabytes_reads_many_of_them(
    etcd: Etcd, given: grpc.Channel
) -> None:
    """The pages after the first are no larger than that either."""
    values = {b"svc/%05d" % n: b"x" * 2_000 for n in range(5_000)}
    etcd.put_all(values)
    snapshot = read_snapshot(Client(channel=given), ALL, list)
    assert {kv.key: kv.value for kv in snapshot.found} == values
