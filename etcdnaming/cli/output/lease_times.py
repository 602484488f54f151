"""How many seconds leases have left, asked again and again while somebody looks at them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence

from ...errors import EtcdnamingError

__all__ = ["LeaseTimes"]

EVERY = 5.0
"""Seconds."""

MOST = 100
"""Each takes a question of its own, and nobody reads more."""


class LeaseTimes:
    """
    Asks in a thread of its own, so that nothing else waits for etcd. All state is `_changed`'s.

    Args:
        ask: Returns the seconds a lease has left, -1 if it is gone.

        told: Called when there is something new to show.
    """

    def __init__(self, ask: Callable[[int], int], told: Callable[[], None]) -> None:
        self._ask, self._told = ask, told
        self._changed = threading.Condition()
        self._wanted: Sequence[int] = ()
        self._is_over = False
        self.remaining: Mapping[int, int] = {}
        """Seconds by lease, as far as they are known."""

    def start(self) -> None:
        """Begin to ask."""
        threading.Thread(target=self._work, name="etcdnaming-leases", daemon=True).start()

    def want(self, leases: Sequence[int]) -> None:
        """Ask for these from now on."""
        with self._changed:
            self._wanted = leases[:MOST]
            if not leases:
                self.remaining = {}
            self._changed.notify_all()

    def end(self) -> None:
        """Ask no more."""
        with self._changed:
            self._is_over = True
            self._changed.notify_all()

    def _work(self) -> None:
        while leases := self._next():
            remaining = self._asked(leases)
            with self._changed:
                self.remaining = remaining if self._wanted else {}
            self._told()
            with self._changed:
                self._changed.wait_for(lambda: self._is_over, EVERY)

    def _next(self) -> Sequence[int]:
        with self._changed:
            self._changed.wait_for(lambda: self._wanted or self._is_over)
            return () if self._is_over else self._wanted

    def _asked(self, leases: Sequence[int]) -> Mapping[int, int]:
        try:
            return {lease: self._ask(lease) for lease in leases}
        except EtcdnamingError:
            return {}  # nobody knows
