"""The inner channel that calls go by now, and the thread that replaces it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial

import grpc

from ..errors import ConnectionFailedError
from ..etcd import Client
from ..etcd.channel_state import close, unsubscribe
from ..etcd.threads import run_steps, start_thread
from ..fork import call_after_fork, inherited
from .connectivity import Connectivity
from .following import follow, unfollow
from .inner import Inner, View
from .outlook import Outlook
from .pace import SETTLE, WARM, spacing

__all__ = ["Current"]

_READY = grpc.ChannelConnectivity.READY
_FAILED = grpc.ChannelConnectivity.TRANSIENT_FAILURE
_CONNECTING = grpc.ChannelConnectivity.CONNECTING
_SHUTDOWN = grpc.ChannelConnectivity.SHUTDOWN

_ORPHANED = "the channel is of another process, and knew no endpoints when this one was forked"


class Current:
    """
    Keeps `view` up to date, in a thread of its own, until closed or abandoned.

    `changed` guards everything, and is notified of all; who calls reads `view` as it is.

    Args:
        dial: Makes the channel to a target.
    """

    def __init__(
        self, client: Client, target: str, hold: float, dial: Callable[[str], grpc.Channel]
    ) -> None:
        self.view = View()
        self.closed = False
        self.changed = threading.Condition()
        self.connectivity = Connectivity()
        self._dial = dial
        self._seen: Outlook | None = None
        self._rest_ends = 0.0
        self._following = follow(client, target, hold, self._wake)
        call_after_fork(self)
        try:
            start_thread(self._run, "etcdnaming-channel")
        except ConnectionFailedError:
            unfollow(self._following, self._wake)
            raise

    def age(self) -> float | None:
        """Return for how many seconds etcd has not been there to change the set."""
        return self._following.age()

    def close(self) -> None:
        """Refuse calls from now on, and soon end those with a blocked caller."""
        inner = self.view.inner
        self.abandon()
        if inner:
            close(inner.channel)

    def abandon(self) -> None:
        """Refuse calls from now on; those under way go on to their ends."""
        with self.changed:
            self.closed = True
            self.view = View()
            self.changed.notify_all()

    def after_fork(self) -> None:
        """Go on with the endpoints that are known, and connections of our own: see `fork`."""
        inherited.append((self.view, self.connectivity))
        self.changed, self.connectivity = threading.Condition(), Connectivity()
        if self.view.inner:
            self.view = self.view._replace(inner=self.view.inner.afresh())
        elif not self.closed:
            self.view = View(reason=_ORPHANED, final=True)
        self.connectivity.follow(self.view.inner, _SHUTDOWN if self.closed else _FAILED)

    def _wake(self) -> None:
        with self.changed:
            self.changed.notify_all()

    def _run(self) -> None:
        run_steps(self._keep_up, self._pause)
        unfollow(self._following, self._wake)
        self.connectivity.follow(None, _SHUTDOWN)

    def _keep_up(self) -> bool:
        if not self._wait_for_news():
            return False
        outlook = self._following.outlook
        self._replace(outlook)
        self._seen = outlook  # if that failed, it is tried again
        return True

    def _pause(self, seconds: float) -> None:
        with self.changed:
            self.changed.wait_for(lambda: self.closed, seconds)

    def _wait_for_news(self) -> bool:
        with self.changed:
            self.changed.wait_for(lambda: self.closed or self._has_news())
            if self.view.inner:  # who has none waits for the first one
                pause = max(SETTLE, self._rest_ends - time.monotonic())
                self.changed.wait_for(lambda: self.closed, pause)
            return not self.closed

    def _has_news(self) -> bool:
        return self._following.outlook is not self._seen

    def _replace(self, outlook: Outlook) -> None:
        old = self.view.inner
        if outlook.target is None:
            self._take(View(None, (), outlook.reason, outlook.final))
        elif old and old.target == outlook.target:
            self._take(View(old, outlook.endpoints))
        else:
            inner = Inner(self._dial, outlook.target)
            if old:
                self._warm(inner, outlook)
            self._take(View(inner, outlook.endpoints))

    def _warm(self, inner: Inner, outlook: Outlook) -> None:
        """Connect *inner*, which is for *outlook*, while calls still go by the old one."""
        states: list[grpc.ChannelConnectivity] = []
        note = partial(self._note, states)
        inner.channel.subscribe(note, try_to_connect=True)
        with self.changed:
            self.changed.wait_for(
                lambda: (
                    self.closed
                    or _READY in states
                    or (_FAILED in states and self._following.outlook is not outlook)
                ),
                WARM,
            )
        unsubscribe(inner.channel, note)

    def _note(
        self, states: list[grpc.ChannelConnectivity], state: grpc.ChannelConnectivity
    ) -> None:
        with self.changed:
            states.append(state)
            self.changed.notify_all()

    def _take(self, view: View) -> None:
        with self.changed:
            if self.closed:
                return
            before, self.view = self.view, view
            self.changed.notify_all()
        self._rest_ends = time.monotonic() + spacing(view)
        if view.inner is not before.inner or not view.inner:
            known = view.inner or view.reason
            self.connectivity.follow(view.inner, _FAILED if known else _CONNECTING)
