"""KnownKeys: verify that etcd still has the known keys, also when reading them takes long."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from harness import Etcd
from harness.slow import SlowClient

from etcdnaming.etcd import Client, known_keys, rpc


def test_large_range_is_read_when_it_takes_longer_than_the_command_timeout(etcd: Etcd) -> None:
    """A watch that can't finish this check would leave every stream again and again."""
    etcd.put_all({b"svc/%05d" % n: b"x" for n in range(40_000)})
    client = SlowClient([etcd.endpoint], dial_timeout=2, command_timeout=2)
    with client:
        known = known_keys.KnownKeys(client, b"svc/", b"svc0")
        client.pause = 1.5  # for each of four pages
        known.read()
        known.check()
    etcd.empty()


@pytest.mark.parametrize(
    "difference", ["one more", "one less", "renamed", "mod_revision", "version", "lease", "value"]
)
@pytest.mark.server
def test_check_and_summary_detect_each_difference_alone(etcd: Etcd, difference: str) -> None:
    """A wiped cluster may have the same number of keys, revisions, versions or leases."""
    leased = etcd.grant(600)
    etcd.put("svc/e1", "1")
    etcd.put("svc/e2", "2", lease=leased)
    with Client([etcd.endpoint]) as client:
        known = known_keys.KnownKeys(client, b"svc/", b"svc0")
        found = known.read().found[1]
        known.check()
        assert known.has_reached(known.summarize())

        forged = rpc.KeyValue()
        forged.CopyFrom(found)
        put, delete = rpc.Event.PUT, rpc.Event.DELETE
        if difference in {"one less", "renamed"}:
            known.add([rpc.Event(type=delete, kv=found)])
        if difference in {"one more", "renamed"}:
            forged.key += b"x"
        elif difference == "mod_revision":
            etcd.put("other", "1")
            forged.mod_revision += 1
        elif difference in {"version", "lease"}:
            setattr(forged, difference, getattr(forged, difference) + 1)
        if difference not in {"one less", "value"}:
            known.add([rpc.Event(type=put, kv=forged)])

        assert detects(known.check) is (difference != "value")
        seen = detects(lambda: not known.has_reached(known.summarize()) or None)
        assert seen is (difference != "value")


def detects(look: Callable[[], object]) -> bool:
    """Return whether *look* finds another history: it raises, or returns something."""
    try:
        return look() is not None
    except known_keys.HistoryChangedError:
        return True
