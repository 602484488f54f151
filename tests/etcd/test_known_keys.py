"""KnownKeys: verify that etcd still has the known keys, also when reading them takes long."""

from __future__ import annotations

from harness import Etcd
from harness.slow import SlowClient

from etcdnaming.etcd import known_keys


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
