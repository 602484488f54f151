"""One watch of a target for all channels to it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable

from ..endpoints.watch import Watch
from ..errors import ClosedError, InvalidSettingError
from ..etcd import Client
from ..log import logger
from ..model import Endpoint, WatchState
from .host_names import HostNames
from .known_set import KnownSet
from .outlook import Outlook, Surveyor

__all__ = ["Following", "follow", "unfollow"]

RETRY = 5.0
"""Seconds until a watch that has ended with an error is begun anew: roles are granted, too."""

_log = logger(__name__)

_shared: dict[tuple[Client, str, float], Following] = {}
_sharing = threading.RLock()  # guards it


def follow(client: Client, target: str, hold: float, listener: Callable[[], None]) -> Following:
    """
    Return what follows *target*: the same for all who ask, until they `unfollow`.

    Raises:
        InvalidSettingError: *hold* is no time.
    """
    if not hold >= 0:
        raise InvalidSettingError("resync_hold must not be less than 0")
    with _sharing:
        following = _shared.get((client, target, hold))
        if following is None:
            following = _shared[client, target, hold] = Following(client, target, hold)
            following.start()
        following.join(listener)
        return following


def unfollow(following: Following, listener: Callable[[], None]) -> None:
    """Listen no more; the last one to do so stops it."""
    with _sharing:
        if not following.leave(listener):
            return
        del _shared[following.key]
    following.stop()


def _after_fork() -> None:
    """Begin anew: a child has none of our threads, and locks that nobody will ever release."""
    global _sharing  # noqa: PLW0603 - no other way to renew it
    _sharing = threading.RLock()
    for following in _shared.values():
        following.orphan()
    _shared.clear()


os.register_at_fork(after_in_child=_after_fork)


class Following:
    """
    Follows *target* in a thread of its own, from `start` to `stop`.

    `_changed` guards everything but the known set, which belongs to the thread. Who listens is told
    under no lock that `outlook`, which anybody may read, is another one.
    """

    def __init__(self, client: Client, target: str, hold: float) -> None:
        self.key = client, target, hold
        self.outlook = Outlook()
        self._listeners: set[Callable[[], None]] = set()
        self._client, self._target = client, target
        self._known = KnownSet(hold)
        self._hosts = HostNames(self._survey)
        self._surveyor = Surveyor(target, self._hosts)
        self._changed = threading.Condition()
        self._endpoints: tuple[Endpoint, ...] | None = None
        self._watch: Watch | None = None
        self._connected = self._stopped = False
        self._confirmed: float | None = None
        self._complaint = ""

    def start(self) -> None:
        """Begin."""
        threading.Thread(target=self._run, name="etcdnaming-resolver", daemon=True).start()

    def stop(self) -> None:
        """End, at once and from any thread."""
        with self._changed:
            self._stopped = True
            watch = self._watch
            self._changed.notify_all()
        self._hosts.want(set())
        if watch:
            watch.close()

    def join(self, listener: Callable[[], None]) -> None:
        """Tell *listener*, from now on."""
        with self._changed:
            self._listeners.add(listener)

    def leave(self, listener: Callable[[], None]) -> bool:
        """Tell it no more; say whether that was the last one."""
        with self._changed:
            self._listeners.discard(listener)
            return not self._listeners

    def orphan(self) -> None:
        """Know that nobody tells anything any more."""
        self._changed, self._connected = threading.Condition(), False

    def age(self) -> float | None:
        """
        Return for how many seconds etcd has not been there to change the set.

        0 while it is; ``None`` if nothing is known yet.
        """
        with self._changed:
            if self._confirmed is None:
                return None
            return 0.0 if self._connected else time.monotonic() - self._confirmed

    def _run(self) -> None:
        while watch := self._open():
            try:
                while True:
                    self._take(watch)
            except ClosedError:
                return
            except Exception as exc:  # noqa: BLE001 - a bug, too, must leave the known set alone
                self._survive(exc)
            finally:
                watch.close()

    def _open(self) -> Watch | None:
        with self._changed:
            if self._stopped:
                return None
            # A hundred targets have one stream, and a process may fork.
            self._watch = Watch(self._client, self._target, shared=True, on_state=self._note_state)
            return self._watch

    def _take(self, watch: Watch) -> None:
        batch = watch.get(self._known.patience())
        if batch is not None:
            self._known.apply(batch)
            self._confirm()
        elif not self._connected:
            self._known.wait_anew()
            return
        elif not self._known.give_up():
            return
        with self._changed:
            self._endpoints = self._known.endpoints()
        self._survey()

    def _note_state(self, state: WatchState) -> None:
        if state.connected and not self._connected:
            self._known.wait_anew()
        if self._connected:
            self._confirm()
        with self._changed:
            self._connected = state.connected

    def _confirm(self) -> None:
        with self._changed:
            self._confirmed = time.monotonic()

    def _survive(self, exc: Exception) -> None:
        """Go on with what is known; where nothing is, say why. Then wait."""
        if str(exc) != self._complaint:
            self._complaint = str(exc)
            _log.warning("%s: its endpoints can't be followed: %s", self._target, exc)
        self._note_state(WatchState(connected=False, detail=str(exc)))
        if self._endpoints is None:
            reason = f"the endpoints of {self._target} can't be read: {exc}"
            self._publish(Outlook(reason=reason, final=True))
        with self._changed:
            self._changed.wait_for(lambda: self._stopped, RETRY)

    def _survey(self) -> None:
        with self._changed:
            outlook = None
            if self._endpoints is not None:
                outlook = self._surveyor.survey(self._endpoints)
        if outlook is not None:
            self._publish(outlook)

    def _publish(self, outlook: Outlook) -> None:
        with self._changed:
            if outlook == self.outlook:
                return
            self.outlook = outlook
            listeners = tuple(self._listeners)
        for listener in listeners:
            listener()
