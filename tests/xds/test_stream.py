"""The rules of a stream against a model of its clients: no answer is missing or superfluous."""

from __future__ import annotations

from collections import deque
from random import Random

import pytest

from etcdnaming.xds import xds_pb2 as xds
from etcdnaming.xds.names import Kind
from etcdnaming.xds.stream import Receipt, Response, Stream

NAMES = ("a", "b", "c")
LAG, LONG_LAG = 0.07, 1.9
"""Seconds after which a client knows at the latest that a request has gone; on a busy machine."""

KINDS = (Kind.CLUSTER, Kind.ASSIGNMENT, Kind.ASSIGNMENT)
"""Of the random test: one of each sort. Few, so that they meet often."""

WHOLE = (Kind.LISTENER, Kind.CLUSTER)
ACTIONS = [0, 1, 2, 2, 3, 4, 4, 4, 5, 5, 5, 6, 6, 7, 8, 9]
"""See `World.step`; those that deliver are more frequent, so that things get far."""


class Source:
    """Resources that can be changed; only assignments do, as with the real one."""

    def __init__(self) -> None:
        self.values = {
            (kind, name): f"{kind.name} {name} 0".encode() for kind in Kind for name in NAMES
        }
        self.unknown: set[str] = set()
        self.changes = 0

    def version(self) -> str:
        """Count the changes."""
        return str(self.changes)

    def resource(self, kind: Kind, name: str, node: xds.Node) -> bytes | None:
        """Return what there is."""
        if kind is Kind.ASSIGNMENT and name in self.unknown:
            return None
        return self.values.get((kind, name), b"empty")

    def change(self, name: str) -> None:
        """Change an assignment."""
        self.changes += 1
        self.values[Kind.ASSIGNMENT, name] = f"assignment {name} {self.changes}".encode()


def request(
    kind: Kind, *names: str, nonce: str = "", error: str = "", agent: str = ""
) -> xds.DiscoveryRequest:
    """Return what a client sends."""
    message = xds.DiscoveryRequest(
        type_url=kind.type_url, resource_names=names, response_nonce=nonce
    )
    message.node.user_agent_name = agent
    if error:
        message.error_detail.message = error
    return message


class Client:
    """
    A client: what it asks for, and what it knows.

    A *merging* one has one request under way at a time, and sends its state at that time when that
    has gone. It learns of that later than the server has the request.
    """

    def __init__(self, *, merging: bool) -> None:
        self.merging = merging
        self.names: dict[Kind, list[str]] = {kind: [] for kind in Kind}
        self.known: dict[Kind, dict[str, bytes]] = {kind: {} for kind in Kind}
        self.nonces = dict.fromkeys(Kind, "")
        self.errors = dict.fromkeys(Kind, "")
        self.refused: set[tuple[Kind, str]] = set()
        self.sent: deque[xds.DiscoveryRequest] = deque()
        self.waiting: list[Kind] = []
        self.busy = False

    def subscribe(self, kind: Kind, name: str) -> None:
        """Ask for one more."""
        if name not in self.names[kind]:
            self.names[kind].append(name)
            self.send(kind)

    def unsubscribe(self, kind: Kind, name: str) -> None:
        """Ask for it no more."""
        if name in self.names[kind]:
            self.names[kind].remove(name)
            self.known[kind].pop(name, None)
            self.refused.discard((kind, name))
            self.send(kind)

    def send(self, kind: Kind) -> None:
        """Send what is asked for, or do so later."""
        if self.merging and self.busy:
            if kind not in self.waiting:
                self.waiting.append(kind)
            return
        self.busy = True
        agent = "gRPC C-core linux" if self.merging else "gRPC Go"
        self.sent.append(
            request(
                kind,
                *self.names[kind],
                nonce=self.nonces[kind],
                error=self.errors[kind],
                agent=agent,
            )
        )
        self.errors[kind] = ""

    def was_sent(self) -> None:
        """Learn that the request has gone."""
        self.busy = False
        if self.waiting:
            self.send(self.waiting.pop(0))

    def receive(self, response: Response, *, refuse: bool) -> None:
        """Take an answer, and acknowledge or refuse it."""
        kind = response.kind
        self.nonces[kind] = response.nonce
        found = {body.split()[1].decode(): body for body in response.resources}
        if refuse:
            self.errors[kind] = "no"
            self.refused |= {(kind, name) for name in found}
        else:
            self.refused -= {(kind, name) for name in found}
            if kind in WHOLE:
                # Calls of this client would fail until the next answer.
                assert not self.merging or self.known[kind].keys() <= found.keys()
                self.known[kind] = {}  # what an answer omits is deleted
            self.known[kind].update(
                {name: body for name, body in found.items() if name in self.names[kind]}
            )
        self.send(kind)


class World:
    """A client, a stream and what is on its way between them."""

    def __init__(self, *, merging: bool, lag: float) -> None:
        self.lag = lag
        self.source = Source()
        self.stream = Stream(self.source)
        self.client = Client(merging=merging)
        self.responses: deque[Response] = deque()
        self.effective: dict[Kind, frozenset[str]] = {}
        self.now = 0.0
        self.lags: deque[float] = deque()

    def step(self, action: int, choice: int) -> None:  # noqa: C901 - a table
        """Do something; *choice* says what exactly."""
        kind, name = KINDS[choice % 3], NAMES[choice // 3 % 2]
        self.now += choice % 7 / 1000
        while self.lags and self.now - self.lags[0] > self.lag:
            self.end_lag()
        if action == 0:
            self.client.subscribe(kind, name)
        elif action == 1:
            self.client.unsubscribe(kind, name)
        elif action == 2:
            self.client.unsubscribe(kind, name)
            self.client.subscribe(kind, name)
        elif action == 3:
            self.source.change(name)
            self.push(name)
        elif action == 4:
            self.deliver_request()
        elif action == 5:
            self.deliver_response(refuse=choice % 10 == 0)
        elif action == 6:
            self.end_lag()
        elif action == 7:
            self.resend()
        elif action == 8:
            self.source.unknown.symmetric_difference_update({name})
            self.push(name)
        elif action == 9 and not self.lags:
            self.now += choice / 3000

    def push(self, name: str) -> None:
        """Tell the stream of a change."""
        before = self.sent_to_client(name)
        response = self.stream.push(Kind.ASSIGNMENT, [name], self.now)
        now = self.source.resource(Kind.ASSIGNMENT, name, xds.Node())
        is_wanted = name in self.effective.get(Kind.ASSIGNMENT, ())
        assert (response is not None) == (is_wanted and now is not None and now != before)
        if response:
            self.responses.append(response)

    def sent_to_client(self, name: str) -> bytes | None:
        """Return which set was sent last."""
        subscription = self.stream.subscriptions.get(Kind.ASSIGNMENT)
        return subscription.sent.get(name) if subscription else None

    def deliver_request(self) -> None:
        """Let the next request arrive."""
        if not self.client.sent:
            return
        message = self.client.sent.popleft()
        self.lags.append(self.now)
        kind = next(each for each in Kind if each.type_url == message.type_url)
        last = self.stream.subscriptions[kind].nonce if kind in self.stream.subscriptions else ""
        receipt = self.stream.receive(message, self.now)
        self.check(kind, message, last, receipt)
        if receipt.response:
            self.responses.append(receipt.response)

    def check(self, kind: Kind, message: xds.DiscoveryRequest, last: str, receipt: Receipt) -> None:
        """Compare the answer with what the protocol asks for, no more and no less."""
        nonce, wanted = message.response_nonce, frozenset(message.resource_names)
        before = self.effective.get(kind, frozenset())
        one_at_a_time = self.client.merging and kind in WHOLE
        if nonce != last and (one_at_a_time or (nonce and (before or not wanted))):
            assert receipt == Receipt(stale=True)
            self.effective[kind] = before & wanted  # the client has forgotten the others
            return
        self.effective[kind] = wanted
        added = wanted - before if nonce else wanted
        if kind in WHOLE:
            expected = set(wanted) if added or not nonce else None
        else:
            expected = {
                name for name in added if self.source.resource(kind, name, xds.Node()) is not None
            } or None
        if expected is None:
            assert receipt.response is None
        else:
            assert receipt.response is not None
            bodies = {self.source.resource(kind, name, xds.Node()) for name in expected}
            assert set(receipt.response.resources) == bodies

    def deliver_response(self, *, refuse: bool) -> None:
        """Let the next answer arrive."""
        if self.responses:
            self.client.receive(self.responses.popleft(), refuse=refuse)

    def end_lag(self) -> None:
        """Let the client learn that its oldest request has gone."""
        if self.lags:
            self.lags.popleft()
            self.client.was_sent()

    def resend(self) -> None:
        """Wait until it is time: what was under way has gone."""
        at = self.stream.resend_at
        if at is None:
            return
        while self.lags and at - self.lags[0] > self.lag:
            self.now = max(self.now, self.lags[0] + self.lag)
            self.end_lag()
            if self.client.sent:
                return  # what waited for that arrives before it is time
        self.now = max(self.now, at)
        if response := self.stream.resend(self.now):
            self.responses.append(response)

    def settle(self) -> None:
        """Let everything arrive."""
        for _ in range(1000):
            if self.client.sent:
                self.deliver_request()
            elif self.responses:
                self.deliver_response(refuse=False)
            elif self.stream.resend_at is not None:
                self.resend()
            elif self.lags:
                self.end_lag()
            else:
                return
        raise AssertionError("client and server never stop talking")


@pytest.mark.parametrize(("merging", "lag"), [(False, LAG), (True, LAG), (True, LONG_LAG)])
def test_stream_leaves_no_client_waiting_and_sends_nothing_twice(
    *, merging: bool, lag: float
) -> None:
    """In any order of requests, changes, refusals and delays."""
    for seed in range(1500):
        random = Random(seed)
        world = World(merging=merging, lag=lag)
        for _ in range(random.randrange(60)):
            world.step(random.choice(ACTIONS), random.randrange(1000))
        assert_settles(world, seed)


def assert_settles(world: World, seed: int) -> None:
    """When everything has arrived, the client knows what it asks for."""
    unknown = {*world.source.unknown}
    world.source.unknown.clear()
    for name in unknown:
        world.push(name)
    world.settle()
    for name in {name for _, name in world.client.refused}:
        world.source.change(name)  # what was refused is not sent again until it changes
        world.push(name)
    world.settle()

    for kind in Kind:
        for name in world.client.names[kind]:
            if (kind, name) not in world.client.refused:
                expected = world.source.resource(kind, name, xds.Node())
                assert world.client.known[kind].get(name) == expected, (seed, kind, name)


@pytest.fixture
def source() -> Source:
    """The resources."""
    return Source()


@pytest.fixture
def stream(source: Source) -> Stream:
    """A stream that has seen nothing yet."""
    return Stream(source)


@pytest.mark.parametrize("kind", Kind)
def test_first_request_is_answered_whatever_version_it_reports(stream: Stream, kind: Kind) -> None:
    """A restarted server may have other contents at the same version."""
    message = request(kind, "a")
    message.version_info = "0"  # the version of the source

    receipt = stream.receive(message, 0)

    assert receipt.response
    assert receipt.response.resources == [f"{kind.name} a 0".encode()]
    assert not stream.subscriptions[kind].accepted_version


@pytest.mark.parametrize("kind", WHOLE)
def test_first_request_without_names_is_answered_with_nothing(stream: Stream, kind: Kind) -> None:
    """Envoy asks so for all clusters and listeners, and waits for the answer."""
    receipt = stream.receive(request(kind), 0)

    assert receipt.response
    assert receipt.response.resources == []
    assert stream.receive(request(kind, nonce="1"), 0) == Receipt()


def test_node_of_the_first_request_is_that_of_the_stream(stream: Stream) -> None:
    """Clients need not send it again."""
    stream.receive(request(Kind.LISTENER, "a", agent="gRPC Java"), 0)
    stream.receive(request(Kind.ASSIGNMENT, "a"), 0)

    assert stream.node.user_agent_name == "gRPC Java"


def test_other_types_are_never_answered(stream: Stream) -> None:
    """An empty answer would delete."""
    message = xds.DiscoveryRequest(type_url="type.googleapis.com/envoy.Other")

    assert stream.receive(message, 0) == Receipt(unknown=True)


@pytest.mark.parametrize("kind", Kind)
def test_added_name_is_answered_alone_unless_omission_deletes(stream: Stream, kind: Kind) -> None:
    """Answers with listeners and clusters hold all names."""
    stream.receive(request(kind, "a"), 0)

    receipt = stream.receive(request(kind, "a", "b", nonce="1"), 0)

    names = ["a", "b"] if kind in WHOLE else ["b"]
    assert receipt.response
    assert receipt.response.resources == [f"{kind.name} {name} 0".encode() for name in names]


@pytest.mark.parametrize("kind", Kind)
def test_name_that_was_left_and_asked_for_again_is_answered(stream: Stream, kind: Kind) -> None:
    """Although nothing has changed."""
    stream.receive(request(kind, "a", "b"), 0)
    assert stream.receive(request(kind, "b", nonce="1"), 0).response is None
    assert stream.subscriptions[kind].sent.keys() == {"b"}

    assert stream.receive(request(kind, "a", "b", nonce="1"), 0).response


def test_request_with_an_old_nonce_is_ignored(stream: Stream) -> None:
    """The acknowledgement of our last answer carries the same names."""
    stream.receive(request(Kind.ASSIGNMENT, "a"), 0)
    stream.receive(request(Kind.ASSIGNMENT, "a", "b", nonce="1"), 0)

    assert stream.receive(request(Kind.ASSIGNMENT, "a", "c", nonce="1"), 0) == Receipt(stale=True)
    assert stream.receive(request(Kind.ASSIGNMENT, "a", "c", nonce="2"), 0).response


@pytest.mark.parametrize("kind", Kind)
def test_name_that_an_ignored_request_has_left_is_answered_when_it_is_asked_for_again(
    stream: Stream, kind: Kind
) -> None:
    """Even with an acknowledgement: the client has forgotten it. Clients in Node waited for it."""
    stream.receive(request(kind, "a"), 0)
    stream.receive(request(kind, "a", "b", nonce="1"), 0)  # its answer, "2", is on its way
    assert stream.receive(request(kind, "b", nonce="1"), 0) == Receipt(stale=True)
    assert stream.receive(request(kind, "b", "a", nonce="1"), 0) == Receipt(stale=True)

    response = stream.receive(request(kind, "b", "a", nonce="2"), 0).response

    assert response
    assert f"{kind.name} a 0".encode() in response.resources


def test_client_that_left_everything_may_return_with_an_old_nonce(stream: Stream) -> None:
    """As older Javas do."""
    stream.receive(request(Kind.CLUSTER, "a"), 0)
    stream.receive(request(Kind.CLUSTER, "a", "b", nonce="1"), 0)
    stream.receive(request(Kind.CLUSTER, nonce="2"), 0)

    assert stream.receive(request(Kind.CLUSTER, "a", nonce="1"), 0).response


@pytest.mark.parametrize("kind", WHOLE)
def test_client_that_merges_gets_one_answer_at_a_time_where_omission_deletes(
    stream: Stream, kind: Kind
) -> None:
    """The second one would delete what it has asked for again before the first one arrived."""
    stream.receive(request(kind, "a", agent="gRPC C-core linux"), 0)
    assert stream.receive(request(kind, "a", "b"), 0) == Receipt(stale=True)
    assert stream.receive(request(kind, "b"), 0) == Receipt(stale=True)
    assert stream.resend_at is None
    assert stream.resend(9) is None

    assert stream.receive(request(kind, "a", "b", nonce="1"), 9).response
    assert stream.receive(request(kind, "b", nonce="1"), 9) == Receipt(stale=True)
    assert stream.resend_at is None
    assert stream.receive(request(kind, "a", "b", nonce="2"), 9).response
    assert stream.receive(request(kind, "a", "b", nonce="3"), 9) == Receipt()
    assert stream.resend(9)


def test_refusal_is_reported_and_not_answered_until_something_changes(
    stream: Stream, source: Source
) -> None:
    """Sending the same again would be refused again."""
    stream.receive(request(Kind.ASSIGNMENT, "a"), 0)

    receipt = stream.receive(request(Kind.ASSIGNMENT, "a", nonce="1", error="bad address"), 0)

    assert receipt == Receipt(refused="bad address")
    assert stream.push(Kind.ASSIGNMENT, ["a"], 0) is None
    source.change("a")
    assert stream.push(Kind.ASSIGNMENT, ["a"], 0)
    stream.receive(request(Kind.ASSIGNMENT, "a", nonce="2"), 0)
    assert not stream.subscriptions[Kind.ASSIGNMENT].error


def test_push_holds_only_what_has_changed_and_is_asked_for(stream: Stream, source: Source) -> None:
    """And nothing at all if the bytes are the same."""
    stream.receive(request(Kind.ASSIGNMENT, "a", "b"), 0)
    assert stream.push(Kind.ASSIGNMENT, ["a", "b", "c"], 0) is None
    source.change("a")
    source.change("c")

    response = stream.push(Kind.ASSIGNMENT, NAMES, 0)

    assert response
    assert response.resources == [b"assignment a 1"]
    assert stream.push(Kind.ASSIGNMENT, NAMES, 0) is None


def test_set_that_is_not_known_yet_is_sent_when_it_is(stream: Stream, source: Source) -> None:
    """All others are sent at once."""
    source.unknown = {"a"}
    receipt = stream.receive(request(Kind.ASSIGNMENT, "a", "b"), 0)
    assert receipt.response
    assert receipt.response.resources == [b"ASSIGNMENT b 0"]

    source.unknown = set()

    response = stream.push(Kind.ASSIGNMENT, ["a"], 0)
    assert response
    assert response.resources == [b"ASSIGNMENT a 0"]


def test_steady_changes_are_rarely_sent_again_to_a_client_that_merges(
    stream: Stream, source: Source
) -> None:
    """Only requests close to each other can hide one; when they end, everything is sent once."""
    stream.receive(request(Kind.ASSIGNMENT, "a", agent="gRPC C-core linux"), 0)
    assert stream.resend_at == pytest.approx(0.1)
    resent = stream.resend(0.1)
    assert resent
    stream.receive(request(Kind.ASSIGNMENT, "a", nonce=resent.nonce), 0.1)
    assert stream.resend_at == pytest.approx(3.1)
    again, now = 0, 0.1
    for _ in range(300):
        now += 0.1
        source.change("a")
        response = stream.push(Kind.ASSIGNMENT, ["a"], now)
        assert response
        stream.receive(request(Kind.ASSIGNMENT, "a", nonce=response.nonce), now)
        assert stream.resend_at
        if stream.resend_at <= now:
            again += 1
            resent = stream.resend(now)
            assert resent
            stream.receive(request(Kind.ASSIGNMENT, "a", nonce=resent.nonce), now)
    assert again == 2

    assert stream.resend_at is not None
    assert stream.resend_at <= now + 3
    resent = stream.resend(now + 3)
    assert resent
    stream.receive(request(Kind.ASSIGNMENT, "a", nonce=resent.nonce), now + 3)
    assert stream.resend_at is None


def test_changes_with_pauses_are_sent_once_to_a_client_that_merges(
    stream: Stream, source: Source
) -> None:
    """Nothing else was under way, however busy the machine."""
    stream.receive(request(Kind.ASSIGNMENT, "a", agent="gRPC C-core linux"), 0)
    for now in (0.1, 3.1, 6.0, 9.0):
        response = stream.resend(now) if now < 6 else stream.push(Kind.ASSIGNMENT, ["a"], now)
        assert response
        stream.receive(request(Kind.ASSIGNMENT, "a", nonce=response.nonce), now)
        source.change("a")
        assert (stream.resend_at is None) == (now > 1)


def test_response_is_what_the_protocol_calls_for(stream: Stream) -> None:
    """Type, nonce and version."""
    receipt = stream.receive(request(Kind.ASSIGNMENT, "a"), 0)
    assert receipt.response
    message = xds.DiscoveryResponse.FromString(receipt.response.encoded())

    assert (message.nonce, message.version_info) == ("1", "0")
    assert message.type_url == "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
