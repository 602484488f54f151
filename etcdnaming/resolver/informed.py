"""What can be asked of our channels beside what gRPC's can do."""

from __future__ import annotations

from typing import Protocol

from ..model import Endpoint
from .inner import View

__all__ = ["Informed"]


class _Current(Protocol):
    view: View

    def age(self) -> float | None:
        """Return for how many seconds etcd has not been there to change the set."""


class Informed:
    """Knows what its calls go by now."""

    _current: _Current

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Those that calls are sent to now."""
        return self._current.view.endpoints

    @property
    def age(self) -> float | None:
        """
        The seconds since etcd could last have changed the endpoints.

        0 while it is connected; ``None`` if it was never read.
        """
        return self._current.age()
