"""Where a watch begins: now, or with the changes of a revision that is long past or yet to come."""

from __future__ import annotations

from ..errors import CompactedError, FutureRevisionError
from . import rpc_pb2 as rpc
from .history import History
from .news import Events, News, Reading

__all__ = ["begin"]


def begin(history: History, revision: int) -> list[News]:
    """
    Return what to tell first; *history* is then where the stream begins.

    That is what there was before *revision*, or is now if that is 0 or yet to come.

    Raises:
        CompactedError: The changes of *revision* are not to be had any more.
    """
    if not revision:
        return [Reading(history.read(), again=False)]
    first = max(revision, 2)  # nobody has ever changed anything in revision 1
    try:
        return [Reading(history.read(first - 1), again=False)]
    except FutureRevisionError:
        return [Reading(history.read(), again=False)]
    except CompactedError:
        return _from_the_oldest(history, first)


def _from_the_oldest(history: History, revision: int) -> list[News]:
    # Who is told what the compact revision is begins there: etcd has that one, but nothing before.
    snapshot = history.read(revision)
    before = [kv for kv in snapshot.found if kv.mod_revision < revision]
    made = [kv for kv in snapshot.found if kv.mod_revision == revision]
    events = Events([rpc.Event(type=rpc.Event.PUT, kv=kv) for kv in made])
    return [Reading(snapshot.with_only(before), again=False), *([events] if made else [])]
