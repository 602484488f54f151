"""One watch of a prefix, in a thread of its own, that outlives everything but its owner."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from collections.abc import Set as AbstractSet

from ..endpoints.watch import Watch
from ..errors import ClosedError
from ..etcd import Client
from ..etcd.threads import start_thread
from ..fork import inherited
from ..model import JSON, ChangeBatch, Endpoint, WatchState
from .endpoint_cache import EndpointCache
from .notice import Notice, Notify

__all__ = ["Follower"]

RETRY = 5.0
"""Seconds until a watch that ended with an error begins again: a role may be granted meanwhile."""


class Follower:
    """
    Follows the endpoints below *prefix*, from `start` to `stop`.

    The thread owns the known set; others may read what is public here.

    Args:
        hold: Seconds for which an endpoint is kept that is merely missing after a re-read.

        take: Called by the thread with what was read (``None``: time has passed) and the keys that
            have changed. It returns the time (monotonic) at which it wants to be called again.

        on_change: Called by the thread when `connected` or `failure` has changed.
    """

    def __init__(
        self,
        client: Client,
        prefix: str,
        hold: float,
        take: Callable[[Follower, ChangeBatch | None, AbstractSet[str]], float | None],
        on_change: Callable[[], None],
        notify: Notify,
    ) -> None:
        self.prefix = prefix
        self.was_read = self.connected = False
        self.revision = self.resyncs = 0
        self.failure: Exception | None = None
        self.detail = ""
        self._confirmed: float | None = None
        self._client, self._take, self._on_change, self._notify = client, take, on_change, notify
        self._known = EndpointCache(hold)
        self._again: float | None = None
        # The keys that `take` has to be called with, more than once if it fails.
        self._untaken: set[str] = set()
        self._changed = threading.Condition()
        self._watch: Watch | None = None
        self._stopped = self._lost = False

    @property
    def held(self) -> int:
        """How many endpoints are kept although a re-read did not find them."""
        return self._known.missing

    def endpoint(self, key: str) -> Endpoint | None:
        """Return what is known at *key*."""
        return self._known.get(key)

    def is_held(self, key: str) -> bool:
        """Say whether the endpoint at *key* is kept although a re-read did not find it."""
        return self._known.is_missing(key)

    def age(self) -> float | None:
        """Return for how many seconds etcd has not been there; ``None`` if it never was."""
        if self._confirmed is None:
            return None
        return 0.0 if self.connected else time.monotonic() - self._confirmed

    def start(self) -> None:
        """
        Begin.

        Raises:
            ConnectionFailedError: No thread can be started now.
        """
        start_thread(self._run, "etcdnaming-xds")

    def stop(self) -> None:
        """End, at once and from any thread."""
        with self._changed:
            self._stopped = True
            watch = self._watch
            self._changed.notify_all()
        if watch:
            watch.close()

    def after_fork(self) -> None:
        """Know that no more changes come, in a child: see `fork`."""
        inherited.append((self._changed, self._watch))
        self._changed, self._watch = threading.Condition(), None
        if self.connected:
            self.connected, self._confirmed = False, time.monotonic()

    def _run(self) -> None:
        while watch := self._open():
            try:
                while True:
                    self._follow(watch)
            except ClosedError:
                return
            except Exception as exc:  # noqa: BLE001 - a bug, too, must leave what is known alone
                self._survive(exc)
            finally:
                watch.close()

    def _open(self) -> Watch | None:
        with self._changed:
            if self._stopped:
                return None
            self._watch = Watch(self._client, self.prefix, shared=True, on_state=self._note_state)
            return self._watch

    def _follow(self, watch: Watch) -> None:
        batch = watch.get(self._patience())
        if batch is not None:
            self._note_batch(batch)
        elif not self.connected:
            self._known.wait_anew()
            self._again = self._take(self, None, set())
        else:
            self._again = self._take(self, None, self._known.give_up())

    def _patience(self) -> float | None:
        """Return the seconds after which something is to be done if nothing changes."""
        times = [self._known.patience()]
        if self._again is not None:
            times.append(max(0.0, self._again - time.monotonic()))
        return min((each for each in times if each is not None), default=None)

    def _note_batch(self, batch: ChangeBatch) -> None:
        again = batch.resync or (batch.first and self.was_read)
        try:
            changed = self._known.apply(batch)
        except Exception:
            self._untaken.update(change.key for change in batch.changes)
            raise
        self._untaken |= changed
        self.revision, self._confirmed, self.failure = batch.revision, time.monotonic(), None
        if again:
            self.resyncs += 1
            self._notify_resync(len(changed))
        self._again = self._take(self, batch, self._untaken)
        self._untaken = set()
        self.was_read = True
        if batch.first:
            self._on_change()

    def _notify_resync(self, changed: int) -> None:
        text = (
            f"{self.prefix} was read again, as of revision {self.revision}: {changed} endpoints "
            f"changed, {self.held} are missing and kept for now"
        )
        fields: dict[str, JSON] = {"prefix": self.prefix, "revision": self.revision}
        self._notify(Notice("resync", text, {**fields, "changed": changed, "held": self.held}))

    def _note_state(self, state: WatchState) -> None:
        if state.connected and not self.connected:
            self._known.wait_anew()  # the missing ones could not come back meanwhile
        if self.connected:
            self._confirmed = time.monotonic()
        is_other_reason = self._lost and state.detail != self.detail
        self.connected, self.detail = state.connected, state.detail
        if self.was_read and (state.connected == self._lost or is_other_reason):
            word = "connected to"
            if not state.connected:
                word = "still without" if self._lost else "lost"
            self._lost = not state.connected
            event = "etcd-lost" if self._lost else "etcd-connected"
            text = f"{self.prefix}: {word} etcd: {state.detail}"
            self._notify(Notice(event, text, {"prefix": self.prefix, "detail": state.detail}))
        self._on_change()

    def _survive(self, exc: Exception) -> None:
        """Go on with what is known, and begin again in a while."""
        if self.was_read and str(exc) != str(self.failure):
            text = f"{self.prefix}: its endpoints can't be read, the last ones stay: {exc}"
            self._notify(Notice("unreadable", text, {"prefix": self.prefix, "detail": str(exc)}))
        self.failure = exc
        if self.connected:
            self._confirmed = time.monotonic()
        self.connected, self.detail, self._lost = False, str(exc), True
        self._on_change()
        with self._changed:
            self._changed.wait_for(lambda: self._stopped, RETRY)
