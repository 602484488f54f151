"""The lines below a live table: what it is all about, and whether it is up to date."""

from __future__ import annotations

import textwrap
import time
from typing import NamedTuple

from ...model import WatchState
from ...printable import printable
from .live_view import View
from .spelling import counted, escape

__all__ = ["Status"]


class Status(NamedTuple):
    """The target, and since when the connection is as it is."""

    target: str
    state: WatchState | None = None
    since: float = 0.0

    @property
    def is_connected(self) -> bool:
        """Whether changes are shown as they are made."""
        return self.state is not None and self.state.connected

    def lines(self, view: View, room: int, *, last: bool) -> list[tuple[str, str]]:
        """Return texts at most *room* wide, each with its style; the *last* ones stay."""
        found = f"{counted(view.count, 'endpoint')} under {escape(self.target)}"
        found = f"{found}, revision {view.revision}" if view.revision else "waiting for etcd"
        if view.resynced is not None:
            found = f"{found}, resynced at {_clock(view.resynced)}"
        if self.is_connected and self.state and not last:
            found = f"{found}, connected to {printable(self.state.detail)}"
        trouble = self._trouble("disconnected" if view.revision else "not connected")
        return [*_folded(found, "dim", room), *_folded(trouble, "bold red", room)]

    def _trouble(self, what: str) -> str:
        if self.state is None or self.state.connected:
            return ""
        return f"{what} since {_clock(self.since)}: {printable(self.state.detail)}"


def _clock(at: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(at))


def _folded(text: str, style: str, room: int) -> list[tuple[str, str]]:
    return [(line, style) for line in textwrap.wrap(text, max(room, 1))]
