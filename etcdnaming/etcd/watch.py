"""
One endless stream of what happens in a range of keys: nothing missed, nothing twice.

This is the side that listens; what keeps the stream going is in `follower`.
"""

from __future__ import annotations

from ..errors import InheritedError
from ..fork import call_after_fork, inherited
from .client import Client
from .follower import Follower
from .history import History
from .mailbox import Mailbox
from .news import Connected, Disconnected, Events, News, Reading
from .streams import Streams
from .threads import start_thread

__all__ = ["Connected", "Disconnected", "Events", "News", "RangeWatch", "Reading"]

AHEAD = 256
"""News kept for a slow listener; beyond that etcd has to wait."""


class RangeWatch:
    """
    What happens from *start* to *end* (exclusive): first a `Reading`, then `Events`, for ever.

    One thread takes the news; any may close.

    Args:
        revision: Begin with the changes of this revision; the reading is what was there before
            it, or is there now if that revision is yet to come. 0: begin now.

        shared: It is one of many, see `Streams`.

    Raises:
        ConnectionFailedError: No thread can be started now.
    """

    def __init__(
        self, client: Client, start: bytes, end: bytes, *, revision: int = 0, shared: bool = False
    ) -> None:
        self._news: Mailbox[News | Exception] = Mailbox(AHEAD)
        self._end: Exception | None = None
        history = History(client, start, end)
        streams = Streams(client, start, end, shared=shared)
        self._follower = Follower(history, streams, revision, self._news)
        self._inherited = False
        call_after_fork(self)
        start_thread(self._follower.run, "etcdnaming-watch")

    def get(self, timeout: float | None = None) -> News | None:
        """
        Return what happened next; ``None`` if nothing did for *timeout* seconds.

        Raises:
            EtcdError: It can't go on, and no retry would heal that; from now on, every time.
            ClosedError: We have closed it.
            InheritedError: It is the parent's, and this is a forked child.
        """
        if self._end is None:
            news = self._news.get(timeout)
            if not isinstance(news, Exception):
                return news
            self._end = news
        raise self._end

    def close(self) -> None:
        """End it, at once and from any thread; what a child inherits is not for it to end."""
        if not self._inherited:
            self._news.close()
            self._follower.stop()

    def after_fork(self) -> None:
        """Bring no more, in a child, where nothing follows the range: see `fork`."""
        inherited.append(self._follower)
        self._inherited, self._end = True, InheritedError("the watch")
