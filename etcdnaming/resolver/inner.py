"""A gRPC channel to one set of endpoints."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from ..model import Endpoint

__all__ = ["Inner", "Method", "View"]


class Method:
    """A method of a service, as a stub asks a channel for it. One object for each stub."""

    __slots__ = ("__weakref__", "_args", "_named", "kind")

    def __init__(self, kind: str, *args: Any, **named: Any) -> None:
        self.kind, self._args, self._named = kind, args, named

    def on(self, channel: Any) -> Any:
        """Return what calls it on *channel*."""
        return getattr(channel, self.kind)(*self._args, **self._named)


class Inner:
    """
    The channel to *target*, gRPC's or its aio's, and what was asked of it. `_lock` guards both.

    Dropping it drops the connections, once the last call on them has ended; closing it would
    end the calls. So only callers keep it: not even the stubs keep what it made for them.

    Args:
        dial: Makes the channel, when it is first wanted.
    """

    def __init__(self, dial: Callable[[str], Any], target: str) -> None:
        self._dial, self.target = dial, target
        self._channel: Any = None
        self._made: WeakKeyDictionary[Method, Any] = WeakKeyDictionary()
        self._lock = threading.RLock()

    @property
    def channel(self) -> Any:
        """The channel."""
        with self._lock:
            if self._channel is None:
                self._channel = self._dial(self.target)
            return self._channel

    def afresh(self) -> Inner:
        """Return the same, with nothing dialled yet."""
        return Inner(self._dial, self.target)

    def callable(self, method: Method) -> Any:
        """Return what calls *method* here."""
        made = self._made.get(method)
        if made is None:
            with self._lock:  # gRPC registers a method for one thread at a time only
                made = self._made[method] = method.on(self.channel)
        return made


class View(NamedTuple):
    """What a channel goes by at a moment: an inner channel, or the reason why there is none."""

    inner: Inner | None = None
    endpoints: tuple[Endpoint, ...] = ()
    reason: str = ""
    final: bool = False
