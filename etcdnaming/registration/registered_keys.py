"""The keys of a registration, and which of them need attention."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import NamedTuple

from .. import keys
from ..model import Endpoint
from .rules import KeyState, RegisteredKey

__all__ = ["EncodedEndpoint", "RegisteredKeys"]


class EncodedEndpoint(NamedTuple):
    """An endpoint, and the value that is stored for it."""

    endpoint: Endpoint
    value: bytes


class RegisteredKeys:
    """
    All keys of one registration. They belong to the thread that executes the loop's step.

    *wanted* is false while none of them is to be registered. *endpoints*, what etcd holds of them,
    is replaced and never changed, so that other threads may read it.
    """

    def __init__(self) -> None:
        self._keys: dict[bytes, RegisteredKey] = {}
        self._open: dict[bytes, RegisteredKey] = {}
        self.wanted = True
        self.endpoints: Mapping[str, Endpoint | None] = {}

    @property
    def names(self) -> Collection[bytes]:
        """Return the keys as etcd names them."""
        return self._keys.keys()

    @property
    def all(self) -> Collection[RegisteredKey]:
        """Return all keys."""
        return self._keys.values()

    @property
    def open(self) -> Collection[RegisteredKey]:
        """Return the keys for which there is, or may be, something to do."""
        return self._open.values()

    @property
    def settled(self) -> bool:
        """Return whether there is nothing to do or to wait for, as far as known."""
        return not any(self._is_pending(key) for key in self._keys.values())

    @property
    def registered(self) -> bool:
        """Return whether every key is registered, as far as known."""
        return all(key.state is KeyState.REGISTERED for key in self._keys.values())

    def set(self, endpoints: Mapping[bytes, EncodedEndpoint]) -> None:
        """Register *endpoints* from now on, at these keys."""
        for name, (endpoint, value) in endpoints.items():
            key = self._keys.setdefault(name, RegisteredKey(name, value, endpoint))
            key.value, key.endpoint = value, endpoint
            key.unsaved, key.removed = True, False
            self._open[name] = key

    def remove(self, name: bytes) -> None:
        """Register nothing at the key *name* any longer."""
        key = self._keys.get(name)
        if key:
            key.removed = True
            self._open[name] = key

    def want(self, *, wanted: bool) -> None:
        """Register all keys, or none."""
        self.wanted = wanted
        self._open.update(self._keys)

    def doubt(self, name: bytes, revision: int) -> None:
        """Read the key *name* again: it was changed at *revision*, or (0) may have been."""
        key = self._keys.get(name)
        if key and not (key.seen and key.seen.mod_revision == revision):  # our own write
            key.current = False
            self._open[name] = key

    def doubt_all(self) -> None:
        """Read every key again, but for those never written."""
        for key in self._keys.values():
            if key.state is not KeyState.NEW:
                self.doubt(key.key, 0)

    def close(self, done: list[RegisteredKey]) -> list[RegisteredKey]:
        """Mark keys as done, and return them."""
        for key in done:
            del self._open[key.key]
            if key.removed:
                del self._keys[key.key]
        if done:
            held = [key for key in self._keys.values() if key.state is KeyState.REGISTERED]
            self.endpoints = MappingProxyType({keys.decode(key.key): key.stored for key in held})
        return done

    def _is_pending(self, key: RegisteredKey) -> bool:
        if key.state is KeyState.GIVEN_UP:
            return False
        if key.removed or not self.wanted:
            return key.state is KeyState.REGISTERED or not key.current  # it may be stored
        return key.unsaved or key.state is not KeyState.REGISTERED
