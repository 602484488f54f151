"""A watch of an etcd that has forgotten what it told, or never knew it."""

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
    """An etcd with three endpoints, and a watcher that knows them and is stopped."""
    etcd = own_etcd()
    put(etcd, e1="1", e2="2", e3="3")
    with WatchingProcess(etcd.endpoint) as watching:
        watching.told_until("first")
        watching.states_until("connected")
        watching.stop()
        yield etcd, watching


def change_three(etcd: Etcd) -> None:
    """Make one change of each kind, and some more that leave no trace."""
    put(etcd, e2="4", e4="4", gone="5")
    etcd.delete("svc/e1")
    etcd.delete("svc/gone")
    put(etcd, e2="22")


@pytest.mark.server
def test_who_slept_is_told_every_change(asleep: Asleep) -> None:
    """As long as etcd has them all, as if it had been running."""
    etcd, watching = asleep
    change_three(etcd)
    etcd.kill()
    etcd.start()
    watching.go_on()
    assert watching.told_until("ADD svc/e2 22") == [
        "ADD svc/e2 4",
        "ADD svc/e4 4",
        "ADD svc/gone 5",
        "DELETE svc/e1 1",
        "DELETE svc/gone 5",
        "ADD svc/e2 22",
    ]
    put(etcd, end="0")
    assert watching.told_until("ADD svc/end 0") == ["ADD svc/end 0"]


@pytest.mark.server
def test_who_slept_through_a_compaction_is_told_the_differences(asleep: Asleep) -> None:
    """Exactly those, marked as such, what is gone first; then what happens."""
    etcd, watching = asleep
    etcd.kill()  # or it would send them to the socket of the stopped watcher
    etcd.start()
    change_three(etcd)
    etcd.ctl("compact", str(etcd.revision()))
    etcd.stop()
    etcd.start()
    watching.go_on()
    assert watching.told_until("ADD svc/e2 22 resync") == [
        "DELETE svc/e1 1 resync",
        "ADD svc/e4 4 resync",
        "ADD svc/e2 22 resync",
    ]
    put(etcd, end="0")
    assert watching.told_until("ADD svc/end 0") == ["ADD svc/end 0"]


@pytest.mark.server
@pytest.mark.parametrize("writes", [0, 20], ids=["younger", "older"])
def test_who_slept_while_etcd_was_wiped_is_told_what_is_gone(asleep: Asleep, writes: int) -> None:
    """And then the new: also when the new cluster has been written past the old one's revision."""
    etcd, watching = asleep
    before = etcd.revision()
    etcd.wipe()
    for _ in range(writes):
        put(etcd, e4="0")
    put(etcd, e2="2", e4="4")
    assert (etcd.revision() > before) == (writes > 0)
    watching.go_on()
    assert watching.told_until("ADD svc/e4 4 resync") == [
        "DELETE svc/e1 1 resync",
        "DELETE svc/e3 3 resync",
        "ADD svc/e2 2 resync",
        "ADD svc/e4 4 resync",
    ]
    put(etcd, end="0")
    assert watching.told_until("ADD svc/end 0") == ["ADD svc/end 0"]


@pytest.mark.server
def test_a_wiped_etcd_that_was_filled_in_the_same_way_is_another_one(
    own_etcd: Callable[..., Etcd],
) -> None:
    """As when all services start again, at other addresses: same keys, same revisions."""
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
        assert watcher.told == [("ADD", "svc/e1", "2")]
        assert watcher.batches[-1].revision == watcher.batches[0].revision


@pytest.mark.server
def test_a_wipe_between_the_proof_and_the_stream_is_seen(own_etcd: Callable[..., Etcd]) -> None:
    """What was proved before the stream began may be wrong when it does."""
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
        assert ("DELETE", "svc/e1", "1") in watcher.told
        put(etcd, e3="3")
        watcher.wait_for_addresses(e2="7", e3="3")


@pytest.mark.server
def test_a_compaction_while_cut_off_is_told_as_differences(own_etcd: Callable[..., Etcd]) -> None:
    """Without a disconnect, and with the revision of the read."""
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
def test_a_compaction_that_hides_nothing_is_not_told(own_etcd: Callable[..., Etcd]) -> None:
    """Others have written; the first revision asked for is no hindrance."""
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
def test_differences_are_not_told_before_the_revision_asked_for(
    own_etcd: Callable[..., Etcd],
) -> None:
    """Which is yet to come; but they count."""
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
        assert watcher.told == [("ADD", "svc/e3", "4")]
        assert watcher.changes[0].revision == 6


@pytest.mark.server
@pytest.mark.parametrize(
    ("revision", "held", "told"),
    [
        pytest.param(6, "4", "567", id="was there"),
        pytest.param(8, "6", "7", id="was yet to come"),
        pytest.param(7, "5", "", id="never came"),
    ],
)
def test_after_a_wipe_a_watch_from_a_revision_goes_on(
    own_etcd: Callable[..., Etcd], revision: int, held: str, told: str
) -> None:
    """The one it began with may never come again."""
    etcd = own_etcd()
    for addr in "12345":
        put(etcd, e1=addr)
    with (
        Client([etcd.endpoint]) as client,
        Watcher(client, revision=revision, held={"e1": held}) as watcher,
    ):
        watcher.wait_until_connected()
        for addr in "67" if told else "":
            put(etcd, e1=addr)
        watcher.wait_until(lambda watcher: "".join(each[2] for each in watcher.told) == told)
        etcd.wipe()
        put(etcd, e2="1")
        watcher.wait_for_addresses(e2="1")
        put(etcd, e3="1")
        watcher.wait_for_addresses(e2="1", e3="1")
        assert ("DELETE", "svc/e1", (held + told)[-1]) in watcher.told


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The watch reads from etcd every second."""
    monkeypatch.setattr(range_watch_loop, "VERIFY_INTERVAL", 1)
    monkeypatch.setattr(range_watch_loop, "DELIVERY_TIMEOUT", 2)


@pytest.mark.server
@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("writes", [0, 20], ids=["younger", "older"])
def test_a_wipe_behind_a_proxy_is_found(
    own_etcd: Callable[..., Etcd], grpc_proxy: Callable[..., Proxy], writes: int
) -> None:
    """The proxy keeps the stream open, silent or with what the new etcd has to tell."""
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
def test_who_slept_while_etcd_was_wiped_behind_a_proxy_is_told_what_is_gone(
    own_etcd: Callable[..., Etcd], grpc_proxy: Callable[..., Proxy], writes: int
) -> None:
    """Although the proxy keeps the stream and sends events of the new cluster on it."""
    etcd = own_etcd()
    put(etcd, e1="1", e2="2", e3="3")
    with WatchingProcess(grpc_proxy(etcd).endpoint, idle=1) as watching:
        watching.told_until("first")
        watching.states_until("connected")
        watching.stop()
        etcd.wipe()
        for _ in range(writes):
            put(etcd, e4="0")
        put(etcd, e2="2", e4="4")
        watching.go_on()
        told = watching.told_until("DELETE svc/e3 3 resync")
        put(etcd, end="0")
        told += watching.told_until("ADD svc/end 0")
    gone = [line for line in told if line.startswith("DELETE")]
    assert gone == ["DELETE svc/e1 1 resync", "DELETE svc/e3 3 resync"]
    assert dict(line.split()[1:3] for line in told if line not in gone) == {
        "svc/e2": "2",
        "svc/e4": "4",
        "svc/end": "0",
    }


@pytest.mark.server
@pytest.mark.usefixtures("impatient")
def test_a_wipe_behind_a_proxy_is_found_while_it_tells_much(
    own_etcd: Callable[..., Etcd], grpc_proxy: Callable[..., Proxy]
) -> None:
    """A stream that is never silent may come from another history all the same."""
    etcd = own_etcd()
    put(etcd, e1="1", e2="2", e3="3")
    with Client([grpc_proxy(etcd).endpoint]) as client, Watcher(client) as watcher:
        watcher.wait_until_connected()
        etcd.wipe()
        with writing(etcd):
            watcher.wait_until(lambda watcher: set(watcher.replayed) == {"svc/e2"})


@contextmanager
def writing(etcd: Etcd) -> Iterator[None]:
    """Change svc/e2 all the time."""
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


def test_compaction_all_the_time_makes_no_hot_loop(own_etcd: Callable[..., Etcd]) -> None:
    """And in the end all is known."""
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
    """Write, and make etcd forget what was before, hundreds of times a second."""
    with closing(HTTPConnection(endpoint)) as connection:
        while not calm.is_set():
            key, value = (b64encode(text.encode()).decode() for text in ("svc/e1", stored("1")))
            header = post(connection, "put", {"key": key, "value": value})["header"]
            post(connection, "compaction", {"revision": header["revision"]})


def post(connection: HTTPConnection, method: str, message: object) -> Any:
    """Call etcd's JSON gateway."""
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
def test_resuming_on_a_member_that_lags_tells_nothing_false(
    programs: Programs, flags: tuple[str, ...]
) -> None:
    """One that stood still while the others went far ahead, and learns it all while we listen."""
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
            for n in range(200):  # more than the frozen one's sockets hold, to be told at once
                long = stored(f"{n:0600}").encode()
                leader.put_all({b"svc/%d" % each: long for each in range(128)})
            leader.delete("svc/e1")
            watcher.wait_until(lambda watcher: "svc/e1" not in watcher.replayed, 60)
            told = len(watcher.batches)
            lagging.thaw()
            other.kill()
            watcher.wait_until(lambda watcher: watcher.connections == [True, False, True], 60)
            assert watcher.states[-1][1].detail == lagging.endpoint
            wait_until(lambda: lagging.revision() == leader.revision(), 60)
            leader.put("svc/end", stored("0"))
            watcher.wait_until(lambda watcher: "svc/end" in watcher.replayed, 60)
            assert watcher.told[-1] == ("ADD", "svc/end", "0")
            assert len(watcher.batches) == told + 1
