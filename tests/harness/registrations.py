"""Helpers for tests of registrations."""

from __future__ import annotations

from etcdnaming import Endpoint, RegistrationEvent, wire

from .etcdctl import Etcdctl

__all__ = ["EventLog", "holds"]


class EventLog(list[RegistrationEvent]):
    """The events of a registration, in order."""

    def __call__(self, event: RegistrationEvent) -> None:
        """Append *event*."""
        self.append(event)

    @property
    def kinds(self) -> list[str]:
        """Return the kinds of the events."""
        return [event.kind for event in self]

    def of(self, kind: str) -> RegistrationEvent:
        """Return the last event of this *kind*."""
        return [event for event in self if event.kind == kind][-1]


def holds(etcd: Etcdctl, key: str, endpoint: Endpoint | None, lease: int) -> bool:
    """Return whether *key* holds *endpoint* on *lease*."""
    found = {entry.key: entry for entry in etcd.entries(key)}.get(key.encode())
    if found is None or endpoint is None:
        return False
    return (found.value, found.lease) == (wire.encode(endpoint), lease)
