"""
Watch single keys, and report at once when one of them has changed, or may have.

Unlike a `RangeWatchLoop`, it does not say what happened: its user reads the key. So nothing has to
be remembered, resumed or compared, and one stream does for any number of keys.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial

from ..errors import ClosedError, EtcdError
from . import rpc_pb2 as rpc
from .answers import classify_text
from .client import Client
from .deadline import MAX_STREAM_PAUSE, Backoff
from .threads import run_steps, start_thread
from .watcher import Watcher, WatchStream, WatchSubstream

__all__ = ["KeyWatch"]


class KeyWatch:
    """
    Calls *report* with a key and the revision at which it changed; 0: it may have changed.

    The latter comes at the beginning of a watch, and after every break. A key whose watch is
    refused is not followed any longer, until `follow` is called again.

    A thread of its own opens a stream, reads it and calls *report*, without a lock; *report* must
    not wait. `_changed` guards everything else. It is taken before the lock of a `WatchStream`,
    which is not held when that calls `_received`.
    """

    def __init__(self, client: Client, report: Callable[[bytes, int], None]) -> None:
        self._client, self._report = client, report
        self._changed = threading.Condition()
        self._closed = threading.Event()
        self._followed: dict[bytes, WatchSubstream] = {}
        self._stream: WatchStream | None = None
        self._backoff = Backoff(MAX_STREAM_PAUSE)
        self._runs = False

    def follow(self, key: bytes) -> None:
        """
        Report changes of *key* from now on.

        Raises:
            ConnectionFailedError: No thread can be started now; *key* is not followed.
        """
        with self._changed:
            if key in self._followed:
                return
            if not self._runs:
                run = partial(run_steps, self._watch_once, self._closed.wait)
                start_thread(run, "etcdnaming-keys")
                self._runs = True
            watched = self._followed[key] = WatchSubstream(
                rpc.WatchCreateRequest(key=key), self._received, _note_end
            )
            if self._stream:
                self._stream.add(watched)  # if that carries no more, the next stream does
            self._changed.notify()

    def unfollow(self, key: bytes) -> None:
        """Report changes of *key* no longer."""
        with self._changed:
            watched = self._followed.pop(key, None)
            if watched and self._stream:
                self._stream.drop(watched)

    def close(self) -> None:
        """Report nothing any longer, and end the thread and its stream."""
        with self._changed:
            self._closed.set()
            self._followed.clear()
            if self._stream:
                self._stream.fail(ClosedError())
            self._changed.notify()

    def _watch_once(self) -> bool:
        """Read a stream until it ends, and pause; return whether there is to be another one."""
        with self._changed:
            self._changed.wait_for(lambda: self._followed or self._closed.is_set())
        if self._closed.is_set():
            return False
        try:
            self._read_stream()
        except EtcdError as exc:
            self._closed.wait(self._backoff.pause_after(exc))
        return True

    def _read_stream(self) -> None:
        """Watch all keys on a new stream, until it breaks or carries no key any more."""
        stream = Watcher.of(self._client).open_key_stream()
        with self._changed:
            if self._closed.is_set():
                return
            self._stream = stream
            for watched in self._followed.values():
                stream.add(watched)
        self._backoff.opened()
        error = stream.run()
        self._backoff.ended()
        try:
            if error is not None:
                raise error
        finally:
            del error  # not to be held by a frame of its own traceback

    def _received(self, watched: WatchSubstream, response: rpc.WatchResponse) -> bool:
        if response.canceled:
            self._refused(watched, response)
        elif response.created:
            self._report(watched.create.key, 0)
        for event in response.events:
            self._report(event.kv.key, event.kv.mod_revision)
        return True

    def _refused(self, watched: WatchSubstream, response: rpc.WatchResponse) -> None:
        with self._changed:
            if self._followed.get(watched.create.key) is not watched:
                return  # unfollowed meanwhile
            del self._followed[watched.create.key]
        self._report(watched.create.key, 0)
        # The reason may be the token: a new stream has a new one.
        raise classify_text(response.cancel_reason, "etcd")


def _note_end(*_: object) -> None:
    """Do nothing: the thread that reads the stream gets the error, too."""
