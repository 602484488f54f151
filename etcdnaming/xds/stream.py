"""
The rules of one ADS stream ("state of the world", xDS v3), without I/O.

A server hands every request to `Stream.receive`, every change to `Stream.push`, and writes what
they return, in that order, one after another.

Five things make the rules more than "answer what is asked":

- A restarted server may have other contents at the version that a client reports. So the first
  request of a type on a stream is always answered, and versions are never compared.
- What an answer with listeners or clusters omits is deleted by the client. So such answers hold
  all names that the client asks for.
- A request that was sent before our last answer arrived carries an old nonce. The client sends its
  current names again with the acknowledgement of that answer, so the old request is not answered.
  But the client has forgotten the names that it leaves out: when it asks for them again, even with
  that acknowledgement, they are sent again.
- gRPC's C-core sends requests without waiting for answers, and takes an omission as a deletion only
  of what it has. If two answers to it were under way, the first one could bring X, which it has
  left and asked for again meanwhile, and the second one, to the request that left X, would delete
  it: calls would fail until the third. So C-core gets an answer with listeners or clusters only
  when it has acknowledged the last one; its acknowledgement carries all names of that moment.
- gRPC's C-core, with a request under way, merges "unsubscribe X, subscribe X" into the next one,
  which then looks like a mere acknowledgement. It waits for an answer, and after 15 s reports that
  X does not exist. So where an acknowledgement may hide that, everything of its type is sent once
  more, a moment later; content the client knows is ignored. Only the client knows when a request
  is no longer under way, and on a busy machine it notices late. So where an acknowledgement hides
  something only if that took very long, everything is sent once more some seconds later, before
  those 15 s are over.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from operator import itemgetter
from sys import intern
from typing import NamedTuple, Protocol

from . import xds_pb2 as xds
from .names import Kind

__all__ = ["Receipt", "Response", "Source", "Stream", "Subscription"]

RESEND_DELAY, MAX_RESEND_DELAY = 0.1, 1.0
"""
Seconds without a request until something is sent once more, and seconds after which it is anyway.
"""

LATE_DELAY, MAX_LATE_DELAY = 3.0, 10.0
"""The same where it is unlikely that something is hidden. gRPC gives up after 15 s."""

UNDER_WAY, LONG_UNDER_WAY = 0.08, 2.0
"""
Seconds for which a request that has arrived may still count as under way at the client: usually,
and on a busy machine.

Less than `RESEND_DELAY` and `LATE_DELAY`: what is sent once more meets no such request.
"""

WHOLE = (Kind.LISTENER, Kind.CLUSTER)
"""Types of which an answer holds all names: what it omits is deleted."""

KINDS: Mapping[str, Kind] = {kind.type_url: kind for kind in Kind}

NEVER = float("-inf")

MERGING = "gRPC C-core"
"""The beginning of the user agent of clients that merge requests."""


class Source(Protocol):
    """Where the resources come from."""

    def version(self) -> str:
        """Return the version that answers carry now. It informs people; nothing compares it."""

    def resource(self, kind: Kind, name: str, node: xds.Node) -> bytes | None:
        """
        Return what the client *node* gets, packed; the same object while nothing has changed.

        ``None``: it is not known yet, and is pushed when it is.
        """


class Response(NamedTuple):
    """What to write."""

    kind: Kind
    version: str
    nonce: str
    resources: list[bytes]

    def encoded(self) -> bytes:
        """Return the DiscoveryResponse."""
        return xds.DiscoveryResponse(
            version_info=self.version,
            resources=self.resources,
            type_url=self.kind.type_url,
            nonce=self.nonce,
        ).SerializeToString()


class Receipt(NamedTuple):
    """
    What became of a request: the answer, if there is one.

    *stale*: it was not answered, as older than our last answer. *refused*: why the client does not
    accept our last answer. *unknown*: it was ignored, as of a type that no resource here has.
    """

    response: Response | None = None
    stale: bool = False
    refused: str = ""
    unknown: bool = False


class Subscription:
    """
    What a client asks for of one type, and has received.

    *pending*: our last answer was neither accepted nor refused yet. *resent*: that answer was sent
    only to send everything once more.
    """

    def __init__(self) -> None:
        self.names: frozenset[str] = frozenset()
        self.sent: dict[str, bytes] = {}
        self.sent_version = self.accepted_version = self.error = ""
        self.nonce = ""
        self.pending = self.resent = False
        self.sent_at = NEVER


class Stream:
    """
    One stream. All of it belongs to one thread.

    Times are seconds of any clock that only goes forward.
    """

    def __init__(self, source: Source) -> None:
        self.node = xds.Node()
        self.subscriptions: dict[Kind, Subscription] = {}
        self._source = source
        self._started = self._merging = False
        self._nonce = 0
        self._last_request = self._last_resend = NEVER
        self._likely: dict[Kind, float] = {}
        self._unlikely: dict[Kind, float] = {}

    @property
    def resend_at(self) -> float | None:
        """When to call `resend`; ``None``: there is no need."""
        return min((at for at, _ in self._due()), default=None)

    def is_pending(self, kind: Kind) -> bool:
        """Return whether the client has neither accepted nor refused our last answer of *kind*."""
        subscription = self.subscriptions.get(kind)
        return subscription is not None and subscription.pending

    def names(self, kind: Kind) -> frozenset[str]:
        """Return the names of *kind* that the client asks for."""
        subscription = self.subscriptions.get(kind)
        return subscription.names if subscription else frozenset()

    def receive(self, request: xds.DiscoveryRequest, now: float) -> Receipt:
        """Take *request*, which came at *now*."""
        if not self._started:
            self._started = True
            self.node.CopyFrom(request.node)
            self._merging = self.node.user_agent_name.startswith(MERGING)
        before, self._last_request = self._last_request, now
        kind = KINDS.get(request.type_url)
        if kind is None:
            return Receipt(unknown=True)  # an empty answer would delete what the client has
        subscription = self.subscriptions.setdefault(kind, Subscription())
        # Many streams ask for the same names, each of them for four types.
        nonce, wanted = request.response_nonce, frozenset(map(intern, request.resource_names))
        if self._merging:
            is_known = nonce == subscription.nonce and wanted == subscription.names
            doubts = self._doubts(subscription, before, first=is_known and subscription.pending)
            if doubts is not None:
                doubts.setdefault(kind, now)
        if self._is_stale(kind, subscription, nonce, wanted):
            self._leave_out(subscription, subscription.names - wanted)
            return Receipt(stale=True)
        refused = self._acknowledge(subscription, request)
        response = self._answer(kind, subscription, wanted, now, first=not nonce)
        return Receipt(response, refused=refused)

    def push(self, kind: Kind, names: Collection[str], now: float) -> Response | None:
        """Return an answer with those of *names* that the client asks for and has otherwise."""
        subscription = self.subscriptions.get(kind)
        if subscription is None:
            return None
        found = self._found(kind, subscription.names.intersection(names))
        changed = {
            name: body for name, body in found.items() if subscription.sent.get(name) != body
        }
        if changed and kind in WHOLE:
            changed = self._found(kind, subscription.names)
        return self._respond(kind, changed, now) if changed else None

    def resend(self, now: float) -> Response | None:
        """
        Return once more all of the type of which a request may have hidden something first.

        One type at a time, so that no acknowledgement is under way when the next one arrives.
        """
        _, kind = min(self._due(), key=itemgetter(0), default=(now, None))
        if kind is None:
            return None
        for each in (self._likely, self._unlikely):
            each.pop(kind, None)
        self._last_resend = now
        subscription = self.subscriptions[kind]
        found = self._found(kind, subscription.names)
        subscription.sent.clear()  # the client may have none of it
        if not found:
            return None
        response = self._respond(kind, found, now)
        subscription.resent = True
        return response

    def _due(self) -> Iterator[tuple[float, Kind]]:
        """Yield when to send something once more, and what."""
        quiet = max(self._last_request, self._last_resend)
        for doubts, delay, longest in (
            (self._likely, RESEND_DELAY, MAX_RESEND_DELAY),
            (self._unlikely, LATE_DELAY, MAX_LATE_DELAY),
        ):
            found = [kind for kind in doubts if not self._waits_for_client(kind)]
            if found:
                kind = min(found, key=doubts.__getitem__)
                yield min(quiet + delay, doubts[kind] + longest), kind

    def _waits_for_client(self, kind: Kind) -> bool:
        """Say whether nothing of *kind* may be sent before the last answer is acknowledged."""
        return kind in WHOLE and self.subscriptions[kind].pending

    def _doubts(
        self, subscription: Subscription, before: float, *, first: bool
    ) -> dict[Kind, float] | None:
        """
        Return where to note that a request may stand for more than it shows.

        It does not if it is the *first* acknowledgement of our last answer, with the same names,
        and no other request was under way when that answer arrived. The last one came at *before*.
        """
        since = subscription.sent_at - before
        if not first or (since <= UNDER_WAY and not subscription.resent):
            return self._likely
        return self._unlikely if since <= LONG_UNDER_WAY else None

    def _is_stale(
        self, kind: Kind, subscription: Subscription, nonce: str, wanted: frozenset[str]
    ) -> bool:
        if nonce == subscription.nonce:
            return False
        if self._merging and kind in WHOLE:
            return True  # without a nonce, too: our first answer has not arrived there yet
        # Older Javas forget the nonce of a type when they ask for nothing of it any more, and come
        # back with an older one (grpc-java#11232).
        return bool(nonce) and not (wanted and not subscription.names)

    def _acknowledge(self, subscription: Subscription, request: xds.DiscoveryRequest) -> str:
        """Note what the client says of our last answer; return why it refuses that, if it does."""
        if not request.response_nonce:
            return ""
        subscription.pending = False
        if request.HasField("error_detail"):
            subscription.error = request.error_detail.message or "no reason given"
            return subscription.error
        subscription.error, subscription.accepted_version = "", request.version_info
        return ""

    def _answer(
        self,
        kind: Kind,
        subscription: Subscription,
        wanted: frozenset[str],
        now: float,
        *,
        first: bool,
    ) -> Response | None:
        added = wanted if first else wanted - subscription.names
        self._leave_out(subscription, subscription.names - wanted)
        subscription.names = wanted
        if kind in WHOLE:
            # A client that asks for no name in its first request means all there are (Envoy), and
            # has to be answered. There are none that are not asked for by name.
            return self._respond(kind, self._found(kind, wanted), now) if added or first else None
        found = self._found(kind, added)
        return self._respond(kind, found, now) if found else None

    def _leave_out(self, subscription: Subscription, names: frozenset[str]) -> None:
        """Note that the client does not ask for *names* any more, and has forgotten them."""
        if names:
            subscription.names -= names
            for name in names:
                subscription.sent.pop(name, None)

    def _found(self, kind: Kind, names: Iterable[str]) -> dict[str, bytes]:
        found = ((name, self._source.resource(kind, name, self.node)) for name in sorted(names))
        return {name: body for name, body in found if body is not None}

    def _respond(self, kind: Kind, bodies: dict[str, bytes], now: float) -> Response:
        self._nonce += 1
        subscription = self.subscriptions[kind]
        subscription.nonce, subscription.sent_at = str(self._nonce), now
        subscription.pending, subscription.resent = True, False
        subscription.sent.update(bodies)
        subscription.sent_version = self._source.version()
        return Response(kind, subscription.sent_version, subscription.nonce, [*bodies.values()])
