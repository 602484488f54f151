"""A watch when connections to etcd fail and come back: no change is missed or delivered twice."""

from __future__ import annotations

import gc
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import grpc
import pytest
from harness import AT_ONCE, TIMEOUT, Certificates, Cluster, Etcd, wait_until
from harness.relay import (
    Answers,
    Relay,
    broken,
    cut_off_when,
    only_accepted,
    passed_on,
    refused,
    silent,
    unheard,
)
from harness.resources import connections, descriptors, resident
from harness.watcher import Watcher, put

from etcdnaming.endpoints.manager import EndpointManager
from etcdnaming.errors import ClientClosedError, ConnectionFailedError, RefusedError
from etcdnaming.etcd import Client, deadline, range_watch_loop, rpc, threads, watcher
from etcdnaming.etcd.range_watch_loop import RangeWatchLoop
from etcdnaming.etcd.watcher import Watcher as ClientWatcher
from etcdnaming.model import Endpoint, Update

NOWHERE = "127.0.0.1:1"


@pytest.fixture
def black_hole() -> Iterator[str]:
    """A server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        yield f"127.0.0.1:{silent.getsockname()[1]}"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Verify streams every second, and wait two seconds for missing events."""
    assert (range_watch_loop.VERIFY_INTERVAL, range_watch_loop.DELIVERY_TIMEOUT) == (30, 5)
    assert watcher.CREATE_TIMEOUT == 5
    monkeypatch.setattr(range_watch_loop, "VERIFY_INTERVAL", 1)
    monkeypatch.setattr(range_watch_loop, "DELIVERY_TIMEOUT", 2)
    monkeypatch.setattr(watcher, "CREATE_TIMEOUT", 2)


@pytest.mark.server
@pytest.mark.parametrize("end", [Etcd.kill, Etcd.stop], ids=["kill", "stop"])
def test_watch_misses_no_change_when_etcd_restarts(
    own_etcd: Callable[..., Etcd], end: Callable[[Etcd], None]
) -> None:
    """One state reports the lost connection, another one the new connection."""
    etcd = own_etcd()
    put(etcd, e1="1")
    with Client([etcd.endpoint]) as client, Watcher(client) as watcher:
        watcher.wait_until_connected()
        put(etcd, e2="2")
        end(etcd)
        watcher.wait_until(lambda watcher: not watcher.connected)
        etcd.start()
        put(etcd, e3="3")
        etcd.delete("svc/e1")
        watcher.wait_for_addresses(e2="2", e3="3").wait_until_connected()
        assert watcher.reported == [
            ("ADD", "svc/e2", "2"),
            ("ADD", "svc/e3", "3"),
            ("DELETE", "svc/e1", "1"),
        ]
        assert watcher.connections == [True, False, True]
        assert not any(batch.resync for batch in watcher.batches)


@pytest.mark.server
def test_watch_delivers_the_first_batch_when_etcd_starts_after_it(
    own_etcd: Callable[..., Etcd],
) -> None:
    """The reason is reported first, and then all endpoints come."""
    etcd = own_etcd()
    put(etcd, e1="1")
    etcd.kill()
    with Client([etcd.endpoint], dial_timeout=1) as client, Watcher(client) as watcher:
        watcher.wait_until(lambda watcher: watcher.states)
        assert "connection refused" in watcher.states[0][1].detail
        etcd.start()
        watcher.wait_for_addresses(e1="1").wait_until_connected()
        assert watcher.connections == [False, True]
        assert watcher.batches[0].first


@pytest.mark.server
@pytest.mark.parametrize("excuse", ["etcdserver: leader changed", "etcdserver: too many requests"])
def test_watch_keeps_trying_while_etcd_returns_temporary_errors(etcd: Etcd, excuse: str) -> None:
    """A temporary error does not end the watch."""
    put(etcd, e1="1")
    with (
        Relay(etcd.endpoint) as relay,
        Client([relay.endpoint], dial_timeout=0.5, command_timeout=0.5) as client,
    ):
        relay.excuse = excuse
        with Watcher(client) as watcher:
            watcher.wait_until(lambda watcher: watcher.connections == [False])
            relay.excuse = ""
            watcher.wait_for_addresses(e1="1").wait_until_connected()


@pytest.mark.server
def test_watch_fails_immediately_when_the_server_is_not_etcd() -> None:
    """A retry would not help when the port is wrong."""
    with some_other_server() as endpoint, Client([endpoint]) as client, Watcher(client) as watcher:
        assert isinstance(watcher.wait_for_error(), RefusedError)


@contextmanager
def some_other_server() -> Iterator[str]:
    """Run a gRPC server without services, and yield its endpoint."""
    server = grpc.server(ThreadPoolExecutor(1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None).wait()


@pytest.mark.server
def test_watch_uses_new_certificates_when_it_reconnects(
    secure_etcd: Callable[..., Etcd], certificates: Certificates
) -> None:
    """The files are read again, even if another CA signed the new certificates."""
    etcd = secure_etcd(mutual=True)
    with (
        Client(
            [f"https://{etcd.endpoint}"],
            cacert=str(certificates.ca),
            cert=str(certificates.client.cert),
            key=str(certificates.client.key),
        ) as client,
        Watcher(client) as watcher,
    ):
        watcher.wait_until_connected()
        etcd.stop()
        certificates.renew()
        etcd.start()
        put(etcd, e1="1")
        watcher.wait_for_addresses(e1="1")
        assert watcher.wait_until_connected().connections == [True, False, True]


@pytest.mark.usefixtures("impatient")
def test_watch_detects_a_frozen_etcd_on_a_channel_without_keepalive(
    own_etcd: Callable[..., Etcd],
) -> None:
    """On a channel that the caller provides, the periodic check of the stream detects it."""
    etcd = own_etcd()
    with (
        grpc.insecure_channel(etcd.endpoint) as channel,
        Client(channel=channel, command_timeout=1) as client,
        Watcher(client) as watcher,
    ):
        watcher.wait_until_connected()
        etcd.freeze()
        watcher.wait_until(lambda watcher: not watcher.connected)
        etcd.thaw()
        put(etcd, e1="1")
        watcher.wait_for_addresses(e1="1")


def test_watch_uses_little_cpu_time_while_etcd_is_down(own_etcd: Callable[..., Etcd]) -> None:
    """The limit is 5% of a core, with one report of the lost connection."""
    etcd = own_etcd()
    with Client([etcd.endpoint]) as client, Watcher(client) as watcher:
        watcher.wait_until_connected()
        etcd.kill()
        watcher.wait_until(lambda watcher: not watcher.connected)
        start, used = time.monotonic(), time.process_time()
        time.sleep(4)  # the CPU time of this period is measured
        share = (time.process_time() - used) / (time.monotonic() - start)
        etcd.start()
        watcher.wait_until_connected()
        assert watcher.connections == [True, False, True]
        assert share < 0.05


@pytest.mark.parametrize("where", ["refused", "black hole", "frozen", "frozen later"])
def test_watch_close_returns_immediately_when_etcd_does_not_answer(
    own_etcd: Callable[..., Etcd], black_hole: str, where: str
) -> None:
    """The watch waits for a connection or an answer, and its threads end with the client."""
    etcd = own_etcd()
    endpoint = {"refused": NOWHERE, "black hole": black_hole}.get(where, etcd.endpoint)
    threads = threading.active_count()
    with Client([endpoint], dial_timeout=60, command_timeout=60) as client:
        if where == "frozen":
            etcd.freeze()
        watcher = Watcher(client)
        if where == "frozen later":
            watcher.wait_until_connected()
            etcd.freeze()
        time.sleep(0.5)  # somewhere during a connection attempt
        watcher.close()
        assert watcher.ended.is_set()
    wait_until(lambda: threading.active_count() <= threads)


def test_watch_close_interrupts_a_pause_between_attempts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pause would last ten minutes."""
    pauses = note_pauses(monkeypatch, 600)
    threads = threading.active_count()
    with Client([NOWHERE], dial_timeout=0.1) as client:
        watcher = Watcher(client)
        wait_until(lambda: pauses)
        watcher.close()
    wait_until(lambda: threading.active_count() <= threads)


def note_pauses(monkeypatch: pytest.MonkeyPatch, seconds: float) -> list[float]:
    """Let each pause last *seconds*, and return a list that grows by the limit of each pause."""
    limits: list[float] = []

    def uniform(_: float, limit: float) -> float:
        limits.append(limit)
        return seconds

    monkeypatch.setattr("random.uniform", uniform)
    return limits


@pytest.mark.server
def test_watch_fails_when_its_client_was_closed_and_its_stream_breaks(etcd: Etcd) -> None:
    """A watch of a closed client can't be resumed."""
    cut = threading.Event()
    with Relay(etcd.endpoint, cut_off_when(cut)) as relay:
        with Client([relay.endpoint]) as client:
            watcher = Watcher(client).wait_until_connected()
        assert not watcher.ended.is_set()  # closing the client does not end a running stream
        cut.set()
        assert isinstance(watcher.wait_for_error(), ClientClosedError)


@pytest.mark.parametrize(
    "treatment",
    [
        pytest.param(broken, id="broken"),
        pytest.param(only_accepted, id="accepted and broken"),
        pytest.param(refused(""), id="refused by a proxy"),
        pytest.param(refused("etcdserver: too many requests", 0), id="refused by etcd"),
    ],
)
def test_watch_backs_off_when_its_stream_fails_repeatedly(
    etcd: Etcd, treatment: Callable[[Answers], Answers], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pauses increase, and no change is missed when the streams work again."""
    monkeypatch.setattr(range_watch_loop, "MAX_WATCH_PAUSE", 1)
    with (
        Relay(etcd.endpoint, treatment) as relay,
        Client([relay.endpoint]) as client,
        Watcher(client) as watcher,
    ):
        watcher.wait_until(lambda watcher: watcher.states)
        time.sleep(3)  # the streams of this period are counted
        wait_until(lambda: relay.streams > 2)
        assert relay.streams < 25
        put(etcd, e1="1")
        etcd.delete("svc/e1")
        relay.treatments[:] = [passed_on]
        put(etcd, e2="2")
        watcher.wait_for_addresses(e2="2")
        assert watcher.reported == [
            ("ADD", "svc/e1", "1"),
            ("DELETE", "svc/e1", "1"),
            ("ADD", "svc/e2", "2"),
        ]


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("treatment", [broken, unheard])
def test_watch_moves_to_another_member_when_one_ends_its_streams_or_accepts_none(
    etcd: Etcd, treatment: Callable[[Answers], Answers]
) -> None:
    """The member answers everything else, and the streams end without an error."""
    with (
        Relay(etcd.endpoint, treatment) as relay,
        Client([relay.endpoint, etcd.endpoint]) as client,
        Watcher(client) as watcher,
    ):
        watcher.wait_until_connected()
        assert watcher.states[-1][1].detail == etcd.endpoint
        assert relay.streams


def test_watch_reconnects_without_a_pause_when_a_stable_stream_breaks(
    etcd: Etcd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Earlier failures no longer count after a stable stream."""
    pauses = note_pauses(monkeypatch, 0.01)
    monkeypatch.setattr(deadline, "STABLE_AFTER", 0.2)
    cut = threading.Event()
    with (
        Relay(etcd.endpoint, *[broken] * 12, cut_off_when(cut), passed_on) as relay,
        Client([relay.endpoint]) as client,
        Watcher(client) as watcher,
    ):
        watcher.wait_until_connected()
        put(etcd, e1="1")
        time.sleep(0.3)
        assert pauses[-1] == range_watch_loop.MAX_WATCH_PAUSE
        pauses.clear()
        cut.set()
        watcher.wait_for_addresses(e1="1").wait_until_connected()
        assert pauses == []


@pytest.mark.usefixtures("impatient")
def test_watch_leaves_a_silent_stream_when_a_change_is_missing(etcd: Etcd) -> None:
    """The watch keeps the stream as long as the target does not change."""
    with (
        Relay(etcd.endpoint, silent, passed_on) as relay,
        Client([relay.endpoint]) as client,
        Watcher(client) as watcher,
    ):
        watcher.wait_until_connected()
        etcd.put("other", "x")
        time.sleep(2.5)
        assert relay.streams == 1
        put(etcd, e1="1")
        watcher.wait_for_addresses(e1="1")
        assert watcher.reported == [("ADD", "svc/e1", "1")]
        assert not watcher.batches[-1].resync
        assert relay.streams == 2


@pytest.mark.usefixtures("impatient")
def test_watch_reads_nothing_when_the_stream_that_it_leaves_has_delivered_a_change(
    etcd: Etcd,
) -> None:
    """Only two streams in a row that bring nothing are worth another reading."""

    def first_change(answers: Answers) -> Answers:
        yield next(answers)
        changes = next(answers)
        del changes.events[1:]
        yield changes
        for _ in answers:
            pass

    with (
        Relay(etcd.endpoint, silent, first_change, passed_on) as relay,
        Client([relay.endpoint]) as client,
        Watcher(client) as watcher,
    ):
        watcher.wait_until_connected()
        put(etcd, e1="1")
        put(etcd, e2="2")
        watcher.wait_for_addresses(e1="1", e2="2")
        assert relay.streams >= 3
        assert not any(batch.resync for batch in watcher.batches)


@pytest.mark.server
@pytest.mark.usefixtures("impatient")
def test_watch_reads_the_range_when_no_stream_delivers_its_changes(etcd: Etcd) -> None:
    """After a second incomplete stream, the watch reads the endpoints and opens no third one."""
    with (
        Relay(etcd.endpoint, silent) as relay,
        Client([relay.endpoint]) as client,
        Watcher(client) as watcher,
    ):
        watcher.wait_until_connected()
        for streams, addr in (2, "1"), (3, "2"):
            put(etcd, e1=addr)
            watcher.wait_for_addresses(e1=addr)
            assert relay.streams in {streams, streams + 1}  # the next stream may have started
            assert watcher.batches[-1].resync
        put(etcd, e2="1")
        watcher.wait_for_addresses(e1="2", e2="1")
        assert "are not delivered" in watcher.states[1][1].detail


@pytest.mark.server
@pytest.mark.usefixtures("impatient")
def test_watch_leaves_a_stream_that_is_not_accepted_in_time(etcd: Etcd) -> None:
    """etcd has a limited time to accept a watch."""
    with (
        Relay(etcd.endpoint, unheard, passed_on) as relay,
        Client([relay.endpoint]) as client,
        Watcher(client) as watcher,
    ):
        put(etcd, e1="1")
        watcher.wait_for_addresses(e1="1").wait_until_connected()
        assert "does not begin" in watcher.states[0][1].detail


def test_watch_delivers_a_response_once_when_its_first_part_came_twice(etcd: Etcd) -> None:
    """Fragments are delivered when the last one is received, which comes on another stream here."""
    revision = etcd.revision() + 1
    metadata = "x" * 60_000
    for n in range(60):
        etcd.put(f"svc/{n}", f'{{"Addr":"1","Metadata":"{metadata}"}}')

    def cut_short(answers: Answers) -> Answers:
        yield next(answers)
        fragment = next(answers)
        assert fragment.fragment
        yield fragment

    with (
        Relay(etcd.endpoint, cut_short, passed_on) as relay,
        Client([relay.endpoint]) as client,
        Watcher(client, revision=revision) as watcher,
    ):
        watcher.wait_until(lambda watcher: len(watcher.replayed) == 60)
        assert len(watcher.changes) == 60
        assert relay.streams == 2


def test_watch_delivers_the_changes_of_a_stream_that_ended_before_it_was_verified(
    etcd: Etcd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy may keep no stream for long enough: this one brings a change, the others nothing."""
    monkeypatch.setattr(threads, "MAX_THREADS", 1)
    ended = threading.Event()

    def one_answer(answers: Answers) -> Answers:
        yield next(answers)
        yield next(answers)

    revision = etcd.revision() + 1
    put(etcd, e1="1")
    with Relay(etcd.endpoint, one_answer, broken) as relay, Client([relay.endpoint]) as client:
        before, after = Waiting(), Waiting()
        own = ClientWatcher.of(client).executor
        own.wake(before)
        monkeypatch.setattr(RangeWatchLoop, "_ended", _then(RangeWatchLoop, "_ended", ended.set))
        with Watcher(client, revision=revision) as watcher:
            own.wake(after)  # its step comes after the one that opens the stream
            before.released.set()
            assert ended.wait(TIMEOUT)
            after.released.set()
            watcher.wait_for_addresses(e1="1")
            watcher.wait_until(lambda watcher: watcher.connections == [True, False])


class Waiting:
    """A task that waits until it is released."""

    def __init__(self) -> None:
        self.released = threading.Event()

    def step(self) -> None:
        """Wait."""
        assert self.released.wait(TIMEOUT)


def _then(owner: type, name: str, call: Callable[[], None]) -> Callable[..., object]:
    """Return the method *name* of *owner*, which then also calls *call*."""
    method = getattr(owner, name)

    def called(self: object, *args: object) -> object:
        result = method(self, *args)
        call()
        return result

    return called


def test_watch_reads_the_range_when_the_parts_of_a_change_have_no_end(
    etcd: Etcd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hostile proxy must not fill the memory, and a watch that fails must not be silent."""
    monkeypatch.setattr(range_watch_loop, "MAX_INCOMPLETE_BYTES", 1 << 20)
    put(etcd, e1="1")
    revision = etcd.revision() + 1
    sent = 0

    def endless(answers: Answers) -> Answers:
        nonlocal sent
        yield rpc.WatchResponse(created=next(answers).created)
        while sent < 100 << 20:
            kv = rpc.KeyValue(key=b"svc/e%d" % sent, value=bytes(10_000), mod_revision=revision)
            yield rpc.WatchResponse(events=[rpc.Event(kv=kv)], fragment=True)
            sent += 10_000

    with (
        Relay(etcd.endpoint, endless, passed_on) as relay,
        Client([relay.endpoint]) as client,
        Watcher(client) as watcher,
    ):
        watcher.wait_until(lambda watcher: watcher.connections == [True, False, True])
        assert "more than 1 MiB of one change" in watcher.states[1][1].detail
        assert sent < 50 << 20
        put(etcd, e2="2")
        watcher.wait_for_addresses(e1="1", e2="2")
        assert watcher.reported == [("ADD", "svc/e2", "2")]


def test_watch_delivers_a_complete_revision_before_the_last_fragment(etcd: Etcd) -> None:
    """Only the revision that may be incomplete waits for the rest, however many there are."""
    more = threading.Event()

    def in_fragments(answers: Answers) -> Answers:
        yield rpc.WatchResponse(created=next(answers).created)
        events = [event for answer in (next(answers), next(answers)) for event in answer.events]
        yield rpc.WatchResponse(events=events, fragment=True)
        more.wait(30)
        yield rpc.WatchResponse(events=events[-1:])  # the fragment before is repeated in part

    with (
        Relay(etcd.endpoint, in_fragments, passed_on) as relay,
        Client([relay.endpoint]) as client,
        Watcher(client) as watcher,
    ):
        watcher.wait_until_connected()
        put(etcd, e1="1", e2="2")
        watcher.wait_for_addresses(e1="1")
        more.set()
        watcher.wait_for_addresses(e1="1", e2="2")
        assert watcher.reported == [("ADD", "svc/e1", "1"), ("ADD", "svc/e2", "2")]


@pytest.mark.parametrize("fragment", [True, False], ids=["fragments", "responses"])
def test_watch_delivers_each_change_once_when_a_revision_comes_in_parts(
    etcd: Etcd, fragment: bool
) -> None:
    """Marked fragments are delivered in one batch."""
    keys = [f"svc/{n}" for n in range(4)]

    def in_parts(answers: Answers) -> Answers:
        for answer in answers:
            for event in answer.events[:-1]:
                yield rpc.WatchResponse(events=[event], fragment=fragment)
            yield rpc.WatchResponse(created=answer.created, events=answer.events[-1:])
            yield rpc.WatchResponse(events=answer.events)  # a proxy may repeat events

    with (
        Relay(etcd.endpoint, in_parts) as relay,
        Client([relay.endpoint]) as client,
        Watcher(client) as watcher,
    ):
        watcher.wait_until_connected()
        manager = EndpointManager(client, "svc")
        manager.update([Update.add(key, Endpoint("1")) for key in keys])
        manager.update(
            [*map(Update.delete, keys[:2]), *(Update.add(key, Endpoint("2")) for key in keys[2:])]
        )
        watcher.wait_until(lambda watcher: len(watcher.changes) == 8)
        put(etcd, end="0")
        watcher.wait_until(lambda watcher: "svc/end" in watcher.replayed)
        assert sorted(watcher.reported[:8]) == sorted(
            [("ADD", key, "1") for key in keys]
            + [("DELETE", key, "1") for key in keys[:2]]
            + [("ADD", key, "2") for key in keys[2:]]
        )
        assert watcher.reported[8:] == [("ADD", "svc/end", "0")]
        assert len(watcher.batches) == 1 + (2 if fragment else 8) + 1
        assert (watcher.connections, relay.streams) == ([True], 1)


@pytest.mark.server
def test_watch_delivers_no_change_of_an_earlier_revision(etcd: Etcd) -> None:
    """The stream begins with an event that is older than the first batch."""

    def with_the_past(answers: Answers) -> Answers:
        yield next(answers)
        yield rpc.WatchResponse(
            events=[rpc.Event(kv=rpc.KeyValue(key=b"svc/e1", value=b"{}", mod_revision=1))]
        )
        yield from answers

    put(etcd, e1="1")
    with (
        Relay(etcd.endpoint, with_the_past) as relay,
        Client([relay.endpoint]) as client,
        Watcher(client) as watcher,
    ):
        watcher.wait_until_connected()
        put(etcd, e2="2")
        watcher.wait_for_addresses(e1="1", e2="2")
        assert watcher.reported == [("ADD", "svc/e2", "2")]


@pytest.mark.parametrize(
    "times",
    [100, pytest.param(3000, marks=[pytest.mark.long, pytest.mark.timeout(400)])],
)
def test_watch_leaves_nothing_behind_when_it_reconnects_many_times(
    etcd: Etcd, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    """Threads, connections and memory do not grow, and need no garbage collector for it."""
    monkeypatch.setattr(range_watch_loop, "MAX_WATCH_PAUSE", 0.01)
    cut = threading.Event()
    breaks = [only_accepted] * 100
    with (
        Relay(
            etcd.endpoint, *breaks, cut_off_when(cut), *[only_accepted] * times, passed_on
        ) as relay,
        Client([relay.endpoint]) as client,
        Watcher(client),
    ):
        port = int(relay.endpoint.rpartition(":")[2])
        wait_until(lambda: relay.streams == 101, 60)
        with without_garbage_collector():
            wait_until(lambda: connections(port) <= 2)
            threads, memory = len(client_threads()), resident()
            cut.set()
            wait_until(lambda: relay.streams == times + 102, max(60, times / 10))
            with suppress(AssertionError):  # the next ones say more
                wait_until(lambda: len(client_threads()) <= threads + 5 and connections(port) <= 2)
            assert len(client_threads()) <= threads + 5, client_threads()
            assert connections(port) <= 2
        assert resident() - memory < 8 << 20  # up to 5 MiB are buffers, at any number of times


def test_failed_calls_leave_no_connection_without_a_garbage_collector(etcd: Etcd) -> None:
    """A member that fails is left at once, and its connection with it."""
    with Relay(etcd.endpoint) as relay, without_garbage_collector():
        relay.excuse = "connection lost"
        for _ in range(3):
            with Client([relay.endpoint], dial_timeout=0.1, command_timeout=0.2) as client:
                for _ in range(3):
                    with pytest.raises(ConnectionFailedError):
                        EndpointManager(client, "svc").list()
        wait_until(lambda: connections(int(relay.endpoint.rpartition(":")[2])) == 0)


@contextmanager
def without_garbage_collector() -> Iterator[None]:
    """Run the block with reference counts alone."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def client_threads() -> list[str]:
    """Return the names of the threads, without those of the relay, whose pool only grows."""
    names = (thread.name for thread in threading.enumerate())
    return [name for name in names if not name.startswith("ThreadPoolExecutor")]


def test_closed_watches_leave_no_file_descriptors_and_memory(etcd: Etcd) -> None:
    """A watch is closed immediately, while it starts, or once it has delivered a batch."""
    with Client([etcd.endpoint]) as client:
        manager = EndpointManager(client, "svc")
        watched(manager, 30)
        files, memory = descriptors(), resident()
        watched(manager, 300)
        assert resident() - memory < 2 << 20
        wait_until(lambda: descriptors() <= files)
    for _ in range(60):
        with Client([etcd.endpoint]) as client:
            watched(EndpointManager(client, "svc"), 3)
    wait_until(lambda: descriptors() <= files + 10)  # gRPC closes connections with a delay


def watched(manager: EndpointManager, times: int) -> None:
    """Start and close a watch *times* times."""
    for n in range(times):
        with manager.watch() as watch:
            watch.get((None, 0.005, 0)[n % 3])


@pytest.mark.server
@pytest.mark.long
def test_watch_misses_no_change_when_etcd_is_frozen(own_etcd: Callable[..., Etcd]) -> None:
    """etcd keeps its connections open for 20 s, but does not answer."""
    etcd = own_etcd()
    with Client([etcd.endpoint]) as client, Watcher(client) as watcher:
        watcher.wait_until_connected()
        put(etcd, e1="1")
        watcher.wait_for_addresses(e1="1")
        frozen = time.monotonic()
        etcd.freeze()
        write = threading.Thread(target=put, args=(etcd,), kwargs={"e2": "2"})
        write.start()
        watcher.wait_until(lambda watcher: not watcher.connected)
        assert watcher.states[-1][0] - frozen < 15 + AT_ONCE
        time.sleep(max(0, frozen + 20 - time.monotonic()))
        etcd.thaw()
        write.join()
        put(etcd, e3="3")
        watcher.wait_for_addresses(e1="1", e2="2", e3="3")
        assert watcher.reported == [("ADD", f"svc/e{n}", str(n)) for n in (1, 2, 3)]
        assert watcher.connections == [True, False, True]


@pytest.mark.server
@pytest.mark.parametrize("leads", [True, False], ids=["leader", "follower"])
@pytest.mark.parametrize(
    "end",
    [
        pytest.param(Etcd.kill, id="kill"),
        pytest.param(Etcd.freeze, id="freeze", marks=pytest.mark.long),
    ],
)
def test_watch_moves_to_another_member_within_15_s(
    cluster: Cluster, end: Callable[[Etcd], None], leads: bool
) -> None:
    """The member that sends the events is killed or frozen."""
    leader, [first, second] = cluster.leader(), cluster.followers()
    mine, others = (leader, [first, second]) if leads else (first, [second, leader])
    with (
        Client([each.endpoint for each in (mine, *others)]) as client,
        Watcher(client) as watcher,
    ):
        watcher.wait_until_connected()
        assert watcher.states[-1][1].detail == mine.endpoint
        put(others[0], e1="1")
        watcher.wait_for_addresses(e1="1")
        start = time.monotonic()
        end(mine)
        new = cluster.leader()
        put(new, e2="2")
        new.delete("svc/e1")
        watcher.wait_for_addresses(e2="2")
        assert time.monotonic() - start < 15 + AT_ONCE
        assert watcher.reported[1:] == [("ADD", "svc/e2", "2"), ("DELETE", "svc/e1", "1")]
        assert watcher.wait_until_connected().connections == [True, False, True]


@pytest.mark.server
@pytest.mark.long
def test_watch_reconnects_when_a_cluster_has_a_leader_again(cluster: Cluster) -> None:
    """A watch that starts without a leader connects, too."""
    mine, *others = cluster.members
    with Client([mine.endpoint]) as client, Watcher(client) as watcher:
        watcher.wait_until_connected()
        for member in others:
            member.freeze()
        watcher.wait_until(lambda watcher: not watcher.connected)
        with Watcher(client) as late:
            late.wait_until(lambda late: late.connections == [False])
            for member in others:
                member.thaw()
            cluster.leader()
            put(cluster, e1="1")
            for each in (watcher, late):
                each.wait_for_addresses(e1="1")
