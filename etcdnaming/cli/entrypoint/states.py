"""The states of the endpoints of ``lease-register``, and the line for each new state."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet

from ...model import Endpoint
from ...registration.status import RegistrationEvent, edit, is_warning
from ..failures import with_flags
from ..output.spelling import lease_id

__all__ = ["EndpointStates", "sentence"]


class EndpointStates:
    """
    Which endpoints are registered, as the events of the registration say.

    Before the registration exists, *addrs* has the keys and addresses that the user gave, which may
    be incomplete. Events are applied by one thread; any thread may read what is registered.
    """

    def __init__(self, addrs: Mapping[str, str]) -> None:
        self.addrs: Mapping[str, str] = addrs
        """The addresses of all endpoints, by key."""
        self.registered: AbstractSet[str] = frozenset()
        """The keys that are in etcd, as far as known."""
        self._lost: AbstractSet[str] = frozenset()

    def apply(self, event: RegistrationEvent) -> Iterable[str]:
        """Return a line for each endpoint that gets a new state by *event*."""
        if event.endpoint is not None and event.key in self.addrs:
            self.addrs = {**self.addrs, event.key: event.endpoint.addr}
        if event.kind == "lost":
            lost, self._lost = self.registered, self.registered
            self.registered = frozenset()
            return self.lines("lost", lost, f": {_lease(event)}: {with_flags(event.reason)}")
        if event.kind == "regained":
            regained, self._lost = self._lost, frozenset()
            self.registered |= regained
            return self.lines("regained", regained, f" after {event.seconds:.1f}s")
        return self._apply_to_key(event)

    def lines(self, state: str, keys: Iterable[str], detail: str = "") -> list[str]:
        """Return a line for each of *keys*, in the order of the registration."""
        chosen = {*keys}
        return [
            f"{state} {key} {addr}{detail}" for key, addr in self.addrs.items() if key in chosen
        ]

    def _apply_to_key(self, event: RegistrationEvent) -> Iterable[str]:
        if event.kind in {"withdrawn", "left"}:
            self._release(event.key)
            return self.lines("deregistered", [event.key])
        if event.kind in {"taken_over", "deleted", "waiting", "conflict"}:
            self._release(event.key)
        elif event.kind == "registered" and event.key not in self._lost:
            self.registered |= {event.key}
            return self.lines(_state_of(event.endpoint), [event.key], _why_registered(event))
        elif event.kind == "changed" and event.endpoint is not None:
            return self.lines(_state_of(event.endpoint), [event.key], f": {edit(event)}")
        return ()

    def _release(self, key: str) -> None:
        self.registered -= {key}
        self._lost -= {key}


def sentence(event: RegistrationEvent) -> str:
    """Return *event* as a sentence; empty if it is no news for people."""
    if event.kind == "conflict" or not is_warning(event):  # a conflict ends the command
        return ""
    # Only in these is the text after the key the library's own.
    return with_flags(str(event)) if event.kind in {"lost", "error"} else str(event)


def _state_of(endpoint: Endpoint | None) -> str:
    metadata = endpoint.metadata if endpoint else None
    is_draining = isinstance(metadata, dict) and metadata.get("draining") is True
    return "draining" if is_draining else "registered"


def _why_registered(event: RegistrationEvent) -> str:
    if event.holder:
        return f": taken over from lease {lease_id(event.holder)}"
    return f" again: {event.reason}" if event.reason else ""


def _lease(event: RegistrationEvent) -> str:
    return f"lease {lease_id(event.lease)}"
