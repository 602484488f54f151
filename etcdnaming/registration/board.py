"""Where a registration says how it stands, for any thread to read and to wait for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import NamedTuple

from ..errors import InheritedError
from ..model import Endpoint
from .trust import Trust

__all__ = ["Board", "Status"]


class Status(NamedTuple):
    """
    How a registration stands.

    *registered*: every endpoint, by all we know. *settled*: there is nothing to do nor to wait for
    (what others have taken is none of ours), after the first *done* things that were asked for.
    *wanted*: they are not withdrawn. *endpoints*: those that etcd holds. *ended*: for good, because
    of *failure* or because it was closed; *clean*: and etcd has confirmed that nothing of it is
    left.
    """

    lease: int = 0
    registered: bool = False
    settled: bool = False
    wanted: bool = True
    done: int = 0
    endpoints: Mapping[str, Endpoint | None] = {}
    ended: bool = False
    clean: bool = False
    failure: Exception | None = None


class Board:
    """The latest status, which belongs to `_changed`; it is good as far as *trust* goes."""

    def __init__(self) -> None:
        self.trust = Trust()
        self.all_told = threading.Event()
        self._changed = threading.Condition()
        self._status = Status()

    @property
    def status(self) -> Status:
        """How it stands."""
        status = self._status
        if self.trust.intact:
            return status
        return status._replace(registered=False, settled=status.settled and not status.wanted)

    def put_up(self, status: Status) -> None:
        """Replace it."""
        with self._changed:
            self._status = status
            self._changed.notify_all()

    def after_fork(self) -> None:
        """Be over, in a child: what is registered is the parent's."""
        self.trust, self._changed = Trust(), threading.Condition()
        self.all_told = threading.Event()
        self.all_told.set()
        self._status = Status(ended=True, clean=True, failure=InheritedError("the registration"))

    def wait_for(self, reached: Callable[[Status], bool], timeout: float | None) -> bool:
        """Return whether the status is as wanted, at the latest after *timeout* seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: reached(self.status), timeout)
