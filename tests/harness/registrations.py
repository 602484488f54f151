"""Registrations, as tests look at them."""

from __future__ import annotations

from etcdnaming import Endpoint, RegistrationEvent, wire

from .etcdctl import Etcdctl

__all__ = ["Told", "holds"]


class Told(list[RegistrationEvent]):
    """What a registration said of itself."""

    def __call__(self, event: RegistrationEvent) -> None:
        """Take it down."""
        self.append(event)

    @property
    def kinds(self) -> list[str]:
        """What happened."""
        return [event.kind for event in self]

    def of(self, kind: str) -> RegistrationEvent:
        """Return the last event of this *kind*."""
        return [event for event in self if event.kind == kind][-1]


def holds(etcd: Etcdctl, key: str, endpoint: Endpoint | None, lease: int) -> bool:
    """Say whether *key* holds *endpoint*, on *lease*."""
    found = {entry.key: entry for entry in etcd.entries(key)}.get(key.encode())
    if found is None or endpoint is None:
        return False
    return (found.value, found.lease) == (wire.encode(endpoint), lease)
