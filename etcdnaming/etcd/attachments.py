"""What the users of a client share: it is made for the first of them, and ends with the last."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Protocol, TypeVar, cast

from ..errors import ClientClosedError
from ..fork import inherited

__all__ = ["Attachable", "Attached", "Attachments"]


class Attachable(Protocol):
    """Streams, threads or state that belong to a client."""

    def close(self) -> None:
        """End, without waiting: the last user has gone, or the client was closed."""

    def after_fork(self) -> None:
        """
        Release those who use it in a child process, where it has no threads any more.

        The lock of it may be held for ever, and gRPC must not be called.
        """


Attached = TypeVar("Attached", bound=Attachable)


class Attachments:
    """
    What is attached to one client, by kind, and how many use it. `_lock` guards everything.

    The client tells of its end and of a fork, so nothing that is attached has a registry or a fork
    hook of its own, and the client need not know what it is.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._attached: dict[Hashable, _Entry] = {}
        self._closed = False

    def attach(self, kind: Hashable, factory: Callable[[], Attached]) -> Attached:
        """
        Return what is attached as *kind*, for one more user; *factory* makes it for the first.

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
            return cast("Attached", entry.attached)  # of one kind is one type

    def detach(self, kind: Hashable, attached: Attachable) -> None:
        """Use *attached* no longer; the last user closes it."""
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
        """Close everything that is attached, and attach nothing any more."""
        with self._lock:
            self._closed = True
            entries = list(self._attached.values())
            self._attached.clear()
        for entry in entries:
            entry.attached.close()

    def after_fork(self) -> None:
        """Begin with nothing, in a child: see `fork`."""
        entries = list(self._attached.values())
        inherited.append(entries)
        self._lock, self._attached = threading.Lock(), {}
        for entry in entries:
            entry.attached.after_fork()


class _Entry:
    """Something attached, and how many use it."""

    __slots__ = ("attached", "users")

    def __init__(self, attached: Attachable) -> None:
        self.attached, self.users = attached, 0
