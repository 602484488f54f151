"""A watch during random faults: the delivered changes agree with etcd's history."""

from __future__ import annotations

import json
import os
import random
import threading
import time
from base64 import b64decode
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from typing import TypeAlias

import pytest
from harness import Cluster, Etcd, Etcdctl, Process, wait_until
from harness.watcher import Watcher, stored

from etcdnaming.endpoints.manager import EndpointManager
from etcdnaming.errors import EtcdError
from etcdnaming.etcd import Client, range_watch_loop
from etcdnaming.model import Endpoint, Operation, Update

pytestmark = pytest.mark.server

Trouble: TypeAlias = Callable[[random.Random], None]


@pytest.fixture
def seed(monkeypatch: pytest.MonkeyPatch) -> int:
    """The printed seed of the random faults; ``WATCH_SEED`` sets it."""
    monkeypatch.setattr(range_watch_loop, "MAX_WATCH_PAUSE", 1)  # for more events per second
    seed = int(os.environ.get("WATCH_SEED") or random.randrange(1 << 32))
    print(f"WATCH_SEED={seed}")  # noqa: T201 - pytest shows it where it matters
    return seed


def killed(etcd: Etcd) -> Trouble:
    """Return a fault that kills *etcd* and starts it again after a moment."""
    return partial(_away, etcd, etcd.kill)


def away(etcd: Etcd) -> Trouble:
    """Return a fault that restarts *etcd* without the loss of an acknowledged write."""
    version = etcd.ctl_json("endpoint", "status")[0]["Status"]["version"]
    # These releases may lose an acknowledged write when they are killed (etcd-io/etcd#13766), as 3
    # of 150 kills under load did.
    loses = version in {"3.5.0", "3.5.1", "3.5.2"}
    return partial(_away, etcd, etcd.stop if loses else etcd.kill)


def _away(etcd: Etcd, end: Callable[[], None], chance: random.Random) -> None:
    end()
    time.sleep(chance.uniform(0, 0.5))
    etcd.start()


def frozen(etcd: Etcd) -> Trouble:
    """Return a fault that freezes *etcd* for a moment."""

    def trouble(chance: random.Random) -> None:
        etcd.freeze()
        time.sleep(chance.uniform(0, 1))
        etcd.thaw()

    return trouble


def compacted(etcd: Etcdctl) -> Trouble:
    """Return a fault that compacts *etcd* at the current revision."""

    def trouble(_: random.Random) -> None:
        etcd.ctl("compact", str(etcd.revision()))

    return trouble


def killed_and_compacted(etcd: Etcd) -> Trouble:
    """Return a fault that hides changes from a watch that reconnects late."""

    def trouble(chance: random.Random) -> None:
        etcd.kill()
        etcd.start()
        for n in range(3):
            etcd.put("svc/k0", stored(f"unseen {n}"))
        compacted(etcd)(chance)

    return trouble


def wiped(etcd: Etcd) -> Trouble:
    """Return a fault that begins a new history, sometimes at a higher revision."""

    def trouble(chance: random.Random) -> None:
        etcd.wipe()
        for n in range(chance.choice([0, 0, 300])):
            etcd.put_all({b"svc/k0": stored(str(n)).encode()})

    return trouble


def spoiled(etcd: Etcdctl) -> Trouble:
    """Return a fault that stores an invalid value."""
    return lambda chance: etcd.put(f"svc/k{chance.randrange(8)}", "bad")


@contextmanager
def changing(endpoints: Sequence[str], chance: random.Random) -> Iterator[None]:
    """Change one or several keys at a time until the block ends, and ignore errors."""
    done = threading.Event()

    def change() -> None:
        with Client(endpoints, command_timeout=1) as client:
            manager, n = EndpointManager(client, "svc"), 0
            while not done.wait(chance.uniform(0, 0.005)):
                n += 1
                try:
                    manager.update([_update(chance, str(n)) for _ in range(chance.randrange(1, 5))])
                except EtcdError:
                    continue

    thread = threading.Thread(target=change)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _update(chance: random.Random, addr: str) -> Update:
    key = f"svc/k{chance.randrange(8)}"
    return Update.delete(key) if chance.random() < 0.3 else Update.add(key, Endpoint(addr))


def events_of(etcd: Etcdctl) -> list[tuple[Operation, str, int]]:
    """Return all events of ``svc`` that etcdctl receives."""
    last = etcd.ctl_json("put", "svc/end", stored("0"))["header"]["revision"]
    command = [str(etcd.programs.etcdctl), f"--endpoints={etcd.endpoints}"]
    watch = [*command, "watch", "--prefix", "svc/", "--rev=1", "-w", "json"]
    with closing(Process(watch, {"ETCDCTL_API": "3"})) as process:
        process.wait_for_out(f'"mod_revision":{last}')
        wait_until(lambda: process.out.endswith("\n"))
        lines = process.out.splitlines()
    events = [event for line in lines for event in json.loads(line)["Events"]]
    return [
        (
            Operation.DELETE if event.get("type") else Operation.ADD,
            b64decode(event["kv"]["key"]).decode(),
            event["kv"]["mod_revision"],
        )
        for event in events
    ]


def go_through(troubles: Sequence[Trouble], times: int, chance: random.Random) -> None:
    """Cause *times* of the faults at random, with short pauses."""
    for _ in range(times):
        chance.choice(troubles)(chance)
        time.sleep(chance.uniform(0, 0.5))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("times", [8, pytest.param(80, marks=pytest.mark.long)])
def test_random_faults_lose_and_repeat_no_change_when_etcd_keeps_its_history(
    own_etcd: Callable[..., Etcd], seed: int, times: int
) -> None:
    """etcd is killed, stopped and frozen, but never compacted."""
    etcd, chance = own_etcd(), random.Random(seed)
    with Client([etcd.endpoint]) as client, Watcher(client) as watcher:
        watcher.wait_until_connected()
        with changing([etcd.endpoint], random.Random(seed)):
            go_through([away(etcd), frozen(etcd)], times, chance)
        events = events_of(etcd)
        watcher.wait_until(lambda watcher: "svc/end" in watcher.replayed)
        assert [batch for batch in watcher.batches if batch.resync] == []
        assert [(each.op, each.key, each.revision) for each in watcher.changes] == events
        assert len(events) > 20 * times


@pytest.mark.timeout(300)
@pytest.mark.parametrize("times", [12, pytest.param(150, marks=pytest.mark.long)])
def test_random_faults_preserve_the_endpoints_when_etcd_loses_its_history(
    own_etcd: Callable[..., Etcd], seed: int, times: int
) -> None:
    """etcd is also compacted and wiped."""
    etcd, chance = own_etcd(), random.Random(seed)
    troubles = [killed, frozen, compacted, killed_and_compacted, wiped, spoiled]
    with Client([etcd.endpoint]) as client, Watcher(client) as watcher:
        with changing([etcd.endpoint], random.Random(seed)):
            go_through([trouble(etcd) for trouble in troubles], times, chance)
        check(watcher, client, etcd)


@pytest.mark.long
@pytest.mark.timeout(400)
def test_random_faults_of_cluster_members_preserve_the_endpoints(
    cluster: Cluster, seed: int
) -> None:
    """Members are killed and frozen in turn, including the one that sends the events."""
    chance = random.Random(seed)
    members = [member.endpoint for member in cluster.members]
    troubles = [trouble(each) for each in cluster.members for trouble in (killed, frozen)]
    with Client(members) as client, Watcher(client) as watcher:
        with changing(members, random.Random(seed)):
            go_through([*troubles, compacted(cluster)], 60, chance)
        check(watcher, client, cluster)


def check(watcher: Watcher, client: Client, etcd: Etcdctl) -> None:
    """Check that replaying all delivered changes leads to the current endpoints."""
    etcd.put("svc/end", stored("0"))
    wait_until(lambda: watcher.error or "svc/end" in watcher.replayed)
    assert watcher.error is None
    assert watcher.replayed == EndpointManager(client, "svc").list().by_key()
    assert sorted(watcher.watch.endpoints) == sorted(watcher.replayed)
