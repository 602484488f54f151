"""Objects that all users of a client share: made for the first user, closed by the last."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Protocol, TypeVar, cast

from ..errors import ClientClosedError
from ..fork import call_after_fork, inherited

__all__ = ["Attachable", "Attached", "Attachments"]


class Attachable(Protocol):
    """RangeStreams, threads or state that belong to a client."""

    def close(self) -> None:
        """End, without waiting: the last user has detached it, or the client was closed."""

    def after_fork(self) -> None:
        """
        Release the users in a child process, where it has no threads any more.

        A thread of the parent may have held its lock, which then is never released; and gRPC must
        not be called.
        """


Attached = TypeVar("Attached", bound=Attachable)


class Attachments:
    """
    The objects attached to one client, by kind, and the number of their users.

    The client passes on its end and a fork, so no attached object needs a registry or a fork hook
    of its own, and the client need not know what it is.

    `_lock` guards everything. It is held while *factory* runs, so that there is one object of a
    kind, but not while an object is closed: that takes locks of its own.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._attached: dict[Hashable, _Entry] = {}
        self._closed = False
        call_after_fork(self)

    def attach(self, kind: Hashable, factory: Callable[[], Attached]) -> Attached:
        """
        Return the object attached as *kind*, for one more user; *factory* makes it for the first.

        Raises:
            ClientClosedError: By `close`.
        """
        with self._lock:
            if self._closed:
                raise ClientClosedError
            entry = self._attached.get(kind)
            if entry is None:
                entry = self._attached[kind] = _Entry(factory())
            entry.users += 1
            return cast("Attached", entry.attached)  # a kind has one type

    def detach(self, kind: Hashable, attached: Attachable) -> None:
        """Release *attached*; the last user closes it."""
        with self._lock:
            entry = self._attached.get(kind)
            if entry is None or entry.attached is not attached:
                return  # the client was closed since, or this process was forked
            entry.users -= 1
            if entry.users:
                return
            del self._attached[kind]
        attached.close()

    def close(self) -> None:
        """Close all attached objects; `attach` fails from now on."""
        with self._lock:
            self._closed = True
            entries = list(self._attached.values())
            self._attached.clear()
        for entry in entries:
            entry.attached.close()

    def after_fork(self) -> None:
        """Start without attached objects, in a child: see `fork`."""
        entries = list(self._attached.values())
        inherited.append(entries)
        self._lock, self._attached = threading.Lock(), {}
        for entry in entries:
            entry.attached.after_fork()


class _Entry:
    """An attached object, and the number of its users."""

    __slots__ = ("attached", "users")

    def __init__(self, attached: Attachable) -> None:
        self.attached, self.users = attached, 0
