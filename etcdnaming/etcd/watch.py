"""
One endless stream of what happens in a range of keys: nothing missed, nothing twice.

It goes on after everything but the caller's end of it and what no retry can heal. After every
break, and from time to time when all is silent, it is proved that etcd still has the history we
have seen. If it has another one, or has compacted it, the range is read again, and whoever listens
compares.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

from ..errors import (
    ClosedError,
    CompactedError,
    ConnectionFailedError,
    EtcdError,
    FutureRevisionError,
    PermissionDeniedError,
    TLSError,
)
from . import rpc_pb2 as rpc
from .answers import understand_text
from .calls import Method
from .client import Client
from .deadline import Deadline
from .history import History
from .mailbox import Mailbox
from .snapshot import Snapshot
from .stream import Stream

__all__ = ["Connected", "Disconnected", "Events", "News", "RangeWatch", "Reading"]

IDLE = 30.0
"""Seconds of silence after which etcd is asked whether there is nothing to tell."""

LATE = 5.0
"""Seconds a change may take to come by the stream after a read has shown it."""

AHEAD = 256
"""News kept for a slow listener; beyond that etcd has to wait."""

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0
"""Seconds between attempts: none before the first, then doubled each time, with full jitter."""

_WATCH = Method("/etcdserverpb.Watch/Watch", rpc.WatchRequest, rpc.WatchResponse)


class Reading(NamedTuple):
    """All there is. *again*: it takes the place of everything told before."""

    snapshot: Snapshot
    again: bool


class Events(NamedTuple):
    """Changes in the order they were made, perhaps of several revisions."""

    events: Sequence[rpc.Event]


class Connected(NamedTuple):
    """*member* delivers."""

    member: str


class Disconnected(NamedTuple):
    """Nobody delivers for now, and why."""

    reason: str


News: TypeAlias = Reading | Events | Connected | Disconnected


class RangeWatch:
    """
    What happens from *start* to *end* (exclusive): first a `Reading`, then `Events`, for ever.

    Args:
        revision: Begin with the changes of this revision; the reading is what was there before
            it. 0: begin now.
    """

    def __init__(self, client: Client, start: bytes, end: bytes, *, revision: int = 0) -> None:
        self._news: Mailbox[News | EtcdError] = Mailbox(AHEAD)
        self._follower = _Follower(client, start, end, revision, self._news)
        threading.Thread(target=self._follower.run, name="etcdnaming-watch", daemon=True).start()

    def get(self, timeout: float | None = None) -> News | None:
        """
        Return what happened next; ``None`` if nothing did for *timeout* seconds.

        Raises:
            EtcdError: It can't go on, and no retry would heal that.
            ClosedError: We have closed it.
        """
        news = self._news.get(timeout)
        if isinstance(news, EtcdError):
            raise news
        return news

    def close(self) -> None:
        """End it, at once and from any thread."""
        self._news.close()
        self._follower.stop()


class _Follower:
    """
    The thread behind a `RangeWatch`. Everything in it is its own, but for `stop`.

    `_lock` guards `_stream` and `_stopped`, so that no stream is opened after the end.
    """

    def __init__(
        self,
        client: Client,
        start: bytes,
        end: bytes,
        revision: int,
        news: Mailbox[News | EtcdError],
    ) -> None:
        self._client, self._start, self._end = client, start, end
        self._history = History(client, start, end)
        self._first_revision, self._news = revision, news
        self._begun = self._refused = False
        self._told: type[News] | None = None
        self._failures = 0
        self._fragments: list[rpc.Event] = []
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._stream: Stream[rpc.WatchRequest, rpc.WatchResponse] | None = None

    def stop(self) -> None:
        """End whatever is waited for; from another thread."""
        with self._lock:
            self._stopped.set()
            if self._stream:
                self._stream.close()

    def run(self) -> None:
        """Tell news until told to stop, or until an error that stays."""
        try:
            try:
                while True:
                    self._one_life()
            except EtcdError as exc:
                self._news.put(exc)
        except ClosedError:
            return

    def _one_life(self) -> None:
        """Catch up, then follow a stream until it breaks."""
        try:
            if self._begun:
                self._catch_up()
            else:
                self._begin()
            self._follow(self._history.revision + 1)
        except EtcdError as exc:
            self._survive(exc)

    def _begin(self) -> None:
        before = self._first_revision - 1
        try:
            snapshot = self._history.read(max(before, 0)) if before else _NOTHING
        except FutureRevisionError:
            snapshot = self._history.read()
        except CompactedError:
            self._follow(1)  # is refused, and the refusal says what is compacted
            raise
        self._begun = True
        self._news.put(Reading(snapshot, again=False))

    def _catch_up(self) -> None:
        if not self._history.is_etcds():
            self._news.put(Reading(self._history.read(), again=True))

    def _follow(self, revision: int) -> None:
        self._fragments = []
        with self._open(revision) as stream:
            while True:
                response = stream.take(IDLE)
                if response is None:
                    self._prove_alive(stream)
                else:
                    self._receive(response, stream.member.name)

    def _open(self, revision: int) -> Stream[rpc.WatchRequest, rpc.WatchResponse]:
        create = rpc.WatchCreateRequest(
            key=self._start, range_end=self._end, start_revision=revision, fragment=True
        )
        stream = Stream(self._client.caller, _WATCH, rpc.WatchRequest(create_request=create))
        with self._lock:
            self._stream = stream
            if self._stopped.is_set():
                stream.close()
        return stream

    def _prove_alive(self, stream: Stream[rpc.WatchRequest, rpc.WatchResponse]) -> None:
        """Break with a stream that is silent although there is something to tell."""
        glance = self._history.glance()
        if glance.revision < self._history.revision:
            raise ConnectionFailedError(f"{stream.member.name}: etcd has lost what it told us")
        late = Deadline(LATE)
        while not self._history.has_come_to(glance):
            response = stream.take(late.left())
            if response is None:
                stream.leave()
                raise ConnectionFailedError(f"{stream.member.name}: changes are not delivered")
            self._receive(response, stream.member.name)
        self._failures = 0

    def _receive(self, response: rpc.WatchResponse, member: str) -> None:
        if response.canceled:
            raise _refusal(response, member)
        if response.created:
            self._refused = False
            self._tell(Connected(member))
        self._fragments.extend(response.events)
        if response.fragment or not self._fragments:
            return
        new = self._history.add(self._fragments)
        self._fragments, self._failures = [], 0
        told = [event for event in new if event.kv.mod_revision >= self._first_revision]
        if told:
            self._news.put(Events(told))

    def _survive(self, exc: EtcdError) -> None:
        """Pause before the next attempt, or give up on what no attempt can heal."""
        if self._is_final(exc):
            raise exc
        if not isinstance(exc, CompactedError):
            self._tell(Disconnected(str(exc)))
        if self._failures:
            longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(self._failures, 10))
            self._stopped.wait(random.uniform(0, longest))
        self._failures += 1
        if self._stopped.is_set():
            raise ClosedError

    def _is_final(self, exc: EtcdError) -> bool:
        if isinstance(exc, PermissionDeniedError):
            # An expired token is refused a watch in the same words; the read that comes before
            # the next attempt renews it.
            before, self._refused = self._refused, True
            return before
        if isinstance(exc, CompactedError):
            return not self._history.revision  # there is nothing to compare with
        if self._begun:
            return False
        return isinstance(exc, TLSError) or not isinstance(exc, ConnectionFailedError)

    def _tell(self, news: Connected | Disconnected) -> None:
        """Tell it once."""
        if type(news) is not self._told:
            self._told = type(news)
            self._news.put(news)


_NOTHING = Snapshot(rpc.ResponseHeader(), [], 0, more=False)
"""What there was before the first revision."""


def _refusal(response: rpc.WatchResponse, member: str) -> EtcdError:
    if response.compact_revision:
        return CompactedError(
            "etcdserver: mvcc: required revision has been compacted: "
            f"the compact revision is {response.compact_revision}"
        )
    return understand_text(response.cancel_reason, member)
