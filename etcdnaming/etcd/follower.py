"""
The thread behind a watch: it goes on after everything but its end and what no retry can heal.

Once a stream is there, and from time to time after that, it is proved that etcd still has the
history we have seen: what is proved before may be wrong when the stream begins, and a proxy goes on
as if nothing had happened. If etcd has another history, has compacted ours, or does not deliver it,
the range is read again, and whoever listens compares.
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
    MessageTooLargeError,
    PermissionDeniedError,
    TLSError,
)
from ..log import logger
from . import rpc_pb2 as rpc
from .answers import InvalidAnswerError, NotNowError
from .beginning import begin
from .deadline import Deadline
from .history import AnotherHistoryError, History
from .mailbox import Mailbox
from .news import Connected, Disconnected, Events, News, Reading
from .streams import Streams
from .substream import AskAgainError, Substream
from .threads import full_jitter

__all__ = ["Follower"]

_log = logger(__name__)

IDLE = 30.0
"""Seconds after which etcd is asked, again and again, whether the stream tells what is there."""

LATE = 5.0
"""Seconds a stream may be silent when a read has shown a change."""

KEY_ROOM = 50
"""Bytes kept of a stream for each key we know: the more of them, the longer we look at them."""

LONGEST_PAUSE = 5.0
"""Seconds between attempts, at most: none before the first, then more each time."""

STEADY = 5.0
"""Seconds a stream must last for the pauses to begin again with the first."""


class _NotDeliveredError(EtcdError):
    """A stream keeps changes back, as the one before it did."""


_READ_AGAIN = (CompactedError, MessageTooLargeError, AnotherHistoryError, _NotDeliveredError)
"""After these, because no stream can bring what we want to know."""


class Follower:
    """
    Puts into *news* what happens from *revision* on, and at last the error that ended it.

    All of it belongs to its thread, but for `stop`; while that waits, to the thread of the stream.
    """

    def __init__(
        self, history: History, streams: Streams, revision: int, news: Mailbox[News | Exception]
    ) -> None:
        self._history, self._streams = history, streams
        self._first_revision, self._news = revision, news
        self._begun = self._lost = False
        self._told: News | None = None
        self._failures = self._undelivered = 0
        self._fragments: list[rpc.Event] = []

    def stop(self) -> None:
        """End it, from another thread, which has closed the news before."""
        self._streams.stop()

    def run(self) -> None:
        """Tell news until told to stop, or until an error that no retry heals."""
        with suppress(ClosedError):
            try:
                while True:
                    self._live()
            except EtcdError as exc:
                self._news.put(exc)

    def _live(self) -> None:
        """Read what no stream can bring, then follow a stream until it breaks; survive that."""
        try:
            self._read()
            with self._open() as stream:
                stream.room += KEY_ROOM * len(self._history)
                self._history.check()
                self._tell(Connected(stream.member))
                self._follow(stream)
        except AskAgainError:
            pass  # all that was kept has been told: on with what was not, perhaps in another way
        except ClosedError:
            raise
        except EtcdError as exc:
            if self._is_final(exc):
                raise
            self._survive(exc, read_again=isinstance(exc, _READ_AGAIN))
        except Exception as exc:  # noqa: BLE001 - whatever it is, the watch goes on
            _log.exception("a watch goes on after an error")
            # What was seen of the stream may have been lost with it, in the middle of a change.
            self._survive(exc, read_again=True)

    def _read(self) -> None:
        if not self._begun:
            self._begin()
        elif self._lost:
            self._news.put(Reading(self._history.read(), again=True))
            self._lost = False

    def _begin(self) -> None:
        try:
            beginning = begin(self._history, self._first_revision)
        except CompactedError as exc:
            if not self._first_revision:  # compaction overtook the reading again and again
                raise NotNowError(exc.text) from exc
            self._streams.refuse(self._first_revision)
            raise
        for news in beginning:
            self._news.put(news)
            self._begun = True

    def _open(self) -> Substream:
        try:
            return self._streams.open(self._history.revision + 1)
        except (PermissionDeniedError, AuthenticationError):
            # An old token is refused in the words that refuse a role. This read renews it.
            self._history.ask()
            return self._streams.open(self._history.revision + 1)

    def _follow(self, stream: Substream) -> None:
        steady, proof = Deadline(STEADY), Deadline(IDLE)
        hear = partial(self._hear, stream)
        self._fragments = []
        try:
            while True:
                if response := stream.take(proof.left(), hear):
                    self._receive(response, stream)
                if not proof.left():
                    self._prove(stream)
                    self._undelivered = 0
                    proof = Deadline(IDLE)
        finally:
            if not steady.left():
                self._failures = 0

    def _prove(self, stream: Substream) -> None:
        """Break with a stream that keeps something back, or has come to tell another history."""
        glance = self._history.glance()
        while not self._history.has_come_to(glance):
            response = stream.take(LATE)
            if response is None:
                raise self._left(stream)
            self._receive(response, stream)
        if self._history.has_passed(glance):
            self._history.check()

    def _left(self, stream: Substream) -> EtcdError:
        """
        Leave *stream*, which does not deliver, and return what is wrong.

        Another one may. If that brings nothing either, we are so far behind that etcd can't catch
        up, or something is broken that only reading gets around.
        """
        stream.leave()
        self._undelivered += 1
        error = ConnectionFailedError if self._undelivered == 1 else _NotDeliveredError
        return error(f"{stream.member}: changes are not delivered")

    def _hear(self, stream: Substream, response: rpc.WatchResponse) -> bool:
        """Receive *response* in the thread it comes from, unless that would keep it waiting."""
        if response.canceled or not self._news.has_room:
            return False
        self._receive(response, stream)
        return True

    def _receive(self, response: rpc.WatchResponse, stream: Substream) -> None:
        if response.canceled:
            raise self._streams.refusal(response, stream.member)
        self._fragments.extend(response.events)
        if response.fragment or not self._fragments:
            return
        new = self._history.add(self._fragments)
        self._fragments = []
        if new:
            self._undelivered = 0
            self._news.put(Events(new))

    def _survive(self, exc: Exception, *, read_again: bool) -> None:
        """Pause before the next attempt."""
        self._lost |= read_again
        if self._failures or not isinstance(exc, _READ_AGAIN):
            # A broken file or login has to be repaired: reported even if the outage is known.
            self._tell(
                Disconnected(str(exc)), anew=isinstance(exc, (TLSError, AuthenticationError))
            )
        if self._failures:
            self._streams.pause(full_jitter(self._failures, LONGEST_PAUSE))
        self._failures += 1
        if self._streams.stopped:
            raise ClosedError

    def _is_final(self, exc: EtcdError) -> bool:
        if isinstance(exc, (PermissionDeniedError, ClientClosedError)):
            return True
        if self._begun:
            return False
        passing = isinstance(exc, (ConnectionFailedError, InvalidAnswerError, NotNowError))
        return not passing or isinstance(exc, TLSError)

    def _tell(self, news: Connected | Disconnected, *, anew: bool = False) -> None:
        """Report a change of the connection; *anew*: also if only its reason is another one."""
        if type(news) is not type(self._told) or (anew and news != self._told):
            self._told = news
            self._news.put(news)
