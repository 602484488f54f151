"""The keys of a registration: which there are, and which something is to be done about."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import NamedTuple

from .. import keys
from ..model import Endpoint
from .rules import Slot, Stage

__all__ = ["Entry", "Slots"]


class Entry(NamedTuple):
    """An endpoint, and the value that means it."""

    endpoint: Endpoint
    value: bytes


class Slots:
    """
    All keys of one registration. They belong to the thread that makes a step.

    *wanted* is false while none of them is to be registered. *endpoints*, what etcd holds of ours,
    is never changed but replaced, so that others may look at it.
    """

    def __init__(self) -> None:
        self._slots: dict[bytes, Slot] = {}
        self._open: dict[bytes, Slot] = {}
        self.wanted = True
        self.endpoints: Mapping[str, Endpoint | None] = {}

    @property
    def keys(self) -> Collection[bytes]:
        """The keys themselves."""
        return self._slots.keys()

    @property
    def all(self) -> Collection[Slot]:
        """All of them."""
        return self._slots.values()

    @property
    def open(self) -> Collection[Slot]:
        """Those that something is, or may be, to be done about."""
        return self._open.values()

    @property
    def settled(self) -> bool:
        """Say whether there is nothing to do, nor to wait for, as far as we know."""
        return not any(self._is_pending(slot) for slot in self._slots.values())

    @property
    def held(self) -> bool:
        """Say whether every key is registered, as far as we know."""
        return all(slot.stage is Stage.HELD for slot in self._slots.values())

    def set(self, entries: Mapping[bytes, Entry]) -> None:
        """Register *entries* from now on, at these keys."""
        for key, (endpoint, value) in entries.items():
            slot = self._slots.setdefault(key, Slot(key, value, endpoint))
            slot.value, slot.endpoint = value, endpoint
            slot.chosen, slot.removed = True, False
            self._open[key] = slot

    def remove(self, key: bytes) -> None:
        """Register nothing at *key* any longer."""
        slot = self._slots.get(key)
        if slot:
            slot.removed = True
            self._open[key] = slot

    def want(self, *, wanted: bool) -> None:
        """Register all of them, or none."""
        self.wanted = wanted
        self._open.update(self._slots)

    def doubt(self, key: bytes, revision: int) -> None:
        """Look at *key* again: it was changed at *revision*, or (0) may have been."""
        slot = self._slots.get(key)
        if slot and not (slot.seen and slot.seen.mod_revision == revision):  # by us
            slot.sure = False
            self._open[key] = slot

    def doubt_all(self) -> None:
        """Look again at every key that we ever had."""
        for slot in self._slots.values():
            if slot.stage is not Stage.NEW:
                self.doubt(slot.key, 0)

    def adopt(self, slot: Slot, value: bytes, endpoint: Endpoint | None) -> None:
        """Register *value* from now on, because somebody else has chosen it."""
        slot.value, slot.endpoint = value, endpoint

    def close(self, done: list[Slot]) -> list[Slot]:
        """Say that nothing is to be done any more about those, and return them."""
        for slot in done:
            del self._open[slot.key]
            if slot.removed:
                del self._slots[slot.key]
        if done:
            self._show()
        return done

    def _is_pending(self, slot: Slot) -> bool:
        if slot.stage is Stage.OUT:
            return False
        if slot.removed or not self.wanted:
            return slot.stage is Stage.HELD or not slot.sure  # it may be there
        return slot.chosen or slot.stage is not Stage.HELD

    def _show(self) -> None:
        held = [slot for slot in self._slots.values() if slot.stage is Stage.HELD]
        self.endpoints = MappingProxyType({keys.decode(each.key): each.stored for each in held})
