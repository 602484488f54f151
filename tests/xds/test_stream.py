"""The rules of a stream, tested with a model of its clients: it sends every answer exactly once."""

from __future__ import annotations

from collections import deque
from random import Random

import pytest

from etcdnaming.xds import xds_pb2 as xds
from etcdnaming.xds.names import Kind
from etcdnaming.xds.stream import Receipt, Response, Stream

NAMES = ("a", "b", "c")
LAG = 0.07
"""Seconds after which a client knows at the latest that a request has gone."""

KINDS = (Kind.CLUSTER, Kind.ASSIGNMENT, Kind.ASSIGNMENT)
"""Of the random test: one of each sort. Few, so that they meet often."""

WHOLE = (Kind.LISTENER, Kind.CLUSTER)
ACTIONS = [0, 1, 2, 2, 3, 4, 4, 4, 5, 5, 5, 6, 6, 7, 8, 9]
"""See `World.step`; those that deliver are more frequent, so that things get far."""


class Source:
    """Resources that a test can change; only assignments change, as with the real source."""

    def __init__(self) -> None:
        self.values = {
            (kind, name): f"{kind.name} {name} 0".encode() for kind in Kind for name in NAMES
        }
        self.unknown: set[str] = set()
        self.changes = 0

    def version(self) -> str:
        """Return the number of changes."""
        return str(self.changes)

    def resource(self, kind: Kind, name: str, node: xds.Node) -> bytes | None:
        """Return the encoded resource."""
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
    """Return a request as a client sends it."""
    message = xds.DiscoveryRequest(
        type_url=kind.type_url, resource_names=names, response_nonce=nonce
    )
    message.node.user_agent_name = agent
    if error:
        message.error_detail.message = error
    return message


class Client:
    """
    A client: the names it requests, and the resources it has.

    A *merging* client has one request in flight at a time. When that has been sent, it sends the
    names that it requests by then. It learns that a request was sent later than the server
    receives it.
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
        """Request one more name."""
        if name not in self.names[kind]:
            self.names[kind].append(name)
            self.send(kind)

    def unsubscribe(self, kind: Kind, name: str) -> None:
        """Stop requesting a name."""
        if name in self.names[kind]:
            self.names[kind].remove(name)
            self.known[kind].pop(name, None)
            self.refused.discard((kind, name))
            self.send(kind)

    def send(self, kind: Kind) -> None:
        """Send the requested names, now or when the request in flight has been sent."""
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
        """Note that the request in flight has been sent."""
        self.busy = False
        if self.waiting:
            self.send(self.waiting.pop(0))

    def receive(self, response: Response, *, refuse: bool) -> None:
        """Take a response, and acknowledge or refuse it."""
        kind = response.kind
        self.nonces[kind] = response.nonce
        found = {body.split()[1].decode(): body for body in response.resources}
        if refuse:
            self.errors[kind] = "no"
            self.refused |= {(kind, name) for name in found}
        else:
            self.refused -= {(kind, name) for name in found}
            if kind in WHOLE:
                self.known[kind] = {}  # what an answer omits is deleted
            self.known[kind].update(
                {name: body for name, body in found.items() if name in self.names[kind]}
            )
        self.send(kind)


class World:
    """A client, a stream, and the messages in flight between them."""

    def __init__(self, *, merging: bool) -> None:
        self.source = Source()
        self.stream = Stream(self.source)
        self.client = Client(merging=merging)
        self.responses: deque[Response] = deque()
        self.effective: dict[Kind, frozenset[str]] = {}
        self.now = 0.0
        self.lags: deque[float] = deque()

    def step(self, action: int, choice: int) -> None:  # noqa: C901 - a table
        """Perform *action*; *choice* selects its details."""
        kind, name = KINDS[choice % 3], NAMES[choice // 3 % 2]
        self.now += choice % 7 / 1000
        while self.lags and self.now - self.lags[0] > LAG:
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
        """Report a change to the stream."""
        before = self.sent_to_client(name)
        response = self.stream.push(Kind.ASSIGNMENT, [name], self.now)
        now = self.source.resource(Kind.ASSIGNMENT, name, xds.Node())
        is_wanted = name in self.effective.get(Kind.ASSIGNMENT, ())
        assert (response is not None) == (is_wanted and now is not None and now != before)
        if response:
            self.responses.append(response)

    def sent_to_client(self, name: str) -> bytes | None:
        """Return the set that was last sent for *name*."""
        subscription = self.stream.subscriptions.get(Kind.ASSIGNMENT)
        return subscription.sent.get(name) if subscription else None

    def deliver_request(self) -> None:
        """Deliver the next request."""
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
        """Check that the answer is exactly what the protocol requires."""
        nonce, wanted = message.response_nonce, frozenset(message.resource_names)
        before = self.effective.get(kind, frozenset())
        if nonce not in ("", last) and (before or not wanted):
            assert receipt == Receipt(stale=True)
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
        """Deliver the next response."""
        if self.responses:
            self.client.receive(self.responses.popleft(), refuse=refuse)

    def end_lag(self) -> None:
        """Let the client learn that its oldest request has been sent."""
        if self.lags:
            self.lags.popleft()
            self.client.was_sent()

    def resend(self) -> None:
        """Advance the clock to the time of resending; requests in flight have been sent by then."""
        at = self.stream.resend_at
        if at is None:
            return
        while self.lags and at - self.lags[0] > LAG:
            self.end_lag()
        self.now = max(self.now, at)
        if response := self.stream.resend(self.now):
            self.responses.append(response)

    def settle(self) -> None:
        """Deliver everything that is in flight."""
        for _ in range(1000):
            if self.client.sent:
                self.deliver_request()
            elif self.lags:
                self.end_lag()
            elif self.responses:
                self.deliver_response(refuse=False)
            elif self.stream.resend_at is not None:
                self.resend()
            else:
                return
        raise AssertionError("client and server never stop talking")


@pytest.mark.parametrize("merging", [False, True])
def test_stream_sends_every_client_what_it_requests_exactly_once(*, merging: bool) -> None:
    """Requests, changes, refusals and delays come in a random order."""
    for seed in range(1500):
        random = Random(seed)
        world = World(merging=merging)
        for _ in range(random.randrange(60)):
            world.step(random.choice(ACTIONS), random.randrange(1000))
        assert_settles(world, seed)


def assert_settles(world: World, seed: int) -> None:
    """Check that the client has everything it requests once all messages are delivered."""
    world.source.unknown.clear()
    for name in NAMES:
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
    """Return the resources."""
    return Source()


@pytest.fixture
def stream(source: Source) -> Stream:
    """Return a stream that has received no request yet."""
    return Stream(source)


@pytest.mark.parametrize("kind", Kind)
def test_stream_answers_the_first_request_whatever_version_it_reports(
    stream: Stream, kind: Kind
) -> None:
    """A restarted server may have other contents at the same version."""
    message = request(kind, "a")
    message.version_info = "0"  # the version of the source

    receipt = stream.receive(message, 0)

    assert receipt.response
    assert receipt.response.resources == [f"{kind.name} a 0".encode()]


def test_stream_does_not_answer_requests_for_unknown_types(stream: Stream) -> None:
    """An empty answer would delete resources of the client."""
    message = xds.DiscoveryRequest(type_url="type.googleapis.com/envoy.Other")

    assert stream.receive(message, 0) == Receipt(unknown=True)


@pytest.mark.parametrize("kind", Kind)
def test_stream_answers_an_added_name_alone_unless_omission_deletes(
    stream: Stream, kind: Kind
) -> None:
    """Answers with listeners and clusters must have all names."""
    stream.receive(request(kind, "a"), 0)

    receipt = stream.receive(request(kind, "a", "b", nonce="1"), 0)

    names = ["a", "b"] if kind in WHOLE else ["b"]
    assert receipt.response
    assert receipt.response.resources == [f"{kind.name} {name} 0".encode() for name in names]


@pytest.mark.parametrize("kind", Kind)
def test_stream_answers_a_name_that_was_left_and_requested_again(
    stream: Stream, kind: Kind
) -> None:
    """The resource is sent although it has not changed."""
    stream.receive(request(kind, "a", "b"), 0)
    assert stream.receive(request(kind, "b", nonce="1"), 0).response is None
    assert stream.subscriptions[kind].sent.keys() == {"b"}

    assert stream.receive(request(kind, "a", "b", nonce="1"), 0).response


def test_stream_ignores_a_request_with_an_old_nonce(stream: Stream) -> None:
    """The acknowledgement of the last answer will have the same names."""
    stream.receive(request(Kind.ASSIGNMENT, "a"), 0)
    stream.receive(request(Kind.ASSIGNMENT, "a", "b", nonce="1"), 0)

    assert stream.receive(request(Kind.ASSIGNMENT, "a", "c", nonce="1"), 0) == Receipt(stale=True)
    assert stream.receive(request(Kind.ASSIGNMENT, "a", "c", nonce="2"), 0).response


def test_stream_accepts_an_old_nonce_from_a_client_that_left_all_names(stream: Stream) -> None:
    """Older versions of Java send one."""
    stream.receive(request(Kind.CLUSTER, "a"), 0)
    stream.receive(request(Kind.CLUSTER, "a", "b", nonce="1"), 0)
    stream.receive(request(Kind.CLUSTER, nonce="2"), 0)

    assert stream.receive(request(Kind.CLUSTER, "a", nonce="1"), 0).response


def test_stream_reports_a_refusal_and_sends_nothing_until_a_change(
    stream: Stream, source: Source
) -> None:
    """The client would refuse the same resources again."""
    stream.receive(request(Kind.ASSIGNMENT, "a"), 0)

    receipt = stream.receive(request(Kind.ASSIGNMENT, "a", nonce="1", error="bad address"), 0)

    assert receipt == Receipt(refused="bad address")
    assert stream.push(Kind.ASSIGNMENT, ["a"], 0) is None
    source.change("a")
    assert stream.push(Kind.ASSIGNMENT, ["a"], 0)
    stream.receive(request(Kind.ASSIGNMENT, "a", nonce="2"), 0)
    assert not stream.subscriptions[Kind.ASSIGNMENT].error


def test_push_has_only_resources_that_are_requested_and_have_changed(
    stream: Stream, source: Source
) -> None:
    """There is no response if all bytes are the same."""
    stream.receive(request(Kind.ASSIGNMENT, "a", "b"), 0)
    assert stream.push(Kind.ASSIGNMENT, ["a", "b", "c"], 0) is None
    source.change("a")
    source.change("c")

    response = stream.push(Kind.ASSIGNMENT, NAMES, 0)

    assert response
    assert response.resources == [b"assignment a 1"]
    assert stream.push(Kind.ASSIGNMENT, NAMES, 0) is None


def test_stream_sends_an_unknown_set_when_it_becomes_known(stream: Stream, source: Source) -> None:
    """All other sets are sent at once."""
    source.unknown = {"a"}
    receipt = stream.receive(request(Kind.ASSIGNMENT, "a", "b"), 0)
    assert receipt.response
    assert receipt.response.resources == [b"ASSIGNMENT b 0"]

    source.unknown = set()

    response = stream.push(Kind.ASSIGNMENT, ["a"], 0)
    assert response
    assert response.resources == [b"ASSIGNMENT a 0"]


def test_stream_does_not_resend_changes_to_a_merging_client_with_steady_requests(
    stream: Stream, source: Source
) -> None:
    """Such a client can hide a request only if two are close to each other."""
    stream.receive(request(Kind.ASSIGNMENT, "a", agent="gRPC C-core linux"), 0)
    assert stream.resend_at == pytest.approx(0.1)
    resent = stream.resend(0.1)
    assert resent
    stream.receive(request(Kind.ASSIGNMENT, "a", nonce=resent.nonce), 0.1)
    assert stream.resend_at is None
    for now in (0.2, 0.3, 0.4):
        source.change("a")
        response = stream.push(Kind.ASSIGNMENT, ["a"], now)
        assert response
        stream.receive(request(Kind.ASSIGNMENT, "a", nonce=response.nonce), now)
        assert stream.resend_at is None


def test_response_has_type_nonce_and_version(stream: Stream) -> None:
    """The fields are encoded as the protocol requires."""
    receipt = stream.receive(request(Kind.ASSIGNMENT, "a"), 0)
    assert receipt.response
    message = xds.DiscoveryResponse.FromString(receipt.response.encoded())

    assert (message.nonce, message.version_info) == ("1", "0")
    assert message.type_url == "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
