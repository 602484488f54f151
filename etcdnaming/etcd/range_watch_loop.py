"""
The thread of a range watch: it goes on after everything but its end and errors no retry can heal.

Once a stream is open, and from time to time after that, the keys we know are compared with etcd's.
What was compared before may have changed when the stream begins, and a proxy goes on in front of a
restored etcd as if nothing had happened. If etcd has another history, has compacted ours, or does
not deliver it, the range is read again, and the owner of the watch works out the differences.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial

from ..errors import (
    AuthenticationError,
    ClientClosedError,
    ClosedError,
    CompactedError,
    ConnectionFailedError,
    EtcdError,
    FutureRevisionError,
    InvalidAnswerError,
    MessageTooLargeError,
    NotNowError,
    PermissionDeniedError,
    TLSError,
)
from ..log import logger
from . import rpc_pb2 as rpc
from .backoff import Backoff
from .bounded_queue import BoundedQueue
from .deadline import Deadline
from .known_keys import HistoryChangedError, KnownKeys
from .watch_events import Connected, Disconnected, Events, RangeSnapshot, WatchEvent
from .watch_substream import WatchAgainError, WatchSubstream
from .watcher import RangeStreams

__all__ = ["RangeWatchLoop"]

_log = logger(__name__)

VERIFY_INTERVAL = 30.0
"""Seconds between two reads that verify whether the stream delivers all changes."""

DELIVERY_TIMEOUT = 5.0
"""Seconds a stream may be silent after a read has shown a change."""

BYTES_PER_KEY = 50
"""Bytes kept of a stream for each key we know: a comparison takes longer with more keys."""

MAX_WATCH_PAUSE = 5.0
"""Seconds between attempts, at most: none before the first, then more each time."""


class _NotDeliveredError(EtcdError):
    """A stream does not deliver changes, and neither did the one before it."""


_READ_AGAIN = (CompactedError, MessageTooLargeError, HistoryChangedError, _NotDeliveredError)
"""After these the range is read again, because no stream can bring what was missed."""


class RangeWatchLoop:
    """
    Puts into *events* what happens from *revision* on, and at last the error that ended it.

    All of it belongs to its thread, but for `stop`. While that thread waits in
    `WatchSubstream.take`, the thread of the stream calls `_handle`; the lock of the substream keeps
    the two apart. So *events* has one thread that puts at any time.
    """

    def __init__(
        self,
        known: KnownKeys,
        streams: RangeStreams,
        revision: int,
        events: BoundedQueue[WatchEvent | Exception],
    ) -> None:
        self._known, self._streams = known, streams
        self._first_revision, self._events = revision, events
        self._started = self._lost = False
        self._reported: WatchEvent | None = None
        self._backoff = Backoff(MAX_WATCH_PAUSE)
        self._undelivered = 0
        self._fragments: list[rpc.Event] = []

    def stop(self) -> None:
        """End it, from another thread, which has closed *events* before."""
        self._streams.stop()

    def run(self) -> None:
        """Put events until stopped, or until an error that no retry heals."""
        with suppress(ClosedError):
            try:
                while True:
                    self._watch_once()
            except EtcdError as exc:
                self._events.put(exc)

    def _watch_once(self) -> None:
        """Read what no stream can bring, then read a stream until it breaks; prepare the next."""
        try:
            self._read()
            with self._open() as stream:
                stream.max_bytes += BYTES_PER_KEY * len(self._known)
                self._known.check()
                self._report(Connected(stream.member))
                self._read_stream(stream)
        except WatchAgainError:
            pass  # all answers that were kept have been handled; a new stream brings the others
        except ClosedError:
            raise
        except EtcdError as exc:
            if self._is_final(exc):
                raise
            self._recover(exc, read_again=isinstance(exc, _READ_AGAIN))
        except Exception as exc:  # noqa: BLE001 - whatever it is, the watch goes on
            _log.exception("a watch goes on after an error")
            # Answers of the stream may have been lost with it, in the middle of a change.
            self._recover(exc, read_again=True)

    def _read(self) -> None:
        if not self._started:
            self._start()
        elif self._lost:
            self._events.put(RangeSnapshot(self._known.read(), resync=True))
            self._lost = False

    def _start(self) -> None:
        try:
            first = self._first_events()
        except CompactedError as exc:
            if not self._first_revision:  # compaction overtook the reading again and again
                raise NotNowError(exc.text) from exc
            self._streams.refuse(self._first_revision)
            raise
        for event in first:
            self._events.put(event)
            self._started = True

    def _first_events(self) -> list[WatchEvent]:
        """
        Return the events before the stream: all keys now, or before the first revision.

        Raises:
            CompactedError: The changes of the first revision are not available any more.
        """
        if not self._first_revision:
            return [RangeSnapshot(self._known.read(), resync=False)]
        first = max(self._first_revision, 2)  # revision 1 is that of an empty etcd
        try:
            return [RangeSnapshot(self._known.read(first - 1), resync=False)]
        except FutureRevisionError:
            return [RangeSnapshot(self._known.read(), resync=False)]
        except CompactedError:
            return self._first_events_from_compact(first)

    def _first_events_from_compact(self, revision: int) -> list[WatchEvent]:
        # A user who was given the compact revision begins there: etcd still has the keys of that
        # revision, but not those of the one before it.
        snapshot = self._known.read(revision)
        before = [kv for kv in snapshot.found if kv.mod_revision < revision]
        made = [kv for kv in snapshot.found if kv.mod_revision == revision]
        events = Events([rpc.Event(type=rpc.Event.PUT, kv=kv) for kv in made])
        first = RangeSnapshot(snapshot.with_only(before), resync=False)
        return [first, *([events] if made else [])]

    def _open(self) -> WatchSubstream:
        try:
            return self._streams.open(self._known.revision + 1)
        except (PermissionDeniedError, AuthenticationError):
            # etcd refuses an old token in the words that refuse a role. This read renews the token.
            self._known.check_access()
            return self._streams.open(self._known.revision + 1)

    def _read_stream(self, stream: WatchSubstream) -> None:
        self._backoff.opened()
        until_verified = Deadline(VERIFY_INTERVAL)
        handle = partial(self._handle, stream)
        self._fragments = []
        try:
            while True:
                if response := stream.take(until_verified.left(), handle):
                    self._receive(response, stream)
                if not until_verified.left():
                    self._verify(stream)
                    self._undelivered = 0
                    until_verified = Deadline(VERIFY_INTERVAL)
        finally:
            self._backoff.ended()

    def _verify(self, stream: WatchSubstream) -> None:
        """Leave a stream that does not deliver all changes, or belongs to another history."""
        summary = self._known.summarize()
        while not self._known.has_reached(summary):
            response = stream.take(DELIVERY_TIMEOUT)
            if response is None:
                raise self._leave(stream)
            self._receive(response, stream)
        if self._known.has_passed(summary):
            self._known.check()

    def _leave(self, stream: WatchSubstream) -> EtcdError:
        """
        Leave *stream*, which does not deliver, and return the error to raise.

        Another stream may deliver. If that one brings nothing either, we are so far behind that
        etcd can't catch up, or a proxy is broken in a way that only reading gets around.
        """
        stream.leave()
        self._undelivered += 1
        error = ConnectionFailedError if self._undelivered == 1 else _NotDeliveredError
        return error(f"{stream.member}: changes are not delivered")

    def _handle(self, stream: WatchSubstream, response: rpc.WatchResponse) -> bool:
        """Receive *response* in the thread of the stream, unless that would have to wait."""
        if response.canceled or not self._events.has_room:
            return False
        self._receive(response, stream)
        return True

    def _receive(self, response: rpc.WatchResponse, stream: WatchSubstream) -> None:
        if response.canceled:
            raise self._streams.refusal(response, stream.member)
        self._fragments.extend(response.events)
        if response.fragment or not self._fragments:
            return
        new = self._known.add(self._fragments)
        self._fragments = []
        if new:
            self._undelivered = 0
            self._events.put(Events(new))

    def _recover(self, exc: Exception, *, read_again: bool) -> None:
        """Report that the stream is lost, and pause before the next attempt."""
        self._lost |= read_again
        if self._backoff.failures or not isinstance(exc, _READ_AGAIN):
            # A broken file or login has to be repaired: reported even if the outage is known.
            needs_repair = isinstance(exc, (TLSError, AuthenticationError))
            self._report(Disconnected(str(exc)), anew=needs_repair)
        self._streams.pause(self._backoff.pause())
        if self._streams.stopped:
            raise ClosedError

    def _is_final(self, exc: EtcdError) -> bool:
        if isinstance(exc, (PermissionDeniedError, ClientClosedError)):
            return True
        if self._started:
            return False
        passing = isinstance(exc, (ConnectionFailedError, InvalidAnswerError, NotNowError))
        return not passing or isinstance(exc, TLSError)

    def _report(self, state: Connected | Disconnected, *, anew: bool = False) -> None:
        """Report a change of the connection; *anew*: also if only its reason is another one."""
        if type(state) is not type(self._reported) or (anew and state != self._reported):
            self._reported = state
            self._events.put(state)
