"""
One endless stream of what happens in a range of keys: no change is missed, none comes twice.

This is the side of the user; the work that keeps it going is in `range_watch_loop`.
"""

from __future__ import annotations

from ..errors import ClientClosedError, ClosedError, InheritedError
from ..fork import call_after_fork, inherited
from .client import Client
from .range_watch_loop import RangeWatchLoop
from .watch_events import Connected, Disconnected, Events, RangeSnapshot, WatchEvent

__all__ = ["Connected", "Disconnected", "Events", "RangeSnapshot", "RangeWatch", "WatchEvent"]


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
        self._end: Exception | None = None
        self._loop: RangeWatchLoop | None = None
        call_after_fork(self)
        try:
            self._loop = RangeWatchLoop(client, start, end, revision, shared=shared)
        except ClientClosedError as exc:  # reported as if it had been closed a moment later
            self._end = exc
        else:
            self._loop.wake()

    def get(self, timeout: float | None = None) -> WatchEvent | None:
        """
        Return what happened next; ``None`` if nothing did for *timeout* seconds.

        Raises:
            EtcdError: No retry heals it; from now on, every call raises it.
            ClosedError: By `close`.
            InheritedError: This process is a forked child, and the watch belongs to its parent.
        """
        if self._loop and not self._end:
            event = self._loop.events.get(timeout)
            if self._loop.suspended:
                self._loop.wake_if_caught_up()
            if not isinstance(event, Exception):
                return event
            self._end = event
        raise self._end or ClosedError

    def close(self) -> None:
        """End it, at once and from any thread. In a forked child it does nothing."""
        if self._loop:
            self._loop.stop()

    def after_fork(self) -> None:
        """Bring no more events, in a child, which has no thread of the client: see `fork`."""
        inherited.append(self._loop)
        self._loop, self._end = None, InheritedError("the watch")
