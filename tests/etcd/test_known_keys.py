"""Whether etcd is still the one we know, however long it takes to say so."""

from __future__ import annotations

from harness import Etcd
from harness.slow import SlowClient

from etcdnaming.etcd import known_keys


def test_a_large_range_may_take_longer_than_other_calls(etcd: Etcd) -> None:
    """A watch that could never prove what it knows would leave every stream again, for ever."""
    etcd.put_all({b"svc/%05d" % n: b"x" for n in range(40_000)})
    client = SlowClient([etcd.endpoint], dial_timeout=2, command_timeout=2)
    with client:
        known = known_keys.KnownKeys(client, b"svc/", b"svc0")
        client.pause = 1.5  # for each of four pages
        known.read()
        known.check()
    etcd.empty()
