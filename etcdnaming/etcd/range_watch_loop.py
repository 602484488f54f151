"""
One endless stream of what happens in a range of keys: no change is missed, none comes twice.

It goes on after everything but its end and errors that no retry can heal. Once a stream is open,
and from time to time after that, the keys we know are compared with etcd's. What was compared
before may have changed when the stream begins, and a proxy goes on in front of a restored etcd as
if nothing had happened. If etcd has another history, has compacted ours, or does not deliver it,
the range is read again, and the owner of the watch works out the differences.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import TypeAlias

from ..errors import (
    AuthenticationError,
    ClientClosedError,
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
from ..model import WatchState
from . import rpc_pb2 as rpc
from .answers import classify_text
from .client import Client
from .columns import rows_of
from .deadline import Backoff, Deadline
from .known_keys import Events, HistoryChangedError, KnownKeys, RangeSnapshot, Summary
from .threads import BoundedQueue
from .watcher import WatchAgainError, Watcher, WatchSubstream

__all__ = ["RangeWatchLoop", "WatchEvent"]


_log = logger(__name__)

MAX_QUEUED_BYTES = 8 << 20
"""Memory of the changes that are kept for a slow user; beyond that the stream is closed."""

MAX_INCOMPLETE_BYTES, BYTES_PER_KEY = 64 << 20, 1 << 10
"""Bytes of incomplete changes that are kept, and more for each key: all may be deleted at once."""

VERIFY_INTERVAL = 30.0
"""Seconds between two reads that verify whether the stream delivers all changes."""

DELIVERY_TIMEOUT = 5.0
"""Seconds a stream may be silent after a read has shown a change."""

MAX_WATCH_PAUSE = 5.0
"""Seconds between attempts, at most: none before the first, then more each time."""


class _NotDeliveredError(EtcdError):
    """A stream does not deliver changes, and neither did the one before it."""


class _EndlessChangeError(InvalidAnswerError):
    """A change comes in parts without end, so the range is read instead."""


_EXPECTED = (CompactedError, MessageTooLargeError, HistoryChangedError, _NotDeliveredError)
"""After these the range is read again, because no stream can bring what was missed."""


WatchEvent: TypeAlias = RangeSnapshot | Events | WatchState
"""What a range watch brings: all keys, changes, and whether a member delivers changes."""


class RangeWatchLoop:
    """
    Adds to `events` what happens in a range of keys, and at last the error that ended it.

    First comes a `RangeSnapshot`: of what was there before *revision*, or is there now if that is 0
    or yet to come. *shared*: it is one of many, see `Watcher.open`.

    The executor of the client calls `step` whenever something is to be done: read, open a stream,
    verify it, leave it. The thread of the stream calls `_received` with each answer, which adds the
    changes to `events` at once. No other thread has to run for a change, and a watch without
    changes has no thread at all.

    `_lock` guards what both change: the stream and its state, the known keys, and the adding to
    `events`. Neither etcd nor a stream is called with it, because the lock of a stream comes before
    it. Everything else belongs to `step`.
    """

    def __init__(
        self, client: Client, start: bytes, end: bytes, revision: int, *, shared: bool
    ) -> None:
        self.events: BoundedQueue[WatchEvent | Exception] = BoundedQueue(MAX_QUEUED_BYTES)
        self._client, self._shared = client, shared
        self._range = rpc.WatchCreateRequest(key=start, range_end=end)
        self._watcher = Watcher.of(client)
        self._first_revision = revision
        self._started = self._lost = self._access_doubted = False
        self._compacted: CompactedError | None = None
        self._outage = _Outage()
        self._backoff = Backoff(MAX_WATCH_PAUSE)
        self._until_verified = Deadline(0)
        self._awaited: Summary | None = None
        self._lock = threading.Lock()
        self._known = KnownKeys(client, start, end)
        self._stream: WatchSubstream | None = None
        self._failure: Exception | None = None
        self._resumed = self.suspended = False
        self._incomplete: list[rpc.Event] = []
        self._incomplete_bytes = 0
        self._fragmented = False
        self._silence = Deadline(DELIVERY_TIMEOUT)
        self._undelivered = 0

    def wake(self) -> None:
        """Have a step executed, now."""
        self._watcher.executor.wake(self)

    def wake_if_caught_up(self) -> None:
        """Open a stream again if the user has taken most events; to be called if `suspended`."""
        if self.events.size <= MAX_QUEUED_BYTES // 2:
            self.wake()

    def stop(self) -> None:
        """End it, at once and from any thread."""
        self.events.close()
        with self._lock:
            stream, self._stream = self._stream, None
        if stream:
            stream.close()
        with suppress(ConnectionFailedError):  # without a thread, no step is planned either
            self.wake()

    def step(self) -> float | None:
        """Do what is due; return the seconds until there is more, ``None`` at the end."""
        try:
            with self._lock:
                # Changes that came before the failure are worth a comparison: a proxy may never
                # keep a stream for long.
                failed = self._failure and (self._resumed or not self._incomplete)
            if self.events.closed:
                return None
            # Not raised: the traceback of an error that is kept would refer to the error itself.
            return self._recover(self._failure) if failed and self._failure else self._go_on()
        except Exception as exc:  # noqa: BLE001 - whatever it is, the watch goes on
            return self._recover(exc)

    def _received(self, stream: WatchSubstream, answer: rpc.WatchResponse) -> bool:
        """Add the changes of *answer*; for the thread of the stream."""
        with self._lock:
            if stream is not self._stream:
                return False
            try:
                return self._receive(stream, answer)
            except Exception as exc:  # noqa: BLE001 - an error of a watch must not end its stream
                # Changes may have been lost with it, so `_recover` has the range read again.
                self._fail(exc)
                return False

    def _ended(self, stream: WatchSubstream, exc: Exception) -> None:
        """Note why *stream* has ended; for the thread of the stream."""
        with self._lock:
            if stream is self._stream:
                self._fail(exc)

    def _go_on(self) -> float:
        stream = self._stream
        if stream is None:
            if self.suspended and self.events.size > MAX_QUEUED_BYTES // 2:
                return VERIFY_INTERVAL
            return self._begin()
        if not stream.accepted or self._compacted:
            return self._wait_for_acceptance(stream)
        if not self._resumed:
            self._resume(stream)
            return 0.0 if self._failure else VERIFY_INTERVAL
        return self._until_verified.left() or self._verify(stream)

    def _begin(self) -> float:
        """Read what no stream can bring, then open a stream."""
        self.suspended = False
        if self._access_doubted:
            # etcd refuses an old token in the words that refuse a role. This read renews the token.
            self._known.check_access()
        self._read()
        create = rpc.WatchCreateRequest(fragment=True, start_revision=self._known.revision + 1)
        create.MergeFrom(self._range)
        with self._lock:
            stream = self._stream = WatchSubstream(create, self._received, self._ended)
        self._watcher.open(stream, shared=self._shared)
        if self.events.closed:
            stream.close()  # `stop` may have come before there was anything to close
        return stream.create_time_left()

    def _read(self) -> None:
        if not self._started:
            self._start()
        elif self._lost:
            self._add(self._snapshot(resync=True))
            self._lost = False

    def _snapshot(self, revision: int = 0, *, resync: bool = False) -> RangeSnapshot:
        snapshot = self._known.read(revision)
        return RangeSnapshot(snapshot.header.revision, snapshot.found, resync)

    def _start(self) -> None:
        """
        Add the events before the stream: all keys now, or before the first revision.

        If the changes of that revision are compacted, the stream is opened all the same, because
        etcd's refusal names the compact revision.
        """
        first = max(self._first_revision, 2)  # revision 1 is that of an empty etcd
        try:
            before = self._snapshot(first - 1 if self._first_revision else 0)
        except FutureRevisionError:
            before = self._snapshot()
        except CompactedError as exc:
            if not self._first_revision:  # compaction overtook the reading again and again
                raise NotNowError(exc.text) from exc
            if not self._start_from_compact(first):
                self._compacted, self._known.revision = exc, first - 1
            return
        self._add(before)
        self._started = True

    def _start_from_compact(self, revision: int) -> bool:
        # A user who was given the compact revision begins there: etcd still has the keys of that
        # revision, but not those of the one before it.
        try:
            snapshot = self._snapshot(revision)
        except CompactedError:
            return False
        before = [kv for kv in snapshot.keys if kv.mod_revision < revision]
        made = [kv for kv in snapshot.keys if kv.mod_revision == revision]
        self._add(snapshot._replace(keys=before))
        if made:
            self._add(Events(rows_of(made), frozenset()))
        self._started = True
        return True

    def _wait_for_acceptance(self, stream: WatchSubstream) -> float:
        if left := stream.create_time_left():
            return left
        if self._compacted:
            raise self._compacted
        stream.leave()
        raise ConnectionFailedError(f"{stream.member}: the watch does not begin")

    def _resume(self, stream: WatchSubstream) -> None:
        """Verify that etcd has the history we know, and pass on what came since."""
        self._known.check()  # nothing is added to them before they are compared
        self._backoff.opened()
        self._access_doubted, self._awaited = False, None
        self._until_verified = Deadline(VERIFY_INTERVAL)
        with self._lock:
            if stream is not self._stream:
                return
            self._report_connected(stream.member)
            self._resumed = True
            wanted = self._add_changes(self._incomplete)
        if not wanted:
            stream.close()

    def _verify(self, stream: WatchSubstream) -> float:
        """Leave a stream that does not deliver all changes, or belongs to another history."""
        if self._awaited is None:
            summary = self._copy().summarize()
            self._silence = Deadline(DELIVERY_TIMEOUT)  # before the other thread renews it
            self._awaited = summary
        with self._lock:
            has_reached = self._known.has_reached(self._awaited)
            has_passed = self._known.has_passed(self._awaited)
        if not has_reached:
            if left := self._silence.left():
                return left
            raise self._leave(stream)
        if has_passed:
            self._copy().check()
        self._undelivered, self._awaited = 0, None
        self._until_verified = Deadline(VERIFY_INTERVAL)
        return VERIFY_INTERVAL

    def _copy(self) -> KnownKeys:
        with self._lock:
            return self._known.copy()

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

    def _receive(self, stream: WatchSubstream, answer: rpc.WatchResponse) -> bool:
        if answer.canceled:  # whatever its watch id, and "created" too
            self._fail(self._refusal(answer, stream.member))
            return False
        if answer.created:
            stream.accepted = True
            self.wake()
        if self._awaited:
            self._silence.renew()
        self._fragmented = answer.fragment
        if self._resumed and not answer.fragment and not self._incomplete:
            return self._add_changes(answer.events)
        self._incomplete_bytes += answer.ByteSize()
        events = [*self._incomplete, *answer.events]
        if self._resumed:
            wanted = self._add_changes(events)
        else:
            self._incomplete, wanted = events, True
        most = MAX_INCOMPLETE_BYTES + BYTES_PER_KEY * len(self._known)
        if self._incomplete_bytes > most:
            raise _EndlessChangeError(f"more than {most >> 20} MiB of one change", stream.member)
        return wanted

    def _add_changes(self, events: Sequence[rpc.Event]) -> bool:
        """
        Pass *events* on, but for a revision that is not complete; return whether more are wanted.

        If the user does not take them in time, the stream is closed until most are taken. etcd
        keeps what comes meanwhile, and no other watch has to wait.
        """
        self._incomplete = []
        if self._fragmented:
            complete = _complete(events)
            events, self._incomplete = events[:complete], [*events[complete:]]
        if events or not self._incomplete:
            self._incomplete_bytes = 0
        if events:
            new = self._known.add(Events.of(events))
            if new.keys:
                self._undelivered = 0
                self.events.add(new, new.size)
        if self.events.has_room:
            return True
        self._forget_stream()
        self.suspended = True
        self.wake_if_caught_up()  # it may have taken them before it could see that
        return False

    def _forget_stream(self) -> None:
        self._stream = self._failure = None
        self._resumed = False
        self._incomplete, self._incomplete_bytes = [], 0

    def _fail(self, exc: Exception) -> None:
        self._failure = exc
        self.wake()

    def _add(self, event: WatchEvent | Exception) -> None:
        with self._lock:
            self.events.add(event, 0)

    def _refusal(self, answer: rpc.WatchResponse, member: str) -> EtcdError:
        """Return why *member* has ended the watch."""
        if answer.compact_revision:
            return CompactedError(
                "etcdserver: mvcc: required revision has been compacted: "
                f"the compact revision is {answer.compact_revision}"
            )
        error = classify_text(answer.cancel_reason, member)
        if isinstance(error, PermissionDeniedError):
            return self._client._caller.explain(error, "read", self._range)
        return error

    def _recover(self, exc: Exception) -> float | None:
        """Leave the stream after *exc*; return the seconds until the next, ``None``: no more."""
        with self._lock:
            stream, resumed = self._stream, self._resumed
            self._forget_stream()
        if stream:
            stream.close()
        if resumed:
            self._backoff.ended()
        if isinstance(exc, WatchAgainError):
            return 0.0
        if not isinstance(exc, EtcdError):
            _log.error("a watch goes on after an error", exc_info=exc)
        is_refused = isinstance(exc, (PermissionDeniedError, AuthenticationError))
        if is_refused and stream and not resumed and not self._access_doubted:
            self._access_doubted = True
            return 0.0
        if self._is_final(exc):
            self._add(exc)
            return None
        # Changes may have been lost with an error that was not foreseen.
        self._lost |= isinstance(exc, (*_EXPECTED, _EndlessChangeError)) or not isinstance(
            exc, EtcdError
        )
        if self._backoff.failures or not isinstance(exc, _EXPECTED):
            self._report_outage(str(exc))
        self._access_doubted = False
        return self._backoff.pause()

    def _is_final(self, exc: Exception) -> bool:
        if isinstance(exc, (PermissionDeniedError, ClientClosedError)):
            return True
        if self._started or not isinstance(exc, EtcdError):
            return False
        passing = isinstance(exc, (ConnectionFailedError, InvalidAnswerError, NotNowError))
        return not passing or isinstance(exc, TLSError)

    def _report_connected(self, member: str) -> None:
        if self._outage.ended():
            self.events.add(WatchState(connected=True, detail=member), 0)

    def _report_outage(self, reason: str) -> None:
        with self._lock:
            if self._outage.is_news(reason):
                self.events.add(WatchState(connected=False, detail=reason), 0)


class _Outage:
    """
    Whether the connection is lost, and which reasons of that are worth a report.

    The first reason is, and another one that stays: it must come as often in a row as reasons were
    reported before, and once more. So a reader sees the present reason, and reasons that alternate
    for hours, as those of several members do, are not a report for each attempt.

    >>> outage = _Outage()
    >>> [reason for reason in "abbbaaaabab" if outage.is_news(reason)]
    ['a', 'b', 'a']
    """

    def __init__(self) -> None:
        self._is_connected: bool | None = None
        self._reported = self._last = ""
        self._in_a_row = self._reports = 0

    def ended(self) -> bool:
        """Note that there is a connection; return whether there was none before."""
        was_connected, self._is_connected = self._is_connected, True
        self._reports = 0
        return not was_connected

    def is_news(self, reason: str) -> bool:
        """Note that an attempt failed for *reason*; return whether to report that."""
        self._in_a_row = self._in_a_row + 1 if reason == self._last else 1
        self._last, self._is_connected = reason, False
        if self._in_a_row <= self._reports or (self._reports and reason == self._reported):
            return False
        self._reported = reason
        self._reports += 1
        return True


def _complete(events: Sequence[rpc.Event]) -> int:
    """Return the number of *events* before those of the last revision, which may be incomplete."""
    number = len(events)
    while number and events[number - 1].kv.mod_revision == events[-1].kv.mod_revision:
        number -= 1
    return number
