"""Transactions and ranges as plain data, on a real etcd."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from harness import Etcd

from etcdnaming.etcd import Client
from etcdnaming.etcd.columns import KeyValue
from etcdnaming.etcd.ranges import count_keys, delete_range, read_keys, read_range
from etcdnaming.etcd.transactions import Compare, Delete, Get, Put, look_up, transact

pytestmark = pytest.mark.server

RANGE = (b"svc/", b"svc0")


def plain(found: Sequence[KeyValue | None]) -> list[tuple[bytes, bytes, int] | None]:
    """Return key, value and lease of each item."""
    return [(each.key, each.value, each.lease) if each else None for each in found]


def test_transact_executes_success_when_all_compares_hold(etcd: Etcd, client: Client) -> None:
    """The previous items are returned, for puts only on request."""
    lease = etcd.grant(60)
    etcd.put("svc/old", "1", lease)
    etcd.put("svc/gone", "2")
    revision = etcd.revision()

    result = transact(
        client,
        [Compare(b"svc/old", None), Compare(b"svc/new", 0), Compare(b"svc/gone", revision)],
        [
            Put(b"svc/old", b"3", keep_lease=True, previous=True),
            Put(b"svc/new", b"4", lease),
            Delete(b"svc/gone"),
        ],
        [Get(b"svc/old")],
    )

    assert (result.succeeded, result.header.revision) == (True, revision + 1)
    assert plain(result.found) == [(b"svc/old", b"1", lease), None, (b"svc/gone", b"2", 0)]
    assert etcd.get("svc/") == {b"svc/new": b"4", b"svc/old": b"3"}
    assert {entry.lease for entry in etcd.entries("svc/")} == {lease}


@pytest.mark.parametrize("key", [b"svc/absent", b"svc/old"])
def test_transact_executes_failure_when_a_compare_fails(
    etcd: Etcd, client: Client, key: bytes
) -> None:
    """Nothing is written, and the keys are read at the same revision."""
    etcd.put("svc/old", "1")
    fails = Compare(key, None if key == b"svc/absent" else 1)

    reads = [Get(b"svc/old"), Get(b"svc/old", keys_only=True), Get(b"svc/absent")]
    result = transact(client, [fails], [Delete(b"svc/old")], reads)

    assert not result.succeeded
    assert plain(result.found) == [(b"svc/old", b"1", 0), (b"svc/old", b"", 0), None]
    assert etcd.get("svc/") == {b"svc/old": b"1"}


def test_look_up_returns_an_item_for_each_key(etcd: Etcd, client: Client) -> None:
    """The items are in the order of the keys, with ``None`` for a missing key."""
    etcd.put("svc/b", "2")
    etcd.put("svc/a", "1")

    found = look_up(client, [b"svc/b", b"svc/x", b"svc/a"])

    assert plain(found) == [(b"svc/b", b"2", 0), None, (b"svc/a", b"1", 0)]


def test_ranges_are_read_counted_and_deleted(etcd: Etcd, client: Client) -> None:
    """Ranges can be converted, limited, read without values and counted at an earlier revision."""
    etcd.put("svc/a", "1")
    revision = etcd.revision()
    etcd.put("svc/b", "2")

    header, found, count, more = read_range(client, RANGE, plain, limit=1)
    assert (header.revision, found, count, more) == (revision + 1, [(b"svc/a", b"1", 0)], 2, True)
    assert read_range(client, RANGE, plain, keys_only=True)[1][1] == (b"svc/b", b"", 0)
    assert read_keys(client, RANGE, 1) == ([b"svc/a"], True)
    assert count_keys(client, RANGE, revision=revision)[1] == 1
    _, deleted, previous = delete_range(client, RANGE, previous=True)
    assert (deleted, plain(previous)) == (2, [(b"svc/a", b"1", 0), (b"svc/b", b"2", 0)])
    assert etcd.get("svc/") == {}
