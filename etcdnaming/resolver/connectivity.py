"""Who wants to know the state of a channel, while the channels within it come and go."""

from __future__ import annotations

import threading
from functools import partial

import grpc

from ..etcd.channel_state import Listener, unsubscribe
from ..etcd.threads import start_thread
from ..log import logger
from .inner import Inner

__all__ = ["Connectivity"]

_log = logger(__name__)


class Connectivity:
    """
    Tells the state of the current source to all who have subscribed. `_lock` guards everything.

    They are called by a thread that is there only while there is something to tell: they may call
    the channel, and wait for it.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._told: dict[Listener, grpc.ChannelConnectivity | None] = {}
        self._connect = self._telling = False
        self._state: grpc.ChannelConnectivity | None = grpc.ChannelConnectivity.IDLE
        self._source: Inner | None = None
        self._note: Listener | None = None

    def subscribe(self, listener: Listener, *, try_to_connect: bool) -> None:
        """Tell *listener* the state, and whenever it changes."""
        with self._lock:
            self._told[listener] = None
            if self._note is None or (try_to_connect and not self._connect):
                self._connect |= try_to_connect
                self._listen()
            self._tell()

    def unsubscribe(self, listener: Listener) -> None:
        """Tell it no more."""
        with self._lock:
            self._told.pop(listener, None)
            if not self._told:
                self._listen()

    def follow(self, source: Inner | None, state: grpc.ChannelConnectivity) -> None:
        """From now on tell the state of *source*; where there is none, it is *state*."""
        with self._lock:
            self._leave()
            self._source = source
            if source is None:
                self._state = state
                self._tell()
            self._listen()

    def _listen(self) -> None:
        self._leave()
        if self._source and self._told:
            self._note = partial(self._hear, self._source)
            self._source.channel.subscribe(self._note, try_to_connect=self._connect)

    def _leave(self) -> None:
        if self._source and self._note:
            unsubscribe(self._source.channel, self._note)
            self._state = None  # no longer observed
        self._note = None

    def _hear(self, source: Inner, state: grpc.ChannelConnectivity) -> None:
        with self._lock:
            if source is self._source:
                self._state = state
                self._tell()

    def _tell(self) -> None:
        if not self._telling and self._behind():
            start_thread(self._run, "etcdnaming-state")
            self._telling = True

    def _behind(self) -> list[Listener]:
        if self._state is None:
            return []
        return [each for each, told in self._told.items() if told is not self._state]

    def _run(self) -> None:
        while True:
            with self._lock:
                state, behind = self._state, self._behind()
                if state is None or not behind:
                    self._telling = False
                    return
                self._told.update(dict.fromkeys(behind, state))
            for listener in behind:
                try:
                    listener(state)
                except Exception:  # noqa: BLE001 - is the program's, and no reason to fall silent
                    _log.exception("a listener to the state of a channel failed")
