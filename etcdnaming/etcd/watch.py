"""
One endless stream of what happens in a range of keys: no change is missed, none comes twice.

This is the side of the user; the thread that keeps it going is in `range_watch_loop`.
"""

from __future__ import annotations

from ..errors import InheritedError
from ..fork import call_after_fork, inherited
from .bounded_queue import BoundedQueue
from .client import Client
from .known_keys import KnownKeys
from .range_watch_loop import RangeWatchLoop
from .threads import start_thread
from .watch_events import Connected, Disconnected, Events, RangeSnapshot, WatchEvent
from .watcher import RangeStreams

__all__ = ["Connected", "Disconnected", "Events", "RangeSnapshot", "RangeWatch", "WatchEvent"]

MAX_EVENTS = 256
"""Events kept for a slow user; beyond that the stream keeps answers, and then is opened again."""


class RangeWatch:
    """
    What happens from *start* to *end* (exclusive): first a `RangeSnapshot`, then `Events`.

    One thread takes the events; any may close.

    Args:
        revision: Begin with the changes of this revision; the snapshot is what was there before
            it, or is there now if that revision is yet to come. 0: begin now.

        shared: It is one of many, see `Watcher.open`.

    Raises:
        ConnectionFailedError: No thread can be started now.
    """

    def __init__(
        self, client: Client, start: bytes, end: bytes, *, revision: int = 0, shared: bool = False
    ) -> None:
        self._events: BoundedQueue[WatchEvent | Exception] = BoundedQueue(MAX_EVENTS)
        self._end: Exception | None = None
        known = KnownKeys(client, start, end)
        streams = RangeStreams(client, start, end, shared=shared)
        self._loop = RangeWatchLoop(known, streams, revision, self._events)
        self._inherited = False
        call_after_fork(self)
        start_thread(self._loop.run, "etcdnaming-watch")

    def get(self, timeout: float | None = None) -> WatchEvent | None:
        """
        Return what happened next; ``None`` if nothing did for *timeout* seconds.

        Raises:
            EtcdError: No retry heals it; from now on, every call raises it.
            ClosedError: By `close`.
            InheritedError: This process is a forked child, and the watch belongs to its parent.
        """
        if self._end is None:
            event = self._events.get(timeout)
            if not isinstance(event, Exception):
                return event
            self._end = event
        raise self._end

    def close(self) -> None:
        """End it, at once and from any thread. In a forked child it does nothing."""
        if not self._inherited:
            self._events.close()
            self._loop.stop()

    def after_fork(self) -> None:
        """Bring no more events, in a child, which has no thread of the loop: see `fork`."""
        inherited.append(self._loop)
        self._inherited, self._end = True, InheritedError("the watch")
