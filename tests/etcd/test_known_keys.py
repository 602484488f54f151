"""KnownKeys: verify that etcd still has the known keys, also when reading them takes long."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from harness import Etcd
from harness.hostile import HostileProxy
from harness.slow import SlowClient

from etcdnaming.etcd import Client, known_keys


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


def forget(answer: Any, index: int) -> None:
    """Take a key out of *answer*."""
    del answer.kvs[index]
    answer.count -= 1


def add_key(answer: Any) -> None:
    """Add a key to *answer*."""
    answer.kvs.add(key=b"svc/e9", mod_revision=2, version=1, value=b"1")
    answer.count += 1


DIFFERENCES: dict[str, Callable[[Any], object]] = {
    "none": bool,  # changes nothing
    "one less": lambda answer: forget(answer, 1),
    "one more": add_key,
    "another key": lambda answer: setattr(answer.kvs[2], "key", b"svc/e4"),
    "revision": lambda answer: setattr(answer.kvs[2], "mod_revision", 2),
    "version": lambda answer: setattr(answer.kvs[0], "version", 7),
    "newest lease": lambda answer: setattr(answer.kvs[2], "lease", 4711),
    "older lease": lambda answer: setattr(answer.kvs[1], "lease", 4711),
}


@pytest.mark.parametrize("difference", DIFFERENCES)
@pytest.mark.parametrize("leases", [True, False], ids=["", "keys are listed without leases"])
def test_check_and_summary_detect_each_difference_alone(
    etcd: Etcd, difference: str, leases: bool
) -> None:
    """A wiped cluster may have the same number of keys, revisions, versions or leases."""
    etcd.put("svc/e1", "1")
    for name in ("svc/e2", "svc/e3"):
        etcd.put(name, "2", lease=etcd.grant(600))
    with HostileProxy(etcd.endpoint) as proxy, Client([proxy.endpoint]) as client:
        known = known_keys.KnownKeys(client, b"svc/", b"svc0")
        proxy.changes["Range"] = DIFFERENCES[difference]
        known.read()
        proxy.changes["Range"] = (lambda _: None) if leases else hide_leases
        # As from etcd 3.7, where only the newest lease is compared.
        is_found = difference not in {"none", *(() if leases else ("older lease",))}
        assert detects(known.check) is is_found
        assert detects(lambda: known.has_reached(known.summarize()) or "missed") is is_found


def hide_leases(answer: Any) -> None:
    """Hide the leases of keys that were read without their values, as etcd 3.7 does."""
    for kv in answer.kvs:
        if not kv.value:
            kv.lease = 0


def detects(look: Callable[[], object]) -> bool:
    """Return whether *look* finds another history: it raises, or returns a text."""
    try:
        return isinstance(look(), str)
    except known_keys.HistoryChangedError:
        return True
