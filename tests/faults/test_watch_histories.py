"""A watch of an etcd that was compacted, or wiped and filled again."""

from __future__ import annotations

import json
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from typing import Any

import pytest
from harness import Etcd, Proxy, wait_until
from harness.cluster import Cluster
from harness.programs import Programs
from harness.relay import Answers, Relay, cut_off_when, passed_on
from harness.watcher import Watcher, put, stored
from harness.watching_process import WatchingProcess

from etcdnaming.etcd import Client, range_watch_loop

Asleep = tuple[Etcd, WatchingProcess]


@pytest.fixture
def asleep(own_etcd: Callable[..., Etcd]) -> Iterator[Asleep]:
    """An etcd with three endpoints, and a stopped process that has received them."""
    etcd = own_etcd()
    put(etcd, e1="1", e2="2", e3="3")
    with WatchingProcess(etcd.endpoint) as watching:
        watching.reported_until("first")
        watching.states_until("connected")
        watching.stop()
        yield etcd, watching


def change_three(etcd: Etcd) -> None:
    """Add, change and delete an endpoint, and make changes that later ones hide."""
    put(etcd, e2="4", e4="4", gone="5")
    etcd.delete("svc/e1")
    etcd.delete("svc/gone")
    put(etcd, e2="22")


@pytest.mark.server
def test_stopped_watch_receives_every_change_when_it_continues(asleep: Asleep) -> None:
    """etcd was restarted, but has kept the whole history."""
    etcd, watching = asleep
    change_three(etcd)
    etcd.kill()
    etcd.start()
    watching.go_on()
    assert watching.reported_until("ADD svc/e2 22") == [
        "ADD svc/e2 4",
        "ADD svc/e4 4",
        "ADD svc/gone 5",
        "DELETE svc/e1 1",
        "DELETE svc/gone 5",
        "ADD svc/e2 22",
    ]
    put(etcd, end="0")
    assert watching.reported_until("ADD svc/end 0") == ["ADD svc/end 0"]


@pytest.mark.server
def test_stopped_watch_receives_the_differences_when_etcd_was_compacted(asleep: Asleep) -> None:
    """The differences are marked as a resync, with deletions first, and later changes follow."""
    etcd, watching = asleep
    etcd.kill()  # so that it can't send the changes to the socket of the stopped process
    etcd.start()
    change_three(etcd)
    etcd.ctl("compact", str(etcd.revision()))
    etcd.stop()
    etcd.start()
    watching.go_on()
    assert watching.reported_until("ADD svc/e2 22 resync") == [
        "DELETE svc/e1 1 resync",
        "ADD svc/e4 4 resync",
        "ADD svc/e2 22 resync",
    ]
    put(etcd, end="0")
    assert watching.reported_until("ADD svc/end 0") == ["ADD svc/end 0"]


@pytest.mark.server
@pytest.mark.parametrize("writes", [0, 20], ids=["younger", "older"])
def test_stopped_watch_receives_deletions_when_etcd_was_wiped(asleep: Asleep, writes: int) -> None:
    """The new endpoints follow, also if the new etcd is already at a higher revision."""
    etcd, watching = asleep
    before = etcd.revision()
    etcd.wipe()
    for _ in range(writes):
        put(etcd, e4="0")
    put(etcd, e2="2", e4="4")
    assert (etcd.revision() > before) == (writes > 0)
    watching.go_on()
    assert watching.reported_until("ADD svc/e4 4 resync") == [
        "DELETE svc/e1 1 resync",
        "DELETE svc/e3 3 resync",
        "ADD svc/e2 2 resync",
        "ADD svc/e4 4 resync",
    ]
    put(etcd, end="0")
    assert watching.reported_until("ADD svc/end 0") == ["ADD svc/end 0"]


@pytest.mark.server
def test_watch_detects_a_wiped_etcd_with_the_same_keys_and_revisions(
    own_etcd: Callable[..., Etcd],
) -> None:
    """Services that all start again may register the same keys, at other addresses."""
    etcd = own_etcd()
    etcd.put("svc/e1", stored("1"), etcd.grant(600))
    cut = threading.Event()
    with (
        Relay(etcd.endpoint, cut_off_when(cut), passed_on) as relay,
        Client([relay.endpoint]) as client,
        Watcher(client) as watcher,
    ):
        watcher.wait_until_connected()
        etcd.wipe()
        etcd.put("svc/e1", stored("2"), etcd.grant(600))
        cut.set()
        watcher.wait_for_addresses(e1="2")
        assert watcher.reported == [("ADD", "svc/e1", "2")]
        assert watcher.batches[-1].revision == watcher.batches[0].revision


@pytest.mark.server
def test_watch_detects_a_wipe_between_its_check_and_its_new_stream(
    own_etcd: Callable[..., Etcd],
) -> None:
    """The check before the stream may be outdated when the stream begins."""
    etcd = own_etcd()
    put(etcd, e1="1", e2="2")
    cut = threading.Event()

    def wiped_just_now(answers: Answers) -> Answers:
        etcd.wipe()
        for addr in "34567":
            put(etcd, e2=addr)
        return answers

    with (
        Relay(etcd.endpoint, cut_off_when(cut), wiped_just_now, passed_on) as relay,
        Client([relay.endpoint]) as client,
        Watcher(client) as watcher,
    ):
        watcher.wait_until_connected()
        cut.set()
        watcher.wait_for_addresses(e2="7")
        assert ("DELETE", "svc/e1", "1") in watcher.reported
        put(etcd, e3="3")
        watcher.wait_for_addresses(e2="7", e3="3")


@pytest.mark.server
def test_watch_delivers_the_differences_when_etcd_was_compacted_before_it_reconnects(
    own_etcd: Callable[..., Etcd],
) -> None:
    """The differences have the revision of the read, and no disconnect is reported."""
    etcd = own_etcd()
    put(etcd, e1="1", e2="2", e3="3")
    cut = threading.Event()
    with (
        Relay(etcd.endpoint, cut_off_when(cut), passed_on) as relay,
        Client([relay.endpoint]) as client,
        Watcher(client) as watcher,
    ):
        watcher.wait_until_connected()
        change_three(etcd)
        etcd.put("svc/e3", "bad")
        etcd.ctl("compact", str(etcd.revision()))
        cut.set()
        watcher.wait_for_addresses(e2="22", e4="4")
        [_, batch] = watcher.batches
        assert (batch.resync, batch.first, batch.revision) == (True, False, etcd.revision())
        assert {change.revision for change in batch.changes} == {batch.revision}
        assert [bad.key for bad in batch.invalid] == ["svc/e3"]


@pytest.mark.server
def test_watch_delivers_no_resync_when_a_compaction_hides_no_change(
    own_etcd: Callable[..., Etcd],
) -> None:
    """Only keys of other targets were changed before the compacted revision."""
    etcd = own_etcd()
    cut = threading.Event()
    with (
        Relay(etcd.endpoint, cut_off_when(cut), passed_on) as relay,
        Client([relay.endpoint]) as client,
        Watcher(client, revision=1) as watcher,
    ):
        watcher.wait_until_connected()
        for _ in range(5):
            etcd.put("other", "x")
        etcd.ctl("compact", str(etcd.revision()))
        cut.set()
        wait_until(lambda: relay.streams >= 3)
        put(etcd, e1="1")
        watcher.wait_for_addresses(e1="1")
        assert [batch.resync for batch in watcher.batches] == [False]


@pytest.mark.server
def test_watch_from_a_future_revision_delivers_no_earlier_differences(
    own_etcd: Callable[..., Etcd],
) -> None:
    """Differences before that revision only update the known endpoints."""
    etcd = own_etcd()
    put(etcd, e1="1", e2="2")
    cut = threading.Event()
    with (
        Relay(etcd.endpoint, cut_off_when(cut), passed_on) as relay,
        Client([relay.endpoint]) as client,
        Watcher(client, revision=6, held={"e2": "2", "e3": "3"}) as watcher,
    ):
        watcher.wait_until_connected()
        etcd.delete("svc/e1")
        put(etcd, e3="3")
        etcd.ctl("compact", str(etcd.revision()))
        cut.set()
        wait_until(lambda: relay.streams >= 3)
        put(etcd, e3="4")
        watcher.wait_for_addresses(e2="2", e3="4")
        assert watcher.reported == [("ADD", "svc/e3", "4")]
        assert watcher.changes[0].revision == 6


@pytest.mark.server
@pytest.mark.parametrize(
    ("revision", "held", "reported"),
    [
        pytest.param(6, "4", "567", id="was there"),
        pytest.param(8, "6", "7", id="was yet to come"),
        pytest.param(7, "5", "", id="never came"),
    ],
)
def test_watch_from_a_revision_continues_after_a_wipe(
    own_etcd: Callable[..., Etcd], revision: int, held: str, reported: str
) -> None:
    """The new etcd may never reach the requested revision."""
    etcd = own_etcd()
    for addr in "12345":
        put(etcd, e1=addr)
    with (
        Client([etcd.endpoint]) as client,
        Watcher(client, revision=revision, held={"e1": held}) as watcher,
    ):
        watcher.wait_until_connected()
        for addr in "67" if reported else "":
            put(etcd, e1=addr)
        watcher.wait_until(
            lambda watcher: "".join(each[2] for each in watcher.reported) == reported
        )
        etcd.wipe()
        put(etcd, e2="1")
        watcher.wait_for_addresses(e2="1")
        put(etcd, e3="1")
        watcher.wait_for_addresses(e2="1", e3="1")
        assert ("DELETE", "svc/e1", (held + reported)[-1]) in watcher.reported


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the watch verify its stream every second."""
    monkeypatch.setattr(range_watch_loop, "VERIFY_INTERVAL", 1)
    monkeypatch.setattr(range_watch_loop, "DELIVERY_TIMEOUT", 2)


@pytest.mark.server
@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("writes", [0, 20], ids=["younger", "older"])
def test_watch_detects_a_wipe_behind_a_proxy(
    own_etcd: Callable[..., Etcd], grpc_proxy: Callable[..., Proxy], writes: int
) -> None:
    """The proxy keeps the stream, which is silent or delivers events of the new etcd."""
    etcd = own_etcd()
    put(etcd, e1="1", e2="2", e3="3")
    with Client([grpc_proxy(etcd).endpoint]) as client, Watcher(client) as watcher:
        watcher.wait_until_connected()
        etcd.wipe()
        for _ in range(writes):
            put(etcd, e2="2")
        put(etcd, e2="3")
        watcher.wait_for_addresses(e2="3")
        put(etcd, e4="4")
        watcher.wait_for_addresses(e2="3", e4="4")


@pytest.mark.server
@pytest.mark.parametrize("writes", [0, 20], ids=["younger", "older"])
def test_stopped_watch_receives_deletions_when_etcd_was_wiped_behind_a_proxy(
    own_etcd: Callable[..., Etcd], grpc_proxy: Callable[..., Proxy], writes: int
) -> None:
    """The proxy keeps the stream and sends events of the new etcd on it."""
    etcd = own_etcd()
    put(etcd, e1="1", e2="2", e3="3")
    with WatchingProcess(grpc_proxy(etcd).endpoint, idle=1) as watching:
        watching.reported_until("first")
        watching.states_until("connected")
        watching.stop()
        etcd.wipe()
        for _ in range(writes):
            put(etcd, e4="0")
        put(etcd, e2="2", e4="4")
        watching.go_on()
        reported = watching.reported_until("DELETE svc/e3 3 resync")
        put(etcd, end="0")
        reported += watching.reported_until("ADD svc/end 0")
    gone = [line for line in reported if line.startswith("DELETE")]
    assert gone == ["DELETE svc/e1 1 resync", "DELETE svc/e3 3 resync"]
    assert dict(line.split()[1:3] for line in reported if line not in gone) == {
        "svc/e2": "2",
        "svc/e4": "4",
        "svc/end": "0",
    }


@pytest.mark.server
@pytest.mark.usefixtures("impatient")
def test_watch_detects_a_wipe_behind_a_proxy_while_it_receives_many_events(
    own_etcd: Callable[..., Etcd], grpc_proxy: Callable[..., Proxy]
) -> None:
    """A stream that is never silent may still come from another history."""
    etcd = own_etcd()
    put(etcd, e1="1", e2="2", e3="3")
    with Client([grpc_proxy(etcd).endpoint]) as client, Watcher(client) as watcher:
        watcher.wait_until_connected()
        etcd.wipe()
        with writing(etcd):
            watcher.wait_until(lambda watcher: set(watcher.replayed) == {"svc/e2"})


@contextmanager
def writing(etcd: Etcd) -> Iterator[None]:
    """Change svc/e2 continuously."""
    done = threading.Event()

    def write() -> None:
        n = 0
        while not done.is_set():
            etcd.put_all({b"svc/e2": stored(str(n := n + 1)).encode()})

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def test_watch_backs_off_while_etcd_is_compacted_continuously(
    own_etcd: Callable[..., Etcd],
) -> None:
    """The watch has all endpoints at the end."""
    etcd = own_etcd()
    calm = threading.Event()
    storm = threading.Thread(target=compact_until, args=(calm, etcd.endpoint))
    storm.start()
    try:
        with (
            Relay(etcd.endpoint) as relay,
            Client([relay.endpoint]) as client,
            Watcher(client) as watcher,
        ):
            calm.wait(5)
            assert relay.streams < 30
            calm.set()
            storm.join()
            put(etcd, e1="end")
            watcher.wait_for_addresses(e1="end")
    finally:
        calm.set()


def compact_until(calm: threading.Event, endpoint: str) -> None:
    """Write and compact hundreds of times per second until *calm* is set."""
    with closing(HTTPConnection(endpoint)) as connection:
        while not calm.is_set():
            key, value = (b64encode(text.encode()).decode() for text in ("svc/e1", stored("1")))
            header = post(connection, "put", {"key": key, "value": value})["header"]
            post(connection, "compaction", {"revision": header["revision"]})


def post(connection: HTTPConnection, method: str, message: object) -> Any:
    """Call *method* of etcd's JSON gateway, and return the answer."""
    connection.request("POST", f"/v3/kv/{method}", json.dumps(message))
    return json.load(connection.getresponse())


@pytest.mark.server
@pytest.mark.parametrize(
    "flags",
    [
        pytest.param((), id="log"),
        pytest.param(("--snapshot-count=50",), id="snapshot", marks=pytest.mark.long),
    ],
)
def test_watch_resumes_correctly_on_a_member_that_lags_behind(
    programs: Programs, flags: tuple[str, ...]
) -> None:
    """The member was frozen during many writes, and catches up while the watch uses it."""
    with closing(Cluster(programs, *flags)) as cluster:
        cluster.start()
        put(cluster, e1="1", e2="2")
        lagging, other = cluster.followers()
        leader = cluster.leader()
        endpoints = [other.endpoint, lagging.endpoint, leader.endpoint]
        with Client(endpoints) as client, Watcher(client) as watcher:
            watcher.wait_until_connected()
            assert watcher.states[-1][1].detail == other.endpoint
            lagging.freeze()
            for n in range(200):  # more than fits into the socket buffers of the frozen member
                long = stored(f"{n:0600}").encode()
                leader.put_all({b"svc/%d" % each: long for each in range(128)})
            leader.delete("svc/e1")
            watcher.wait_until(lambda watcher: "svc/e1" not in watcher.replayed, 60)
            reported = len(watcher.batches)
            lagging.thaw()
            other.kill()
            watcher.wait_until(lambda watcher: watcher.connections == [True, False, True], 60)
            assert watcher.states[-1][1].detail == lagging.endpoint
            wait_until(lambda: lagging.revision() == leader.revision(), 60)
            leader.put("svc/end", stored("0"))
            watcher.wait_until(lambda watcher: "svc/end" in watcher.replayed, 60)
            assert watcher.reported[-1] == ("ADD", "svc/end", "0")
            assert len(watcher.batches) == reported + 1
