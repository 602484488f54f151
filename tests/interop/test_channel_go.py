"""
A channel behaves as Go's resolver does: each test is one row, run with each of them.

Both are driven alike, on a real etcd and real servers. Where we differ from Go on purpose, the test
has both answers, and says why.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import TypeAlias

import pytest
from harness import Etcd, wait_until
from harness.backends import Backends
from harness.callers import Caller, GoCaller, OurCaller
from harness.counting import CountingServers
from harness.go import MODULES, GoClient, build, has_go
from harness.relay import Relay, cut_off_when, passed_on
from harness.watcher import stored

from etcdnaming import Client, Endpoint, EndpointManager, Update

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(not has_go(), reason="needs Go"),
    pytest.mark.timeout(300),  # the first build of Go's client takes a minute or more
]

Dial: TypeAlias = Callable[[str], Caller]

GO = [
    pytest.param(
        version, marks=pytest.mark.against(f"Go's client/v3 {version}"), id=f"Go {version}"
    )
    for version in MODULES
]


@pytest.fixture(params=[*GO, pytest.param("", id="etcdnaming")])
def dial(request: pytest.FixtureRequest) -> Iterator[Dial]:
    """``dial(endpoint)``: a caller that follows ``svc`` in that etcd, of each kind."""
    with ExitStack() as stack:

        def dial(endpoint: str) -> Caller:
            caller: Caller
            if request.param:
                caller = GoCaller(GoClient(build(request.param), endpoint).command("ask", "svc"))
            else:
                caller = OurCaller(endpoint)
            return stack.enter_context(closing(caller))

        yield dial


@pytest.fixture
def caller(dial: Dial, etcd: Etcd) -> Caller:
    """Return a caller that follows ``svc``."""
    return dial(etcd.endpoint)


def address(bound: socket.socket) -> str:
    """Return the address of a socket."""
    host, port = bound.getsockname()
    return f"{host}:{port}"


def reaches(caller: Caller, *addrs: str) -> Callable[[], bool]:
    """Return a condition: calls reach these servers, and no others."""
    return lambda: set(caller.ask(2 * len(addrs) + 2)) == set(addrs)


def test_added_endpoint_gets_an_equal_share_of_the_calls(
    etcd: Etcd, caller: Caller, servers: CountingServers
) -> None:
    """Calls are spread by round_robin."""
    first, second = servers.start(2)
    etcd.put("svc/1", stored(first))
    assert caller.ask(10) == {first: 10}
    etcd.put("svc/2", stored(second))
    wait_until(reaches(caller, first, second))
    assert caller.ask(100) == {first: 50, second: 50}


def test_removed_endpoint_gets_no_new_calls_and_finishes_its_last_one(
    etcd: Etcd, caller: Caller
) -> None:
    """No call fails meanwhile."""
    with closing(Backends()) as backends:
        leaving, staying = backends().addr, backends().addr
        etcd.put("svc/1", stored(leaving))
        assert caller.ask() == {leaving: 1}
        slow = caller.call(name="Slow", request="2")
        with caller.load() as answers:
            etcd.put("svc/2", stored(staying))
            wait_until(reaches(caller, leaving, staying))
            etcd.delete("svc/1")
            wait_until(reaches(caller, staying))
            assert caller.ask(50) == {staying: 50}
        assert slow.result() == leaving
        assert set(answers) == {leaving, staying}


def test_endpoint_with_another_address_gets_its_calls_there(
    etcd: Etcd, caller: Caller, servers: CountingServers
) -> None:
    """The old connection is closed, and no call fails."""
    old, new = servers.start(2)
    etcd.put("svc/1", stored(old))
    assert caller.ask() == {old: 1}
    with caller.load() as answers:
        wait_until(lambda: answers[old])
        etcd.put("svc/1", stored(new))
        wait_until(reaches(caller, new))
        wait_until(lambda: len(servers.transports) == 1)
        assert caller.ask(50) == {new: 50}
    assert set(answers) == {old, new}


@pytest.mark.parametrize("metadata", ["null", '"text"', '{"version":2}', '{"zone":"a"}', "[1]"])
def test_connections_stay_when_metadata_changes(
    etcd: Etcd, caller: Caller, servers: CountingServers, metadata: str
) -> None:
    """Nor does it change the shares."""
    first, second, third = servers.start(3)
    etcd.put("svc/1", stored(first))
    etcd.put("svc/2", stored(second))
    wait_until(reaches(caller, first, second))
    etcd.put("svc/1", f'{{"Op":0,"Addr":"{first}","Metadata":{metadata}}}')
    etcd.put("svc/3", stored(third))  # once it is there, the change before it is, too
    wait_until(reaches(caller, first, second, third))
    assert caller.ask(60) == {first: 20, second: 20, third: 20}
    assert servers.accepted == {first: 1, second: 1, third: 1}


@pytest.mark.parametrize("metadata", ['{"weight":3}', '{"weight":0}', '{"draining":true}'])
def test_weight_and_draining_count_for_us_and_not_for_go(
    etcd: Etcd, caller: Caller, servers: CountingServers, metadata: str
) -> None:
    """
    Differs: Go's resolver drops metadata.

    Ours gives the members the meaning that they have for all clients of the bridge.
    """
    marked, plain, third = servers.start(3)
    etcd.put("svc/1", f'{{"Op":0,"Addr":"{marked}","Metadata":{metadata}}}')
    etcd.put("svc/2", stored(plain))
    etcd.put("svc/3", stored(third))
    drained = not caller.is_go and 'weight":3' not in metadata
    wait_until(reaches(caller, *([] if drained else [marked]), plain, third))
    answers = caller.ask(300)
    if caller.is_go:
        assert answers == {marked: 100, plain: 100, third: 100}
    elif drained:
        assert answers == {plain: 150, third: 150}
    else:
        assert 140 < answers[marked] < 220  # three fifths are 180; the choice is random


def test_set_that_becomes_empty_fails_plain_calls_at_once(
    etcd: Etcd, caller: Caller, servers: CountingServers
) -> None:
    """A call that waits for ready is sent when an endpoint is there again."""
    (addr,) = servers.start()
    etcd.put("svc/1", stored(addr))
    assert caller.ask() == {addr: 1}
    etcd.delete("svc/1")
    wait_until(lambda: caller.call(120).result() == "UNAVAILABLE")
    waiting = caller.call(wait_for_ready=True)
    assert caller.call(0.5, wait_for_ready=True).result() == "DEADLINE_EXCEEDED"
    assert not waiting.done()
    etcd.put("svc/1", stored(addr))
    assert waiting.result() == addr


def test_unknown_service_fails_plain_calls_at_once_for_us_and_at_their_deadline_for_go(
    etcd: Etcd, caller: Caller, servers: CountingServers
) -> None:
    """
    Differs for plain calls: Go's resolver reports nothing until the first endpoint is there.

    We know that the set is empty, and say so as for one that becomes empty: a call that can't
    succeed should not take all of its time. A call that waits for ready waits with both.
    """
    assert caller.call(1).result() == ("DEADLINE_EXCEEDED" if caller.is_go else "UNAVAILABLE")
    waiting = caller.call(wait_for_ready=True)
    assert caller.call(0.5, wait_for_ready=True).result() == "DEADLINE_EXCEEDED"
    assert not waiting.done()
    (addr,) = servers.start()
    etcd.put("svc/1", stored(addr))
    assert waiting.result() == addr


UNREADABLE = ["{", "", "[]", '{"Op":0,"Addr":5}', '{"Op":300,"Addr":"127.0.0.1:1"}']


@pytest.mark.parametrize("value", UNREADABLE)
def test_unreadable_value_leaves_the_other_endpoints_alone(
    etcd: Etcd, caller: Caller, servers: CountingServers, value: str
) -> None:
    """Before the first reading, and as a change."""
    first, second = servers.start(2)
    etcd.put("svc/0", value)
    etcd.put("svc/1", stored(first))
    assert caller.ask(10) == {first: 10}
    etcd.put("svc/3", value)
    etcd.put("svc/2", stored(second))
    wait_until(reaches(caller, first, second))
    assert caller.ask(20) == {first: 10, second: 10}


def test_endpoint_overwritten_by_an_unreadable_value_is_gone_for_us_and_stays_for_go(
    etcd: Etcd, caller: Caller, servers: CountingServers
) -> None:
    """
    Differs: Go skips the value, and calls an address that etcd has no more.

    A Go client that starts later does not call it either; we say the same at any time.
    """
    first, second, third = servers.start(3)
    etcd.put("svc/1", stored(first))
    etcd.put("svc/2", stored(second))
    wait_until(reaches(caller, first, second))
    etcd.put("svc/1", "{")
    etcd.put("svc/3", stored(third))
    wait_until(lambda: third in caller.ask(10))
    kept = [first] if caller.is_go else []
    wait_until(reaches(caller, *kept, second, third))


@pytest.mark.parametrize(
    "value",
    [
        stored("[fe80::1%no-such-interface]:80"),
        stored("127.0.0.1:99999"),
        stored("unix:/run/no-such.sock"),
        stored("no-such-name.invalid:80"),
        stored("127.0.0.1"),
        stored(""),
        "null",
    ],
)
def test_endpoint_that_can_not_be_dialled_costs_the_others_no_call(
    etcd: Etcd, caller: Caller, servers: CountingServers, value: str
) -> None:
    """It is there before the good ones, and while they change."""
    first, second = servers.start(2)
    etcd.put("svc/0", value)
    etcd.put("svc/1", stored(first))
    assert caller.ask(4) == {first: 4}
    with caller.load() as answers:
        wait_until(lambda: answers[first])
        etcd.put("svc/2", stored(second))
        wait_until(reaches(caller, first, second))
        assert set(caller.ask(50)) == {first, second}
    assert set(answers) == {first, second}


def test_plain_call_fails_and_another_waits_while_all_endpoints_refuse(
    etcd: Etcd, caller: Caller, servers: CountingServers, dead: socket.socket
) -> None:
    """The one that waits for ready goes to a live endpoint that appears."""
    etcd.put("svc/1", stored(address(dead)))
    waiting = caller.call(wait_for_ready=True)
    assert caller.call(120).result() == "UNAVAILABLE"
    assert not waiting.done()
    (live,) = servers.start()
    etcd.put("svc/2", stored(live))
    assert waiting.result() == live


@pytest.mark.parametrize("wait_for_ready", [False, True])
def test_call_that_waits_for_a_silent_endpoint_goes_to_a_live_one_that_appears(
    etcd: Etcd, caller: Caller, servers: CountingServers, dead: socket.socket, wait_for_ready: bool
) -> None:
    """Whether or not it waits for ready."""
    dead.listen()
    etcd.put("svc/1", stored(address(dead)))
    waiting = caller.call(wait_for_ready=wait_for_ready)
    with dead.accept()[0]:  # dialled
        assert not waiting.done()
        (live,) = servers.start()
        etcd.put("svc/2", stored(live))
        assert waiting.result() == live


def test_calls_go_on_while_etcd_is_away_and_changes_are_followed_afterwards(
    own_etcd: Callable[[], Etcd], dial: Dial, servers: CountingServers
) -> None:
    """Etcd is killed and started again."""
    etcd = own_etcd()
    first, second = servers.start(2)
    etcd.put("svc/1", stored(first))
    caller = dial(etcd.endpoint)
    with caller.load() as answers:
        wait_until(lambda: answers[first])
        etcd.kill()
        seen = answers[first]
        wait_until(lambda: answers[first] > seen + 100)
        etcd.start()
        etcd.put("svc/2", stored(second))
        wait_until(lambda: answers[second])
        etcd.delete("svc/1")
        wait_until(reaches(caller, second))
    assert set(answers) == {first, second}


def test_endpoints_are_read_again_after_a_compaction_by_us_and_never_by_go(
    etcd: Etcd, dial: Dial, servers: CountingServers
) -> None:
    """
    Differs: Go's resolver ends with its watch, and keeps the endpoints of that moment for ever.

    We read again: what is new gets calls, and what was deleted unseen is held for a while, as it
    could be an etcd that was restored. No call fails with either.
    """
    first, second, third = servers.start(3)
    etcd.put("svc/1", stored(first))
    cut_off = threading.Event()
    with Relay(etcd.endpoint, cut_off_when(cut_off), passed_on) as relay:
        caller = dial(relay.endpoint)
        with caller.load() as answers:
            wait_until(lambda: answers[first] and relay.streams)
            etcd.put("svc/2", stored(second))
            etcd.put("svc/gone", stored("127.0.0.1:1"))
            etcd.delete("svc/gone")
            etcd.ctl("compact", str(etcd.revision()))
            cut_off.set()
            wait_until(lambda: relay.streams > 1)
            if not caller.is_go:
                wait_until(lambda: answers[second])
            etcd.put("svc/3", stored(third))
            followed = [] if caller.is_go else [second, third]
            wait_until(reaches(caller, first, *followed))
            assert set(caller.ask(100)) == {first, *followed}
        assert set(answers) == {first, *followed}


def test_hundred_changes_of_one_in_five_endpoints_make_hundred_and_five_connections(
    etcd: Etcd, client: Client, caller: Caller, servers: CountingServers
) -> None:
    """Each endpoint is connected to once, and no call fails."""
    manager = EndpointManager(client, "svc")
    addrs = servers.start(105)
    manager.update([Update.add(f"svc/{addr}", Endpoint(addr)) for addr in addrs[:5]])
    wait_until(reaches(caller, *addrs[:5]))
    with caller.load() as answers:
        wait_until(lambda: set(answers) == set(addrs[:5]))
        for old, new in zip(addrs, addrs[5:], strict=False):
            change = [Update.delete(f"svc/{old}"), Update.add(f"svc/{new}", Endpoint(new))]
            manager.update(change)
            wait_until(lambda: answers[new])  # noqa: B023 - called here only
        wait_until(lambda: len(servers.transports) == 5)
    assert set(answers) == set(addrs)
    assert servers.accepted == dict.fromkeys(addrs, 1)
