"""Which streams a change concerns, and when they are notified."""

from __future__ import annotations

import asyncio
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING

from ..catalog import Catalog
from ..names import target_of

if TYPE_CHECKING:
    from .session import Session

__all__ = ["Hub"]


class Hub:
    """
    The streams by the targets they ask for. Belongs to the loop's thread.

    Args:
        settle: Seconds between two messages about a target, at least. The first change of a quiet
            target goes out at once.
    """

    def __init__(self, catalog: Catalog, settle: float) -> None:
        self.sessions: dict[Session, None] = {}
        self._catalog, self._settle = catalog, settle
        self._subscribers: dict[str, dict[Session, set[str]]] = {}
        self._last: dict[str, float] = {}
        self._later: dict[str, tuple[float, asyncio.TimerHandle]] = {}

    def subscribers(self, target: str) -> list[Session]:
        """Return the streams that ask for the endpoints of *target*."""
        return [*self._subscribers.get(target, ())]

    @property
    def queued(self) -> int:
        """How many changes have not been written yet, because their client is slow."""
        return sum(session.queued for session in self.sessions)

    def move(self, session: Session, before: AbstractSet[str], after: AbstractSet[str]) -> None:
        """Note that *session* asks for the sets named *after*, no longer for those *before*."""
        for name in after - before:
            self._subscribers.setdefault(target_of(name), {}).setdefault(session, set()).add(name)
        for name in before - after:
            target = target_of(name)
            sessions = self._subscribers[target]
            sessions[session].discard(name)
            if not sessions[session]:
                del sessions[session]
            if not sessions:
                self._forget(target)

    def changed(self, targets: AbstractSet[str], at: float) -> None:
        """Notify the streams that the endpoints of *targets* changed at the time *at*."""
        loop = asyncio.get_running_loop()
        for target in targets & self._subscribers.keys():
            if target in self._later:
                continue
            due = self._last.get(target, float("-inf")) + self._settle
            if due <= loop.time():
                self._mark(target, at)
            else:
                self._later[target] = at, loop.call_at(due, self._settled, target)

    def _settled(self, target: str) -> None:
        at, _ = self._later.pop(target)
        self._mark(target, at)

    def _mark(self, target: str, at: float) -> None:
        self._last[target] = asyncio.get_running_loop().time()
        for session, names in self._subscribers[target].items():
            session.mark(names, at)

    def _forget(self, target: str) -> None:
        del self._subscribers[target]
        self._last.pop(target, None)
        if target in self._later:
            self._later.pop(target)[1].cancel()
        self._catalog.forget(target)
