"""
Some single keys, of which it is said at once when one of them has changed, or may have.

Unlike a `RangeWatch` it does not say what happened: whoever is told looks for himself. So nothing
has to be remembered, resumed or compared, and one stream does for any number of keys.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from ..errors import EtcdError
from . import rpc_pb2 as rpc
from .answers import classify_text
from .bidi_stream import BidiStream
from .calls import Method
from .client import Client

__all__ = ["KeyWatch"]

_WATCH = Method("/etcdserverpb.Watch/Watch", rpc.WatchRequest, rpc.WatchResponse)


class KeyWatch:
    """
    Calls *changed* with a key and the revision at which it changed; 0: look, it may have.

    That is after the beginning, and after every break. A key whose watch is refused is followed no
    longer, until it is asked for again.

    `_lock` guards everything. *changed* is called by the dialogue's thread, without it; it must
    not wait.
    """

    def __init__(self, client: Client, changed: Callable[[bytes, int], None]) -> None:
        self._client, self._changed = client, changed
        self._lock = threading.Lock()
        self._followed: set[bytes] = set()
        self._wanted: deque[bytes] = deque()
        self._asked: bytes | None = None
        self._watches: dict[int, bytes] = {}
        self._dialogue: BidiStream[rpc.WatchRequest, rpc.WatchResponse] | None = None
        self._open = False

    def follow(self, key: bytes) -> None:
        """
        Tell of *key* from now on.

        Raises:
            ConnectionFailedError: No thread can be started now; *key* is not followed.
        """
        with self._lock:
            if key in self._followed:
                return
            if self._dialogue is None:
                self._dialogue = BidiStream(self._client.caller, _WATCH, self, "etcdnaming-keys")
            self._followed.add(key)
            self._wanted.append(key)
            if self._open and self._asked is None:
                self._ask_next()

    def unfollow(self, key: bytes) -> None:
        """Don't tell of *key* any longer."""
        with self._lock:
            self._followed.discard(key)
            for watch in [each for each, its in self._watches.items() if its == key]:
                self._cancel(watch)

    def close(self) -> None:
        """Tell of nothing any more."""
        with self._lock:
            self._followed.clear()
            if self._dialogue:
                self._dialogue.close()

    def opened(self) -> None:
        """Ask for every key, on a new stream."""
        with self._lock:
            self._open = True
            self._watches.clear()
            self._wanted = deque(self._followed)
            self._ask_next()

    def received(self, response: rpc.WatchResponse) -> None:
        """Take what etcd says of one key."""
        if response.canceled:
            self._canceled(response)
        elif response.created:
            self._created(response.watch_id)
        for event in response.events:
            self._changed(event.kv.key, event.kv.mod_revision)

    def broken(self, exc: EtcdError) -> None:
        """Ask nobody until there is a new stream; what is missed till then will be looked for."""
        with self._lock:
            self._open = False

    def _created(self, watch: int) -> None:
        with self._lock:
            key, self._asked = self._asked, None
            if key is None:
                return  # a broken proxy accepts a watch again that has begun long ago
            if key in self._followed:
                self._watches[watch] = key
            else:
                self._cancel(watch)
                key = None
            self._ask_next()
        if key is not None:
            self._changed(key, 0)

    def _canceled(self, response: rpc.WatchResponse) -> None:
        with self._lock:
            key = self._asked if response.created else self._watches.pop(response.watch_id, None)
            if key is None:
                return  # by us
            self._followed.discard(key)
        self._changed(key, 0)
        # Perhaps it was the token, and a new stream has a new one.
        raise classify_text(response.cancel_reason, "etcd")

    def _ask_next(self) -> None:
        # One at a time: the answer does not name the key, and the proxy has an order of its own.
        self._asked = None
        while self._wanted and self._asked is None:
            key = self._wanted.popleft()
            if key in self._followed and self._dialogue:
                self._asked = key
                create = rpc.WatchCreateRequest(key=key)
                self._dialogue.send(rpc.WatchRequest(create_request=create))

    def _cancel(self, watch: int) -> None:
        self._watches.pop(watch, None)
        if self._dialogue:
            cancel = rpc.WatchCancelRequest(watch_id=watch)
            self._dialogue.send(rpc.WatchRequest(cancel_request=cancel))
